"""Simulated binary crossover."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError, SpaceError
from evo.operator import Operator
from evo.records import Genomes
from evo.space import Space
from evo.spaces.box import Box

__all__ = ["SBX"]


class SBX(Operator):
    """One child of a pair, spread around the two parents as one-point crossover of binary strings would spread it.

    Deb and Agrawal, "Simulated Binary Crossover for Continuous Search Space", 1995, in the bounded form of NSGA-II's
    reference code. That crossover has two children that mirror each other; each crossed coordinate takes one of the two
    by a fair coin, and the other coordinates all come from one parent, again by a fair coin. So neither parent is
    favoured. On an infinite bound it is the unbounded crossover.

    Args:
        eta: distribution index; a larger one keeps children closer to their parents.
        probability: that a coordinate is crossed.

    Raises:
        ConfigError: eta is negative or the probability not in (0, 1].
        SpaceError: from `vary`, on a space that is no `evo.Box`.
    """

    arity = 2
    name = "sbx"

    def __init__(self, eta: float = 15.0, probability: float = 0.5) -> None:
        if eta < 0:
            raise ConfigError(f"SBX: expected eta >= 0, got {eta}")
        if not 0 < probability <= 1:
            raise ConfigError(f"SBX: expected probability in (0, 1], got {probability}")
        self.eta = float(eta)
        self.probability = float(probability)

    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        """One child of each pair of rows of ``parents[0]`` and ``parents[1]``, (n, d) each."""
        if not isinstance(space, Box):
            raise SpaceError(f"SBX crosses real vectors between bounds, got the space {space!r}")
        first, second = parents
        children = np.where(rng.integers(0, 2, size=(len(first), 1), dtype=bool), first, second)
        rows, columns = np.nonzero((rng.random(first.shape) < self.probability) & (first != second))
        a, b = first[rows, columns], second[rows, columns]
        lower, upper = np.minimum(a, b), np.maximum(a, b)
        upwards = rng.integers(0, 2, size=len(a), dtype=bool)
        room = np.where(upwards, space.high[columns] - upper, lower - space.low[columns])
        spread = self._spread(room, upper - lower, rng.random(len(a)))
        middle = 0.5 * lower + 0.5 * upper
        children[rows, columns] = middle + np.where(upwards, 0.5, -0.5) * spread * (upper - lower)
        return space.repair(children)

    def _spread(
        self, room: NDArray[np.float64], distance: NDArray[np.float64], u: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Distance between the children over that of the parents, its density cut off where the room ends."""
        power = self.eta + 1.0
        with np.errstate(over="ignore", divide="ignore"):  # parents next to each other: no limit in effect
            limit = 1.0 + 2.0 * room / distance
        share = 2.0 - limit**-power
        contracting = u * share <= 1.0
        mass = np.where(contracting, u * share, 2.0 - u * share)
        return np.asarray(mass ** np.where(contracting, 1.0 / power, -1.0 / power))
