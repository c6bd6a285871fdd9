"""Batches travel, results stream back: what waits is cut into messages and handed to workers; what they say is heard.

A worker serves its messages in order, so only the head of its queue can be under evaluation. A dead or overdue worker
is replaced; what it held and had not begun goes back to the front of the queue untouched.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count as counter

import numpy as np
from numpy.typing import NDArray

from evo.engine.failures import Blank, Caution, Failures
from evo.engine.queue import Queue
from evo.errors import WorkerError
from evo.evaluator import Fidelity, Resources
from evo.records import Outcomes, Requests, Status
from evo.store.writer import Attempt
from evo.worker import Delivered, Died, Message, Ready, Workers

__all__ = ["Dispatcher"]

START_DEADLINE = 180.0
"""Seconds a worker may take to start and warm up."""
STARTS_IN_A_ROW = 3
"""After so many starts in a row that failed there is no point in trying again."""


@dataclass(slots=True, eq=False)
class _Flight:
    """One message under way."""

    message: Message
    rows: int
    done: NDArray[np.bool_]
    caution: Caution
    sent: float
    leases: tuple[str, ...]
    delivered: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """What the worker says that it spent on what it delivered."""


@dataclass(slots=True, eq=False)
class _Worker:
    shape: Resources
    started: float
    ready: bool = False
    fresh: bool = True
    """Has not been sent anything yet."""
    since: float = 0.0
    """When it last said something, or was given something to do while idle."""
    flights: deque[_Flight] = field(default_factory=deque)


class Dispatcher:
    """Between the ledger and the workers. `absorb` hears, `pump` sends; the master writes the log in between."""

    def __init__(
        self,
        workers: Workers,
        shapes: Sequence[Resources],
        queue: Queue,
        fidelities: Mapping[str, Fidelity],
        blank: Blank,
        *,
        window: int = 2,
        artifact: Callable[[str], bytes | None] = lambda digest: None,
    ) -> None:
        self._backend = workers
        self._queue = queue
        self._fidelities = fidelities
        self._failures = Failures(blank)
        self._window = window
        self._artifact = artifact
        self._workers: dict[int, _Worker] = {}
        self._hungry: list[dict[int, None]] = [{} for _ in range(window)]
        """Workers that are ready, by the number of messages they hold; those with a full window are in none."""
        self._next_limit = 0.0
        """No deadline ends before this."""
        self.in_flight = 0
        """Requests on their way or under evaluation."""
        self._leases: set[str] = set()
        self._numbers = counter()
        self._failed_starts = 0
        self.attempts: list[Attempt] = []
        """Messages that ended since the master last took them."""
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        """What workers spent on what they delivered."""
        self.performed = 0
        self.attempted = 0
        self.lost = 0
        """Workers that died."""
        self._opened = workers.now()
        for shape in shapes:
            self._start(shape)

    # What the master asks ---------------------------------------------------------------------------------------------

    @property
    def alive(self) -> int:
        """Workers that are ready."""
        return sum(worker.ready for worker in self._workers.values())

    @property
    def busy(self) -> int:
        """Workers that hold a message."""
        return sum(bool(worker.flights) for worker in self._workers.values())

    def free(self) -> int:
        """How many more requests would keep the workers' queues full."""
        target = len(self._workers) * self._window * self._queue.usual_size()
        return max(0, target - self.in_flight - len(self._queue))

    def wait(self) -> float:
        """How long the master may sleep before a deadline has to be looked at."""
        return float(min(0.25, max(0.0, self._next_limit - self._backend.now())))

    # Hearing ----------------------------------------------------------------------------------------------------------

    def absorb(self, events: Sequence[Ready | Delivered | Died]) -> tuple[list[Outcomes], dict[str, bytes]]:
        """Outcomes that events and deadlines bring, and the small artifacts that came with them."""
        found: list[Outcomes] = []
        artifacts: dict[str, bytes] = {}
        for event in events:
            worker = self._workers.get(event.worker)
            if worker is None:
                continue  # it was given up before it spoke
            if isinstance(event, Delivered):
                artifacts.update(event.artifacts)
                outcomes = self._delivered(worker, event)
                if outcomes is not None:
                    found.append(outcomes)
            elif isinstance(event, Ready):
                worker.ready = True
                worker.since = self._backend.now()
                self._hungry[0][event.worker] = None
                self._failed_starts = 0
            else:
                found.extend(self._died(event.worker, event.reason, Status.CRASHED, event.infrastructure))
        found.extend(self._overdue())
        return found, artifacts

    def _delivered(self, worker: _Worker, event: Delivered) -> Outcomes | None:
        now = self._backend.now()
        flight = next((one for one in worker.flights if one.message.id == event.message), None)
        if flight is None:
            return None  # a message that was given up, or a repeated delivery
        worker.since = now
        outcomes = event.outcomes
        ids = flight.message.requests.ids
        before = flight.delivered
        if flight.rows == len(outcomes.ids) and not before:
            rows = None
            flight.delivered = flight.rows
            flight.done[:] = True
        else:
            rows = np.searchsorted(ids, outcomes.ids) if _ascending(ids) else _places(ids, outcomes.ids)
            fresh = ~flight.done[rows]
            if not fresh.all():
                outcomes = outcomes.take(np.flatnonzero(fresh))
                rows = rows[fresh]
            flight.done[rows] = True
            flight.delivered += len(rows)
        n = flight.delivered - before
        self.in_flight -= n
        if n:
            self.performed += n
            self._spent(flight, outcomes)
            self._queue.learn(flight.message.requests.fidelity, outcomes.seconds / n)
            if flight.caution:
                self._failures.cleared(flight.message.requests if rows is None else flight.message.requests.take(rows))
        if event.final:
            self._landed(event.worker, worker, flight)
            self._end(event.worker, flight, "ok" if flight.delivered == flight.rows else "lost")
            if flight.delivered < flight.rows:  # a delivery was lost on the way: the work is done again
                self._again(flight, np.flatnonzero(~flight.done), flight.caution)
        return outcomes if n else None

    def _spent(self, flight: _Flight, outcomes: Outcomes) -> None:
        flight.seconds += outcomes.seconds
        flight.cpu_seconds += outcomes.cpu_seconds
        self.seconds += outcomes.seconds
        self.cpu_seconds += outcomes.cpu_seconds

    def _landed(self, number: int, worker: _Worker, flight: _Flight) -> None:
        held = len(worker.flights)
        if held < self._window:
            self._hungry[held].pop(number, None)
        worker.flights.remove(flight)
        self.in_flight -= flight.rows - flight.delivered
        self._hungry[held - 1][number] = None

    def _overdue(self) -> list[Outcomes]:
        now = self._backend.now()
        if not self._backend.restartable or now < self._next_limit:
            return []
        found: list[Outcomes] = []
        for number, worker in list(self._workers.items()):
            if (worker.flights or not worker.ready) and now >= self._limit(worker):
                self._backend.kill(number)
                reason = "exceeded its deadline" if worker.ready else f"did not start within {START_DEADLINE:g} s"
                if worker.flights:
                    reason += f" of {worker.flights[0].message.deadline:g} s"
                found.extend(self._died(number, reason, Status.TIMEOUT, infrastructure=False))
        ends = (self._limit(worker) for worker in self._workers.values() if worker.flights or not worker.ready)
        self._next_limit = min(ends, default=math.inf)
        return found

    def _limit(self, worker: _Worker) -> float:
        """When a silence is too long: a chunk may take one candidate's deadline and what the others usually take."""
        if not worker.ready:
            return worker.started + START_DEADLINE
        message = worker.flights[0].message
        usual = self._queue.seconds(message.requests.fidelity) * (message.chunk - 1)
        return worker.since + message.deadline + 4 * usual

    def _died(self, number: int, reason: str, status: Status, infrastructure: bool) -> list[Outcomes]:
        worker = self._workers.pop(number)
        self._forget(number, worker)
        self.lost += 1
        if not worker.ready and not infrastructure:
            self._failed_starts += 1
            if self._failed_starts >= STARTS_IN_A_ROW:
                raise WorkerError(f"workers cannot start ({self._failed_starts} tries in a row): {reason}")
        outcomes: list[Outcomes] = []
        for place, flight in reversed(list(enumerate(worker.flights))):
            self.in_flight -= flight.rows - flight.delivered
            undone = np.flatnonzero(~flight.done)
            if place > 0 or infrastructure or not worker.ready or not len(undone):
                self._end(number, flight, "lost")
                self._again(flight, undone, flight.caution)
            else:
                self._end(number, flight, "timeout" if status == Status.TIMEOUT else "crash")
                alone = len(worker.flights) == 1 and len(undone) == 1
                outcomes.extend(self._judge(flight, undone, status, reason, alone))
        self._start(worker.shape)
        return outcomes

    def _judge(
        self, flight: _Flight, undone: NDArray[np.int64], status: Status, reason: str, alone: bool
    ) -> list[Outcomes]:
        """The first undelivered chunk was under evaluation; the rest of the message had not begun."""
        chunk = flight.message.chunk
        end = (int(undone[0]) // chunk + 1) * chunk
        self._again(flight, undone[undone >= end], flight.caution if flight.caution != Caution.ALONE else Caution.NONE)
        under = flight.message.requests.take(undone[undone < end])
        group = self._fidelity(under.fidelity).group
        verdict = self._failures.suspect(under, flight.caution, status, reason, group, alone)
        if verdict.quarantined is not None:
            return [verdict.quarantined]
        assert verdict.again is not None
        self._queue.put_back(verdict.again, verdict.caution)
        return []

    def _again(self, flight: _Flight, rows: NDArray[np.int64], caution: Caution) -> None:
        if len(rows):
            self._queue.put_back(flight.message.requests.take(rows), caution)

    def _end(self, number: int, flight: _Flight, outcome: str) -> None:
        self._leases.difference_update(flight.leases)
        requests = flight.message.requests
        now = self._backend.now()
        self.attempts.append(
            Attempt(
                number,
                int(requests.ids[0]),
                int(requests.ids[-1]),
                flight.rows,
                flight.delivered,
                requests.fidelity,
                flight.sent - self._opened,
                now - self._opened,
                outcome,
                flight.seconds,
                flight.cpu_seconds,
            )
        )

    # Sending ----------------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Hand out what waits, evenly: a first message to every idle worker before anyone gets a second."""
        if not len(self._queue):
            return
        for hungry in self._hungry:
            for number in list(hungry):
                if not len(self._queue):
                    return
                self._feed(number, self._workers[number])
        if self._queue.alone:
            self._freshen()

    def _feed(self, number: int, worker: _Worker) -> None:
        if any(flight.caution for flight in worker.flights):
            return  # a suspect shares its worker with nobody
        shares = (
            len(self._workers) * self._window if len(self._workers) > 1 else 1
        )  # one worker has nobody to share with
        idle = not worker.flights
        taken = self._queue.take(worker.shape, idle, worker.fresh, shares, self._leases)
        if taken is None:
            return
        requests, caution, chunk = taken
        fidelity = self._fidelity(requests.fidelity)
        message = Message(
            next(self._numbers), requests, chunk, fidelity.deadline, self._artifacts(requests) if requests.needs else {}
        )
        now = self._backend.now()
        n = len(requests)
        flight = _Flight(message, n, np.zeros(n, dtype=bool), caution, now, fidelity.exclusive)
        self._leases.update(fidelity.exclusive)
        held = len(worker.flights)
        del self._hungry[held][number]
        if held + 1 < self._window:
            self._hungry[held + 1][number] = None
        worker.fresh = False
        worker.flights.append(flight)
        self.in_flight += n
        if idle:
            worker.since = now
            self._next_limit = min(self._next_limit, self._limit(worker))
        self.attempted += n
        self._backend.send(number, message)

    def _freshen(self) -> None:
        """A suspect waits for a fresh worker: when none is coming, an idle one is replaced."""
        if any(worker.fresh for worker in self._workers.values()):
            return
        for number, worker in self._workers.items():
            if worker.ready and not worker.flights:
                self._backend.kill(number)
                self._forget(number, worker)
                del self._workers[number]
                self._start(worker.shape)
                return

    def _start(self, shape: Resources) -> None:
        number = self._backend.start(shape)
        self._workers[number] = _Worker(shape, self._backend.now())
        self._next_limit = min(self._next_limit, self._backend.now() + START_DEADLINE)

    def _forget(self, number: int, worker: _Worker) -> None:
        if worker.ready and len(worker.flights) < self._window:
            del self._hungry[len(worker.flights)][number]

    def _fidelity(self, name: str) -> Fidelity:
        return self._fidelities[name]

    def _artifacts(self, requests: Requests) -> dict[str, bytes]:
        wanted = {digest for row in requests.needs for digest in row}
        contents = {digest: self._artifact(digest) for digest in sorted(wanted)}
        return {digest: content for digest, content in contents.items() if content is not None}


def _ascending(ids: NDArray[np.int64]) -> bool:
    return bool((ids[1:] > ids[:-1]).all())


def _places(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    order = np.argsort(ids, kind="stable")
    return np.asarray(order[np.searchsorted(ids, wanted, sorter=order)], dtype=np.int64)
