"""How many weights each level of a layer sets to zero."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evo.errors import ConfigError

__all__ = ["Counts", "Share", "published_step", "range_step", "zero_counts"]

Share = float | tuple[float, float]
"""A share of zeros, or the lowest and the highest of a range."""


@dataclass(frozen=True)
class Counts:
    """The levels of one layer, densest first."""

    size: int
    """Weights of the layer."""
    zeros: tuple[int, ...]
    """Zeros per level, rising by one `step` from level to level."""
    uniform: int
    """The level at the target sparsity itself, or at the lowest of a range."""


def zero_counts(size: int, sparsity: Share, step: int, most: int) -> Counts:
    """round(sparsity * size) + l * step zeros for l = -most..most, as far as they lie in 0..size.

    A range has these levels from `most` below its lowest sparsity to `most` beyond its highest.

    A step is a number of weights, not a share, so that one level more here and one level less there keep the total
    exactly, whatever the sizes of the two layers.

    Source: Sieberling, Kuznedelev, Kurtic and Alistarh, "EvoPress", ICML 2025, arXiv 2410.14649; ranges are new here.

    Args:
        size: weights of the layer.
        sparsity: share of zeros at the uniform level, 0 to 1; or the lowest and the highest.
        step: weights between neighbouring levels, at least 1; the same for all layers of a model.
        most: levels on either side of the uniform one, or of the range.

    Raises:
        ConfigError: an argument is out of its range.
    """
    low, high = sparsity if isinstance(sparsity, tuple) else (sparsity, sparsity)
    if not 0 <= low <= high <= 1:
        got = sparsity if low == high or math.isnan(low) else f"{low} to {high}"
        raise ConfigError(f"sparsity: expected a share of zeros from 0 to 1, or [low, high], got {got}")
    if size < 1 or step < 1 or most < 0:
        raise ConfigError(f"levels: expected size >= 1, step >= 1 and most >= 0, got {size}, {step} and {most}")
    first, last = round(low * size), round(high * size)
    below = min(most, first // step)
    above = min(-(-(last - first) // step) + most, (size - first) // step)
    return Counts(size, tuple(first + level * step for level in range(-below, above + 1)), below)


def published_step(sparsity: float, most: int, hidden: int) -> int:
    """The published default: a square layer of `hidden` columns uses half of its narrower side, in `most` steps."""
    return max(1, round(0.5 * min(sparsity, 1 - sparsity) / max(1, most) * hidden**2))


def range_step(low: float, high: float, most: int, hidden: int) -> int:
    """A square layer of `hidden` columns goes from the lowest to the highest sparsity in twice `most` steps."""
    return max(1, round((high - low) / (2 * max(1, most)) * hidden**2))
