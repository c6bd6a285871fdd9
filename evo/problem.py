"""The problem: what is searched, and the hooks by which a world explains itself to those who know no world."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from evo.records import Requests
from evo.sandbox import Sandbox
from evo.space import Space
from evo.spec import Configured

if TYPE_CHECKING:
    from evo.evaluator import Evaluator
    from evo.operator import Operator

__all__ = ["Best", "Maximize", "Measure", "Minimize", "Objective", "Problem"]


@dataclass(frozen=True)
class Objective:
    """One thing to optimise. Use `Maximize` or `Minimize`."""

    name: str
    sign: Literal[1, -1]
    """Archives and algorithms compare ``sign * value``, always upwards."""
    worst: float | None = None
    """No candidate is worse than this: the zero of the QD score. None: the score sums plain signed values."""
    measured: bool = False
    """True for a measurement of the physical world (a time): replays agree only up to its noise."""


def Maximize(name: str, *, worst: float | None = None, measured: bool = False) -> Objective:  # noqa: N802 - a noun in the user's problem
    """An objective where more is better."""
    return Objective(name, 1, worst, measured)


def Minimize(name: str, *, worst: float | None = None, measured: bool = False) -> Objective:  # noqa: N802 - a noun in the user's problem
    """An objective where less is better."""
    return Objective(name, -1, worst, measured)


@dataclass(frozen=True)
class Measure:
    """One descriptor axis: what makes candidates different rather than better.

    `outside` says what happens to a value beyond the range: ``"clip"`` puts it into the edge cell, ``"reject"`` makes
    the candidate an invalid one, counted and kept out of every archive.
    """

    name: str
    low: float
    high: float
    outside: Literal["clip", "reject"] = "clip"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise ConfigError(f"measure {self.name!r}: expected finite low < high, got {self.low} and {self.high}")
        if self.outside not in ("clip", "reject"):
            raise ConfigError(f"measure {self.name!r}: outside must be 'clip' or 'reject', got {self.outside!r}")


@dataclass(frozen=True)
class Best:
    """A candidate as hooks and people see it."""

    candidate: int
    genome: Any
    objectives: Mapping[str, float]
    measures: Mapping[str, float]
    metrics: Mapping[str, Any]


class Problem(Configured):
    """What is searched: a space, objectives, measures, and how one genome is measured.

    The least a problem needs is `space`, `objectives` and one of `evaluate` and `evaluate_batch`. Everything else has a
    default. Instances travel to workers by pickling, so keep data loadable and heavy state in `warm_up`.

    On the master: `initial`, `key`, `prepare`, `needs`, `report`, `exports`. On a worker: `warm_up`, `evaluate`,
    `evaluate_batch`, the operators in `operators`. In a child process with a deadline: `show`.
    """

    space: Space
    objectives: Sequence[Objective] = ()
    measures: Sequence[Measure] = ()
    stochastic: ClassVar[bool] = False
    """True when an evaluation draws random numbers (from ``work.rng``): the draw is then part of its key."""
    deduplicate: bool | None = None
    """Whether equal work is done once; None: yes unless the space is continuous."""
    deadline: float = 3600.0
    """Seconds that `evaluate` may take for one genome before its worker is ended. In-process work is interrupted, but
    Python code only, and not where the search runs in a thread (`evo.start`): there no deadline is kept."""
    sandbox: bool | Sandbox = False
    """Whether `evaluate` runs in a child process of its own for each genome, and within which limits: then a crash, an
    endless loop or a flood of output costs that genome alone, and the worker lives on."""
    nonfinite: Literal["drop", "refuse"] = "drop"
    """What is not finite: ``drop`` counts the candidate as invalid, ``refuse`` stops the run."""

    def evaluate(self, genome: Any) -> Any:
        """Measure one genome (read-only; a copy where it is JSON-like). Runs on a worker.

        What it raises (``sys.exit`` too) fails this genome alone; `evo.Rejected` says that it is not what is searched,
        which is no failure.

        May take a second parameter, the `evo.Work` (draw, random stream, fidelity, artifacts).

        Returns:
            An `evo.Evaluation`.
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither evaluate nor evaluate_batch")

    @property
    def evaluator(self) -> Evaluator:
        """How a genome is measured. The default calls `evaluate_batch` where there is one, else `evaluate`."""
        from evo.evaluator import FunctionEvaluator

        return FunctionEvaluator(self)

    @property
    def operators(self) -> Mapping[str, Operator]:
        """Operators that requests may name in `make`; they run on workers."""
        return {}

    def initial(self) -> Sequence[Any]:
        """Genomes to start from, in the form that ``space.stack`` takes; empty means ``space.sample``."""
        return ()

    def warm_up(self) -> None:
        """Load what evaluations need. Called once on each worker, before the first evaluation."""

    def key(self, genome: Any) -> bytes | None:
        """What decides whether two genomes are the same work (a phenotype); None: the genome's canonical form."""
        return None

    def prepare(self) -> Sequence[Requests]:
        """Work done once before the search: requests whose artifacts later ones need. Called on the master."""
        return ()

    def needs(self, fidelity: str, artifacts: Mapping[str, str]) -> tuple[str, ...]:
        """Hashes of the prepared artifacts (name -> hash) that work at `fidelity` needs on its worker."""
        return ()

    def report(self, best: Best | None, run: Any) -> Mapping[str, Any]:
        """The world's own figures for `summary`, once at the end; the only place where held-out data is opened.

        Numbers by name, or anything JSON-like (``{"failures": {"timeout": 3}}``). A non-empty list of flat mappings
        with the same keys (``{"formulas": [{"length": 3, "text": "..."}, ...]}``) is printed as a table of that name.

        Args:
            best: the best candidate, None when nothing was measured.
            run: an `evo.Run`: archive, counters, artifacts.
        """
        return {}

    def exports(self) -> Mapping[str, Callable[[Any, Path], None]]:
        """Further formats of ``evo export --format NAME``: name -> ``write(run, path)``."""
        return {}

    def show(self, genome: Any) -> str:
        """One genome as people read it."""
        return str(self.space.to_json(genome))

    def objective_signs(self) -> NDArray[np.float64]:
        """(k,) +1 for maximised objectives, -1 for minimised."""
        return np.array([objective.sign for objective in self.objectives], dtype=np.float64)
