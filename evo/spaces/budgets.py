"""One group of genes whose costs share a budget: which levels can occur, and how to come back to the budget."""

from __future__ import annotations

import zlib
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError, SpaceError
from evo.spaces.sums import Draws, cheapest, completable, draw_about, reachable, sums_within

__all__ = ["Budget", "Group"]

Budget = int | tuple[int, int]
"""What costs add up to: exactly so much, or anything from a lowest to a highest total, both included."""

_FINEST = 1 << 31
"""The most genes times units of cost: the bits that deciding what can be met takes."""
_COUNTED = 1 << 24
"""The most genes times units of cost for which choices are counted, in 8 bytes each."""
_FIRST = 16
"""Genes that are tried first where a few must make up for a difference."""


class Group:
    """The genes of one budget. Levels that occur in no choice that keeps it count as missing.

    Args:
        name: for errors; empty when all genes share one budget.
        genes: (m,) which of the space's genes they are.
        costs: (m, levels) whole numbers.
        legal: (m, levels) which levels there are; at least one for each gene.
        budget: what the levels' costs must add up to, or the lowest and the highest that they may.

    Raises:
        ConfigError: no choice keeps the budget (with the nearest that can be met), or the costs have too fine a common
            unit.
    """

    def __init__(
        self, name: str, genes: NDArray[np.int64], costs: NDArray[np.int64], legal: NDArray[np.bool_], budget: Budget
    ) -> None:
        self.name, self.genes, self.budget = name, genes, budget
        table, least, unit = _normal(costs, legal)
        width = int(table.max(axis=1).sum())
        if len(genes) * width > _FINEST:
            raise ConfigError(
                f"Levels: {len(genes)} genes with costs from {least} to {least + width * unit} in units of {unit}"
                f"{self.where} are too fine to meet a budget exactly; give the costs in coarser units"
            )
        low, high = _window(budget, least, unit, width)
        possible = completable(table, low, high) if low <= high else np.zeros_like(legal)
        if not possible.any():
            raise ConfigError(f"Levels: {self._unmet(reachable(table), least, unit, budget)}")
        self.possible: NDArray[np.bool_] = possible
        self.table, self._least, self._unit = _normal(costs, possible)
        """(m, levels) costs above each gene's cheapest level, in their common unit; -1 for levels that cannot occur."""
        self.low, self.high = _window(budget, self._least, self._unit, int(self.table.max(axis=1).sum()))
        """The lowest and the highest total in the table's terms; equal for an exact budget."""
        self._rank = np.cumsum(possible, axis=1)

    @property
    def where(self) -> str:
        """`` in group 'name'``, for messages; empty when there is one group only."""
        return f" in group {self.name!r}" if self.name else ""

    @property
    def budget_text(self) -> str:
        """``7`` or ``5 to 7``."""
        return _text(self.budget)

    @property
    def rigid(self) -> bool:
        """True when one single choice keeps the budget."""
        return bool((self.possible.sum(axis=1) == 1).all())

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_draws", "_sums")}

    @cached_property
    def _draws(self) -> Draws:
        return Draws(self.table, self.low, self.high)

    @cached_property
    def _sums(self) -> NDArray[np.int64]:
        return sums_within(self.table, self.low, self.high)

    @property
    def totals(self) -> NDArray[np.int64]:
        """(k,) what the choices that keep the budget cost, ascending; one number for an exact budget."""
        return self._least + self._unit * self._sums

    def beyond(self, total: NDArray[np.int64]) -> NDArray[np.int64]:
        """How far totals in the table's terms lie above the budget, or below it (negative)."""
        return np.maximum(total - self.high, 0) + np.minimum(total - self.low, 0)

    def met(self, levels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) which rows of levels (n, m) keep the budget."""
        cost = self.table[np.arange(len(self.genes)), levels]
        return np.asarray((cost >= 0).all(axis=1) & (self.beyond(cost.sum(axis=1)) == 0))

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """(n, m) levels: every total alike, and of one total every choice; nearly so in groups too large to count."""
        targets = np.full(n, self.low) if self.low == self.high else rng.choice(self._sums, n)
        if len(self.genes) * self.high <= _COUNTED:
            return self._draws.draw(targets, rng)
        levels = np.empty((n, len(self.genes)), dtype=np.int64)
        for target in np.unique(targets).tolist():
            rows = targets == target
            levels[rows] = draw_about(self.table, target, int(rows.sum()), rng)
        for row in levels:
            row[:] = self.repair(row)
        return levels

    def cheapest(self, prices: NDArray[np.float64], budget: Budget | None = None) -> NDArray[np.int64]:
        """(m,) the levels of the smallest total of prices (m, levels).

        Args:
            prices: finite numbers.
            budget: a part of this group's own budget, which it is by default.

        Raises:
            SpaceError: no choice keeps both; names the nearest that can be met.
        """
        low, high = self.low, self.high
        if budget is not None:
            low, high = _window(budget, self._least, self._unit, high)
            low = max(low, self.low)
        found = cheapest(self.table, prices, low, high) if low <= high else None
        if found is None:
            assert budget is not None  # some choice meets the group's own
            sums = reachable(self.table) & (((2 << (self.high - self.low)) - 1) << self.low)
            raise SpaceError(f"Levels.cheapest: {self._unmet(sums, self._least, self._unit, budget)}")
        return found

    def repair(self, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        """Levels (m,) near the wanted ones whose costs keep the budget; always the same ones.

        The largest steps that do not overshoot are taken first (in a range, that do not leave it on the other side),
        then a few genes make up for what is left. Among genes that serve equally well, which are moved follows from all
        the wanted levels, so that no gene is preferred.
        """
        each, width = np.arange(len(self.genes)), self.high - self.low
        origin = self._nearest[each, wanted]
        levels, order = origin.copy(), _shuffled(wanted)
        while excess := int(self.beyond(self.table[each, levels].sum())):
            following = self.neighbours[each, levels]
            change = self.table[each[:, None], following] - self.table[each, levels][:, None]
            size = np.where((change * excess < 0) & (abs(change) <= abs(excess) + width), abs(change), 0)
            largest = int(size.max())
            if not largest:
                found = self.complete(levels, order, origin)
                assert found is not None  # all genes are free in the end, and some choice meets the budget
                return found
            able = (size == largest).any(axis=1)
            moved = order[able[order]][: max(1, abs(excess) // largest)]
            levels[moved] = following[moved, (size[moved] == largest).argmax(axis=1)]
        return levels

    def complete(
        self, levels: NDArray[np.int64], free: NDArray[np.int64], origin: NDArray[np.int64], most: int | None = None
    ) -> NDArray[np.int64] | None:
        """The levels (m,) with those of some free genes changed so that the costs keep the budget.

        The first 16 free genes are tried, then twice as many, and so on; of those tried, as few steps as possible are
        made away from the origin.

        Args:
            levels: (m,) where to begin.
            free: which genes may be changed.
            origin: (m,) from where steps are counted.
            most: how many free genes are tried in the end; None for all.

        Returns:
            (m,) new levels, None when the free genes cannot make up for the difference.
        """
        total = int(self.table[np.arange(len(levels)), levels].sum())
        for count in _doubling(_FIRST, len(free[:most])):
            part = free[:count]
            others = total - int(self.table[part, levels[part]].sum())
            steps: NDArray[np.float64] = abs(self._rank[part] - self._rank[part, origin[part]][:, None]).astype(
                np.float64
            )
            found = cheapest(self.table[part], steps, self.low - others, self.high - others)
            if found is not None:
                completed = levels.copy()
                completed[part] = found
                return completed
        return None

    @cached_property
    def neighbours(self) -> NDArray[np.int64]:
        """(m, levels, 2) the next level below and above that can occur; the level itself where there is none."""
        m, count = self.possible.shape
        level = np.broadcast_to(np.arange(count), (m, count))
        none = np.full((m, 1), -1)
        last = np.maximum.accumulate(np.where(self.possible, level, -1), axis=1)
        below = np.concatenate([none, last[:, :-1]], axis=1)
        mirrored = np.maximum.accumulate(np.where(self.possible, count - 1 - level, -1)[:, ::-1], axis=1)[:, ::-1]
        above = np.concatenate([mirrored[:, 1:], none], axis=1)
        below = np.where(below < 0, level, below)
        return np.stack([below, np.where(above < 0, level, count - 1 - above)], axis=2)

    @cached_property
    def _nearest(self) -> NDArray[np.int64]:
        """(m, levels) the nearest level that can occur, the lower one of two."""
        level = np.arange(self.possible.shape[1])
        far = np.where(self.possible[:, None, :], abs(level[:, None] - level[None, :]), len(level))
        return np.asarray(far.argmin(axis=2))

    def _unmet(self, sums: int, least: int, unit: int, budget: Budget) -> str:
        low, high = (budget, budget) if isinstance(budget, int) else budget
        most, below, above = sums.bit_length() - 1, (low - least) // unit, -((least - high) // unit)
        near = []
        if below >= 0 and (lower := sums & ((2 << min(below, most)) - 1)):
            near.append(least + unit * (lower.bit_length() - 1))
        if above <= most:
            upper = sums >> max(above, 0)
            near.append(least + unit * (max(above, 0) + (upper & -upper).bit_length() - 1))
        return (
            f"no choice of levels costs {'exactly' if low == high else 'from'} {_text(budget)}{self.where}; "
            f"nearest that can be met: {' and '.join(map(str, near))}"
        )


def _window(budget: Budget, least: int, unit: int, width: int) -> tuple[int, int]:
    """The lowest and the highest total above the least, in units, from 0 to the width; none where the first is higher.

    Exact budgets between two units or outside the width come out as none, too.
    """
    low, high = (budget, budget) if isinstance(budget, int) else budget
    return max(0, -((least - low) // unit)), min(width, (high - least) // unit)


def _text(budget: Budget) -> str:
    low, high = (budget, budget) if isinstance(budget, int) else budget
    return str(low) if low == high else f"{low} to {high}"


def _normal(costs: NDArray[np.int64], legal: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int, int]:
    """Costs above each gene's cheapest level in their common unit (-1 for none), the least total, the unit."""
    cheap = np.where(legal, costs, np.iinfo(np.int64).max).min(axis=1)
    above = np.where(legal, costs - cheap[:, None], 0)
    unit = int(np.gcd.reduce(above, axis=None)) or 1
    return np.where(legal, above // unit, -1), int(cheap.sum()), unit


def _doubling(first: int, last: int) -> list[int]:
    counts = []
    while first < last:
        counts.append(first)
        first *= 2
    return [*counts, last]


def _shuffled(levels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(m,) the genes in an order that looks random and follows from the levels alone, on every machine."""
    mixed = np.arange(1, len(levels) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= np.uint64(zlib.crc32(np.ascontiguousarray(levels, dtype="<i8").tobytes())) << np.uint64(16)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # the finaliser of SplitMix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(np.argsort(mixed, kind="stable"))
