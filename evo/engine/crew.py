"""Who does the work: the backend and the shapes of its workers, from what the user said."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evo.errors import ConfigError, WorkerError
from evo.evaluator import Fidelity, Resources
from evo.worker import Workers

__all__ = ["Crew"]


@dataclass(frozen=True)
class Crew:
    """A backend and how it is to be used; part of a run's header but never of its canonical record."""

    backend: str = "inline"
    count: int | None = None
    """None: one for inline, one per core for Ray."""
    address: str | None = None
    """Of a running Ray cluster."""
    shape: Resources | None = None
    """What each worker occupies; None: enough for every fidelity."""
    message_seconds: float = 0.1
    window: int = 2
    given: Workers | None = field(default=None, compare=False)
    """Workers made by the caller, such as simulated ones."""

    @classmethod
    def of(cls, workers: int | str | Workers | None, backend: str | None, **rest: Any) -> Crew:
        """What ``workers=`` and ``backend=`` mean together: a number asks for Ray, a name is a backend.

        Raises:
            ConfigError: no such backend, or a number below 1.
        """
        if isinstance(workers, Workers):
            return cls(type(workers).__name__.lower(), workers.count, given=workers, **rest)
        if isinstance(workers, str):
            workers, backend = None, workers
        if workers is not None and workers < 1:
            raise ConfigError(f"workers: expected at least 1, got {workers}")
        backend = backend or ("ray" if workers is not None or rest.get("address") else "inline")
        if backend not in ("inline", "ray"):
            raise ConfigError(f"workers.backend: expected 'inline' or 'ray', got {backend!r}")
        return cls(backend, workers, **rest)

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
        return RayWorkers(count_hint=self.size, address=self.address, log=log)

    @property
    def size(self) -> int:
        """How many workers."""
        if self.backend == "inline":
            return 1
        return self.count or os.cpu_count() or 1

    def shapes(self, fidelities: Mapping[str, Fidelity]) -> list[Resources]:
        """One shape per worker.

        Raises:
            ConfigError: a fidelity asks for more than the given shape has.
        """
        shape = self.shape or _covering([fidelity.resources for fidelity in fidelities.values()])
        for name, fidelity in fidelities.items():
            if self.backend != "inline" and not shape.covers(fidelity.resources):
                raise ConfigError(f"workers: fidelity {name!r} needs {fidelity.resources}, the workers have {shape}")
        return [shape] * self.size

    def describe(self) -> dict[str, Any]:
        """For the run's header."""
        return {
            "backend": self.backend,
            "count": self.count,
            "address": self.address,
            "shape": asdict(self.shape) if self.shape else None,
            "message_seconds": self.message_seconds,
            "window": self.window,
        }


def _covering(needs: list[Resources]) -> Resources:
    custom: dict[str, float] = {}
    for one in needs:
        for name, amount in one.custom.items():
            custom[name] = max(custom.get(name, 0.0), amount)
    return Resources(
        max(one.cpus for one in needs), max(one.gpus for one in needs), max(one.memory for one in needs), custom
    )
