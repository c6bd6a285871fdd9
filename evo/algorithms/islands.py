"""Islands: copies of one algorithm that now and then send each other what they found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from evo.algorithm import Algorithm, Turn
from evo.algorithms.lanes import Lane
from evo.algorithms.side_by_side import SideBySide
from evo.archive import Archive
from evo.errors import ConfigError
from evo.problem import Problem
from evo.records import Change, Requests, Results

__all__ = ["Islands"]

MIGRANT = "migrant"


class Islands(SideBySide):
    """Copies of an algorithm on equal parts of the budget, in a ring: each sends its new elites to the next.

    Migrants are told to the neighbour like results that it did not ask for, so every algorithm can live on an island:
    a population takes them in, an archive is offered them, in (1+lambda) the best of them competes. The requests of an
    island bear the source ``island/0``, its archives the names ``island/0/archive``; the main archive takes what all of
    them find.

    Args:
        algorithm: what each island runs.
        count: how many islands.
        migrate_every: evaluations of an island, on average, from one migration to the next; 0 for none at all. By
            default ten blocks of the algorithm.
        migrants: how many elites an island sends at most: the best of those that entered its main archive since the
            last migration, those from elsewhere among them.
        archive: the main archive; by default one like the islands'.

    Raises:
        ConfigError: fewer than one island or migrant, a negative `migrate_every`.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        count: int = 4,
        *,
        migrate_every: int | None = None,
        migrants: int = 1,
        archive: Archive | None = None,
    ) -> None:
        if count < 1 or migrants < 1:
            raise ConfigError(f"Islands: expected count and migrants >= 1, got {count} and {migrants}")
        if migrate_every is not None and migrate_every < 0:
            raise ConfigError(f"Islands: expected migrate_every >= 0, got {migrate_every}")
        self.migrate_every = 10 * algorithm.block if migrate_every is None else migrate_every
        self.migrants = migrants
        self._begin([Lane(f"island/{number}", deepcopy(algorithm)) for number in range(count)], archive)

    def setup(self, problem: Problem) -> None:
        """Set all islands up."""
        super().setup(problem)
        self._sign = float(problem.objectives[0].sign) if problem.objectives else 1.0
        self._told = 0.0
        self._new: list[set[int]] = [set() for _ in self._lanes]

    def tell(self, results: Sequence[Results], turn: Turn) -> Sequence[Change]:
        """Tell each island what is its own, and let migrants go when it is time."""
        changes = list(super().tell(results, turn))
        self._note(changes)
        before = self._told
        self._told = round(before + sum(part.requests.reserve * len(part.requests) for part in results), 9)
        period = self.migrate_every * len(self._lanes)
        if period and len(self._lanes) > 1 and self._told // period > before // period:
            changes += self._migrate(turn)
        return changes

    def _note(self, changes: Sequence[Change]) -> None:
        for lane, new in zip(self._lanes, self._new, strict=True):
            main = next(iter(lane.archives), None)
            for change in changes:
                if change.archive == main:
                    new.update(change.candidate[change.candidate >= 0].tolist())

    def _migrate(self, turn: Turn) -> list[Change]:
        """Everyone sends before anyone receives."""
        lanes = self._lanes
        parties = [self._leaving(lane, new) for lane, new in zip(lanes, self._new, strict=True)]
        for new in self._new:
            new.clear()
        changes = []
        for place, party in enumerate(parties):
            if party is not None:
                changes += lanes[(place + 1) % len(lanes)].tell([party], turn)
        self._note(changes)
        return changes

    def _leaving(self, lane: Lane, new: set[int]) -> Results | None:
        """The best of an island's new elites that it still holds, as results."""
        archive = next(iter(lane.archives.values()), None)
        if archive is None or not new:
            return None
        elites = archive.elites()
        rows = np.flatnonzero(np.isin(elites.candidate, np.array(sorted(new))))
        _, first = np.unique(elites.candidate[rows], return_index=True)
        rows = rows[np.sort(first)]
        order = np.argsort(-self._sign * elites.objectives[rows, 0], kind="stable")
        rows = rows[order][: self.migrants]
        n = len(rows)
        if not n:
            return None
        genomes, candidate = elites.genomes[rows], elites.candidate[rows]
        requests = Requests(
            genomes=genomes, candidate=candidate, source=MIGRANT, fidelity=self._reporting, ids=np.full(n, -1)
        )
        objectives, measures = elites.objectives[rows], elites.measures[rows]
        return Results(requests, np.zeros(n, np.uint8), np.arange(n), candidate, genomes, objectives, measures)

    def state(self) -> Mapping[str, Any]:
        """The main archive's, each island's, and who is new where."""
        return {**super().state(), "told": self._told, "new": [sorted(new) for new in self._new]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Algorithm.restore`."""
        super().restore(state)
        self._told = state["told"]
        self._new = [set(new) for new in state["new"]]
