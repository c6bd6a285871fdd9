"""Exchanging places in an order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evo.errors import ConfigError, SpaceError
from evo.operator import Operator
from evo.records import Genomes
from evo.space import Space
from evo.spaces.permutation import Permutation

__all__ = ["Swap"]


class Swap(Operator):
    """Lets two different places, drawn at random, exchange what they hold.

    Args:
        times: how many exchanges, one after another.

    Raises:
        ConfigError: fewer than one exchange.
        SpaceError: from `vary`, on a space that is no `Permutation` of at least two things.
    """

    def __init__(self, times: int = 1) -> None:
        if times < 1:
            raise ConfigError(f"Swap: expected times >= 1, got {times}")
        self.times = times

    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        """One child of each row of ``parents[0]``, (n, size)."""
        if not isinstance(space, Permutation) or space.shape[0] < 2:
            raise SpaceError(f"Swap varies permutations of two or more things, got the space {space!r}")
        children = np.array(parents[0])
        n, size = children.shape
        rows = np.arange(n)
        for _ in range(self.times):
            one = rng.integers(size, size=n)
            other = (one + rng.integers(1, size, size=n)) % size
            children[rows, one], children[rows, other] = children[rows, other], children[rows, one]
        return space.repair(children)
