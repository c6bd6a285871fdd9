"""Several algorithms side by side in one run: whose turn it is, and who is told what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from evo.algorithm import Algorithm, Turn
from evo.algorithms.keeping import offer
from evo.algorithms.lanes import Lane
from evo.archive import Archive
from evo.operator import Operator
from evo.problem import Problem
from evo.records import Change, Requests, Results

__all__ = ["SideBySide"]


class SideBySide(Algorithm):
    """Asks its lanes so that each spends its share of the budget: the one that is furthest behind first.

    A lane is asked for an even part of what is wanted at a time, and waits while it is more than a block ahead of the
    last. What a lane leaves of the budget that has nothing more to ask for is shared out among the others. Results of
    nobody's requests (seeds) are told to all.
    """

    def _begin(self, lanes: Sequence[Lane], archive: Archive | None) -> None:
        """To be called by the constructor: the lanes, and the main archive; None for one like the first lane's."""
        self._lanes = list(lanes)
        self.archive = archive
        blocks = [lane.algorithm.block for lane in lanes]
        self._lead = float(max(blocks))
        self.block = sum(blocks)
        self.ends = all(lane.algorithm.ends for lane in lanes)

    def setup(self, problem: Problem) -> None:
        """Set all lanes up, and the main archive."""
        self._reporting = problem.evaluator.reporting
        for lane in self._lanes:
            lane.algorithm.setup(problem)
        first = next(iter(self._lanes[0].algorithm.archives.values()), None)
        main = self.archive if self.archive is not None else deepcopy(first)
        self._common: dict[str, Archive] = {}
        if main is not None:
            main.setup(problem.space, problem.objectives, problem.measures)
            self._common[main.name] = main
        self._whole = 0.0

    # Asking -----------------------------------------------------------------------------------------------------------

    def ask(self, n: int, turn: Turn) -> Sequence[Requests]:
        """What the lanes ask for, those that are behind first."""
        self._wake(turn.budget)
        batches: list[Requests] = []
        left, budget = n, turn.budget
        part = -(-n // len(self._lanes))
        waiting = [lane for lane in self._lanes if not lane.idle]
        while left and (lane := self._behind(waiting, budget)) is not None:
            means = self._means(lane, budget)
            given = lane.ask(int(min(part, left, means)), turn, batches, means)
            if not given:
                waiting.remove(lane)
            left -= sum(map(len, given))
            budget = round(budget - sum(one.reserve * len(one) for one in given), 9)
            batches += given
        if batches or any(lane.flying for lane in self._lanes):
            return batches
        for lane in sorted(self._lanes, key=_progress):  # shares that hold no whole evaluation may add up to one
            batches = lane.ask(n, turn, (), turn.budget)
            if batches:
                break
        return batches

    def _wake(self, budget: float) -> None:
        """When there is more to spend than there was, those who had ended may go on."""
        whole = -1.0 if math.isinf(budget) else round(budget + sum(lane.spent for lane in self._lanes), 9)
        if whole > self._whole:
            for lane in self._lanes:
                lane.idle = False
        self._whole = whole

    def _behind(self, waiting: Sequence[Lane], budget: float) -> Lane | None:
        """Whose turn it is: the last of those who can pay, unless someone who cannot be asked now is far behind it."""
        able = [lane for lane in self._lanes if not lane.idle and self._means(lane, budget) >= 1]
        lane = min((lane for lane in able if lane in waiting), key=_progress, default=None)
        return None if lane is None or _progress(lane) > min(map(_progress, able)) + self._lead else lane

    def _means(self, lane: Lane, budget: float) -> float:
        """What is left of the budget for one lane."""
        if math.isinf(budget):
            return budget
        able = [one for one in self._lanes if not one.idle or one is lane]
        whole = budget + sum(one.spent for one in able)
        return min(budget, round(whole * lane.share / sum(one.share for one in able) - lane.spent, 9))

    # Telling ----------------------------------------------------------------------------------------------------------

    def tell(self, results: Sequence[Results], turn: Turn) -> Sequence[Change]:
        """Offer all to the main archive, and tell each lane what is its own and what is nobody's."""
        changes = [change for archive in self._common.values() for change in offer(archive, results, self._reporting)]
        heard: list[list[Results]] = [[] for _ in self._lanes]
        for part in results:
            owners = [place for place, lane in enumerate(self._lanes) if lane.owns(part)]
            for place in owners or range(len(self._lanes)):
                heard[place].append(part)
        for lane, parts in zip(self._lanes, heard, strict=True):
            changes += lane.tell(parts, turn)
        return changes

    # The rest ---------------------------------------------------------------------------------------------------------

    @property
    def expected(self) -> float | None:
        """The sum of the lanes'."""
        known = [one for one in (lane.algorithm.expected for lane in self._lanes) if one is not None]
        return sum(known) if len(known) == len(self._lanes) else None

    @property
    def exhausted(self) -> str:
        """Each lane's reason."""
        return "; ".join(f"{lane.label}: {lane.algorithm.exhausted}" for lane in self._lanes)

    @property
    def archives(self) -> Mapping[str, Archive]:
        """The main one, then each lane's."""
        return {**self._common, **{name: one for lane in self._lanes for name, one in lane.archives.items()}}

    @property
    def operators(self) -> Mapping[str, Operator]:
        """All lanes' operators."""
        return {name: operator for lane in self._lanes for name, operator in lane.operators.items()}

    def state(self) -> Mapping[str, Any]:
        """The main archive's and each lane's."""
        return {
            "archive": [archive.state() for archive in self._common.values()],
            "lanes": [lane.state() for lane in self._lanes],
            "whole": self._whole,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Algorithm.restore`."""
        for archive, kept in zip(self._common.values(), state["archive"], strict=True):
            archive.restore(kept)
        for lane, kept in zip(self._lanes, state["lanes"], strict=True):
            lane.restore(kept)
        self._whole = state["whole"]


def _progress(lane: Lane) -> float:
    return lane.spent / lane.share
