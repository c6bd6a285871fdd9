"""Real vectors between bounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from evo.records import Genomes
from evo.space import ArraySpace

__all__ = ["Box"]


class Box(ArraySpace):
    """Real vectors with a lower and an upper bound per coordinate; a bound may be infinite.

    Args:
        low: lower bound, one for all coordinates or one each.
        high: upper bound, likewise.
        size: number of coordinates; may be left out when a bound is a sequence.

    Raises:
        ConfigError: bounds of different length, NaN, or not low < high.

    Example:
        >>> Box(-1.0, 1.0, size=3).shape
        (3,)
    """

    continuous = True
    dtype = np.dtype("<f8")

    def __init__(self, low: float | Sequence[float], high: float | Sequence[float], size: int | None = None) -> None:
        try:
            lows, highs = np.broadcast_arrays(np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64))
            if size is not None:
                lows, highs = np.broadcast_to(lows, (size,)), np.broadcast_to(highs, (size,))
        except ValueError:
            raise ConfigError(
                f"Box: low of shape {np.shape(low)}, high of shape {np.shape(high)} and size={size} do not fit together"
            ) from None
        if lows.ndim != 1 or lows.size == 0:
            raise ConfigError("Box: expected size=<number of coordinates>, or a sequence of bounds")
        if not (lows < highs).all():
            raise ConfigError("Box: expected low < high in every coordinate")
        self.low: NDArray[np.float64] = lows.copy()
        self.high: NDArray[np.float64] = highs.copy()
        self.shape = (lows.size,)
        self._bounded = bool(np.isfinite(lows).any() or np.isfinite(highs).any())
        self._finite = bool(np.isfinite(lows).all() and np.isfinite(highs).all())

    def __repr__(self) -> str:
        return f"Box({self.low.min():g}, {self.high.max():g}, size={self.shape[0]})"

    def sample(self, n: int, rng: np.random.Generator) -> Genomes:
        """Uniform between the bounds; a coordinate with an infinite bound is standard normal, clipped."""
        if self._finite:
            return np.asarray(self.low + (self.high - self.low) * rng.random((n, *self.shape)))
        finite = np.isfinite(self.low) & np.isfinite(self.high)
        low, high = np.where(finite, self.low, 0.0), np.where(finite, self.high, 0.0)
        uniform = low + (high - low) * rng.random((n, *self.shape))
        return self.repair(np.where(finite, uniform, rng.standard_normal((n, *self.shape))))

    def repair(self, genomes: Genomes) -> Genomes:
        """Clip to the bounds, in place."""
        if not self._bounded:
            return genomes
        return np.clip(genomes, self.low, self.high, out=genomes)

    def outside(self, genomes: Genomes) -> NDArray[np.bool_]:
        """(n,) rows with a coordinate beyond a bound, or NaN."""
        return np.asarray(~((genomes >= self.low) & (genomes <= self.high)).all(axis=1))
