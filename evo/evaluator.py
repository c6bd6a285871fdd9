"""How a genome is measured, at which fidelities and with which resources.

An evaluator lives on a worker: it is shipped once, warmed up once, and then handed batches. It never sees the archive,
the algorithm or another worker.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import EvaluationError
from evo.random import draw_rng
from evo.records import Genomes
from evo.spec import Configured, qualified_name

if TYPE_CHECKING:
    from evo.problem import Problem

__all__ = ["Evaluation", "Evaluations", "Evaluator", "Fidelity", "FunctionEvaluator", "Resources", "Work"]


@dataclass(frozen=True)
class Resources:
    """What one evaluation occupies. A worker serves every fidelity that its own shape covers."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 0
    """bytes"""
    custom: Mapping[str, float] = field(default_factory=dict)

    def covers(self, other: Resources) -> bool:
        """Whether a worker of this shape can run work that asks for `other`."""
        return (
            self.cpus >= other.cpus
            and self.gpus >= other.gpus
            and (self.memory >= other.memory or self.memory == 0)
            and all(self.custom.get(name, 0.0) >= amount for name, amount in other.custom.items())
        )


@dataclass(frozen=True)
class Fidelity:
    """One way of measuring: how faithful, how dear."""

    resources: Resources = Resources()
    deadline: float = 3600.0
    """Seconds of the monotonic clock for one candidate; overrunning ends the worker's process."""
    concurrency: int = 1
    """How many evaluations one worker may hold at once (32 waiting network calls, one GPU run)."""
    group: int = 1
    """Rows that must be evaluated together to give the same bits; messages are cut at its multiples."""
    exclusive: tuple[str, ...] = ()
    """Leases taken for one evaluation: ``("gpu",)`` while timing."""
    queue: int = 0
    """How many candidates may wait at this fidelity before `ask` is told that there is no room; 0 for no limit."""


@dataclass(frozen=True)
class Evaluation:
    """One genome, measured."""

    objectives: Sequence[float]
    """(k,)"""
    measures: Sequence[float] | NDArray[np.float64] = ()
    """(m,)"""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Further figures: numbers become columns, anything else JSON-like."""
    artifacts: Mapping[str, bytes | Path] = field(default_factory=dict)
    """name -> content or file, kept by hash in the run."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """Costs other than seconds: tokens, money."""


@dataclass(frozen=True)
class Evaluations:
    """A batch of genomes, measured, in columns."""

    objectives: NDArray[np.float64]
    """(n, k)"""
    measures: NDArray[np.float64] | None = None
    """(n, m)"""
    metrics: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """name -> (n,)"""
    failures: Mapping[int, str] = field(default_factory=dict)
    """row -> why this candidate failed; its other columns are ignored."""
    artifacts: Mapping[int, Mapping[str, bytes | Path]] = field(default_factory=dict)
    """row -> name -> content or file"""
    costs: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """row -> cost name -> amount"""


@dataclass
class Work:
    """What an evaluator or a worker-side operator may know about the work at hand."""

    seed: int
    fidelity: str
    draws: NDArray[np.int64]
    """(n,) the draw of each row; all equal where the algorithm set a common one."""
    params: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Path | bytes] = field(default_factory=dict)
    """hash -> the needed artifacts: small ones as bytes, large ones as files."""

    def rng(self, row: int = 0, purpose: str = "evaluate") -> np.random.Generator:
        """The random stream of one row; equal draws give equal streams, whoever does the work."""
        return draw_rng(self.seed, purpose, int(self.draws[row]))

    def one(self, row: int) -> Work:
        """The same work seen from one row alone."""
        return Work(self.seed, self.fidelity, self.draws[row : row + 1], self.params, self.artifacts)


class Evaluator(Configured, ABC):
    """Measures batches of genomes. Shipped to each worker once."""

    @property
    def fidelities(self) -> Mapping[str, Fidelity]:
        """name -> fidelity, from the cheapest to the most faithful."""
        return {"full": Fidelity()}

    @property
    def reporting(self) -> str:
        """The fidelity that best, curves and archives read."""
        return list(self.fidelities)[-1]

    @abstractmethod
    def evaluate_batch(self, genomes: Genomes, work: Work) -> Evaluations:
        """Measure (n, ...) genomes (read-only). Called on a worker.

        Each row must get the same bits in any batch; where that cannot be, declare ``group`` in the fidelity. An
        exception fails the rows that raise when measured one by one; a failure can also be returned.
        """

    def warm_up(self) -> None:
        """Load models, data, compilers. Called once on each worker."""

    def version(self) -> str:
        """Changes whenever the same genome could get another result: source, parameters and data."""
        try:
            source = inspect.getsource(type(self))
        except (OSError, TypeError):
            source = qualified_name(type(self))
        import hashlib

        return hashlib.blake2b(source.encode(), digest_size=8).hexdigest()


class FunctionEvaluator(Evaluator):
    """Measures with the problem's own `evaluate` or `evaluate_batch`."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._vectorised = hasattr(problem, "evaluate_batch")
        function = problem.evaluate_batch if self._vectorised else problem.evaluate  # type: ignore[attr-defined]
        self._takes_work = len(inspect.signature(function).parameters) > 1

    @property
    def fidelities(self) -> Mapping[str, Fidelity]:
        """One, with the problem's deadline."""
        return {"full": Fidelity(deadline=self.problem.deadline)}

    @cached_property
    def _widths(self) -> tuple[int, int]:
        return len(self.problem.objectives), len(self.problem.measures)

    def warm_up(self) -> None:
        """The problem's own."""
        self.problem.warm_up()

    def evaluate_batch(self, genomes: Genomes, work: Work) -> Evaluations:
        """One call where the problem is vectorised, else a loop whose rows fail on their own."""
        if self._vectorised:
            batch = self.problem.evaluate_batch  # type: ignore[attr-defined]
            return _as_evaluations(batch(genomes, work) if self._takes_work else batch(genomes), self.problem)
        return self._one_by_one(genomes, work)

    def _one_by_one(self, genomes: Genomes, work: Work) -> Evaluations:
        k, m = self._widths
        n = len(genomes)
        objectives, measures = np.empty((n, k)), np.empty((n, m))
        metrics: dict[str, NDArray[Any]] = {}
        artifacts, costs = {}, {}
        evaluate: Any = self.problem.evaluate
        for row in range(n):
            genome = genomes[row]
            found = evaluate(genome, work.one(row)) if self._takes_work else evaluate(genome)
            if not isinstance(found, Evaluation):
                raise EvaluationError(f"evaluate must return evo.Evaluation, got {type(found).__name__}")
            try:
                if np.size(found.objectives) != k or np.size(found.measures) != m:
                    raise ValueError  # numpy would spread one value over the row
                objectives[row] = found.objectives
                measures[row] = found.measures
            except ValueError:
                raise EvaluationError(
                    f"evaluate returned objectives of shape {np.shape(found.objectives)} and measures of shape "
                    f"{np.shape(found.measures)}; expected ({k},) and ({m},)"
                ) from None
            for name, value in found.metrics.items():
                if name not in metrics:
                    metrics[name] = _column(value, n)
                metrics[name][row] = value
            if found.artifacts:
                artifacts[row] = found.artifacts
            if found.costs:
                costs[row] = found.costs
        return Evaluations(objectives, measures, metrics, artifacts=artifacts, costs=costs)

    def version(self) -> str:
        """Of the problem's source and parameters."""
        try:
            source = inspect.getsource(type(self.problem))
        except (OSError, TypeError):
            source = qualified_name(type(self.problem))
        import hashlib

        return hashlib.blake2b(f"{source}{self.problem._arguments!r}".encode(), digest_size=8).hexdigest()


def _column(value: Any, n: int) -> NDArray[Any]:
    if isinstance(value, bool | int | float | np.number):
        return np.full(n, np.nan)
    return np.full(n, None, dtype=object)


def _as_evaluations(found: Any, problem: Problem) -> Evaluations:
    if isinstance(found, Evaluations):
        return found
    if isinstance(found, Sequence) and all(isinstance(one, Evaluation) for one in found):
        metrics: dict[str, NDArray[Any]] = {}
        for row, one in enumerate(found):
            for name, value in one.metrics.items():
                metrics.setdefault(name, _column(value, len(found)))[row] = value
        return Evaluations(
            np.array([one.objectives for one in found], dtype=np.float64).reshape(len(found), -1),
            np.array([one.measures for one in found], dtype=np.float64).reshape(len(found), -1),
            metrics,
            artifacts={row: one.artifacts for row, one in enumerate(found) if one.artifacts},
            costs={row: one.costs for row, one in enumerate(found) if one.costs},
        )
    raise EvaluationError(
        f"{type(problem).__name__}.evaluate_batch must return evo.Evaluations (or a list of evo.Evaluation), "
        f"got {type(found).__name__}"
    )
