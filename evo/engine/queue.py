"""What waits to be sent, by fidelity and by caution, and how much of it makes one message."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from evo.engine.failures import Caution
from evo.evaluator import Fidelity, Resources
from evo.records import Requests

__all__ = ["Queue"]

GROUP_SECONDS = 0.035
"""What a streamed group of results should be worth: often enough for a fresh archive, rarely enough to cost nothing."""
LEAST_SECONDS = 0.002
"""Work that is not worth another message: a call on an actor costs 0.8 ms."""
FIRST_SIZE = 4
"""Rows of a message while nothing is known of the evaluation time."""
LARGEST = 1 << 16


@dataclass
class Queue:
    """Segments of batches in the order in which they were asked; suspects apart."""

    fidelities: Mapping[str, Fidelity]
    message_seconds: float = 0.1
    """Work that one message should hold."""
    alone: deque[Requests] = field(default_factory=deque)
    """Requests that wait for a message of their own on a fresh worker."""
    _careful: deque[tuple[Requests, Caution]] = field(default_factory=deque)
    _waiting: dict[str, deque[Requests]] = field(default_factory=dict)
    _usual: dict[str, float] = field(default_factory=dict)
    _rows: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    def __len__(self) -> int:
        """Requests that wait."""
        return self._count

    def waiting(self, fidelity: str) -> int:
        """Requests that wait at one fidelity."""
        return self._rows.get(fidelity, 0)

    def messages(self, fidelity: str) -> int:
        """How many further workers a fidelity could keep busy: full messages that wait, as far as its time is known."""
        rows = self.waiting(fidelity)
        if fidelity not in self._usual or self.fidelities[fidelity].exclusive:
            return 0
        return rows // self.size(fidelity)

    def wanted(self) -> set[str]:
        """The fidelities that anything waits for, suspects included."""
        found = {name for name, rows in self._rows.items() if rows}
        found.update(requests.fidelity for requests, _ in self._careful)
        found.update(requests.fidelity for requests in self.alone)
        return found

    def put(self, requests: Requests) -> None:
        """Queue a batch behind the others of its fidelity; what a worker need not see stays behind."""
        requests = Requests(
            requests.genomes,
            fidelity=requests.fidelity,
            draw=requests.draw,
            params=requests.params,
            needs=requests.needs,
            make=requests.make,
            args=requests.args,
            inputs=requests.inputs,
            ids=requests.ids,
        )
        self._waiting.setdefault(requests.fidelity, deque()).append(requests)
        self._rows[requests.fidelity] = self.waiting(requests.fidelity) + len(requests)
        self._count += len(requests)

    def put_back(self, requests: Requests, caution: Caution) -> None:
        """Queue rows again: untouched ones first in line, suspects apart."""
        self._count += len(requests)
        if caution == Caution.ALONE:
            self.alone.extend(requests.take(slice(row, row + 1)) for row in range(len(requests)))
        elif caution:
            self._careful.append((requests, caution))
        else:
            self._waiting.setdefault(requests.fidelity, deque()).appendleft(requests)
            self._rows[requests.fidelity] = self.waiting(requests.fidelity) + len(requests)

    def learn(self, fidelity: str, seconds: float) -> None:
        """Take a measured evaluation time into account."""
        before = self._usual.get(fidelity)
        self._usual[fidelity] = seconds if before is None else before + 0.3 * (seconds - before)

    def seconds(self, fidelity: str) -> float:
        """What one candidate usually takes; 0 while unknown."""
        return self._usual.get(fidelity, 0.0)

    def size(self, fidelity: str) -> int:
        """Rows that are worth one message."""
        usual = self._usual.get(fidelity)
        if usual is None:
            return FIRST_SIZE
        return int(min(LARGEST, max(1.0, self.message_seconds / max(usual, 1e-9))))

    def usual_size(self) -> int:
        """Rows of a typical message, over the fidelities in use."""
        return max((self.size(name) for name in self._usual), default=FIRST_SIZE)

    def take(
        self, shape: Resources, idle: bool, fresh: bool, shares: int, leases: Collection[str]
    ) -> tuple[Requests, Caution, int] | None:
        """The next message for a worker of this shape: (rows, caution, rows a chunk), None when nothing fits.

        Args:
            shape: what the worker has.
            idle: it holds nothing, so suspects may be sent to it.
            fresh: nothing was ever sent to it.
            shares: into how many messages what waits should be spread at least.
            leases: exclusive things taken at present.
        """
        if fresh and self.alone and self._serves(shape, self.alone[0], leases):
            return self._taken(self.alone.popleft(), Caution.ALONE, 1)
        if idle and self._careful and self._serves(shape, self._careful[0][0], leases):
            requests, caution = self._careful.popleft()
            group = self.fidelities[requests.fidelity].group
            return self._taken(requests, caution, 1 if caution == Caution.SPLIT else group)
        for name in reversed(list(self.fidelities)):  # the most faithful first: promotions free what waits for them
            segments = self._waiting.get(name)
            if self.fidelities[name].exclusive and not idle:
                continue  # a lease is taken for an evaluation, not for standing in line
            if segments and self._serves(shape, segments[0], leases):
                requests = self._cut(segments, self.fidelities[name], self._share(name, shares))
                self._rows[name] -= len(requests)
                return self._taken(requests, Caution.NONE, self._chunk(name, len(requests)))
        return None

    def _taken(self, requests: Requests, caution: Caution, chunk: int) -> tuple[Requests, Caution, int]:
        self._count -= len(requests)
        return requests, caution, chunk

    def _serves(self, shape: Resources, requests: Requests, leases: Collection[str]) -> bool:
        fidelity = self.fidelities[requests.fidelity]
        return shape.covers(fidelity.resources) and not any(name in leases for name in fidelity.exclusive)

    def _share(self, name: str, shares: int) -> int:
        fidelity = self.fidelities[name]
        if fidelity.exclusive:
            return 1
        even = max(-(-self.waiting(name) // shares), self._least(name))
        wanted = max(min(self.size(name), even), fidelity.concurrency)
        return -(-wanted // fidelity.group) * fidelity.group

    def _least(self, name: str) -> int:
        """Rows below which a message costs more than sharing the work wins."""
        usual = self._usual.get(name)
        return 1 if usual is None else int(min(LARGEST, LEAST_SECONDS / max(usual, 1e-9)))

    def _chunk(self, name: str, rows: int) -> int:
        fidelity = self.fidelities[name]
        usual = self._usual.get(name)
        if usual is None or usual * rows > 2 * GROUP_SECONDS:
            wanted = 1 if usual is None else int(max(1.0, GROUP_SECONDS / usual))
            wanted = max(wanted, fidelity.concurrency)
            return -(-wanted // fidelity.group) * fidelity.group
        return rows

    def _cut(self, segments: deque[Requests], fidelity: Fidelity, wanted: int) -> Requests:
        """Up to `wanted` rows from the front that may travel together."""
        first = segments.popleft()
        limit = min(wanted, _common_draw(first), _common_needs(first))
        if len(first) > limit:
            segments.appendleft(first.take(slice(limit, None)))
            return first.take(slice(0, limit))
        # Rows evaluated in groups keep their neighbours, so their batches are never joined with others.
        parts = [first]
        total = len(first)
        while fidelity.group == 1 and total < wanted and segments and _joinable(first, segments[0]):
            following = segments.popleft()
            if total + len(following) > wanted:
                segments.appendleft(following.take(slice(wanted - total, None)))
                following = following.take(slice(0, wanted - total))
            parts.append(following)
            total += len(following)
        return first if len(parts) == 1 else _joined(parts)


def _common_draw(requests: Requests) -> int:
    """How many leading rows share the first one's draw; all where each row draws for itself."""
    if requests.draw is None:
        return len(requests)
    other = np.flatnonzero(requests.draw != requests.draw[0])
    return int(other[0]) if len(other) else len(requests)


def _common_needs(requests: Requests) -> int:
    """How many leading rows need the same artifacts as the first."""
    others = (row for row, needs in enumerate(requests.needs) if needs != requests.needs[0])
    return next(others, len(requests))


def _joinable(first: Requests, other: Requests) -> bool:
    if first.make != other.make or dict(first.params) != dict(other.params):
        return False
    if (first.draw is None) != (other.draw is None) or first.needs[:1] != other.needs[:1]:
        return False
    if _common_needs(other) < len(other):
        return False
    return first.draw is None or (_common_draw(other) == len(other) and first.draw[0] == other.draw[0])  # type: ignore[index]


def _joined(parts: list[Requests]) -> Requests:
    def column(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else np.concatenate(values)

    def rows(name: str) -> Any:
        return [value for part in parts for value in getattr(part, name)]

    return replace(
        parts[0],
        genomes=column("genomes"),
        draw=column("draw"),
        ids=column("ids"),
        needs=rows("needs"),
        args=rows("args"),
        inputs=rows("inputs"),
    )
