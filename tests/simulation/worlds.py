"""What the schedules search: small problems, each with one thing of its own, and the algorithms that suit each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import Any

import numpy as np
from engine.searchers import Cascade, Rewrites
from engine.worlds import Kernels, Noisy, Pruning, Verified, Weighted

import evo
from evo.algorithm import Algorithm
from evo.engine.prepare import Prepared, Seeded
from evo.evaluator import Evaluator, FunctionEvaluator
from evo.operator import Operator
from evo.problem import Problem
from operators.discrete import Flip, Resample
from operators.real import Gaussian
from problems.arm import Arm

__all__ = ["WORLDS", "algorithm_of", "problem_of"]

DEADLINE = 2.0
"""Virtual seconds; an evaluation takes a tenth of one on average, and never so long."""


class _Once:
    """Makes its evaluator once."""

    @cached_property
    def evaluator(self) -> Evaluator:
        return super().evaluator  # type: ignore[misc,no-any-return]


class Bits(_Once, evo.Problem):
    """Counts ones: a small discrete space in which equal work is common."""

    space = evo.BitMask(8)
    objectives = (evo.Maximize("ones"),)
    measures = (evo.Measure("head", 0, 3), evo.Measure("tail", 0, 5))

    def evaluate_batch(self, masks: Any) -> evo.Evaluations:
        masks = masks.astype(float)
        measures = np.stack([masks[:, :3].sum(axis=1), masks[:, 3:].sum(axis=1)], axis=1)
        return evo.Evaluations(masks.sum(axis=1, keepdims=True), measures)

    @property
    def operators(self) -> Mapping[str, Operator]:
        return {"masks": Masks()}


class Picky(Bits):
    """Turns down every mask whose first bit is set, and trips over the one that is empty."""

    def evaluate_batch(self, masks: Any) -> evo.Evaluations:
        found = super().evaluate_batch(masks)
        rejected = dict.fromkeys(np.flatnonzero(masks[:, 0]).tolist(), "begins with a one")
        failures = dict.fromkeys(np.flatnonzero(~masks.any(axis=1)).tolist(), "empty")
        return evo.Evaluations(found.objectives, found.measures, failures=failures, rejected=rejected)


class Few(Bits):
    """So few masks that most are met again and again."""

    space = evo.BitMask(5)
    measures = (evo.Measure("head", 0, 3), evo.Measure("tail", 0, 2))


class Masks(evo.Enumerator):
    """All masks of eight."""

    total = 256

    def make(self, parents: Any, args: Mapping[str, Any], space: evo.Space, work: evo.Work) -> evo.Births:
        ranks = np.arange(args["start"], args["stop"])
        return evo.Births((ranks[:, None] >> np.arange(8) & 1).astype(bool), counters={"ranks": len(ranks)})


class Joints(_Once, Arm):
    """The arm."""


class Grouped(Arm):
    """The arm, evaluated four at a time."""

    @cached_property
    def evaluator(self) -> Evaluator:
        return _Grouped(self)


class _Grouped(FunctionEvaluator):
    @property
    def fidelities(self) -> Mapping[str, evo.Fidelity]:
        return {"full": evo.Fidelity(deadline=self.problem.deadline, group=4)}


def _islands(mutation: Operator) -> Algorithm:
    return evo.Islands(evo.MapElites((3, 3), operator=mutation), 2, migrate_every=4)


def _arms(mutation: Operator) -> Algorithm:
    return evo.Arms({"random": evo.Random(), "steady": evo.Genetic(4, mutation=mutation, selection="steady")})


def _seeded(mutation: Operator) -> Algorithm:
    genomes = np.array([[0] * 8, [1] * 8, [0] * 8], dtype=bool)
    return Seeded(evo.MapElites((4, 4), operator=mutation), genomes)


_RUNGS = ({"survivors": 2, "fidelity": "rung", "reserve": 0.5}, {"survivors": 1, "fidelity": "rung"})
_MAKERS: dict[str, Callable[[Operator], Algorithm]] = {
    "map_elites": lambda mutation: evo.MapElites((4, 4), operator=mutation),
    "random": lambda _: evo.Random(),
    "generational": lambda mutation: evo.Genetic(6, mutation=mutation, selection="generational"),
    "steady": lambda mutation: evo.Genetic(6, mutation=mutation, selection="steady"),
    "masks": lambda _: evo.Enumeration(8, archive=evo.Grid((4, 4))),
    "squares": lambda _: evo.Enumeration(12),
    "one_plus_lambda": lambda mutation: evo.OnePlusLambda(4, mutation=mutation, initial=3),
    "rungs": lambda mutation: evo.OnePlusLambda(4, mutation=mutation, rungs=_RUNGS, initial=4),
    "surrogate": lambda mutation: evo.SurrogateAssisted(4, mutation=mutation, initial=4, looks=16, steps=1),
    "islands": _islands,
    "arms": _arms,
    "seeded": _seeded,
    "rewrites": lambda _: Rewrites(),
    "cascade": lambda _: Cascade(),
    "prepared": lambda mutation: Prepared(evo.Genetic(6, mutation=mutation, selection="steady")),
}


class Noises(_Once, Noisy):
    """Noise."""


class Weights(_Once, Weighted):
    """A preparation."""


class Numbers(_Once, Verified):
    """A verifier."""


_PROBLEMS: dict[str, Callable[[], Problem]] = {
    "arm": lambda: Joints(3),
    "grouped": lambda: Grouped(3),
    "bits": Bits,
    "few": Few,
    "picky": Picky,
    "noisy": Noises,
    "weighted": Weights,
    "verified": lambda: Numbers(300, trap=120, broken=14),
    "pruning": Pruning,
    "kernels": Kernels,
}
_COMMON = ("map_elites", "random", "generational", "steady", "one_plus_lambda")
_PAIRS: dict[str, tuple[str, ...]] = {
    "arm": (*_COMMON, "islands", "arms"),
    "grouped": ("map_elites", "random"),
    "bits": (*_COMMON, "masks", "islands", "arms", "rewrites", "seeded"),
    "few": ("map_elites", "random"),
    "picky": (*_COMMON, "masks", "rewrites", "seeded"),
    "noisy": ("random", "steady"),
    "weighted": ("prepared",),
    "verified": ("squares",),
    "pruning": ("rungs", "surrogate", "random"),
    "kernels": ("cascade",),
}
_SHARES = {"islands": 1, "arms": 1, "surrogate": 1, "cascade": 9}
"""The dear come up a third as often as the others, and three times as often the only one with leases and artifacts."""
WORLDS = [
    (problem, algorithm)
    for problem, algorithms in _PAIRS.items()
    for algorithm in algorithms
    for _ in range(_SHARES.get(algorithm, 3))
]
"""(problem, algorithm), by name, as often as `_SHARES` says."""

_made: dict[str, Problem] = {}


def problem_of(name: str) -> Problem:
    """The problem of that name, made once: it has no state that a run could change."""
    if name not in _made:
        _made[name] = _PROBLEMS[name]()
        _made[name].deadline = DEADLINE
    return _made[name]


def algorithm_of(name: str, problem: str) -> Algorithm:
    """A fresh algorithm for the problem of that name, not set up yet."""
    return _MAKERS[name](_mutation(type(problem_of(problem).space)))


@cache
def _mutation(space: type[evo.Space]) -> Operator:
    kinds: dict[type[evo.Space], Operator] = {evo.BitMask: Flip(), evo.Integers: Resample(), evo.Box: Gaussian()}
    return kinds.get(space, Flip())
