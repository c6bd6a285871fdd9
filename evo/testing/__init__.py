"""Conformance checks for plug-ins, ours and yours: spaces, operators, problems, algorithms.

Each takes an object and raises AssertionError with a sentence that says which promise it breaks. They need no test
framework; call them from any test.
"""

from evo.testing.algorithms import check_algorithm
from evo.testing.operators import check_operator
from evo.testing.problems import check_problem
from evo.testing.spaces import check_space

__all__ = ["check_algorithm", "check_operator", "check_problem", "check_space"]
