"""Random search: the baseline every other algorithm must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evo.algorithm import Algorithm, Turn
from evo.algorithms.keeping import offer
from evo.archive import Archive
from evo.archives import Top
from evo.problem import Problem
from evo.records import Change, Requests, Results

__all__ = ["Random"]


class Random(Algorithm):
    """Samples the space uniformly, with no memory.

    Args:
        batch: how many samples a block holds.
        archive: what is kept; the ten best by default, a `Grid` to compare with MAP-Elites.
    """

    def __init__(self, batch: int = 500, *, archive: Archive | None = None) -> None:
        self.block = batch
        self.archive = archive if archive is not None else Top()

    def setup(self, problem: Problem) -> None:
        """See `Algorithm.setup`."""
        self._problem = problem
        self._reporting = problem.evaluator.reporting
        self.archive.setup(problem.space, problem.objectives, problem.measures)

    def ask(self, n: int, turn: Turn) -> Sequence[Requests]:
        """n samples."""
        return [Requests(genomes=self._problem.space.sample(n, turn.rng), operator="sample")]

    def tell(self, results: Sequence[Results], turn: Turn) -> Sequence[Change]:
        """Offer them to the archive."""
        return offer(self.archive, results, self._reporting)

    @property
    def archives(self) -> Mapping[str, Archive]:
        """The one archive."""
        return {self.archive.name: self.archive}

    def state(self) -> Mapping[str, Any]:
        """The archive's."""
        return {"archive": self.archive.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Algorithm.restore`."""
        self.archive.restore(state["archive"])
