"""Algorithms: which parents, which children, which fidelity next. Each is moved only by `ask` and `tell`."""

from evo.algorithms.enumeration import Enumeration
from evo.algorithms.genetic import Genetic
from evo.algorithms.map_elites import MapElites
from evo.algorithms.random import Random

__all__ = ["Enumeration", "Genetic", "MapElites", "Random"]
