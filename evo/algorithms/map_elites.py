"""MAP-Elites: illuminate a space of measures with the best genome found for each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evo.algorithm import Algorithm, Turn
from evo.algorithms.keeping import default_mutation, founders, offer
from evo.archive import Archive
from evo.archives import Grid
from evo.operator import Operator
from evo.problem import Problem
from evo.records import Change, Requests, Results

__all__ = ["MapElites"]


class MapElites(Algorithm):
    """Children of uniformly chosen elites compete for the cells their measures fall into (Mouret & Clune 2015).

    It begins with the problem's initial genomes, once each, and with children of them while the archive is empty; or
    for random genomes where the problem has none.

    Args:
        shape: cells along each measure, for the default grid archive.
        operator: parents to child; by default a mutation that suits the space (for real vectors a Gaussian step).
        batch: how many children a block holds.
        initial: how many random genomes are asked for before the first children, where the problem has no initial ones.
        archive: another archive than the default grid.
    """

    def __init__(
        self,
        shape: Sequence[int] = (50, 50),
        *,
        operator: Operator | None = None,
        batch: int = 256,
        initial: int = 0,
        archive: Archive | None = None,
    ) -> None:
        self.block = batch
        self.initial = initial
        self.archive = archive if archive is not None else Grid(tuple(shape))
        self.operator = operator

    def setup(self, problem: Problem) -> None:
        """See `Algorithm.setup`."""
        self._space = problem.space
        self._reporting = problem.evaluator.reporting
        self._asked = 0
        self._given = problem.space.stack(list(problem.initial()))
        self._founders = len(self._given) or self.initial
        if self.operator is None:
            from evo.registry import build

            self.operator = build("operators", default_mutation(problem.space))
        self._name = self.operator.label
        self.archive.setup(problem.space, problem.objectives, problem.measures)

    def ask(self, n: int, turn: Turn) -> Sequence[Requests]:
        """n children of elites, or of the initial genomes while there are none."""
        asked, self._asked = self._asked, self._asked + n
        if len(self.archive) and asked >= self._founders:
            return [self._children(n, turn.rng)]
        assert self.operator is not None
        return founders(self._given, asked, n, self.operator, self._space, turn.rng)

    def _children(self, n: int, rng: np.random.Generator) -> Requests:
        assert self.operator is not None
        arity = self.operator.arity
        chosen = self.archive.sample(n * arity, rng)
        return Requests(
            genomes=self._vary([chosen.genomes[i * n : (i + 1) * n] for i in range(arity)], rng),
            operator=self._name,
            parents=chosen.candidate.reshape(arity, n).T,
        )

    def _vary(self, parents: Sequence[Any], rng: np.random.Generator) -> Any:
        assert self.operator is not None
        return self.operator.vary(parents, self._space, rng)

    def tell(self, results: Sequence[Results], turn: Turn) -> Sequence[Change]:
        """Offer what was measured to the archive."""
        return offer(self.archive, results, self._reporting)

    @property
    def archives(self) -> Mapping[str, Archive]:
        """The one archive."""
        return {self.archive.name: self.archive}

    def state(self) -> Mapping[str, Any]:
        """The archive's, and how many were asked for."""
        return {"archive": self.archive.state(), "asked": self._asked}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Algorithm.restore`."""
        self.archive.restore(state["archive"])
        self._asked = state["asked"]
