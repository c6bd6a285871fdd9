"""The algorithm: which parents, which children, which fidelity next.

An algorithm is a deterministic machine moved only by `ask` and `tell`. It has no clock, no threads, no random state of
its own: everything random comes from ``turn.rng``. Repeating its moves on a fresh instance rebuilds it bit for bit;
that is how a run is resumed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from evo.archive import Archive
from evo.operator import Operator
from evo.problem import Problem
from evo.random import move_rng
from evo.records import Change, Requests, Results
from evo.spec import Configured

__all__ = ["Algorithm", "Turn"]


@dataclass
class Turn:
    """One move, as the algorithm sees it."""

    seed: int
    seq: int
    """The move's number in the log."""
    first_id: int
    """The id that the first request of this ask will get; the rest follow in order."""
    budget: float = math.inf
    """How many evaluations are left to be asked for: the reserves of what an ask gives may not add up to more."""
    room: Mapping[str, int] = field(default_factory=dict)
    """In arrival order: fidelity -> how many more requests it can take; a fidelity not named has no limit."""

    @cached_property
    def rng(self) -> np.random.Generator:
        """This move's own stream."""
        return move_rng(self.seed, self.seq)


class Algorithm(Configured, ABC):
    """Asked for work and told what came of it; called by the master alone, never concurrently."""

    block: int = 100
    """How many requests strict order asks for at a time unless the run says otherwise."""
    ends: bool = False
    """Whether it comes to an end by itself, so that a search with it needs no budget."""

    @abstractmethod
    def setup(self, problem: Problem) -> None:
        """Take the problem's space, objectives and measures; allocate. Called once, before the first move."""

    @abstractmethod
    def ask(self, n: int, turn: Turn) -> Sequence[Requests]:
        """At most n further requests, in homogeneous batches.

        None while something is in flight means waiting for results; none while nothing is means exhausted, which ends
        the run.
        """

    @abstractmethod
    def tell(self, results: Sequence[Results], turn: Turn) -> Sequence[Change]:
        """Take results (failed rows included) and say what changed in the archives."""

    @property
    @abstractmethod
    def archives(self) -> Mapping[str, Archive]:
        """name -> archive, the main one first."""

    @property
    def expected(self) -> float | None:
        """After `setup`: how many evaluations it will ask for in all, None where it cannot know; for progress."""
        return None

    @property
    def exhausted(self) -> str:
        """Why there is nothing more to ask for, in words: the reason of a run that ends so."""
        return "the algorithm has nothing more to ask for"

    @property
    def operators(self) -> Mapping[str, Operator]:
        """Operators that its requests name in `make`; shipped to the workers."""
        return {}

    @abstractmethod
    def state(self) -> Mapping[str, Any]:
        """All that moves have changed, as dicts, lists, numbers, text and arrays. A cache, never the truth."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a `state` after `setup`."""
