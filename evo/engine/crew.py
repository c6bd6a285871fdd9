"""Who does the work: the backend, and how many workers of which shapes, from what the user said."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from evo.errors import ConfigError, WorkerError
from evo.evaluator import Fidelity, Resources
from evo.sandbox import Sandbox
from evo.worker import Workers

__all__ = ["PATIENCE", "Crew", "Group", "shape_text"]

PATIENCE = 300.0
"""Seconds without the workers that a run needs before it says that the cluster is lost."""


@dataclass(frozen=True)
class Group:
    """Workers of one kind: how many, and what each occupies.

    With `least` = `most` the number is fixed: as many of them as there is room for are used, down to one, and the
    others wait for a place. Otherwise workers are started while there is room and work for them, and let go when they
    have had nothing to do for a minute.

    Args:
        least: started whether there is work and room or not, so that a cluster that grows by itself sees that they are
            asked for; with fewer for longer than `patience` the cluster counts as lost.
        most: None for as many as there is room for.
        shape: None: enough for every fidelity.
        patience: seconds.

    Raises:
        ConfigError: the numbers contradict each other.
    """

    least: int = 1
    most: int | None = None
    shape: Resources | None = None
    patience: float = PATIENCE

    def __post_init__(self) -> None:
        if self.least < 0 or (self.most is not None and self.most < max(1, self.least)):
            raise ConfigError(f"workers: expected 0 <= min <= max and max >= 1, got {self.least} and {self.most}")
        if not self.patience > 0:
            raise ConfigError(f"workers.patience: expected seconds above 0, got {self.patience}")

    @property
    def fixed(self) -> bool:
        """Whether the number is given, rather than a range."""
        return self.least == self.most

    @property
    def vital(self) -> int:
        """With fewer than this the run cannot go on as the user wants it to."""
        return 1 if self.fixed else self.least

    def serves(self, resources: Resources) -> bool:
        """Whether one of these workers can run work that asks for so much."""
        return (self.shape or Resources()).covers(resources)


@dataclass(frozen=True)
class Crew:
    """A backend and how it is to be used; part of a run's header but never of its canonical record."""

    backend: str = "inline"
    groups: tuple[Group, ...] = ()
    """Empty: one worker for inline; for Ray one per core of this machine, or all that a given cluster has room for."""
    address: str | None = None
    """Of a running Ray cluster."""
    shape: Resources | None = None
    """What each worker occupies where its group does not say; None: enough for every fidelity."""
    message_seconds: float = 0.1
    window: int = 2
    sandbox: bool | Sandbox | None = None
    """For every fidelity: limits, True, False; None leaves it to what each declares."""
    given: Workers | None = field(default=None, compare=False)
    """Workers made by the caller, such as simulated ones."""

    @classmethod
    def of(
        cls, workers: int | str | Group | Sequence[Group] | Workers | None, backend: str | None, **rest: Any
    ) -> Crew:
        """What ``workers=`` and ``backend=`` mean together: numbers and groups ask for Ray, a name is a backend.

        Raises:
            ConfigError: no such backend, or a number below 1.
        """
        if isinstance(workers, Workers):
            given = () if workers.count is None else (Group(workers.count, workers.count),)
            return cls(type(workers).__name__.lower(), given, given=workers, **rest)
        if isinstance(workers, str):
            workers, backend = None, workers
        if isinstance(workers, int):
            if workers < 1:
                raise ConfigError(f"workers: expected at least 1, got {workers}")
            workers = Group(workers, workers)
        groups = (workers,) if isinstance(workers, Group) else tuple(workers or ())
        if not all(isinstance(one, Group) for one in groups):
            raise ConfigError(f"workers: expected a number, a backend's name or groups, got {workers!r}")
        backend = backend or ("ray" if groups or rest.get("address") else "inline")
        if backend not in ("inline", "ray"):
            raise ConfigError(f"workers.backend: expected 'inline' or 'ray', got {backend!r}")
        return cls(backend, groups, **rest)

    def hire(self, log: Path | None) -> Workers:
        """The backend, not yet opened.

        Raises:
            WorkerError: Ray is not installed.
        """
        if self.given is not None:
            return self.given
        if self.backend == "inline":
            from workers.inline import Inline

            return Inline()
        try:
            from workers.ray_actor import RayWorkers
        except ModuleNotFoundError as error:
            if error.name != "ray":
                raise
            raise WorkerError("the ray backend needs Ray: pip install 'evo[ray]', or use the inline backend") from error
        optional = tuple(one.shape for one in self.groups if one.least == 0 and one.shape is not None)
        return RayWorkers(1, address=self.address, log=log, optional=optional)

    @property
    def count(self) -> int | None:
        """How many workers, where that is one given number."""
        return self.groups[0].most if len(self.groups) == 1 and self.groups[0].fixed else None

    @property
    def size(self) -> int:
        """How many workers there are at most; where the cluster decides, how many this machine has cores."""
        return sum(one.most or os.cpu_count() or 1 for one in self._groups())

    def _groups(self) -> tuple[Group, ...]:
        cores = os.cpu_count() or 1
        if self.backend == "inline":
            return (Group(1, 1),)
        if self._elsewhere():
            return self.groups or (Group(1),)
        return tuple(replace(one, most=one.most or max(one.least, cores)) for one in self.groups) or (
            Group(cores, cores),
        )

    def _elsewhere(self) -> bool:
        """Whether the workers are those of a cluster that was there before."""
        return self.given is None and (self.address or os.environ.get("RAY_ADDRESS") or "local") != "local"

    def staff(self, fidelities: Mapping[str, Fidelity]) -> list[Group]:
        """The groups with their shapes.

        Raises:
            ConfigError: a fidelity asks for more than any group's workers have.
        """
        usual = self.shape or _covering([fidelity.resources for fidelity in fidelities.values()])
        groups = [replace(one, shape=one.shape or usual) for one in self._groups()]
        for name, fidelity in fidelities.items():
            if self.backend != "inline" and not any(one.serves(fidelity.resources) for one in groups):
                have = " or ".join(shape_text(one.shape) for one in groups if one.shape is not None)
                where = "workers.groups" if len(groups) > 1 else "workers"
                raise ConfigError(
                    f"{where}: fidelity {name!r} needs {shape_text(fidelity.resources)}, the workers have {have}; give "
                    f"{where if len(groups) == 1 else 'a group'} as much (cpus, gpus, memory, custom)"
                )
        return groups

    def shapes(self, fidelities: Mapping[str, Fidelity]) -> list[Resources]:
        """One shape per worker there may be.

        Raises:
            ConfigError: see `staff`.
        """
        groups = self.staff(fidelities)
        cores = os.cpu_count() or 1
        return [one.shape for one in groups for _ in range(one.most or max(one.least, cores)) if one.shape is not None]

    def describe(self) -> dict[str, Any]:
        """For the run's header."""
        return {
            "backend": self.backend,
            "count": self.count,
            "groups": [asdict(one) for one in self.groups],
            "address": self.address,
            "shape": asdict(self.shape) if self.shape else None,
            "message_seconds": self.message_seconds,
            "window": self.window,
            "sandbox": self.sandbox.describe() if isinstance(self.sandbox, Sandbox) else self.sandbox,
        }


def shape_text(shape: Resources) -> str:
    """A shape in the words of a run file."""
    amounts: dict[str, float] = {"cpus": shape.cpus, "gpus": shape.gpus, **shape.custom}
    parts = [f"{name}={amount:g}" for name, amount in amounts.items() if amount or name == "cpus"]
    return ", ".join([*parts, f"memory={shape.memory / 2**30:.1f} GiB"] if shape.memory else parts)


def _covering(needs: list[Resources]) -> Resources:
    custom: dict[str, float] = {}
    for one in needs:
        for name, amount in one.custom.items():
            custom[name] = max(custom.get(name, 0.0), amount)
    return Resources(
        max(one.cpus for one in needs), max(one.gpus for one in needs), max(one.memory for one in needs), custom
    )
