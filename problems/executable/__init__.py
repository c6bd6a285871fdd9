"""Executable: any program as an evaluator, in whatever language it is written.

The program gets a genome as arguments or as JSON, and answers in JSON (`answer`). `Executable` is the evaluator, for a
problem of one's own with any space; `Program` is a whole problem that a run file alone describes. README.md has the
protocol on one page.
"""

from problems.executable.evaluator import Executable
from problems.executable.parameters import Parameters
from problems.executable.problem import Program

__all__ = ["Executable", "Parameters", "Program"]
