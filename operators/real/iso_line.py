"""Iso+LineDD variation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evo.errors import ConfigError
from evo.operator import Operator
from evo.records import Genomes
from evo.space import Space
from operators.real.bounds import BLOCK, require_real

__all__ = ["IsoLine"]


class IsoLine(Operator):
    """A step along the line to a second elite, blurred: ``x + iso * N(0, I) + line * N(0, 1) * (y - x)``.

    The line is where the elites are correlated; the isotropic part keeps the search from collapsing onto it.
    Vassiliades and Mouret, "Discovering the Elite Hypervolume by Leveraging Interspecies Correlation", GECCO 2018,
    equation 2.

    Args:
        iso_sigma: standard deviation of the isotropic noise, in the units of the genome.
        line_sigma: standard deviation of the step along the line, in multiples of the distance between the parents.

    Raises:
        ConfigError: a sigma is negative.
    """

    arity = 2

    def __init__(self, iso_sigma: float = 0.01, line_sigma: float = 0.2) -> None:
        if not (iso_sigma >= 0 and line_sigma >= 0):
            raise ConfigError(f"IsoLine: expected sigmas >= 0, got iso_sigma={iso_sigma}, line_sigma={line_sigma}")
        self.iso_sigma = float(iso_sigma)
        self.line_sigma = float(line_sigma)

    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        """One child of each pair of rows of ``parents[0]`` and ``parents[1]``, (n, d) each; it starts at the first."""
        require_real(space, self)
        first, second = parents
        n = len(first)
        along = rng.standard_normal((n, 1))
        along *= self.line_sigma
        children = np.empty(first.shape)
        step = max(1, BLOCK // max(1, first.shape[1]))
        for start in range(0, n, step):
            rows = slice(start, start + step)
            child, x = children[rows], first[rows]
            rng.standard_normal(out=child)
            child *= self.iso_sigma
            line = second[rows] - x
            line *= along[rows]
            child += line
            child += x
        return space.repair(children)
