"""evo: distributed evolutionary search. One small engine, many worlds.

Define a `Problem` (what is searched, how one genome is measured), pick an algorithm, and `search`: in this process, on
a laptop's cores, or on a Ray cluster, without a changed line. Every run is a log that can be resumed, exported and
replayed to the bit.
"""

from evo.algorithm import Algorithm, Turn
from evo.algorithms import Arms, Enumeration, Genetic, Islands, MapElites, OnePlusLambda, Random, SurrogateAssisted
from evo.archive import Archive
from evo.archives import Grid, Top
from evo.engine.crew import Group
from evo.engine.order import Arrival, Strict
from evo.errors import (
    ConfigError,
    EvaluationError,
    EvoError,
    Rejected,
    ReplayMismatch,
    RunError,
    SpaceError,
    WorkerError,
)
from evo.evaluator import Evaluation, Evaluations, Evaluator, Fidelity, Resources, Work
from evo.operator import Births, Enumerator, Operator
from evo.problem import Best, Maximize, Measure, Minimize, Objective, Problem
from evo.records import BORN, Change, Requests, Results, Status
from evo.run import Run, load
from evo.sandbox import Sandbox
from evo.session import Search, resume, search, start
from evo.space import Space
from evo.spaces import BitMask, Box, Categorical, Integers, Json, Levels, Mixed, Permutation

__version__ = "0.1.0"

__all__ = [
    "BORN",
    "Algorithm",
    "Archive",
    "Arms",
    "Arrival",
    "Best",
    "Births",
    "BitMask",
    "Box",
    "Categorical",
    "Change",
    "ConfigError",
    "Enumeration",
    "Enumerator",
    "Evaluation",
    "EvaluationError",
    "Evaluations",
    "Evaluator",
    "EvoError",
    "Fidelity",
    "Genetic",
    "Grid",
    "Group",
    "Integers",
    "Islands",
    "Json",
    "Levels",
    "MapElites",
    "Maximize",
    "Measure",
    "Minimize",
    "Mixed",
    "Objective",
    "OnePlusLambda",
    "Operator",
    "Permutation",
    "Problem",
    "Random",
    "Rejected",
    "ReplayMismatch",
    "Requests",
    "Resources",
    "Results",
    "Run",
    "RunError",
    "Sandbox",
    "Search",
    "Space",
    "SpaceError",
    "Status",
    "Strict",
    "SurrogateAssisted",
    "Top",
    "Turn",
    "Work",
    "WorkerError",
    "load",
    "resume",
    "search",
    "start",
]
