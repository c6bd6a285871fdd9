"""Bit flips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evo.errors import ConfigError, SpaceError
from evo.operator import Operator
from evo.records import Genomes
from evo.space import Space

__all__ = ["Flip"]


class Flip(Operator):
    """Flips every bit with the same probability, each on its own.

    Args:
        probability: that a bit is flipped; None for one over the number of bits, so one flip on average.

    Raises:
        ConfigError: the probability is not in (0, 1].
        SpaceError: from `vary`, on genomes that are not bits.
    """

    def __init__(self, probability: float | None = None) -> None:
        if probability is not None and not 0 < probability <= 1:
            raise ConfigError(f"Flip: expected probability in (0, 1], got {probability}")
        self.probability = probability

    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        """One child of each row of ``parents[0]``, (n, bits)."""
        if space.dtype != np.bool_:
            raise SpaceError(f"Flip varies bits, got the space {space!r}")
        (first,) = parents
        probability = 1.0 / first.shape[1] if self.probability is None else self.probability
        return space.repair(first ^ (rng.random(first.shape) < probability))
