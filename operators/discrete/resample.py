"""Redrawing coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evo.errors import ConfigError, SpaceError
from evo.operator import Operator
from evo.records import Genomes
from evo.space import Space
from evo.spaces.categorical import Categorical
from evo.spaces.integers import Integers

__all__ = ["Resample"]


class Resample(Operator):
    """Draws some coordinates anew, every value of the space alike (the old one included).

    Args:
        probability: that a coordinate is drawn anew; None for one over their number, so one on average.

    Raises:
        ConfigError: the probability is not in (0, 1].
        SpaceError: from `vary`, on a space that is neither `Integers` nor `Categorical`.
    """

    def __init__(self, probability: float | None = None) -> None:
        if probability is not None and not 0 < probability <= 1:
            raise ConfigError(f"Resample: expected probability in (0, 1], got {probability}")
        self.probability = probability

    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        """One child of each row of ``parents[0]``, (n, d)."""
        if not isinstance(space, Integers | Categorical):
            raise SpaceError(f"Resample varies whole numbers and choices, got the space {space!r}")
        (first,) = parents
        probability = 1.0 / first.shape[1] if self.probability is None else self.probability
        anew = rng.random(first.shape) < probability
        return space.repair(np.where(anew, space.sample(len(first), rng), first))
