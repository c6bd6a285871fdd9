"""Equal work is done once: the earlier request does it, the later ones are answered from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.engine.keys import KeyTable, work_keys
from evo.engine.ledger import Batch, Ledger
from evo.problem import Problem
from evo.records import Outcomes, Requests, Status

__all__ = ["Sharing"]


class Sharing:
    """Who does which work. A timeout or a crash is never shared: the next request of that key does the work itself.

    Args:
        problem: gives genomes their keys.
        ledger: what is in flight.
        logged: the logged outcome of an earlier request.
    """

    def __init__(self, problem: Problem, ledger: Ledger, logged: Callable[[int], Outcomes | None]) -> None:
        self._problem = problem
        self._ledger = ledger
        self._logged = logged
        self._keys = KeyTable()
        self._followers: dict[int, list[int]] = defaultdict(list)
        self._spoiled: set[int] = set()
        self._heirs: dict[int, int] = {}
        """Spoiled request -> the one that does its work instead."""

    def earlier(self, requests: Requests) -> NDArray[np.int64] | None:
        """(n,) the earlier request that does each row's work, -1 for none; None when that holds for all rows."""
        keys = work_keys(self._problem, requests)
        if keys is None:
            return None
        earlier = self._keys.add(keys, requests.ids)
        for row in np.flatnonzero(earlier >= 0):
            if int(earlier[row]) in self._spoiled:
                self._keys.replace(int(keys[row]), int(requests.ids[row]))
                earlier[row] = -1
        return earlier if (earlier >= 0).any() else None

    def heard(self, part: Outcomes) -> None:
        """Take note of outcomes that cannot be shared, and of who did another's work; live and in a replay alike."""
        if part.status is not None:
            bad = (part.status == Status.TIMEOUT) | (part.status == Status.CRASHED)
            self._spoiled.update(part.ids[bad].tolist())
        batch = self._ledger.find(int(part.ids[0]))
        if batch is None or batch.earlier is None:
            return
        rows = part.ids - batch.first
        did = batch.earlier[rows] >= 0
        if part.same_as is not None:
            did &= part.same_as < 0
        for row in rows[did].tolist():
            self._inherit(batch, row)

    def split(self, batch: Batch, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[Outcomes]]:
        """(rows that do their work themselves, answers for those whose work is done); the others wait."""
        if batch.earlier is None:
            return rows, []
        own: list[int] = []
        answers: list[Outcomes] = []
        for row in rows.tolist():
            earlier = int(batch.earlier[row])
            if earlier < 0:
                own.append(row)
            elif not self._follows(earlier, int(batch.requests.ids[row]), answers):
                own.append(row)
                self._inherit(batch, row)
        return np.array(own, dtype=np.int64), answers

    def _follows(self, earlier: int, request: int, answers: list[Outcomes]) -> bool:
        """Whether a request is, or will be, answered by an earlier one."""
        while earlier in self._spoiled:
            if earlier not in self._heirs or self._heirs[earlier] == request:
                return False
            earlier = self._heirs[earlier]
        there = self._ledger.find(earlier)
        if there is not None and not there.done[earlier - there.first]:
            self._followers[earlier].append(request)
            return True
        found = None
        if there is not None:
            found = next((part for part in there.arrived if (part.ids == earlier).any()), None)
        found = found or self._logged(earlier)
        if found is None:
            return False
        answers.append(_copied(found.take(np.flatnonzero(found.ids == earlier)), earlier, request))
        return True

    def release(self, part: Outcomes) -> tuple[list[Outcomes], list[Requests]]:
        """(answers for those who waited for these outcomes, requests that must now do the work themselves)."""
        answers: list[Outcomes] = []
        heirs: list[Requests] = []
        if not self._followers:
            return answers, heirs
        for row, request in enumerate(part.ids.tolist()):
            followers = self._followers.pop(request, ())
            if not followers:
                continue
            if request in self._spoiled:
                heirs.append(self._heir(followers))
            else:
                one = part.take(np.array([row]))
                answers.extend(_copied(one, request, follower) for follower in followers)
        return answers, heirs

    def _heir(self, followers: list[int]) -> Requests:
        """The first of those who waited does the work, the rest wait for it."""
        heir, rest = followers[0], followers[1:]
        batch = self._ledger.find(heir)
        assert batch is not None
        self._followers[heir].extend(rest)
        row = heir - batch.first
        self._inherit(batch, row)
        return batch.requests.take(np.array([row]))

    def _inherit(self, batch: Batch, row: int) -> None:
        """This row does its work from now on."""
        assert batch.earlier is not None
        request = int(batch.requests.ids[row])
        leader = int(batch.earlier[row])
        while self._heirs.get(leader, request) != request:
            leader = self._heirs[leader]
        self._heirs[leader] = request
        keys = work_keys(self._problem, batch.requests.take(np.array([row])))
        if keys is not None:
            self._keys.replace(int(keys[0]), request)

    def state(self) -> dict[str, Any]:
        """For a snapshot; who waits for whom follows from what is in flight."""
        heirs = [list(pair) for pair in self._heirs.items()]
        return {"keys": self._keys.state(), "spoiled": sorted(self._spoiled), "heirs": heirs}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a `state`."""
        self._keys.restore(state["keys"])
        self._spoiled = set(state["spoiled"])
        self._heirs = dict(map(tuple, state["heirs"]))


def _copied(one: Outcomes, earlier: int, request: int) -> Outcomes:
    """The outcome of one request, as another's with the same work. Costs and counters are counted once."""
    return replace(
        one,
        ids=np.array([request], dtype=np.int64),
        same_as=np.array([earlier], dtype=np.int64),
        notes={row: replace(note, counters={}, costs={}) for row, note in one.notes.items()},
        seconds=0.0,
        cpu_seconds=0.0,
    )
