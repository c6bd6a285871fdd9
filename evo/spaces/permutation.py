"""Orders of a fixed number of things."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from evo.records import Genomes
from evo.space import ArraySpace

__all__ = ["Permutation"]


class Permutation(ArraySpace):
    """Vectors that hold each of 0, ..., size - 1 once.

    Args:
        size: how many things are ordered.

    Raises:
        ConfigError: fewer than one thing.

    Example:
        >>> Permutation(4).stack([[2, 0, 3, 1]])
        array([[2, 0, 3, 1]])
    """

    dtype = np.dtype("<i8")

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ConfigError(f"Permutation: expected size >= 1, got {size}")
        self.shape = (size,)

    def __repr__(self) -> str:
        return f"Permutation({self.shape[0]})"

    def sample(self, n: int, rng: np.random.Generator) -> Genomes:
        """Every order alike."""
        return rng.permuted(np.tile(np.arange(self.shape[0]), (n, 1)), axis=1)

    def repair(self, genomes: Genomes) -> Genomes:
        """The rank of each number in its row, equal ones from left to right; a permutation stays as it is."""
        order = np.argsort(genomes, axis=1, kind="stable")
        ranks = np.empty(genomes.shape, dtype=self.dtype)
        np.put_along_axis(ranks, order, np.arange(self.shape[0])[None], axis=1)
        return ranks

    def outside(self, genomes: Genomes) -> NDArray[np.bool_]:
        """(n,) rows in which a number is missing."""
        return np.asarray((np.sort(genomes, axis=1) != np.arange(self.shape[0])).any(axis=1))
