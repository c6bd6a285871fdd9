"""Enumeration: everything there is, shard by shard, once each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evo.algorithm import Algorithm, Turn
from evo.algorithms.keeping import offer
from evo.archive import Archive
from evo.archives import Grid, Top
from evo.errors import ConfigError
from evo.operator import Enumerator, Operator
from evo.problem import Problem
from evo.records import CHILDREN_LOST, MAX_CANDIDATES, Change, Requests, Results, Status, is_failure

__all__ = ["Enumeration"]

CELLS = 1_000_000
"""The most that the default grid has."""


class Enumeration(Algorithm):
    """Has workers go through all ranks of an `evo.Enumerator`, a shard a request; its survivors are the candidates.

    It ends by itself, so a run needs no budget; one of evaluations counts shards. A shard that fails or times out is
    not asked for again: the run's reason then says that the enumeration is not complete, and what is missing.

    Args:
        shard: ranks a request goes through: enough for about a second of work. What is found does not hang on it.
        operator: the name of the enumerator among the problem's `operators`; by default the only one there is.
        block: how many shards a block holds.
        archive: what is kept; by default the ten best, or with measures a grid of 50 cells along each (of fewer where
            that makes more than a million), or nothing for a problem without objectives. All survivors are in the log
            in any case (`evo.Run.candidates`).

    Raises:
        ConfigError: a shard or block below 1; in `setup`: no such operator, or it does not enumerate.
    """

    ends = True

    def __init__(
        self, shard: int, *, operator: str | None = None, block: int = 8, archive: Archive | None = None
    ) -> None:
        if shard < 1 or block < 1:
            raise ConfigError(f"Enumeration: expected shard and block of at least 1, got {shard} and {block}")
        self.shard = shard
        self.operator = operator
        self.block = block
        self.archive = archive
        self._total = 0
        self._archives: dict[str, Archive] = {}

    def setup(self, problem: Problem) -> None:
        """See `Algorithm.setup`."""
        self._reporting = problem.evaluator.reporting
        self._name, enumerator = _chosen(problem, self.operator)
        self._total = _counted(enumerator)
        self._check_shard(enumerator.survivors)
        archive = self.archive if self.archive is not None else _default(problem)
        self._archives = {} if archive is None else {archive.name: archive}
        if archive is not None:
            archive.setup(problem.space, problem.objectives, problem.measures)
        self._next = self._done = self._missing = self._lost = 0
        self._gap: list[int] = []

    def _check_shard(self, survivors: int) -> None:
        largest = max(1, MAX_CANDIDATES // max(1, survivors))
        if min(self.shard, self._total) > largest:
            raise ConfigError(
                f"algorithm.shard: expected at most {largest:,} ranks, as each may yield {survivors:,} candidates and "
                f"a request {MAX_CANDIDATES:,}; got {self.shard:,}"
            )

    def ask(self, n: int, turn: Turn) -> Sequence[Requests]:
        """The next n shards; none at the end."""
        starts = range(self._next, self._total, self.shard)[:n]
        if not starts:
            return ()
        args = [{"start": start, "stop": min(start + self.shard, self._total)} for start in starts]
        self._next = args[-1]["stop"]
        return [Requests(make=self._name, args=args)]

    def tell(self, results: Sequence[Results], turn: Turn) -> Sequence[Change]:
        """Offer the survivors to the archive, and note which shards are missing."""
        for part in results:
            if part.requests.make == self._name:
                self._note(part)
        archive = next(iter(self._archives.values()), None)
        return () if archive is None else offer(archive, results, self._reporting)

    def _note(self, part: Results) -> None:
        bad = np.flatnonzero(is_failure(part.status)).tolist()
        self._done += len(part.requests) - len(bad)
        self._missing += len(bad)
        for row in bad:
            args = part.requests.args[row]
            if not self._gap or args["start"] < self._gap[0]:
                self._gap = [args["start"], args["stop"]]
        for row, note in part.notes.items():
            if part.status[row] == Status.OK:
                self._lost += int(note.counters.get(CHILDREN_LOST, 0))

    @property
    def expected(self) -> float:
        """The number of shards."""
        return float(-(-self._total // self.shard))

    @property
    def exhausted(self) -> str:
        """Whether the enumeration is complete, and what is missing where it is not."""
        shards = self._done + self._missing
        if not self._missing and not self._lost:
            return f"the enumeration is complete: {_many(self._total, 'rank')} in {_many(shards, 'shard')}"
        gaps = []
        if self._missing:
            first = f"ranks {self._gap[0]} to {self._gap[1] - 1}"
            which = first if self._missing == 1 else f"the first has {first}"
            gaps.append(f"{self._missing:,} of {_many(shards, 'shard')} missing ({which})")
        if self._lost:
            gaps.append(f"{_many(self._lost, 'survivor')} not measured")
        return f"the enumeration is not complete: {', '.join(gaps)}"

    @property
    def archives(self) -> Mapping[str, Archive]:
        """The one archive; none for a problem without objectives."""
        return self._archives

    def state(self) -> Mapping[str, Any]:
        """Where it stands, what is missing, and the archive's."""
        return {
            "next": self._next,
            "done": self._done,
            "missing": self._missing,
            "lost": self._lost,
            "gap": self._gap,
            "archive": [archive.state() for archive in self._archives.values()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Algorithm.restore`."""
        self._next, self._done, self._missing = state["next"], state["done"], state["missing"]
        self._lost, self._gap = state["lost"], state["gap"]
        for archive, kept in zip(self._archives.values(), state["archive"], strict=True):
            archive.restore(kept)


def _chosen(problem: Problem, wanted: str | None) -> tuple[str, Enumerator]:
    """(name, operator) of the enumerator to use."""
    kind = type(problem).__name__
    operators = problem.operators
    found = {name: one for name, one in operators.items() if isinstance(one, Enumerator)}
    if wanted is None:
        if len(found) == 1:
            return next(iter(found.items()))
        has = f"enumerates in several ways ({', '.join(found)}): name one" if found else _nothing(operators)
        raise ConfigError(f"algorithm.operator: {kind} {has}")
    if wanted in found:
        return wanted, found[wanted]
    if wanted in operators:
        raise ConfigError(
            f"algorithm.operator: {kind}'s operator {wanted!r} is a {type(operators[wanted]).__name__}, which does not "
            f"enumerate; expected {' or '.join(found) or 'an evo.Enumerator'}"
        )
    expected = f"expected {' or '.join(found)}" if found else f"{kind} {_nothing(operators)}"
    raise ConfigError(f"algorithm.operator: unknown operator {wanted!r}; {expected}")


def _counted(enumerator: Enumerator) -> int:
    total = enumerator.total
    if not isinstance(total, int | np.integer) or total < 0:
        raise ConfigError(f"{type(enumerator).__name__}.total: expected a whole number of at least 0, got {total!r}")
    return int(total)


def _nothing(operators: Mapping[str, Operator]) -> str:
    has = f"has {', '.join(operators)}" if operators else "has none"
    return f"has no operator that enumerates (an evo.Enumerator among its operators; it {has})"


def _default(problem: Problem) -> Archive | None:
    if not problem.objectives:
        return None
    axes = len(problem.measures)
    return Grid((min(50, int(CELLS ** (1 / axes) + 1e-9)),) * axes) if axes else Top()


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
