"""What a seed stands for: a run, and all that is going to happen to it.

A schedule holds one run of at most `LARGEST` evaluations of a small problem (mostly fewer: see `_budget`), from its
header to its end, however many sessions that takes: in each a new master resumes what the one before it left, and some
runs are given more evaluations or more time when they end. Each session has workers of its own: one kind or two (of
which each fidelity needs a certain one), fixed or elastic, on a cluster that has room for all, or whose nodes come and
go, places are waited for, and which may vanish. Workers crash, hang, do not start, and lose, delay, repeat and reorder
what they deliver; some candidates kill their worker every time. The master is killed at any write, meets a full disk,
is asked to stop; the power fails; snapshots are taken, torn and deleted. All times are virtual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar, Self

from evo.algorithm import Algorithm
from evo.engine.crew import Group
from evo.engine.order import Arrival, Order, Strict
from evo.engine.rules import Rules
from evo.evaluator import Resources
from evo.problem import Problem
from simulation.worlds import WORLDS, algorithm_of, problem_of

__all__ = ["KINDS", "LARGEST", "PLAIN", "VANISHED_SECONDS", "Rates", "Schedule"]

PLAIN = [("arm", ""), ("bits", ""), ("picky", "")]
"""The problems that any algorithm can search, for schedules with one of their own."""
LARGEST = 40
"""The largest budget of evaluations."""
_MOST = {"few": 16, "kernels": 10}
"""Where there are not as many genomes, or where one evaluation of the budget is several."""
_BUDGETS = (6, 8, 12, 16, LARGEST)
"""As many at most, each as often as the others."""
KINDS = ("small", "large")
"""What the workers of the one kind and of the other have, and some fidelity needs."""
VANISHED_SECONDS = 20.0
"""Patience with a cluster that is going to vanish; all others have the usual one."""
_NONE, _RARE, _OFTEN = 0.0, 0.03, 0.15


@dataclass(frozen=True)
class Rates:
    """Chances per chunk that a worker delivers; see `workers.simulated.Faults`."""

    crash: float = 0.0
    hang: float = 0.0
    lose: float = 0.0
    late: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    node: float = 0.0
    fail_start: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """One run: its specification, which its record may depend on, then its circumstances, which it may not."""

    seed: int
    problem: str
    algorithm: str
    order: Order
    budgets: tuple[int, ...]
    """Evaluations; the later ones are given when the run ends with the earlier, or is interrupted."""
    target: float | None
    plateau: float | None
    failures: int
    seconds: float | None
    """Virtual seconds after which the run stops."""
    goes_on: bool
    """A run that its time has stopped is given more of it."""
    poison: frozenset[int]
    """Requests that kill or hang their worker every time (by id, as candidates differ by id)."""

    staffs: tuple[tuple[Group, ...], ...]
    """The groups of workers, in one session after the other: one, or one of each of the `KINDS`."""
    nodes: bool
    """Nodes come and go, and places are waited for."""
    vanish: float
    """Chance per session that all nodes vanish for good."""
    look: float
    """Virtual seconds between two looks at what room there is: more than a deadline, or less."""
    window: int
    message_seconds: float
    sigma: float
    """Of the lognormal evaluation times."""
    rates: Rates
    death: float
    """Chance per write that the master dies at it."""
    full: float
    """Chance, when it dies, that it is the disk that is full instead."""
    pages: float
    """Chance per session that the file cannot grow beyond a page or two: SQLite's own SQLITE_FULL."""
    power: float
    """Chance, when it dies, that the power fails: the last commits are gone as well."""
    drain: float
    """Chance per tick that the master is asked to stop."""
    snapshots: float
    """Chance per tick of a snapshot."""
    torn: float
    """Chance per resumption that the snapshot is cut short, and as much that it was deleted."""

    worlds: ClassVar[Sequence[tuple[str, str]]] = WORLDS
    """What there is to choose from."""

    def make_problem(self) -> Problem:
        """The problem, made once for all schedules."""
        return problem_of(self.problem)

    def make_algorithm(self) -> Algorithm:
        """A fresh algorithm, not set up yet."""
        return algorithm_of(self.algorithm, self.problem)

    @classmethod
    def of(cls, seed: int) -> Self:
        """The schedule of a seed."""
        rng = Random(f"schedule {seed}")
        problem, algorithm = rng.choice(cls.worlds)
        most = _MOST.get(problem, LARGEST)
        budget = _budget(rng, most)
        strict = Strict(rng.randint(1, 8), rng.randint(1, 4))
        larger = rng.randint(budget, most) if rng.random() < 0.15 else budget
        poisoned = rng.sample(range(budget), min(budget, rng.randint(1, 3))) if rng.random() < 0.4 else []
        if problem == "weighted" and 0 in poisoned:
            poisoned.remove(0)  # without its preparation there is no run
        troubled = rng.random() < 0.8
        return cls(
            seed,
            problem,
            algorithm,
            strict if rng.random() < 0.6 else Arrival(),
            (budget, larger) if larger > budget else (budget,),
            target=rng.uniform(1.0, 7.0) if rng.random() < 0.1 else None,
            plateau=float(rng.randint(2, 10)) if rng.random() < 0.1 else None,
            failures=rng.choice([1, 3, 10_000, 10_000, 10_000]),
            seconds=rng.uniform(0.2, 4.0) if rng.random() < 0.1 else None,
            goes_on=rng.random() < 0.7,
            poison=frozenset(poisoned),
            staffs=tuple(_staff(rng, kinds) for kinds in rng.choices([1, 2], k=3)),
            nodes=rng.random() < 0.4,
            vanish=rng.choice([0.0, 0.2]),
            look=rng.choice([1.0, 3.0]),
            window=rng.choice([1, 2, 2, 3]),
            message_seconds=rng.choice([0.01, 0.1, 0.1, 1.0]),
            sigma=rng.choice([0.0, 0.3, 0.7]),
            rates=Rates(*(rng.choice([_NONE, _RARE, _OFTEN]) for _ in range(8))) if troubled else Rates(),
            death=rng.choice([0.0, 0.01, 0.03]),
            full=rng.choice([0.0, 0.5]),
            pages=rng.choice([0.0, 0.0, 0.3]),
            power=rng.choice([0.0, 0.5]),
            drain=rng.choice([0.0, 0.0, 0.02]),
            snapshots=rng.choice([0.0, 0.02, 0.1]),
            torn=rng.choice([0.0, 0.3]),
        )

    @property
    def calm(self) -> Self:
        """The same run on one worker, with nothing going wrong but what its candidates do."""
        return replace(
            self,
            staffs=((Group(1, 1),),),
            nodes=False,
            window=2,
            message_seconds=0.1,
            sigma=0.0,
            rates=Rates(),
            death=0.0,
            pages=0.0,
            drain=0.0,
            snapshots=0.0,
        )

    @property
    def settled(self) -> bool:
        """Whether the record follows from the specification alone: strict order, and nobody changed it on the way."""
        return isinstance(self.order, Strict) and len(self.budgets) == 1 and self.seconds is None

    def rules(self, step: int, seconds: float | None) -> Rules:
        """The limits after `step` raises of the budget."""
        return Rules(self.budgets[step], seconds, self.target, self.plateau, self.failures)


def _budget(rng: Random, most: int) -> int:
    """Any number up to `most`; small ones more often, as more schedules are had for the time."""
    return rng.randint(1, min(most, rng.choice(_BUDGETS)))


def _staff(rng: Random, kinds: int) -> tuple[Group, ...]:
    if kinds == 1:
        return (_group(rng, 4, None),)
    return tuple(_group(rng, 3, Resources(custom={kind: 1.0})) for kind in KINDS)


def _group(rng: Random, largest: int, shape: Resources | None) -> Group:
    most = rng.randint(1, largest)
    return Group(most if rng.random() < 0.5 else rng.randint(0, most), most, shape)
