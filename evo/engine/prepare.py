"""What comes before the search: the problem's preparation, and genomes to start from.

Both are wrappers around an algorithm, algorithms themselves; the engine knows neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evo.algorithm import Algorithm, Turn
from evo.archive import Archive
from evo.errors import EvaluationError
from evo.operator import Operator
from evo.problem import Problem
from evo.records import PREPARE, Change, Genomes, Requests, Results

__all__ = ["Prepared", "Seeded"]


class _Before(Algorithm):
    """Asks for some requests of its own before the wrapped algorithm gets its first turn."""

    source = ""

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        self.block, self.ends = algorithm.block, algorithm.ends
        self._left: list[Requests] = []
        self._untold = 0
        self._cost = 0.0

    def setup(self, problem: Problem) -> None:
        """Set the wrapped algorithm up."""
        self.algorithm.setup(problem)

    def ask(self, n: int, turn: Turn) -> Sequence[Requests]:
        """Its own requests until they are all told, then the wrapped algorithm's."""
        if self._left:
            first = self._left[0]
            if len(first) <= n:
                self._left.pop(0)
                return [first]
            self._left[0] = first.take(slice(n, None))
            return [first.take(slice(0, n))]
        return () if self._untold and self._blocks else self.algorithm.ask(n, turn)

    _blocks = True
    """Whether the wrapped algorithm waits until all is told."""

    def tell(self, results: Sequence[Results], turn: Turn) -> Sequence[Change]:
        """Take its own results, pass the others on."""
        own = [part for part in results if part.requests.source == self.source]
        self._untold -= sum(len(part.requests) for part in own)
        passed = self._passed(results, own)
        return self.algorithm.tell(passed, turn) if passed else ()

    def _passed(self, results: Sequence[Results], own: Sequence[Results]) -> Sequence[Results]:
        return [part for part in results if part.requests.source != self.source]

    @property
    def expected(self) -> float | None:
        """The wrapped algorithm's, and what its own add to the budget."""
        expected = self.algorithm.expected
        return None if expected is None else expected + self._cost

    @property
    def exhausted(self) -> str:
        """The wrapped algorithm's."""
        return self.algorithm.exhausted

    @property
    def archives(self) -> Mapping[str, Archive]:
        """The wrapped algorithm's."""
        return self.algorithm.archives

    @property
    def operators(self) -> Mapping[str, Operator]:
        """The wrapped algorithm's."""
        return self.algorithm.operators

    def state(self) -> Mapping[str, Any]:
        """How many of its own are left, and the wrapped algorithm's state."""
        return {
            "left": sum(map(len, self._left)),
            "untold": self._untold,
            "algorithm": self.algorithm.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a `state` after `setup`."""
        self._untold = state["untold"]
        skip = sum(map(len, self._left)) - state["left"]
        while skip:
            first = self._left[0]
            if len(first) <= skip:
                self._left.pop(0)
            else:
                self._left[0] = first.take(slice(skip, None))
            skip -= min(skip, len(first))
        self.algorithm.restore(state["algorithm"])


class Prepared(_Before):
    """The problem's `prepare` requests first, all told, then the search."""

    source = PREPARE

    def setup(self, problem: Problem) -> None:
        """Collect the problem's preparation."""
        super().setup(problem)
        for requests in problem.prepare():
            requests.source = self.source
            requests.reserve = 0.0
            self._left.append(requests)
        self._untold = sum(map(len, self._left))

    def _passed(self, results: Sequence[Results], own: Sequence[Results]) -> Sequence[Results]:
        for part in own:
            for row in np.flatnonzero(part.status).tolist():
                note = part.notes.get(row)
                told = note.message if note and note.message else "no reason given"
                reason = f"the problem's preparation failed: {told.splitlines()[0]}"
                raise EvaluationError(reason) from EvaluationError(told)  # with the worker's traceback
        return super()._passed(results, own)


class Seeded(_Before):
    """Given genomes first, measured as they are; the algorithm is told of them like of its own."""

    source = "seed"
    _blocks = False

    def __init__(self, algorithm: Algorithm, genomes: Genomes) -> None:
        super().__init__(algorithm)
        self.genomes = genomes

    def setup(self, problem: Problem) -> None:
        """Check the genomes."""
        super().setup(problem)
        checked = problem.space.check(self.genomes)
        self._left = [Requests(genomes=checked, source=self.source)] if len(checked) else []
        self._untold = len(checked)
        self._cost = float(len(checked))

    def _passed(self, results: Sequence[Results], own: Sequence[Results]) -> Sequence[Results]:
        return results
