"""The genetic algorithm: a population, tournament selection, crossover, mutation, replacement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from evo.algorithm import Algorithm, Turn
from evo.algorithms.keeping import default_mutation, founders, offer
from evo.algorithms.population import Population
from evo.archive import Archive
from evo.archives import Top
from evo.errors import ConfigError
from evo.operator import Operator
from evo.problem import Problem
from evo.records import Change, Genomes, Requests, Results

__all__ = ["Genetic"]


class Genetic(Algorithm):
    """Evolves one population towards the first objective.

    Generational: each generation's children are all told before the next is bred; the best `elitism` members stay on.
    Steady state: children are bred at any time and replace the worst member, or the oldest with `ageing` (regularised
    evolution, Real et al. 2019), which forgets lucky measurements of noisy objectives.

    Args:
        population: members.
        mutation: applied to every child; by default one that suits the space.
        crossover: applied to pairs of parents before the mutation; None for mutation alone.
        crossover_rate: share of the children that are crossed.
        selection: ``"generational"`` or ``"steady"``.
        tournament: competitors for each parent.
        elitism: members that survive a generation unconditionally.
        ageing: in steady state, replace the oldest instead of the worst.

    Raises:
        ConfigError: a population below 2, a tournament below 1, elitism not below the population, an unknown selection.
    """

    def __init__(
        self,
        population: int = 100,
        *,
        mutation: Operator | None = None,
        crossover: Operator | None = None,
        crossover_rate: float = 0.9,
        selection: Literal["generational", "steady"] = "generational",
        tournament: int = 2,
        elitism: int = 1,
        ageing: bool = False,
    ) -> None:
        if population < 2 or tournament < 1:
            raise ConfigError("Genetic: expected population >= 2 and tournament >= 1")
        if not 0 <= elitism < population:
            raise ConfigError(f"Genetic: expected 0 <= elitism < population, got {elitism} and {population}")
        if selection not in ("generational", "steady"):
            raise ConfigError(f"Genetic: selection must be 'generational' or 'steady', got {selection!r}")
        self.population = population
        self.mutation = mutation
        self.crossover = crossover
        self.crossover_rate = crossover_rate
        self.selection = selection
        self.tournament = tournament
        self.elitism = elitism
        self.ageing = ageing
        self.archive: Archive = Top()
        self.block = population if selection == "generational" else max(1, population // 4)

    def setup(self, problem: Problem) -> None:
        """See `Algorithm.setup`."""
        if not problem.objectives:
            raise ConfigError("Genetic: the problem declares no objective to select by")
        self._problem = problem
        self._reporting = problem.evaluator.reporting
        if self.mutation is None:
            from evo.registry import build

            self.mutation = build("operators", default_mutation(problem.space))
        self._sign = float(problem.objectives[0].sign)
        self._members = Population(problem.space, self._sign)
        self._children = Population(problem.space, self._sign)
        self._pending: set[int] = set()
        self._left = self.population
        self._given = problem.space.stack(list(problem.initial()))
        self._founded = 0
        self.archive.setup(problem.space, problem.objectives, problem.measures)

    def ask(self, n: int, turn: Turn) -> Sequence[Requests]:
        """Up to n children; none while a generation waits for its last results."""
        if self.selection == "generational":
            if not self._left and not self._pending:
                self._next_generation()
            n = min(n, self._left)
            self._left -= n
        if n == 0:
            return ()
        founding = not len(self._members) or self._founded < len(self._given)
        batches = self._found(n, turn.rng) if founding else self._breed(n, turn.rng)
        self._pending.update(range(turn.first_id, turn.first_id + n))
        return batches

    def _found(self, n: int, rng: np.random.Generator) -> Sequence[Requests]:
        assert self.mutation is not None
        asked, self._founded = self._founded, self._founded + n
        return founders(self._given, asked, n, self.mutation, self._problem.space, rng)

    def _breed(self, n: int, rng: np.random.Generator) -> Sequence[Requests]:
        crossed = int(rng.binomial(n, self.crossover_rate)) if self.crossover is not None else 0
        batches = []
        for count, operator in ((crossed, self.crossover), (n - crossed, None)):
            if count:
                batches.append(self._offspring(count, operator, rng))
        return batches

    def _offspring(self, n: int, crossover: Operator | None, rng: np.random.Generator) -> Requests:
        assert self.mutation is not None
        arity = crossover.arity if crossover is not None else 1
        rows = self._members.tournament(n * arity, self.tournament, rng).reshape(arity, n)
        parents: list[Genomes] = [self._members.genomes[row] for row in rows]
        name = self.mutation.label
        children = parents[0]
        if crossover is not None:
            children = crossover.vary(parents, self._problem.space, rng)
            name = f"{crossover.label}+{name}"
        children = self.mutation.vary([children], self._problem.space, rng)
        return Requests(genomes=children, operator=name, parents=self._members.candidate[rows].T.copy())

    def tell(self, results: Sequence[Results], turn: Turn) -> Sequence[Change]:
        """Take children (or seeds) into the population."""
        for part in results:
            self._pending.difference_update(part.requests.ids.tolist())
            if len(part) and part.requests.fidelity == self._reporting:
                (self._children if self.selection == "generational" else self._members).enter(part)
        if self.selection == "steady":
            self._cull()
        return offer(self.archive, results, self._reporting)

    def _cull(self) -> None:
        surplus = len(self._members) - self.population
        if surplus <= 0:
            return
        leaving = np.arange(surplus) if self.ageing else self._members.ranked()[-surplus:]
        self._members.keep(np.setdiff1d(np.arange(len(self._members)), leaving))

    def _next_generation(self) -> None:
        elites = self._members.ranked()[: self.elitism] if len(self._members) else np.empty(0, np.int64)
        self._members.keep(elites)
        self._members.append(self._children)
        self._children = Population(self._problem.space, self._sign)
        self._members.keep(np.sort(self._members.ranked()[: self.population]))
        self._left = self.population - min(self.elitism, len(self._members))

    @property
    def archives(self) -> Mapping[str, Archive]:
        """The best candidates found."""
        return {self.archive.name: self.archive}

    def state(self) -> Mapping[str, Any]:
        """Members, children, and what is awaited."""
        return {
            "members": self._members.state(),
            "children": self._children.state(),
            "pending": sorted(self._pending),
            "left": self._left,
            "founded": self._founded,
            "archive": self.archive.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Algorithm.restore`."""
        self._members.restore(state["members"])
        self._children.restore(state["children"])
        self._pending = set(state["pending"])
        self._left = state["left"]
        self._founded = state["founded"]
        self.archive.restore(state["archive"])
