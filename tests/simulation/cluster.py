"""Simulated workers on a cluster whose nodes come and go, and that is slow to give a worker its place."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from functools import partial
from typing import Any

from evo.evaluator import Resources
from evo.worker import Died, Event, Kit, Message, Ready
from workers.simulated import Simulated

__all__ = ["Cluster"]

CHANGE_SECONDS = 2.0
"""Between two changes of the number of places of one kind, on average."""
MOST = 4
"""Places of one kind there are at most."""
START_SECONDS = 0.2
"""From its place to a worker that is ready: less than there is between two looks of the master's."""
PLACING_SECONDS = 3.0
"""How long a worker waits for its place at most, where it gets one."""
IN_VAIN = 0.2
"""Share of the workers that never get a place: it has gone to others."""
NEVER = 1e9


class Cluster(Simulated):
    """One place a worker, of its kind; where there are fewer than workers, those too many are lost with their nodes.

    Most workers wait for their place, and some wait in vain.

    Args:
        vanish: the virtual time at which all nodes are gone for good; None for never.
    """

    def __init__(self, *args: Any, vanish: float | None = None, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self._vanish = vanish
        self.gone = False
        """All nodes have vanished."""
        self._places: dict[str, int] = {}
        self._kinds: dict[int, str] = {}
        self._placed: dict[int, float] = {}
        self._open: dict[int, set[int]] = {}
        """Messages that a worker which is ready has not finished, as the master knows."""
        self._let_go: str | None = None
        self._replacing: dict[int, str] = {}

    def open(self, kit: Kit, shapes: Sequence[Resources]) -> None:
        """Nodes for these shapes."""
        super().open(kit, shapes)
        for kind in sorted(set(map(_kind, shapes))):
            self._places[kind] = 1 + int(self._rng.integers(MOST))
            self._at(CHANGE_SECONDS, partial(self._change, kind))
        if self._vanish is not None:
            self._at(self._vanish, self._end)

    def start(self, shape: Resources) -> int:
        """A worker that waits for its place first."""
        kind = _kind(shape)
        waits = self._wait()
        self._start_seconds = START_SECONDS + waits
        number = super().start(shape)
        self._kinds[number], self._placed[number] = kind, self._now + waits
        self.met["place awaited"] += waits > 0
        if self._let_go == kind:
            self._replacing[number] = kind
        self._let_go = None
        return number

    def room(self, shape: Resources) -> int:
        """How many places of this kind are free, those that are waited for taken off."""
        kind = _kind(shape)
        return max(0, self._places[kind] - sum(self._kinds[number] == kind for number in self._living()))

    def placed(self, worker: int) -> bool:
        """Whether its waiting is over."""
        return self._placed[worker] <= self._now

    def send(self, worker: int, message: Message) -> None:
        """Queue the message."""
        self._replacing.pop(worker, None)
        self._open[worker].add(message.id)
        super().send(worker, message)

    def poll(self, timeout: float) -> list[Event]:
        """What has happened."""
        events = super().poll(timeout)
        for event in events:
            if isinstance(event, Ready):
                self._open[event.worker] = set()
            elif isinstance(event, Died):
                self._forget(event.worker)
            elif event.final:
                self._open.get(event.worker, set()).discard(event.message)
        return events

    def kill(self, worker: int) -> None:
        """End a worker, and remember when it was one that held nothing."""
        self._let_go = self._kinds[worker] if self._open.get(worker) == set() else None
        self._forget(worker)
        super().kill(worker)

    def replacing(self) -> dict[str, int]:
        """How many workers of each kind were started in place of one that held nothing, and were sent nothing yet."""
        kinds = list(self._replacing.values())
        return {kind: kinds.count(kind) for kind in kinds}

    def _forget(self, worker: int) -> None:
        self._open.pop(worker, None)
        self._replacing.pop(worker, None)

    def _wait(self) -> float:
        draw = float(self._rng.random())
        if self.gone or draw < IN_VAIN:
            return NEVER
        return PLACING_SECONDS * float(self._rng.random()) if draw < 0.6 else 0.0

    def _here(self, kind: str) -> list[int]:
        return [number for number in self._living() if self._kinds[number] == kind and self.placed(number)]

    def _change(self, kind: str) -> None:
        if self.gone:
            return
        before, self._places[kind] = self._places[kind], int(self._rng.integers(MOST + 1))
        self.met["nodes added"] += self._places[kind] > before
        here = self._here(kind)
        self._lose(here[: max(0, len(here) - self._places[kind])])
        self._at(2 * CHANGE_SECONDS * float(self._rng.random()), partial(self._change, kind))

    def _end(self) -> None:
        self.gone = True
        self.met["cluster vanished"] += 1
        for kind in self._places:
            self._places[kind] = 0
            self._lose(self._here(kind))
        waiting = {number for number in self._living() if not self.placed(number)}
        self._placed.update(dict.fromkeys(waiting, NEVER))
        self._heap = [
            entry for entry in self._heap if not (isinstance(entry[2], Ready | Died) and entry[2].worker in waiting)
        ]
        heapq.heapify(self._heap)

    def _lose(self, workers: Sequence[int]) -> None:
        for number in workers:
            self.met["node removed"] += 1
            self._at(0.0, Died(number, "simulated: node removed", infrastructure=True))


def _kind(shape: Resources) -> str:
    return next(iter(shape.custom), "")
