"""Batches travel, results stream back: what waits is cut into messages and handed to workers; what they say is heard.

A worker serves its messages in order, so only the head of its queue can be under evaluation. A dead or overdue worker
is replaced; what it held and had not begun goes back to the front of the queue untouched. How many workers there should
be is for `staffing` to say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import count as counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.engine.crew import Group
from evo.engine.failures import Blank, Caution, Failures
from evo.engine.flight import START_DEADLINE, Employed, Flight, contained
from evo.engine.queue import Queue
from evo.engine.staffing import LOOK_SECONDS, Staffing, census_of
from evo.errors import WorkerError
from evo.evaluator import Fidelity, Resources
from evo.records import Outcomes, Requests, Status
from evo.redact import redact
from evo.store.writer import Attempt
from evo.worker import Delivered, Died, Message, Ready, Workers

__all__ = ["Dispatcher"]

STARTS_IN_A_ROW = 3
"""After so many starts in a row that failed there is no point in trying again."""
STARTS_BESIDE_OTHERS = 30
"""As long as other workers work, the run goes on without the missing one, and it takes so many to give up."""


class Dispatcher:
    """Between the ledger and the workers. `absorb` hears, `pump` sends; the master writes the log in between."""

    def __init__(
        self,
        workers: Workers,
        groups: Sequence[Group],
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
        self._workers: dict[int, Employed] = {}
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
        self.introduced: list[Mapping[str, Any]] = []
        """What workers said of themselves since the master last took it."""
        self.sandbox: dict[str, str] | None = None
        """Ability of a sandbox -> what got through on some worker's host, nothing where all contain it; None without
        a sandbox."""
        self._opened = workers.now()
        self._staffing = Staffing(groups, queue, fidelities, workers)
        self._next_look = self._opened
        self._waiting = 0
        """Workers that had no place yet at the last look."""
        self._substitute: int | None = None
        """The last worker that was started in the place of an idle one, for a suspect."""
        self._staff()

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
        workers = self._here * self._window + self._staffing.growth
        target = workers * self._queue.usual_size()
        return max(0, target - self.in_flight - len(self._queue))

    @property
    def _here(self) -> int:
        """Workers that have a place, as far as that is known."""
        return max(1, len(self._workers) - self._waiting)

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
                worker.ready = worker.placed = True
                worker.contained = contained(event.about)
                self._introduced(event)
                worker.since = self._backend.now()
                self._hungry[0][event.worker] = None
                self._failed_starts = 0
            else:
                found.extend(self._died(event.worker, redact(event.reason), Status.CRASHED, event.infrastructure))
        found.extend(self._overdue())
        return found, artifacts

    def _introduced(self, event: Ready) -> None:
        if event.about:
            self.introduced.append({"worker": event.worker, **event.about})
        contained = (event.about.get("sandbox") or {}).get("contained")
        if contained is not None:
            known = self.sandbox or {}
            self.sandbox = {name: known.get(name) or reached for name, reached in contained.items()}

    def _delivered(self, worker: Employed, event: Delivered) -> Outcomes | None:
        now = self._backend.now()
        flight = next((one for one in worker.flights if one.message.id == event.message), None)
        if flight is None:
            return None  # a message that was given up, or a repeated delivery
        worker.since = now
        outcomes = event.outcomes
        before = flight.delivered
        if flight.rows == len(outcomes.ids) and not before:
            rows = None
            flight.delivered = flight.rows
            flight.done[:] = True
        else:
            rows = flight.places(outcomes.ids)
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
            if flight.caution or self._failures.losses:
                self._failures.cleared(flight.message.requests if rows is None else flight.message.requests.take(rows))
        if event.final:
            self._landed(event.worker, worker, flight)
            self._end(event.worker, flight, "ok" if flight.delivered == flight.rows else "lost")
            if flight.delivered < flight.rows:  # a delivery was lost on the way: the work is done again
                self._again(flight, np.flatnonzero(~flight.done), flight.caution)
        return outcomes if n else None

    def _spent(self, flight: Flight, outcomes: Outcomes) -> None:
        flight.seconds += outcomes.seconds
        flight.cpu_seconds += outcomes.cpu_seconds
        self.seconds += outcomes.seconds
        self.cpu_seconds += outcomes.cpu_seconds

    def _landed(self, number: int, worker: Employed, flight: Flight) -> None:
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
            if (worker.flights or not worker.ready) and now >= worker.limit(self._queue.seconds):
                if not worker.ready and not worker.placed:  # perhaps there is a place elsewhere
                    self._let_go(number)
                    continue
                self._backend.kill(number)
                reason = "exceeded its deadline" if worker.ready else f"did not start within {START_DEADLINE:g} s"
                if worker.flights:
                    reason += f" of {worker.flights[0].message.deadline:g} s"
                found.extend(self._died(number, reason, Status.TIMEOUT, infrastructure=False))
        usual = self._queue.seconds
        ends = (worker.limit(usual) for worker in self._workers.values() if worker.flights or not worker.ready)
        self._next_limit = min(ends, default=math.inf)
        return found

    def _died(self, number: int, reason: str, status: Status, infrastructure: bool) -> list[Outcomes]:
        worker = self._workers.pop(number)
        self._forget(number, worker)
        self.lost += 1
        self._staffing.last_death = reason
        bounded = self._staffing.bounded[worker.group]
        if not worker.ready and not (infrastructure and bounded):
            self._failed_starts += 1
            if self._failed_starts >= (STARTS_BESIDE_OTHERS if self.alive else STARTS_IN_A_ROW):
                raise WorkerError(f"workers cannot start ({self._failed_starts} tries in a row): {reason}")
        outcomes: list[Outcomes] = []
        for place, flight in reversed(list(enumerate(worker.flights))):
            self.in_flight -= flight.rows - flight.delivered
            undone = np.flatnonzero(~flight.done)
            if place > 0 or not len(undone):
                self._end(number, flight, "lost")
                self._again(flight, undone, flight.caution)
            else:
                fault = "timeout" if status == Status.TIMEOUT else "crash"
                self._end(number, flight, "lost" if infrastructure else fault)
                alone = len(worker.flights) == 1 and len(undone) == 1
                outcomes.extend(self._judge(flight, undone, None if infrastructure else status, reason, alone))
        if not (infrastructure and bounded):
            self._start(worker.group)
        elif worker.ready:
            self._next_look = self._backend.now()  # its place is gone too: is there another?
        return outcomes

    def _judge(
        self, flight: Flight, undone: NDArray[np.int64], status: Status | None, reason: str, alone: bool
    ) -> list[Outcomes]:
        """The first undelivered chunk was under evaluation, the rest had not begun; no status for a lost node."""
        chunk = flight.message.chunk
        end = (int(undone[0]) // chunk + 1) * chunk
        self._again(flight, undone[undone >= end], flight.caution if flight.caution != Caution.ALONE else Caution.NONE)
        under = flight.message.requests.take(undone[undone < end])
        group = self._fidelity(under.fidelity).group
        if status is None:
            verdict = self._failures.bereaved(under, flight.caution, reason, group, alone)
        else:
            verdict = self._failures.suspect(under, flight.caution, status, reason, group, alone)
        if verdict.quarantined is not None:
            return [verdict.quarantined]
        assert verdict.again is not None
        self._queue.put_back(verdict.again, verdict.caution)
        return []

    def _again(self, flight: Flight, rows: NDArray[np.int64], caution: Caution) -> None:
        if len(rows):
            self._queue.put_back(flight.message.requests.take(rows), caution)

    def _end(self, number: int, flight: Flight, outcome: str) -> None:
        self._leases.difference_update(flight.leases)
        self.attempts.append(flight.attempt(number, outcome, self._opened, self._backend.now()))

    # Sending ----------------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Hand out what waits, evenly: a first message to every idle worker before anyone gets a second."""
        if len(self._queue):
            self._hand_out()
        if self._backend.now() >= self._next_look:
            self._staff()

    def _hand_out(self) -> None:
        for hungry in self._hungry:
            for number in list(hungry):
                if not len(self._queue):
                    return
                self._feed(number, self._workers[number])
        if self._queue.alone:
            self._freshen()

    def _feed(self, number: int, worker: Employed) -> None:
        if any(flight.caution for flight in worker.flights):
            return  # a suspect shares its worker with nobody
        shares = self._here * self._window if self._here > 1 else 1  # one worker has nobody to share with
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
        flight = Flight(message, n, np.zeros(n, dtype=bool), caution, now, fidelity.exclusive)
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
            self._next_limit = min(self._next_limit, worker.limit(self._queue.seconds))
        self.attempted += n
        self._backend.send(number, message)

    def _freshen(self) -> None:
        """A suspect waits for a fresh worker that can serve it: when none is coming, an idle one is replaced.

        One at a time, for where workers wait for a place it is not known at once that the new one has it.
        """
        needed = self._fidelity(self._queue.alone[0].fidelity).resources
        able = {number: worker for number, worker in self._workers.items() if worker.shape.covers(needed)}
        if any(worker.fresh and (worker.placed or number == self._substitute) for number, worker in able.items()):
            return
        for number, worker in able.items():
            if worker.ready and not worker.flights:
                self._let_go(number)
                self._substitute = self._start(worker.group)
                return

    # Staff ------------------------------------------------------------------------------------------------------------

    def _staff(self) -> None:
        """See who has a place by now, start those that there is room and work for, let go who is idle for long."""
        now = self._backend.now()
        self._next_look = now + LOOK_SECONDS
        for number, worker in self._workers.items():
            if not worker.placed and self._backend.placed(number):
                worker.placed, worker.started = True, now
        census = census_of(self._workers, len(self._staffing.groups), now)
        self._waiting = sum(group.waiting for group in census)
        self._staffing.check(census, now)
        for number in self._staffing.leaves(census):
            self._let_go(number)
        for group, count in self._staffing.starts(census):
            for _ in range(count):
                self._start(group)

    def _start(self, group: int) -> int:
        shape = self._staffing.groups[group].shape or Resources()
        number = self._backend.start(shape)
        now = self._backend.now()
        self._workers[number] = Employed(shape, group, now, self._backend.placed(number))
        self._next_limit = min(self._next_limit, now + START_DEADLINE)
        return number

    def _let_go(self, number: int) -> None:
        self._backend.kill(number)
        self._forget(number, self._workers.pop(number))

    def _forget(self, number: int, worker: Employed) -> None:
        if worker.ready and len(worker.flights) < self._window:
            del self._hungry[len(worker.flights)][number]

    def _fidelity(self, name: str) -> Fidelity:
        return self._fidelities[name]

    def _artifacts(self, requests: Requests) -> dict[str, bytes]:
        wanted = {digest for row in requests.needs for digest in row}
        contents = {digest: self._artifact(digest) for digest in sorted(wanted)}
        return {digest: content for digest, content in contents.items() if content is not None}
