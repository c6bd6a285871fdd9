"""How many weights each level of a layer sets to zero."""

from __future__ import annotations

import math
from dataclasses import dataclass

from evo.errors import ConfigError

__all__ = ["Counts", "published_step", "zero_counts"]


@dataclass(frozen=True)
class Counts:
    """The levels of one layer, densest first."""

    zeros: tuple[int, ...]
    """Zeros per level, rising by one `step` from level to level."""
    uniform: int
    """The level at the target sparsity itself."""


def zero_counts(size: int, sparsity: float, step: int, most: int) -> Counts:
    """round(sparsity * size) + l * step zeros for l = -most..most, as far as they lie in 0..size.

    A step is a number of weights, not a share, so that one level more here and one level less there keep the total
    exactly, whatever the sizes of the two layers.

    Source: Sieberling, Kuznedelev, Kurtic and Alistarh, "EvoPress", ICML 2025, arXiv 2410.14649.

    Args:
        size: weights of the layer.
        sparsity: share of zeros at the uniform level, 0 to 1.
        step: weights between neighbouring levels, at least 1; the same for all layers of a model.
        most: levels on either side of the uniform one.

    Raises:
        ConfigError: an argument is out of its range.
    """
    if not (math.isfinite(sparsity) and 0 <= sparsity <= 1):
        raise ConfigError(f"sparsity: expected a share of zeros from 0 to 1, got {sparsity}")
    if size < 1 or step < 1 or most < 0:
        raise ConfigError(f"levels: expected size >= 1, step >= 1 and most >= 0, got {size}, {step} and {most}")
    middle = round(sparsity * size)
    below = min(most, middle // step)
    above = min(most, (size - middle) // step)
    return Counts(tuple(middle + level * step for level in range(-below, above + 1)), below)


def published_step(sparsity: float, most: int, hidden: int) -> int:
    """The published default: a square layer of `hidden` columns uses half of its narrower side, in `most` steps."""
    return max(1, round(0.5 * min(sparsity, 1 - sparsity) / max(1, most) * hidden**2))
