"""The run file: what `evo run` is told, as typed data. A wrong key or value is refused before anything starts.

`load_config` reads YAML and overrides into a `RunConfig`; `RunConfig.built` makes the problem and the algorithm;
`RunConfig.resolved` writes every default out, which is what a run keeps in its header.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError, field_validator

from evo import registry
from evo.cluster.layout import check_layout
from evo.config.overrides import apply_overrides
from evo.config.sections import Budget, Initial, Int, Log, Order, Section, Spec, Stop, Workers
from evo.config.text import read
from evo.errors import ConfigError
from evo.registry.modules import nearest, search_in

if TYPE_CHECKING:
    from evo.algorithm import Algorithm
    from evo.engine.order import Order as Policy
    from evo.evaluator import Resources
    from evo.problem import Problem

__all__ = ["VERSION", "RunConfig", "load_config", "parse_config", "schema"]

VERSION = 1


class RunConfig(Section):
    """One run of evo: what is searched, by which algorithm, for how long, where."""

    version: Annotated[Int, Field(ge=1)] = Field(default=VERSION, description="of this format")
    name: str = Field("run", description="default: the file's name")
    problem: Spec = Field(description="short name (evo list problems) or module:Class")
    algorithm: Spec = Field(description="short name (evo list algorithms) or module:Class")
    seed: Annotated[Int, Field(ge=0)] = Field(default=0, description="everything random follows from it")
    budget: Budget = Field(default_factory=Budget)
    stop: Stop = Field(default_factory=Stop)
    order: Order = Field(default_factory=Order)
    workers: Workers = Field(default_factory=Workers)
    log: Log = Field(default_factory=Log)
    initial: Initial = Field(default_factory=Initial)

    _source: str = ""

    @field_validator("name")
    @classmethod
    def _is_part_of_a_path(cls, name: str) -> str:
        if not name or set(name) & set("/\\\0") or name.startswith("."):
            raise ValueError("Input should be a name without slashes, as the run directory is called after it")
        return name

    @cached_property
    def built(self) -> tuple[Problem, Algorithm]:
        """The problem and the algorithm.

        Raises:
            ConfigError: an unknown name, a wrong parameter, or a folder that hides a package of evo's.
        """
        check_layout()
        prefix = f"{self._source}: " if self._source else ""
        problem = registry.build("problems", self.problem, f"{prefix}problem")
        algorithm = registry.build("algorithms", self.algorithm, f"{prefix}algorithm")
        return problem, algorithm

    def resolved(self) -> dict[str, Any]:
        """Plain data with every default written out, those of the problem and the algorithm included."""
        problem, algorithm = self.built
        data = self.model_dump()
        data["problem"], data["algorithm"] = registry.describe(problem), registry.describe(algorithm)
        data["workers"]["backend"] = self.backend()
        order = self.policy().describe()
        data["order"].update(order, block=order.get("block") or (algorithm.block if "block" in order else None))
        return data

    def policy(self) -> Policy:
        """The order as the engine takes it."""
        from evo.engine.order import order_from

        return order_from(self.order.model_dump())

    def start(self) -> list[Any] | Path | None:
        """What the search starts from: genomes, a run directory, or None for the problem's own."""
        return Path(self.initial.run) if self.initial.run is not None else self.initial.genomes

    def backend(self) -> str:
        """Where evaluation happens, said or implied."""
        workers = self.workers
        return workers.backend or ("ray" if workers.staff() or workers.address else "inline")

    def shape(self) -> Resources | None:
        """What one worker occupies; None where the file leaves that to the problem's evaluator."""
        return self.workers.shape()


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> RunConfig:
    """The run file at `path`, with ``key.path=value`` overrides (values as YAML) on top.

    Its folder is searched for the user's modules from now on.

    Raises:
        ConfigError: names the file, the key path, what was expected, what came and the nearest valid name.
    """
    path = Path(path)
    data = read(path)
    search_in(path.parent)
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys and values (problem, algorithm, ...), got {type(data).__name__}")
    return parse_config({"name": path.stem, **data}, overrides, str(path))


def parse_config(data: dict[str, Any], overrides: Sequence[str] = (), source: str = "") -> RunConfig:
    """A `RunConfig` from plain data (a run's header); otherwise as `load_config`."""
    prefix = f"{source}: " if source else ""
    data = apply_overrides(data, overrides)
    version = data.get("version", VERSION)
    if isinstance(version, int) and version > VERSION:
        raise ConfigError(f"{prefix}version: {version} is newer than this evo, which reads {VERSION}: upgrade evo")
    try:
        config = RunConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(prefix + _explain(error)) from None
    config._source = source
    return config


def schema() -> dict[str, Any]:
    """The JSON schema of a run file, with the names that can be used today."""
    document = RunConfig.model_json_schema()
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for key, kind in (("problem", "problems"), ("algorithm", "algorithms")):
        names = [entry.name for entry in registry.available(kind)]
        mapping = {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"type": "string", "examples": names}},
        }
        about = document["properties"][key]["description"]
        document["properties"][key] = {"description": about, "anyOf": [{"type": "string", "examples": names}, mapping]}
    return document


def _explain(error: ValidationError) -> str:
    """The first complaint in one line, and how many more there are."""
    problems = error.errors(include_url=False)
    first = problems[0]
    where = _key_path(first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys(first["loc"][:-1])
        text = f"{where}: unknown key{nearest(str(first['loc'][-1]), known)}; expected one of {', '.join(known)}"
    elif first["type"] == "missing":
        text = f"{where}: missing; expected a name, or a mapping with 'type' and the parameters"
    elif first["type"] == "model_type":
        text = f"{where}: expected one of the keys {', '.join(_keys(first['loc']))}, got {_short(first['input'])}"
    else:
        said = first["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
        text = f"{where}: {said}, got {_short(first['input'])}"
    return text + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")


def _key_path(loc: Sequence[int | str]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return path.removeprefix(".") or "run file"


def _keys(loc: Sequence[int | str]) -> list[str]:
    model: type[BaseModel] = RunConfig
    for part in loc:
        if isinstance(part, int):
            continue
        inner = model.model_fields[part].annotation
        inner = get_args(inner)[0] if get_origin(inner) is list else inner
        assert isinstance(inner, type)
        model = inner
    return list(model.model_fields)


def _short(value: Any) -> str:
    from evo.registry.construct import shorten

    return shorten(value)
