"""How a genome is measured, at which fidelities and with which resources.

An evaluator lives on a worker: it is shipped once, warmed up once, and then handed batches. It never sees the archive,
the algorithm or another worker.
"""

from __future__ import annotations

import inspect
import traceback
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import EvaluationError, Rejected
from evo.random import draw_rng
from evo.records import Genomes
from evo.redact import redact
from evo.sandbox import Sandbox
from evo.scratch import Scratch
from evo.spec import Configured
from evo.versions import version_of

if TYPE_CHECKING:
    from evo.problem import Problem

__all__ = ["Evaluation", "Evaluations", "Evaluator", "Fidelity", "FunctionEvaluator", "Resources", "Work", "reason_of"]


def reason_of(error: BaseException) -> str:
    """Why users' code failed, as notes hold it: one line, then the traceback."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - part of the supervision boundary: an exception's own text is users' code too
        text = "(it cannot say why: its __str__ raises)"
    return redact(f"{type(error).__name__}: {text}\n{''.join(traceback.format_exception(error))}")


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
    """Rows that are evaluated together, where a row's bits depend on its batch (matrix products): `evaluate_batch` gets
    exactly so many rows of one batch in a row (the last call the rest), however messages are cut. Children of a `make`
    request are evaluated with their siblings only. 1: any number at once, as each row has the same bits in any batch.
    """
    exclusive: tuple[str, ...] = ()
    """Leases taken for one evaluation: ``("gpu",)`` while timing."""
    queue: int = 0
    """How many candidates may wait at this fidelity before `ask` is told that there is no room; 0 for no limit."""
    sandbox: bool | Sandbox = False
    """Whether each evaluation (or `group` of them) runs in a child process of its own, and within which limits."""


@dataclass(frozen=True)
class Evaluation:
    """One genome, measured. For one that turns out not to be what is searched, raise `evo.Rejected` instead."""

    objectives: Sequence[float]
    """(k,)"""
    measures: Sequence[float] | NDArray[np.float64] = ()
    """(m,)"""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Further figures: numbers become columns of floats (integers that a float cannot hold stay exact), text and
    anything else JSON-like (arrays become lists) columns of objects."""
    artifacts: Mapping[str, bytes | Path] = field(default_factory=dict)
    """name -> content or file, kept by hash in the run; a large file is best written into `Work.scratch`."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """Costs other than seconds: tokens, money; finite numbers."""


@dataclass(frozen=True)
class Evaluations:
    """A batch of genomes, measured, in columns. They are copied, so an evaluator may use its buffers again."""

    objectives: NDArray[np.float64]
    """(n, k)"""
    measures: NDArray[np.float64] | None = None
    """(n, m)"""
    metrics: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """name -> (n,) numbers, text or JSON-like values"""
    failures: Mapping[int, str] = field(default_factory=dict)
    """row -> why this candidate failed; its other columns are ignored."""
    artifacts: Mapping[int, Mapping[str, bytes | Path]] = field(default_factory=dict)
    """row -> name -> content or file"""
    costs: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """row -> cost name -> amount"""
    rejected: Mapping[int, str] = field(default_factory=dict)
    """row -> why this candidate is not what is searched: a verifier's no, not a failure; its other columns are ignored.
    Where a row is also in `failures`, it has failed."""


@dataclass
class Work:
    """What an evaluator or a worker-side operator may know about the work at hand."""

    seed: int
    fidelity: str
    draws: NDArray[np.int64]
    """(n,) the draw of each row; all equal where the algorithm set a common one."""
    params: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, Path | bytes] = field(default_factory=dict)
    """hash -> what the rows need: small artifacts as bytes, large ones as files; `needed` gives those of one row."""
    needs: Sequence[tuple[str, ...]] = ()
    """Per row, hashes of the artifacts that it needs; empty for none."""
    room: Scratch = field(default_factory=Scratch, repr=False, compare=False)
    """Where `scratch` is made; the worker clears it when it has kept the artifacts of all rows."""

    @cached_property
    def scratch(self) -> Path:
        """An empty folder on the run's file system, this work's own, removed when the work is done.

        A large file in it that is handed over as an artifact is given away: it is moved, not copied. It must be closed
        by then (a memory map flushed and dropped), and not be written again: it is kept by the hash of what it holds at
        that moment. Files elsewhere, and those that have a second name by a hard link, are copied and left alone.
        """
        return self.room.folder()

    def rng(self, row: int = 0, purpose: str = "evaluate") -> np.random.Generator:
        """The random stream of one row; equal draws give equal streams, whoever does the work."""
        return draw_rng(self.seed, purpose, int(self.draws[row]))

    def needed(self, row: int = 0) -> list[Path | bytes]:
        """The artifacts that one row needs, in the order of its request's `needs`."""
        return [self.artifacts[digest] for digest in self.needs[row]] if self.needs else []

    def one(self, row: int) -> Work:
        """The same work seen from one row alone."""
        return self.part(slice(row, row + 1))

    def part(self, rows: slice | NDArray[np.int64]) -> Work:
        """The same work seen from some rows, with the artifacts that these need."""
        if not self.needs:
            return Work(self.seed, self.fidelity, self.draws[rows], self.params, self.artifacts, room=self.room)
        needs = self.needs[rows] if isinstance(rows, slice) else [self.needs[row] for row in rows]
        artifacts = {digest: self.artifacts[digest] for row in needs for digest in row if digest in self.artifacts}
        return Work(self.seed, self.fidelity, self.draws[rows], self.params, artifacts, needs, self.room)


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
        """Measure (n, ...) genomes (read-only, or a copy where they are objects). Called on a worker.

        Each row must get the same bits in any batch; where that cannot be, declare ``group`` in the fidelity. After an
        exception (``sys.exit`` among them) the rows of that call are measured one by one, and those that raise again
        have failed; in a group that raised, the others have the bits of a row alone. A failure can also be returned.
        """

    def warm_up(self) -> None:
        """Load models, data, compilers. Called once on each worker, or, for fidelities in a sandbox, once in the
        process that their children are forked from: neither threads nor a CUDA context made here live on in these."""

    def check(self, fidelity: str, params: Mapping[str, Any]) -> None:
        """Refuse parameters with which nothing can be measured, before the search begins; by default none are refused.

        Called on the master, by algorithms that put parameters into their requests (`params`); `warm_up` has not been.

        Args:
            fidelity: one of `fidelities`.
            params: what each `Work` of these requests will hold.

        Raises:
            ConfigError: begins with the parameter's name: ``tokens: expected ..., got ...``.
        """

    def version(self) -> str:
        """Changes whenever the same genome could get another result; a run that is resumed compares it.

        The default sees the source of the class and of what it inherits from, below evo's own bases, and the arguments
        of the constructor (arrays by content). It does not see helper functions, files that are read, or libraries:
        override it, or pass a number that you raise, where results hang on those.
        """
        return version_of(self)


class FunctionEvaluator(Evaluator):
    """Measures with the problem's own `evaluate` or `evaluate_batch`.

    Its version follows from its one argument: it is of the problem's source and arguments.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._vectorised = hasattr(problem, "evaluate_batch")
        function = problem.evaluate_batch if self._vectorised else problem.evaluate  # type: ignore[attr-defined]
        self._takes_work = len(inspect.signature(function).parameters) > 1

    @property
    def fidelities(self) -> Mapping[str, Fidelity]:
        """One, with the problem's deadline and sandbox."""
        return {"full": Fidelity(deadline=self.problem.deadline, sandbox=self.problem.sandbox)}

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
        objectives, measures = np.full((n, k), np.nan), np.full((n, m), np.nan)
        metrics: dict[str, list[Any]] = {}
        failures, rejected, artifacts, costs = {}, {}, {}, {}
        evaluate: Any = self.problem.evaluate
        for row in range(n):
            try:
                found = evaluate(genomes[row], work.one(row)) if self._takes_work else evaluate(genomes[row])
                if not isinstance(found, Evaluation):
                    raise EvaluationError(f"evaluate must return evo.Evaluation, got {type(found).__name__}")
                if np.size(found.objectives) != k or np.size(found.measures) != m:
                    raise EvaluationError(  # numpy would spread one value over the row
                        f"evaluate returned objectives of shape {np.shape(found.objectives)} and measures of shape "
                        f"{np.shape(found.measures)}; expected ({k},) and ({m},)"
                    )
                objectives[row], measures[row] = found.objectives, found.measures
                for name, value in found.metrics.items():
                    metrics.setdefault(name, [None] * n)[row] = value
            except Rejected as verdict:
                rejected[row] = str(verdict)
                continue
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the supervision boundary, so that the others stand
                failures[row] = reason_of(error)
                continue
            if found.artifacts:
                artifacts[row] = found.artifacts
            if found.costs:
                costs[row] = found.costs
        columns = {name: _column(values) for name, values in metrics.items()}
        return Evaluations(objectives, measures, columns, failures, artifacts, costs, rejected)


def _column(values: list[Any]) -> NDArray[Any]:
    """One value a row; workers make it a column of floats where it is one."""
    if all(type(value) is float for value in values):
        return np.array(values)
    column = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):  # one by one: a list of lists must not be taken for rows
        column[row] = value
    return column


def _as_evaluations(found: Any, problem: Problem) -> Evaluations:
    if isinstance(found, Evaluations):
        return found
    if isinstance(found, Sequence) and all(isinstance(one, Evaluation) for one in found):
        metrics: dict[str, list[Any]] = {}
        for row, one in enumerate(found):
            for name, value in one.metrics.items():
                metrics.setdefault(name, [None] * len(found))[row] = value
        return Evaluations(
            np.array([one.objectives for one in found], dtype=np.float64).reshape(len(found), -1),
            np.array([one.measures for one in found], dtype=np.float64).reshape(len(found), -1),
            {name: _column(values) for name, values in metrics.items()},
            artifacts={row: one.artifacts for row, one in enumerate(found) if one.artifacts},
            costs={row: one.costs for row, one in enumerate(found) if one.costs},
        )
    raise EvaluationError(
        f"{type(problem).__name__}.evaluate_batch must return evo.Evaluations (or a list of evo.Evaluation), "
        f"got {type(found).__name__}"
    )
