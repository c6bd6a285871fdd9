"""Names -> classes -> objects: how a run file's words become plug-ins.

A name is short (``arm``: ours, or another package's entry point in the group ``evo.<kind>``) or ``module:Class``.
`build` turns a specification into an object and checks every parameter on the way; `describe` turns the object back
into one with every default written out.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from evo.errors import ConfigError
from evo.registry.modules import load, nearest
from evo.spec import Configured, qualified_name, spec_of

__all__ = ["BUILT_IN", "KINDS", "Entry", "available", "base_of", "build", "describe", "resolve", "short_name"]

KINDS = {
    "problems": "evo.problem:Problem",
    "evaluators": "evo.evaluator:Evaluator",
    "operators": "evo.operator:Operator",
    "archives": "evo.archive:Archive",
    "algorithms": "evo.algorithm:Algorithm",
    "spaces": "evo.space:Space",
}
"""kind -> the base class of its plug-ins."""

BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "problems": {
        "arm": "problems.arm:Arm",
        "sphere": "problems.projection:Sphere",
        "rastrigin": "problems.projection:Rastrigin",
        "planted_linear": "problems.planted:PlantedLinear",
        "planted_coupled": "problems.planted:PlantedCoupled",
        "planted_noisy": "problems.planted:PlantedNoisy",
        "planted_levels": "problems.planted:PlantedLevels",
        "esma": "problems.esma.problem:Esma",
        "evopress": "problems.evopress.problem:EvoPress",
        "executable": "problems.executable.problem:Program",
    },
    "algorithms": {
        "random": "evo.algorithms.random:Random",
        "map_elites": "evo.algorithms.map_elites:MapElites",
        "genetic": "evo.algorithms.genetic:Genetic",
        "enumeration": "evo.algorithms.enumeration:Enumeration",
        "one_plus_lambda": "evo.algorithms.one_plus_lambda:OnePlusLambda",
        "surrogate": "evo.algorithms.surrogate:SurrogateAssisted",
        "islands": "evo.algorithms.islands:Islands",
        "arms": "evo.algorithms.arms:Arms",
    },
    "operators": {
        "gaussian": "operators.real.gaussian:Gaussian",
        "iso_line": "operators.real.iso_line:IsoLine",
        "polynomial": "operators.real.polynomial:Polynomial",
        "sbx": "operators.real.sbx:SBX",
        "uniform": "operators.real.uniform:Uniform",
        "flip": "operators.discrete.flip:Flip",
        "resample": "operators.discrete.resample:Resample",
        "swap": "operators.discrete.swap:Swap",
        "level_switch": "operators.budget.switch:LevelSwitch",
        "per_part": "operators.discrete.mixed:PerPart",
        "chain": "operators.chain:Chain",
    },
    "archives": {
        "grid": "evo.archives.grid:Grid",
        "top": "evo.archives.top:Top",
    },
}
"""Our own entry points, as pyproject.toml declares them (a test compares the two): known also where the package's
metadata is not, in a checkout and on a Ray worker, and without reading everybody's metadata to find them."""


class Entry(NamedTuple):
    """One line of `available`."""

    name: str
    cls: type | None
    """None when it cannot be imported."""
    summary: str
    """First line of the docstring, or why it cannot be imported."""


def resolve(kind: str | None, name: str, where: str = "") -> type:
    """The class called `name`.

    Args:
        kind: one of `KINDS`; None takes a ``module:Class`` of any kind.
        name: a short name or ``module:Class``.
        where: key path, for the error.

    Raises:
        ConfigError: unknown (with the nearest names), not importable, or not of this kind.
    """
    prefix = f"{where}: " if where else ""
    target = name if ":" in name else _target(kind, name)
    if target is None:
        known = sorted(_targets(kind)) if kind else []
        noun = kind[:-1] if kind else "class"
        raise ConfigError(
            f"{prefix}unknown {noun} {name!r}{nearest(name, known)}; expected {_one_of([*known, 'module:Class'])}"
        )
    cls = load(target, prefix)
    base = base_of(kind) if kind else Configured
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise ConfigError(f"{prefix}{target} is not an evo {base.__name__}")
    missing: Iterable[str] = getattr(cls, "__abstractmethods__", ())
    if missing:
        raise ConfigError(f"{prefix}{target} does not define {', '.join(sorted(missing))}")
    return cls


def build(kind: str | None, spec: Any, where: str = "") -> Any:
    """The object that `spec` describes, its parameters checked against the constructor's annotations.

    Args:
        kind: one of `KINDS`; None takes any.
        spec: a name, ``{"type": name, **parameters}``, the ``{"type", "params"}`` of `evo.spec.spec_of`, or the object
            itself. Parameters may be specifications in turn.
        where: key path, for errors.

    Raises:
        ConfigError: names the key path, what was expected, what came and the nearest valid name.
    """
    from evo.registry.construct import construct  # pydantic, which `import evo` must not load

    return construct(kind, spec, where or (kind[:-1] if kind else "spec"))


def describe(value: Any) -> Any:
    """`value` as plain data that `build` takes back: plug-ins by short name, every default written out."""
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if not isinstance(value, Configured):
        return spec_of(value)
    cls = type(value)
    params: dict[str, Any] = {}
    if cls.__init__ is not object.__init__:
        bound = inspect.signature(cls.__init__).bind_partial(value)
        bound.arguments.update(value._arguments)
        bound.apply_defaults()
        params = {key: describe(item) for key, item in list(bound.arguments.items())[1:]}
    name = short_name(cls)
    return {"type": name, "params": params} if {"type", "params"} & params.keys() else {"type": name, **params}


def short_name(cls: type) -> str:
    """The name that configs call `cls` by: its short name where it has one, else ``module:Class``."""
    return _short_names().get(qualified_name(cls), qualified_name(cls))


def available(kind: str) -> list[Entry]:
    """Every short name of a kind, sorted."""
    entries = []
    for name, target in sorted(_targets(kind).items()):
        try:
            cls = resolve(kind, target)
        except ConfigError as error:
            entries.append(Entry(name, None, f"cannot be used: {error}"))
        else:
            entries.append(Entry(name, cls, (inspect.getdoc(cls) or "").partition("\n")[0]))
    return entries


def base_of(kind: str) -> type:
    """The base class of a kind's plug-ins.

    Raises:
        ConfigError: there is no such kind.
    """
    if kind not in KINDS:
        raise ConfigError(f"unknown kind {kind!r}{nearest(kind, KINDS)}; expected {_one_of(KINDS)}")
    module, _, name = KINDS[kind].partition(":")
    base: type = getattr(importlib.import_module(module), name)
    return base


def _target(kind: str | None, name: str) -> str | None:
    if kind is None:
        return None
    ours = BUILT_IN.get(kind, {})
    return ours[name] if name in ours else _targets(kind).get(name)


@cache
def _targets(kind: str) -> Mapping[str, str]:
    base_of(kind)
    foreign = {point.name: point.value for point in entry_points(group=f"evo.{kind}")}
    return {**foreign, **BUILT_IN.get(kind, {})}  # nobody may rename ours: a run file must mean one thing


@cache
def _short_names() -> Mapping[str, str]:
    return {target: name for kind in KINDS for name, target in _targets(kind).items()}


def _one_of(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
