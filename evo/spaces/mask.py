"""Bit masks: which of a list of things to keep."""

from __future__ import annotations

import numpy as np

from evo.errors import ConfigError
from evo.records import Genomes
from evo.space import ArraySpace

__all__ = ["BitMask"]


class BitMask(ArraySpace):
    """Vectors of bits, held as bool.

    Args:
        size: number of bits.

    Raises:
        ConfigError: fewer than one bit.

    Example:
        >>> BitMask(3).stack([[1, 0, 1]])
        array([[ True, False,  True]])
    """

    dtype = np.dtype(np.bool_)

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ConfigError(f"BitMask: expected size >= 1, got {size}")
        self.shape = (size,)

    def __repr__(self) -> str:
        return f"BitMask({self.shape[0]})"

    def sample(self, n: int, rng: np.random.Generator) -> Genomes:
        """Every bit set with a fair coin."""
        return rng.integers(0, 2, size=(n, *self.shape), dtype=np.bool_)

    def repair(self, genomes: Genomes) -> Genomes:
        """The same bits; numbers are set where they are nearer to one than to zero."""
        return genomes if genomes.dtype == np.bool_ else np.asarray(genomes > 0.5)
