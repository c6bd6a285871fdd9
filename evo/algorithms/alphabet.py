"""Whole-numbered genomes as codes from 0 on, the form in which a model of them counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from evo.records import Genomes
from evo.space import Space
from evo.spaces import BitMask, Categorical, Integers, Levels

__all__ = ["Alphabet"]

_LETTERS = 32
"""Most codes of a gene whose values have an order; wider ranges are cut into so many equal parts."""


class Alphabet:
    """Which values the genes of a space take, as codes 0, 1, ...

    Args:
        space: `Levels`, `Integers`, `BitMask` or `Categorical`, or one derived from these.

    Raises:
        ConfigError: another space.
    """

    def __init__(self, space: Space) -> None:
        self._low: np.int64 | NDArray[np.int64] = np.int64(0)
        self.ordered = not isinstance(space, Categorical)
        """Whether neighbouring codes are alike."""
        if isinstance(space, Levels):
            width = int(space.legal.shape[1])
        elif isinstance(space, Integers):
            self._low = space.low
            width = max(high - low for low, high in zip(space.low.tolist(), space.high.tolist(), strict=True)) + 1
        elif isinstance(space, BitMask):
            width = 2
        elif isinstance(space, Categorical):
            width = len(space.choices)
        else:
            raise ConfigError(
                "SurrogateAssisted: expected vectors of whole numbers (Levels, Integers, BitMask, Categorical), got a "
                f"{type(space).__name__}"
            )
        self._width = width
        self.letters = min(width, _LETTERS) if self.ordered else width
        """How many codes there are, the same for every gene."""

    def codes(self, genomes: Genomes) -> NDArray[np.int64]:
        """(n, genes) codes of genomes (n, genes)."""
        if self.letters == self._width:
            return np.asarray(genomes.astype(np.int64) - self._low)
        part = (genomes.astype(np.float64) - self._low) / self._width  # in floats, as ranges may fill 64 bits
        return np.minimum((part * self.letters).astype(np.int64), self.letters - 1)
