"""The sections of a run file: budget, stop, order, workers, log, initial. Each has a default for every key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

import evo.sandbox
from evo.errors import ConfigError
from evo.sandbox import sandbox_from

if TYPE_CHECKING:
    from evo.engine.crew import Group
    from evo.evaluator import Resources

__all__ = [
    "Budget",
    "Initial",
    "Int",
    "Log",
    "Order",
    "Sandbox",
    "Section",
    "Spec",
    "Stop",
    "WorkerGroup",
    "Workers",
    "staff_words",
]


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("Input should be a number")
    return value


def _spec(value: Any) -> Any:
    if isinstance(value, dict) and not isinstance(value.get("type"), str):
        raise ValueError("Input should be a name, or a mapping with 'type' and the parameters")
    if not isinstance(value, str | dict):
        raise ValueError("Input should be a name, or a mapping with 'type' and the parameters")
    return value


Int = Annotated[int, BeforeValidator(_no_bool)]
Float = Annotated[float, BeforeValidator(_no_bool)]
Count = Annotated[Int, Field(ge=1)]
Positive = Annotated[Float, Field(gt=0)]
Amount = Annotated[Float, Field(ge=0)]
Spec = Annotated[str | dict[str, Any], BeforeValidator(_spec)]
"""A plug-in: its name, or ``{"type": name, **parameters}``."""


class Section(BaseModel):
    """Some keys; an unknown one is refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_all_defaults(cls, data: Any) -> Any:
        return {} if data is None else data  # a section whose lines are all commented out


class Budget(Section):
    """How much the search may spend; null means no limit. An algorithm that ends by itself needs none."""

    evaluations: Count | None = Field(default=None, description="distinct evaluations")
    seconds: Positive | None = Field(
        default=None, description="wall-clock seconds, summed over all sessions of the run"
    )


class Stop(Section):
    """When to stop before the budget is spent."""

    target: Float | None = Field(default=None, description="stop when the first objective is at least as good")
    plateau: Count | None = Field(
        default=None, description="stop after so many evaluations without a better best or elite"
    )
    failures: Count = Field(default=100, description="stop when the first so many evaluations all failed")


class Order(Section):
    """When the algorithm is asked and told."""

    type: Literal["strict", "arrival"] = Field(
        default="strict", description="strict: the same run for any number of workers"
    )
    block: Count | None = Field(
        default=None, description="strict: requests asked for at a time; null: the algorithm's own"
    )
    lag: Count | None = Field(default=None, description="strict: blocks in flight; null: 2")

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, data: Any) -> Any:
        return {"type": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _arrival_has_no_numbers(self) -> Order:
        if self.type == "arrival" and (self.block is not None or self.lag is not None):
            raise ValueError("block and lag belong to type strict; leave them out with type arrival")
        return self


class Sandbox(Section):
    """Evaluation in child processes with limits: ``true``, ``false``, or the limits; null leaves it to the problem."""

    on: bool | None = Field(default=None, description="null: as the problem's fidelities say; limits turn it on")
    cpu_seconds: Positive | None = Field(default=None, description="of each process; null: what its deadline allows")
    memory: Annotated[Int, Field(ge=1 << 20)] = Field(default=2 << 30, description="bytes, all processes together")
    processes: Count = Field(default=64, description="processes and threads at a time")
    file_bytes: Annotated[Int, Field(ge=0)] = Field(default=256 << 20, description="bytes of its files, together")
    open_files: Annotated[Int, Field(ge=16)] = Field(default=256, description="descriptors of each process")
    output_bytes: Annotated[Int, Field(ge=0)] = Field(default=1 << 20, description="bytes of stdout and stderr")
    network: bool = Field(default=False, description="whether it may use the network")
    write: list[str] = Field(default_factory=list, description="further folders it may write, absolute paths")
    environment: list[str] = Field(default_factory=list, description="further variables it may see")
    require: list[str] = Field(default_factory=list, description="what a host must contain, such as network, files")

    @model_validator(mode="before")
    @classmethod
    def _flag_alone(cls, data: Any) -> Any:
        return {"on": data} if isinstance(data, bool) else data

    @model_validator(mode="after")
    def _limits_turn_it_on(self) -> Sandbox:
        if self.on is None and self._limits() != Sandbox.model_construct()._limits():
            self.on = True
        self.said()  # what evo itself refuses
        return self

    def _limits(self) -> dict[str, Any]:
        return self.model_dump(exclude={"on"})

    def said(self) -> bool | evo.sandbox.Sandbox | None:
        """As `evo.search` takes it."""
        if not self.on or self._limits() == Sandbox.model_construct()._limits():
            return self.on
        try:
            return sandbox_from(self._limits())
        except ConfigError as error:
            raise ValueError(str(error)) from None


class WorkerGroup(Section):
    """Workers of one kind; the first group that can do the work is the first to grow."""

    count: Count | None = Field(default=None, description="a fixed number of them")
    min: Annotated[Int, Field(ge=0)] | None = Field(default=None, description="at least so many; null: 1")
    max: Count | None = Field(default=None, description="at most so many; null: as many as there is room for")
    cpus: Amount | None = Field(default=None, description="of one worker; null: what the problem's evaluator asks for")
    gpus: Amount | None = Field(default=None, description="of one worker; null: what the evaluator asks for")
    memory: Annotated[Int, Field(ge=0)] | None = Field(default=None, description="bytes of one worker; likewise")
    custom: dict[str, Amount] | None = Field(default=None, description="Ray's custom resources of one worker; likewise")

    @model_validator(mode="after")
    def _one_way_to_say_how_many(self) -> WorkerGroup:
        if self.count is not None and (self.min is not None or self.max is not None):
            raise ValueError("give count, or min and max, not both")
        if self.max is not None and self.max < (self.min or 0):
            raise ValueError(f"expected max of at least min, which is {self.min}")
        return self

    @property
    def numbered(self) -> bool:
        """Whether it says how many there should be."""
        return (self.count, self.min, self.max) != (None, None, None)

    def shape(self) -> Resources | None:
        """What one worker occupies; None where that is left to the problem's evaluator."""
        from evo.evaluator import Resources

        said = {name: getattr(self, name) for name in ("cpus", "gpus", "memory", "custom")}
        given = {name: value for name, value in said.items() if value is not None}
        return Resources(**given) if given else None

    def group(self, patience: float) -> Group:
        """As the engine takes it."""
        from evo.engine.crew import Group

        if self.count is not None:
            return Group(self.count, self.count, self.shape(), patience)
        return Group(1 if self.min is None else self.min, self.max, self.shape(), patience)


class Workers(WorkerGroup):
    """Where evaluation happens."""

    backend: Literal["inline", "ray"] | None = Field(
        default=None,
        description="inline: in this process; ray: Ray actors; null: as the other keys need it",
    )
    count: Count | None = Field(
        default=None, description="ray: number of workers; null: one for each core, or all that a cluster has room for"
    )
    groups: list[WorkerGroup] = Field(default_factory=list, description="several kinds of workers, instead of one")
    patience: Positive = Field(
        default=300.0, description="seconds with fewer than min workers after which the cluster counts as lost"
    )
    address: str | None = Field(default=None, description="of a running Ray cluster; null starts Ray on this machine")
    message_seconds: Positive = Field(default=0.1, description="work aimed at in one message to a worker")
    window: Count = Field(default=2, description="messages a worker holds at once")
    sandbox: Sandbox = Field(
        default_factory=Sandbox, description="evaluation in child processes: true, false or limits"
    )

    @model_validator(mode="after")
    def _one_kind_or_groups(self) -> Workers:
        if self.groups and (self.numbered or self.shape() is not None):
            raise ValueError("give groups, or count, min, max, cpus, gpus, memory and custom, not both")
        return self

    def staff(self) -> tuple[Group, ...]:
        """The groups as the engine takes them; none where the number is left to it."""
        if self.groups:
            return tuple(one.group(self.patience) for one in self.groups)
        return (replace(self.group(self.patience), shape=None),) if self.numbered else ()  # the shape is said apart


def staff_words(groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The groups of a run's header in the words of a run file's workers."""
    told = [
        ({"count": one["most"]} if one["least"] == one["most"] else {"min": one["least"], "max": one["most"]})
        | (one["shape"] or {})
        for one in groups
    ]
    if not told:
        return {}
    return (told[0] if len(told) == 1 else {"groups": told}) | {"patience": groups[0]["patience"]}


class Log(Section):
    """What the run file keeps beyond the log itself."""

    snapshot_seconds: Positive = Field(
        default=60.0, description="seconds between snapshots, which make resuming faster"
    )


class Initial(Section):
    """What the search starts from, instead of the problem's own initial genomes."""

    genomes: list[Any] | None = Field(default=None, description="genomes as JSON-like data")
    run: str | None = Field(default=None, description="a run directory, whose elites are taken")

    @model_validator(mode="after")
    def _one_source(self) -> Initial:
        if self.genomes is not None and self.run is not None:
            raise ValueError("give genomes or run, not both")
        return self
