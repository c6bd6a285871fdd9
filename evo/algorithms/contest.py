"""A contest: contestants that are measured alike, asked for piece by piece, ranked when all are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.operator import Operator
from evo.records import Genomes, Results, candidate_id
from evo.space import Space
from evo.spaces.keys import row_keys

__all__ = ["Contest", "Member", "distinct_children"]

PATIENCE = 4
"""Batches of children in a row, of at least 32, without a new one: there are no more, or they are too rare."""


@dataclass(frozen=True)
class Member:
    """One candidate, for longer than a contest."""

    genomes: Genomes
    """(1, ...)"""
    candidate: int
    quality: float
    """The first objective times its sign, where it was measured last."""
    maker: str = ""
    """The operator that made it."""

    def state(self) -> Mapping[str, Any]:
        """As columns."""
        return {**asdict(self), "quality": np.array([self.quality])}

    @classmethod
    def restored(cls, state: Mapping[str, Any] | None) -> Member | None:
        """The member of a `state`."""
        return None if state is None else cls(**{**state, "quality": float(state["quality"][0])})


class Contest:
    """Contestants in columns; those without a candidate id yet come first and get theirs when they are asked for.

    Args:
        rung: at which rung; -1 for the founders.
        genomes: (n, ...)
        candidate: (n,) ids; -1 for those that are new.
        draw: the draw that all share.
        mother: candidate id of the parent of the new ones; -1 for none.
        operator: what made the contestants, but for parent and guest.
        guest: candidate id of one that comes from elsewhere; -1 for none.
    """

    def __init__(
        self,
        rung: int,
        genomes: Genomes,
        candidate: NDArray[np.int64],
        draw: int = -1,
        mother: int = -1,
        operator: str = "",
        guest: int = -1,
    ) -> None:
        self.rung, self.draw, self.mother, self.operator, self.guest = rung, draw, mother, operator, guest
        self.genomes = genomes
        self.candidate = candidate
        self.births = int((candidate < 0).sum())
        self.quality: NDArray[np.float64] = np.full(len(candidate), np.nan)
        self.asked = self.told = 0
        self._row_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.candidate)

    @property
    def complete(self) -> bool:
        """Whether all are told."""
        return self.told == len(self)

    def next(self, n: int) -> slice:
        """The next rows to ask for, at most n: all new, or all known."""
        end = self.births if self.asked < self.births else len(self)
        return slice(self.asked, min(end, self.asked + n))

    def number(self, rows: slice, first: int) -> None:
        """Rows that are asked for as requests from `first` on."""
        ids = np.arange(first, first + rows.stop - rows.start)
        self._row_of.update(zip(ids.tolist(), range(rows.start, rows.stop), strict=True))
        self.asked = rows.stop
        if rows.start < self.births:
            self.candidate[rows] = candidate_id(ids)

    def take(self, part: Results, sign: float) -> bool:
        """Note results; whether they are of this contest. What failed or was rejected stays without quality."""
        rows = [self._row_of.pop(one, -1) for one in part.requests.ids.tolist()]
        mine = [row for row in rows if row >= 0]
        self.told += len(mine)
        for place, owner in enumerate(part.owner.tolist()):
            if rows[owner] >= 0:
                self.quality[rows[owner]] = sign * part.objectives[place, 0]
        return bool(mine)

    def ranked(self) -> NDArray[np.int64]:
        """Rows with a quality from best to worst; the earlier one first on a tie."""
        order = np.argsort(-self.quality, kind="stable")
        return order[: int((~np.isnan(self.quality)).sum())]

    def member(self, row: int) -> Member:
        """One contestant."""
        candidate = int(self.candidate[row])
        maker = "" if candidate == self.guest else self.operator
        return Member(self.genomes[row : row + 1], candidate, float(self.quality[row]), maker)

    def state(self) -> Mapping[str, Any]:
        """As columns."""
        return {
            "rung": self.rung,
            "draw": self.draw,
            "mother": self.mother,
            "operator": self.operator,
            "guest": self.guest,
            "genomes": self.genomes,
            "candidate": self.candidate.copy(),
            "births": self.births,
            "quality": self.quality.copy(),
            "asked": self.asked,
            "told": self.told,
            "waiting": [list(pair) for pair in self._row_of.items()],
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Contest:
        """The contest of a `state`."""
        names = ("rung", "genomes", "candidate", "draw", "mother", "operator", "guest")
        contest = cls(**{name: state[name] for name in names})
        contest.candidate, contest.quality = state["candidate"].copy(), state["quality"].copy()
        contest.births, contest.asked, contest.told = state["births"], state["asked"], state["told"]
        contest._row_of = dict(map(tuple, state["waiting"]))
        return contest


def distinct_children(parent: Genomes, n: int, operator: Operator, space: Space, rng: np.random.Generator) -> Genomes:
    """(c, ...) children of ``parent`` (1, ...) that differ from it and from each other: n, or those that can be found.

    Gives up on further ones when several batches in a row brought none, so a neighbourhood of fewer than n is no loop.
    """
    seen = set(row_keys(parent).tolist())
    found: list[Genomes] = []
    missing, fruitless, size = n, 0, n
    while missing and fruitless < PATIENCE:
        children = operator.vary([parent[np.zeros(size, np.int64)]] * operator.arity, space, rng)
        fresh: list[int] = []
        for row, key in enumerate(row_keys(children).tolist()):
            if key not in seen and len(fresh) < missing:
                seen.add(key)
                fresh.append(row)
        found.append(children[fresh])
        missing -= len(fresh)
        fruitless = 0 if fresh else fruitless + 1
        size = max(32, 2 * missing)
    return np.concatenate(found) if found else parent[:0]
