"""Whole numbers between bounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from evo.records import Genomes
from evo.space import ArraySpace

__all__ = ["Integers", "nearest_integers"]

_Bound = np.int64 | NDArray[np.int64]


def nearest_integers(genomes: Genomes, low: _Bound, high: _Bound) -> NDArray[np.int64]:
    """Integer batches clipped in place; others rounded (half to even), NaN to the lower bound."""
    if genomes.dtype == np.int64:
        return np.clip(genomes, low, high, out=genomes)
    if genomes.dtype.kind != "f":
        return np.clip(genomes, low, high).astype(np.int64)
    with np.errstate(invalid="ignore"):  # what does not fit into 64 bits is replaced below
        rounded = np.rint(genomes).astype(np.int64)
    return np.asarray(np.where(genomes > low, np.where(genomes < high, rounded, high), low))


class Integers(ArraySpace):
    """Vectors of whole numbers; both bounds belong to the space.

    Args:
        low: smallest value, one for all coordinates or one each.
        high: largest value, likewise.
        size: number of coordinates; may be left out when a bound is a sequence.

    Raises:
        ConfigError: bounds of different length, not whole, or not low <= high.

    Example:
        >>> Integers(0, 9, size=3).stack([[0, 5, 9]])
        array([[0, 5, 9]])
    """

    dtype = np.dtype("<i8")

    def __init__(self, low: int | Sequence[int], high: int | Sequence[int], size: int | None = None) -> None:
        lows, highs = np.asarray(low), np.asarray(high)
        if lows.dtype.kind not in "iu" or highs.dtype.kind not in "iu":
            raise ConfigError(f"Integers: expected whole bounds that fit into 64 bits, got {low!r} and {high!r}")
        try:
            lows, highs = np.broadcast_arrays(lows.astype(np.int64), highs.astype(np.int64))
            if size is not None:
                lows, highs = np.broadcast_to(lows, (size,)), np.broadcast_to(highs, (size,))
        except ValueError:
            raise ConfigError(
                f"Integers: low of shape {np.shape(low)}, high of shape {np.shape(high)} and size={size} "
                "do not fit together"
            ) from None
        if lows.ndim != 1 or lows.size == 0:
            raise ConfigError("Integers: expected size=<number of coordinates>, or a sequence of bounds")
        if not (lows <= highs).all():
            raise ConfigError("Integers: expected low <= high in every coordinate")
        self.low: NDArray[np.int64] = lows.copy()
        self.high: NDArray[np.int64] = highs.copy()
        self.shape = (lows.size,)

    def __repr__(self) -> str:
        return f"Integers({self.low.min()}, {self.high.max()}, size={self.shape[0]})"

    def sample(self, n: int, rng: np.random.Generator) -> Genomes:
        """Uniform between the bounds, both included."""
        return rng.integers(self.low, self.high, size=(n, *self.shape), endpoint=True)

    def repair(self, genomes: Genomes) -> Genomes:
        """The nearest whole numbers between the bounds; in place where they are whole already."""
        return nearest_integers(genomes, self.low, self.high)

    def outside(self, genomes: Genomes) -> NDArray[np.bool_]:
        """(n,) rows with a coordinate beyond a bound."""
        return np.asarray(((genomes < self.low) | (genomes > self.high)).any(axis=1))
