"""Operators on real vectors."""

from operators.real.gaussian import Gaussian
from operators.real.iso_line import IsoLine
from operators.real.polynomial import Polynomial
from operators.real.sbx import SBX
from operators.real.uniform import Uniform

__all__ = ["SBX", "Gaussian", "IsoLine", "Polynomial", "Uniform"]
