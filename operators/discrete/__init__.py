"""Operators on bits, whole numbers, choices, permutations and products."""

from operators.discrete.flip import Flip
from operators.discrete.mixed import PerPart
from operators.discrete.resample import Resample
from operators.discrete.swap import Swap

__all__ = ["Flip", "PerPart", "Resample", "Swap"]
