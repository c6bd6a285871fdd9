"""Algorithms: which parents, which children, which fidelity next. Each is moved only by `ask` and `tell`."""

from evo.algorithms.arms import Arms
from evo.algorithms.enumeration import Enumeration
from evo.algorithms.genetic import Genetic
from evo.algorithms.islands import Islands
from evo.algorithms.map_elites import MapElites
from evo.algorithms.one_plus_lambda import OnePlusLambda
from evo.algorithms.random import Random
from evo.algorithms.surrogate import SurrogateAssisted

__all__ = ["Arms", "Enumeration", "Genetic", "Islands", "MapElites", "OnePlusLambda", "Random", "SurrogateAssisted"]
