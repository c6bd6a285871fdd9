"""Sums that come out right: one level for each of m genes, so that their costs add up to a target or lie in a range.

A table holds what the levels cost, (m, levels) whole numbers from 0 up; -1 where a gene lacks a level. The work is
proportional to m times the target, so tables hold costs in their largest common unit. Sets of sums are held as the bits
of one Python integer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Draws", "cheapest", "completable", "draw_about", "reachable", "sums_within"]

Table = NDArray[np.int64]


def reachable(table: Table) -> int:
    """The sums that some choice of levels adds up to: bit s is set for the sum s."""
    return _prefixes(table)[-1]


def sums_within(table: Table, low: int, high: int) -> NDArray[np.int64]:
    """(k,) the sums from low >= 0 to high that some choice of levels adds up to, ascending."""
    sums = (reachable(table) >> low) & ((2 << (high - low)) - 1)
    bits = np.frombuffer(sums.to_bytes(sums.bit_length() // 8 + 1, "little"), dtype=np.uint8)
    return np.flatnonzero(np.unpackbits(bits, bitorder="little")) + low


def completable(table: Table, low: int, high: int) -> NDArray[np.bool_]:
    """(m, levels) which levels occur in some choice that adds up to low >= 0 to high; none where there is none."""
    before = _prefixes(table)
    found = np.zeros(table.shape, dtype=bool)
    after = ((2 << (high - low)) - 1) << low  # the sums of the genes before that those from here on can complete
    for gene in reversed(range(len(table))):
        rest = 0
        for level, cost in _levels(table[gene]):
            wanted = after >> cost
            found[gene, level] = bool(before[gene] & wanted)
            rest |= wanted
        after = rest
    return found


def cheapest(table: Table, prices: NDArray[np.float64], low: int, high: int) -> NDArray[np.int64] | None:
    """The choice of levels that adds up to low to high at the smallest total price, by dynamic programming.

    Of equal prices the smaller sum counts, then the lower level of the later gene.

    Args:
        table: (m, levels) costs.
        prices: (m, levels) finite, of either sign.
        low, high: what the costs must add up to, both included.

    Returns:
        (m,) levels; None when no choice adds up to that.
    """
    least, most = _windows(table, low, high)
    if least is None or most is None:
        return None
    best = np.zeros(1)  # by the sum so far, from least[gene] to most[gene]
    choices = []
    for gene, row in enumerate(table):
        first, last = least[gene + 1], most[gene + 1]
        found = np.full(last - first + 1, np.inf)
        choice = np.full(last - first + 1, -1, dtype=np.int16)
        for level, cost in _levels(row):
            start, stop = max(least[gene], first - cost), min(most[gene], last - cost) + 1
            if start >= stop:
                continue
            price = best[start - least[gene] : stop - least[gene]] + prices[gene, level]
            here = slice(start + cost - first, stop + cost - first)
            better = price < found[here]
            np.copyto(found[here], price, where=better)
            np.copyto(choice[here], level, where=better)
        best = found
        choices.append(choice)
    place = int(best.argmin())
    if not np.isfinite(best[place]):
        return None
    levels, left = np.empty(len(table), dtype=np.int64), least[-1] + place
    for gene in reversed(range(len(table))):
        levels[gene] = choices[gene][left - least[gene + 1]]
        left -= int(table[gene, levels[gene]])
    return levels


class Draws:
    """Draws choices that add up to a target, each of them with the same probability, by counting.

    For every gene and sum left over it holds the logarithm of the number of ways in which the later genes add up to it.

    Args:
        table: (m, levels) costs.
        low, high: what targets lie in, both included.
    """

    def __init__(self, table: Table, low: int, high: int) -> None:
        total = [0, *np.cumsum(table.max(axis=1)[::-1]).tolist()][::-1]
        spent = [0, *np.cumsum(table.max(axis=1)).tolist()]
        self._table = table
        self._low = [max(0, low - most) for most in spent]  # what can be left over, lowest first
        self._ways = [np.zeros(1)] * (len(table) + 1)
        for gene in reversed(range(len(table))):
            later, offset = self._ways[gene + 1], self._low[gene + 1]
            first, last = self._low[gene], min(high, total[gene])
            ways = np.full(last - first + 1, -np.inf)
            for _, cost in _levels(table[gene]):
                start, stop = max(first, offset + cost), min(last, offset + len(later) - 1 + cost) + 1
                if start < stop:
                    here, there = slice(start - first, stop - first), slice(start - cost - offset, stop - cost - offset)
                    ways[here] = np.logaddexp(ways[here], later[there])
            self._ways[gene] = ways

    def draw(self, targets: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """(n, m) levels whose costs add up to the targets (n,), to each of which some choice must."""
        n, left = len(targets), targets
        levels = np.empty((n, len(self._table)), dtype=np.int64)
        for gene, row in enumerate(self._table):
            ways, after = self._ways[gene + 1], left[:, None] - row
            place = after - self._low[gene + 1]
            inside = (row >= 0) & (place >= 0) & (place < len(ways))
            weight = np.where(inside, ways[np.where(inside, place, 0)], -np.inf)
            picked = _pick(weight, rng)
            levels[:, gene] = picked
            left = after[np.arange(n), picked]
        return levels


def draw_about(table: Table, target: int, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(n, m) levels drawn apart from each other so that the costs add up to the target on average.

    Choices of equal sum have equal probabilities: those that happen to meet the target are drawn as by `Draws`.
    """
    scale = max(1, int(table.max()))
    lean, rich = -700.0, 700.0  # beyond, the exponentials leave the doubles
    for _ in range(60):
        tilt = (lean + rich) / 2
        weight = np.where(table >= 0, tilt / scale * table, -np.inf)
        share = np.exp(weight - weight.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        if float((share * np.maximum(table, 0)).sum()) < target:
            lean = tilt
        else:
            rich = tilt
    levels = np.empty((n, len(table)), dtype=np.int64)
    for gene in range(len(table)):
        levels[:, gene] = _pick(np.broadcast_to(weight[gene], (n, table.shape[1])), rng)
    return levels


def _pick(log_weight: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """(n,) a column of each row, by weight; never one of weight 0."""
    weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    upto = np.cumsum(weight, axis=1)
    wanted = rng.random(len(weight)) * upto[:, -1]
    return np.asarray((upto <= wanted[:, None]).sum(axis=1), dtype=np.int64)


def _levels(row: NDArray[np.int64]) -> Iterable[tuple[int, int]]:
    """The levels that a gene has, with their costs as Python's integers (bits are shifted by them)."""
    return [(level, cost) for level, cost in enumerate(row.tolist()) if cost >= 0]


def _prefixes(table: Table) -> Sequence[int]:
    """m + 1 sets of sums: of the first 0, 1, ..., m genes."""
    sums = [1]
    for row in table:
        found = 0
        for _, cost in _levels(row):
            found |= sums[-1] << cost
        sums.append(found)
    return sums


def _windows(table: Table, low: int, high: int) -> tuple[list[int], list[int]] | tuple[None, None]:
    """The smallest and largest sums of the first 0, 1, ..., m genes worth looking at; None when none are."""
    upto = [0, *np.cumsum(table.max(axis=1)).tolist()] if len(table) else [0]
    if high < 0 or low > upto[-1]:
        return None, None
    return [max(0, low - (upto[-1] - most)) for most in upto], [min(high, most) for most in upto]
