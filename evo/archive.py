"""The archive: what is kept. Elites by key, one insertion rule, statistics that always equal a recount."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.problem import Measure, Objective
from evo.records import Change, Genomes
from evo.space import Space
from evo.spec import Configured

__all__ = ["IMPROVED", "NEW", "NOT_FINITE", "REJECTED", "Addition", "Archive", "Elites"]

NOT_FINITE, REJECTED, IMPROVED, NEW = -1, 0, 1, 2
"""Status of an offered candidate: dropped as not finite, not better than the elite, better, first of its cell."""


@dataclass(frozen=True, slots=True)
class Elites:
    """Elites in columns; read-only views where nothing had to be gathered."""

    keys: NDArray[np.int64]
    """(e,) cell index or rank"""
    candidate: NDArray[np.int64]
    """(e,)"""
    genomes: Genomes
    """(e, ...)"""
    objectives: NDArray[np.float64]
    """(e, k)"""
    measures: NDArray[np.float64]
    """(e, m)"""

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class Addition:
    """What became of n offered candidates."""

    status: NDArray[np.int8]
    """(n,) `NOT_FINITE`, `REJECTED`, `IMPROVED` or `NEW`, each relative to the archive before the batch."""
    value: NDArray[np.float64]
    """(n,) signed objective for a new cell, else the difference to the elite it met (positive: improvement)."""
    change: Change
    """The winners alone: what the archive now holds."""


class Archive(Configured, ABC):
    """Keeps elites. Constructed with its parameters, then `setup` for a problem's space.

    Comparison is by the first objective times its sign, strictly upwards: a tie leaves the elite. Inside a batch the
    best row of a cell wins, the first one on a tie. `min_gain` makes gains of at most that size ties.
    """

    name: str = "archive"

    @abstractmethod
    def setup(self, space: Space, objectives: Sequence[Objective], measures: Sequence[Measure]) -> None:
        """Allocate for genomes of `space`; empties the archive."""

    @abstractmethod
    def add(
        self,
        genomes: Genomes,
        objectives: NDArray[np.float64],
        measures: NDArray[np.float64],
        candidate: NDArray[np.int64],
    ) -> Addition:
        """Offer n candidates; all or nothing: an error leaves contents and statistics as they were.

        Args:
            genomes: (n, ...), copied.
            objectives: (n, k) as declared, not negated.
            measures: (n, m); out of range is clipped to the edge cells.
            candidate: (n,) ids.

        Raises:
            SpaceError: a wrong shape, naming argument, expected and received shape; or a value that is not finite when
                the archive's policy is to raise.
        """

    @abstractmethod
    def preview(
        self, objectives: NDArray[np.float64], measures: NDArray[np.float64]
    ) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """(status, value) that `add` would give each row on its own, without inserting."""

    @abstractmethod
    def elites(self) -> Elites:
        """All elites in key order."""

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> Elites:
        """n elites, uniform with replacement.

        Raises:
            ValueError: the archive is empty.
        """

    @abstractmethod
    def stats(self) -> dict[str, float]:
        """At least ``elites``; a grid adds ``coverage`` (0 to 1), ``qd_score`` and ``best``."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of elites."""

    @abstractmethod
    def state(self) -> Mapping[str, Any]:
        """Contents as arrays, for a snapshot."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a `state` after `setup`."""

    def describe(self) -> dict[str, Any]:
        """What a picture needs to know: kind, shape, ranges. JSON-like; stored in the run's header."""
        return {"kind": type(self).__name__}
