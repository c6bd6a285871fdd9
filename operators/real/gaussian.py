"""Gaussian mutation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evo.errors import ConfigError
from evo.operator import Operator
from evo.records import Genomes
from evo.space import Space
from operators.real.bounds import BLOCK, require_real

__all__ = ["Gaussian"]


class Gaussian(Operator):
    """Adds normal noise to every coordinate: ``x + sigma * N(0, I)``, clipped to the bounds.

    Args:
        sigma: standard deviation in the units of the genome, one for all coordinates or one each.

    Raises:
        ConfigError: a sigma is negative, or sigma is neither a number nor a sequence of numbers.
    """

    def __init__(self, sigma: float | Sequence[float] = 0.1) -> None:
        self.sigma = np.asarray(sigma, dtype=np.float64)
        if self.sigma.ndim > 1 or not (self.sigma >= 0).all():
            raise ConfigError(f"Gaussian: expected sigma >= 0, one or one per coordinate, got {sigma!r}")

    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        """One child of each row of ``parents[0]``, (n, d)."""
        require_real(space, self)
        (first,) = parents
        children = np.empty(first.shape)
        step = max(1, BLOCK // max(1, first.shape[1]))
        for start in range(0, len(first), step):
            child = children[start : start + step]
            rng.standard_normal(out=child)
            child *= self.sigma
            child += first[start : start + step]
        return space.repair(children)
