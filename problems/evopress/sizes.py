"""The sizes that a space of levels holds: one for an exact budget, many for a range."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from evo.spaces.levels import Levels

__all__ = ["cheapest_of", "decimals", "size_of", "sizes_of", "spaced", "splits"]


def size_of(space: Levels, genome: NDArray[np.int64]) -> int:
    """What a genome (n,) costs, all groups together."""
    return int(space.totals(genome[None])[0].sum())


def sizes_of(space: Levels) -> NDArray[np.int64]:
    """(k,) what genomes cost, all groups together, ascending."""
    return reduce(lambda one, other: np.unique(np.add.outer(one, other)), _totals(space).values())


def spaced(space: Levels, count: int) -> list[int]:
    """`count` sizes from the smallest to the largest, or as many as there are: those nearest to even distances."""
    sizes = sizes_of(space)
    wanted = np.linspace(sizes[0], sizes[-1], count)
    nearest = abs(sizes[None] - wanted[:, None]).argmin(axis=1)
    return [int(size) for size in np.unique(sizes[nearest])]


def decimals(shares: Iterable[float]) -> int:
    """To how many decimals shares are rounded so that those that differ still do; four at least."""
    different, digits = set(shares), 4
    while len({round(share, digits) for share in different}) < len(different):
        digits += 1
    return digits


def splits(space: Levels, size: int) -> list[dict[str, int]]:
    """All ways in which the groups' budgets add up to a size, by name of the group; the most even first."""
    totals = _totals(space)
    found = [each for each in itertools.product(*(one.tolist() for one in totals.values())) if sum(each) == size]
    found.sort(key=lambda each: (sum(part * part for part in each), each))
    return [dict(zip(totals, each, strict=True)) for each in found]


def cheapest_of(space: Levels, prices: Sequence[Sequence[float] | NDArray[np.float64]], size: int) -> NDArray[np.int64]:
    """The genome (n,) of a size whose prices add up to the least, by dynamic programming over every split."""
    own = [np.asarray(row) for row in prices]
    found = [space.cheapest(prices, split) for split in splits(space, size)]
    return min(found, key=lambda genome: sum(row[level] for row, level in zip(own, genome, strict=True)))


def _totals(space: Levels) -> Mapping[str, NDArray[np.int64]]:
    return {name: group.totals for name, group in space.groups.items()}
