"""Conformance checks for plug-ins, ours and yours: `check_space`, `check_operator`, `check_problem`.

Each takes an object and raises AssertionError with a sentence that says which promise it breaks. They need no test
framework; call them from any test.
"""

from evo.testing.operators import check_operator
from evo.testing.problems import check_problem
from evo.testing.spaces import check_space

__all__ = ["check_operator", "check_problem", "check_space"]
