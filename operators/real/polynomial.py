"""Polynomial mutation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evo.errors import ConfigError
from evo.operator import Operator
from evo.records import Genomes
from evo.space import Space
from operators.real.bounds import finite_bounds

__all__ = ["Polynomial"]


class Polynomial(Operator):
    """Moves some coordinates by a polynomially distributed step that cannot leave the bounds.

    Deb and Agrawal, "A niched-penalty approach for constraint handling in genetic algorithms", 1999, in the bounded
    form of NSGA-II's reference code: the density is rescaled on each side by the room that is left there.

    Args:
        eta: distribution index; a larger one keeps children closer (about 1/eta of the range).
        probability: that a coordinate is moved; None for one over their number, so one coordinate on average.

    Raises:
        ConfigError: eta is negative or the probability not in (0, 1].
        SpaceError: from `vary`, on a space without finite bounds.
    """

    def __init__(self, eta: float = 20.0, probability: float | None = None) -> None:
        if eta < 0:
            raise ConfigError(f"Polynomial: expected eta >= 0, got {eta}")
        if probability is not None and not 0 < probability <= 1:
            raise ConfigError(f"Polynomial: expected probability in (0, 1], got {probability}")
        self.eta = float(eta)
        self.probability = probability

    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        """One child of each row of ``parents[0]``, (n, d)."""
        low, high = finite_bounds(space, self)
        children = np.array(parents[0])
        probability = 1.0 / children.shape[1] if self.probability is None else self.probability
        rows, columns = np.nonzero(rng.random(children.shape) < probability)
        x, span = children[rows, columns], (high - low)[columns]
        u = rng.random(len(x))
        downwards = u < 0.5
        room = np.where(downwards, x - low[columns], high[columns] - x) / span
        mass = np.where(downwards, 2.0 * u, 2.0 * (1.0 - u))  # uniform on (0, 1], whichever the side
        # 1 - mass is the share of the side's density, cut off where the room ends
        size = 1.0 - (mass + (1.0 - mass) * (1.0 - room) ** (self.eta + 1.0)) ** (1.0 / (self.eta + 1.0))
        children[rows, columns] = x + np.where(downwards, -size, size) * span
        return space.repair(children)
