"""Moves that keep budgets: raise a level here, lower one there, by the same cost; within a range, one step alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evo.errors import SpaceError
from evo.spaces.budgets import Group

__all__ = ["Switches"]

_TRADED = 32
"""Genes among which a trade looks for its other side, and so the most that it changes, but for one."""


class Switches:
    """The moves of a space of `evo.spaces.Levels`; a step takes one gene to its next level below or above.

    Args:
        groups: of the space.
        size: number of genes.
    """

    def __init__(self, groups: Sequence[Group], size: int) -> None:
        self._groups = groups
        self._genes = np.arange(size)
        self._group = np.empty(size, dtype=np.int64)
        self._place = np.empty(size, dtype=np.int64)
        levels = groups[0].possible.shape[1]
        self._next = np.empty((size, levels, 2), dtype=np.int64)
        change = np.empty((size, levels, 2), dtype=np.int64)
        there = np.empty((size, levels), dtype=bool)
        for number, group in enumerate(groups):
            here = np.arange(len(group.genes))
            self._group[group.genes], self._place[group.genes] = number, here
            self._next[group.genes], there[group.genes] = group.neighbours, group.possible
            change[group.genes] = group.table[here[:, None, None], group.neighbours] - group.table[:, :, None]
        moves = there[:, :, None] & (self._next != np.arange(levels)[None, :, None])
        change *= moves
        sizes = np.stack([np.broadcast_to(self._group[:, None, None], change.shape), abs(change)], axis=-1)
        kinds, kind = np.unique(sizes.reshape(-1, 2), axis=0, return_inverse=True)
        # two steps cancel when their kinds are opposite numbers; a step that costs nothing is a move of its own
        self._free = len(kinds) + 1
        kind = np.where(change == 0, self._free, np.sign(change) * (kind.reshape(change.shape) + 1))
        self._kind = np.where(moves, kind, 0)
        """(size, levels, 2) the kind of the step down and up: 0 none, the sign that of the change in cost."""
        paying = kinds[kinds[:, 1] > 0, 0]
        self.uneven = len(set(paying.tolist())) < len(paying)
        """Whether steps differ in cost within a group, so that there is something to trade."""

        self.ranges = any(group.low < group.high for group in groups)
        """Whether a budget is a range, so that a step may stand alone."""
        self._change_of = change

    def move(
        self, genome: NDArray[np.int64], rng: np.random.Generator, trades: float = 0.0, steps: float = 0.0
    ) -> None:
        """Make one move, in place: another genome, every budget kept.

        Args:
            genome: (size,) that meets its budgets.
            rng: chooses the move.
            trades: how often a trade is tried before a pair, where steps differ in cost.
            steps: how often a step alone is tried before both, where a budget is a range.

        Raises:
            SpaceError: the budgets leave one genome only.
        """
        if self.ranges and steps and rng.random() < steps and self._step(genome, rng):
            return
        if self.uneven and trades and rng.random() < trades and self._trade(genome, rng):
            return
        if not self._pair(genome, rng):
            self._any(genome, rng)

    def _step(self, genome: NDArray[np.int64], rng: np.random.Generator) -> bool:
        """A step drawn among those after which its group keeps its range; False without any."""
        level = genome[self._genes]
        allowed = self._kind[self._genes, level] != 0
        for number, group in enumerate(self._groups):
            own = self._group == number
            total = int(group.table[np.arange(len(group.genes)), genome[group.genes]].sum())
            allowed[own] &= group.beyond(total + self._change_of[self._genes, level][own]) == 0
        ends = np.flatnonzero(allowed)
        if not len(ends):
            return False
        gene, way = divmod(int(ends[rng.integers(len(ends))]), 2)
        genome[gene] = self._next[gene, genome[gene], way]
        return True

    def _pair(self, genome: NDArray[np.int64], rng: np.random.Generator) -> bool:
        """A step drawn among those that another gene's step cancels, and one of these; False without any."""
        kinds = self._kind[self._genes, genome]
        count = np.bincount((kinds + self._free).ravel(), minlength=2 * self._free + 1)
        own = (kinds[:, 0] == -kinds[:, 1]) & (kinds[:, 0] != 0)
        partners = count[self._free - kinds] - own[:, None]
        steps = np.flatnonzero((kinds == self._free) | ((kinds != 0) & (partners > 0)))
        if not len(steps):
            return False
        gene, way = divmod(int(steps[rng.integers(len(steps))]), 2)
        kind = kinds[gene, way]
        genome[gene] = self._next[gene, genome[gene], way]
        if kind != self._free:
            others = np.flatnonzero(kinds == -kind)
            others = others[others // 2 != gene]
            other, way = divmod(int(others[rng.integers(len(others))]), 2)
            genome[other] = self._next[other, genome[other], way]
        return True

    def _trade(self, genome: NDArray[np.int64], rng: np.random.Generator) -> bool:
        """A step, made up for by as few steps as possible of genes whose own steps cost otherwise; False without."""
        kinds = self._kind[self._genes, genome]
        steps = np.flatnonzero((kinds != 0) & (kinds != self._free))
        if not len(steps):
            return False
        gene, way = divmod(int(steps[rng.integers(len(steps))]), 2)
        unlike = (abs(kinds) != abs(kinds[gene, way])).all(axis=1) & (self._group == self._group[gene])
        return self._change(genome, gene, int(self._next[gene, genome[gene], way]), unlike, rng, _TRADED)

    def _any(self, genome: NDArray[np.int64], rng: np.random.Generator) -> None:
        """Any other level of any gene, made up for by few steps: there is such a move if there is any."""
        ends = []
        for group in self._groups:
            other = group.possible.copy()
            other[np.arange(len(other)), genome[group.genes]] = False
            place, level = np.nonzero(other)
            ends.append(np.stack([group.genes[place], level], axis=1))
        choices = np.concatenate(ends)
        if not len(choices):
            raise SpaceError("the budgets leave one genome only, so that no other can be reached")
        gene, level = choices[rng.integers(len(choices))].tolist()
        found = self._change(genome, gene, level, self._group == self._group[gene], rng, None)
        assert found, "a level that occurs in some genome can be completed"

    def _change(
        self,
        genome: NDArray[np.int64],
        gene: int,
        level: int,
        free: NDArray[np.bool_],
        rng: np.random.Generator,
        most: int | None,
    ) -> bool:
        """Take a gene to a level, in place, the free genes making up for it; False, unchanged, when they cannot."""
        group = self._groups[self._group[gene]]
        order = self._place[rng.permutation(np.flatnonzero(free & (self._genes != gene)))]
        origin = genome[group.genes]
        changed = origin.copy()
        changed[self._place[gene]] = level
        found = group.complete(changed, order, origin, most)
        if found is None:
            return False
        genome[group.genes] = found
        return True
