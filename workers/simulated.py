"""Workers on a virtual clock: drawn evaluation times, injected faults, the real master.

Nothing sleeps and nothing runs in parallel, so a seed replays a schedule exactly. With `charge` the master's own CPU
time and a cost per message move the virtual clock too, which shows where one master saturates.
"""

from __future__ import annotations

import heapq
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count as counter

import numpy as np

from evo.evaluator import Resources
from evo.records import Outcomes, Requests
from evo.worker import Delivered, Died, Event, Kit, Message, Ready, Workers
from workers.evaluation import Bench

__all__ = ["Faults", "Simulated"]


@dataclass(frozen=True)
class Faults:
    """Chances per delivered chunk (`fail_start` per start), drawn from the simulation's own stream."""

    crash: float = 0.0
    """The worker dies while evaluating, through no fault of a candidate."""
    hang: float = 0.0
    lose: float = 0.0
    """The delivery never arrives."""
    late: float = 0.0
    """It arrives much later, perhaps after its worker was given up."""
    duplicate: float = 0.0
    reorder: float = 0.0
    """It arrives after the next chunk."""
    node: float = 0.0
    """The worker's node is lost: an infrastructure death."""
    fail_start: float = 0.0
    poison: Callable[[Requests, int], str | None] = lambda requests, row: None
    """(requests, row) -> ``"crash"`` or ``"hang"`` for a candidate that does so every time."""


@dataclass
class _Process:
    """A simulated worker process."""

    queue: deque[tuple[Message, int]] = field(default_factory=deque)
    placed: bool = False
    running: bool = False
    dead: bool = False
    busy: float = 0.0


class Simulated(Workers):
    """Evaluates the real problem at virtual times.

    Args:
        seconds: mean of the drawn evaluation time of one candidate.
        sigma: of its lognormal law; 0 for constant times.
        count: how many workers a search starts.
        seed: of times and faults.
        faults: what goes wrong.
        charge: add the master's own CPU time, and `message_cost` a message, to the virtual clock.
        message_cost: seconds the master spends on sending one message and hearing its answer.
        start_seconds: how long a worker takes to start.
        capacity: how many workers the cluster holds at a time of the virtual clock; None for as many as are asked for.
            Where it falls below those there are, the newest are lost with their node; those that are started beyond it
            wait for a place.
    """

    def __init__(
        self,
        seconds: float = 0.1,
        sigma: float = 0.0,
        *,
        count: int = 1,
        seed: int = 0,
        faults: Faults | None = None,
        charge: bool = False,
        message_cost: float = 0.8e-3,
        start_seconds: float = 0.5,
        capacity: Callable[[float], int] | None = None,
    ) -> None:
        self._rng = np.random.default_rng(seed)
        self._mean, self._sigma = seconds, sigma
        self.count = count
        self._faults = faults or Faults()
        self._charge = charge
        self._message_cost = message_cost
        self._start_seconds = start_seconds
        self._capacity = capacity
        self._now = 0.0
        self._heap: list[tuple[float, int, Event | Callable[[], None]]] = []
        self._order = counter()
        self._numbers = counter()
        self._processes: dict[int, _Process] = {}
        self._bench: Bench | None = None
        self._polled = time.process_time()
        self.messages = 0
        """Messages sent."""
        self.blows: Counter[int] = Counter()
        """How often a request was under evaluation, or on its way back, when a fault struck."""
        self.met: Counter[str] = Counter()
        """How often each fault struck."""

    def open(self, kit: Kit, shapes: Sequence[Resources]) -> None:
        """Warm the problem up once, for all workers."""
        self._bench = Bench(kit)
        self._polled = time.process_time()

    def start(self, shape: Resources) -> int:
        """A worker that is ready `start_seconds` later, or fails to start."""
        number = next(self._numbers)
        self._processes[number] = _Process()
        self._admit()
        return number

    def room(self, shape: Resources) -> int | None:
        """What the capacity leaves at this time."""
        return None if self._capacity is None else max(0, self._capacity(self._now) - len(self._living()))

    def placed(self, worker: int) -> bool:
        """Whether there is a place for it, within the capacity."""
        return self._processes[worker].placed

    def send(self, worker: int, message: Message) -> None:
        """Queue the message on the worker."""
        self.messages += 1
        if self._charge:
            self._now += self._message_cost
        process = self._processes[worker]
        process.queue.append((message, 0))
        if not process.running:
            self._begin(worker, process)

    def poll(self, timeout: float) -> list[Event]:
        """Advance the clock to the next event, or by `timeout`."""
        if self._charge:
            self._now += time.process_time() - self._polled
        events: list[Event] = []
        end = self._now + timeout
        while not events and self._heap and self._heap[0][0] <= end:
            self._now = max(self._now, self._heap[0][0])
            while self._heap and self._heap[0][0] <= self._now:
                _, _, item = heapq.heappop(self._heap)
                if callable(item):
                    item()
                elif not (isinstance(item, Died) and self._processes[item.worker].dead):
                    if isinstance(item, Died):
                        self._processes[item.worker].dead = True
                    events.append(item)
        if not events:
            self._now = max(self._now, end)
        events += self._shrunk()
        if self._capacity is not None:
            self._admit()
        if self._charge:
            self._polled = time.process_time()
        return events

    def kill(self, worker: int) -> None:
        """End a worker; a delivery of its that is late may still turn up."""
        process = self._processes[worker]
        process.dead = True
        process.queue.clear()

    def now(self) -> float:
        """The virtual clock."""
        return self._now

    def close(self) -> None:
        """End all."""
        self._heap.clear()
        self._processes.clear()
        if self._bench is not None:
            self._bench.close()

    def busy(self) -> float:
        """Seconds that workers have spent on evaluations, all together."""
        return sum(process.busy for process in self._processes.values())

    def _living(self) -> list[int]:
        return [number for number, process in self._processes.items() if not process.dead]

    def _admit(self) -> None:
        """Those that wait longest have the places that are free."""
        living = self._living()
        waiting = [number for number in living if not self._processes[number].placed]
        if self._capacity is not None:
            waiting = waiting[: max(0, self._capacity(self._now) - (len(living) - len(waiting)))]
        for number in waiting:
            self._processes[number].placed = True
            failed = self._strikes("fail_start")
            event: Event = Died(number, "simulated: did not start") if failed else Ready(number)
            self._at(self._start_seconds, event)

    def _shrunk(self) -> list[Event]:
        """Nodes that are gone by now take their workers with them."""
        if self._capacity is None:
            return []
        placed = [number for number in self._living() if self._processes[number].placed]
        lost = placed[max(0, self._capacity(self._now)) :]
        for number in lost:
            self._processes[number].dead = True
        return [Died(number, "simulated: node removed", infrastructure=True) for number in lost]

    # The life of a message --------------------------------------------------------------------------------------------

    def _begin(self, worker: int, process: _Process) -> None:
        """Take up the next chunk of the worker's queue."""
        if not process.queue or process.dead:
            process.running = False
            return
        process.running = True
        message, low = process.queue.popleft()
        high = min(low + message.chunk, len(message.requests))
        seconds = self._seconds(high - low)
        for row in range(low, high):
            fate = self._faults.poison(message.requests, row)
            if fate == "hang":
                return  # silent for ever, until the master kills it
            if fate == "crash":
                self._at(seconds / 2, Died(worker, "simulated: killed by its candidate"))
                return
        ids = message.requests.ids[low:high].tolist()
        if self._strikes("hang"):
            self.blows.update(ids)
            return
        if self._strikes("crash"):
            self.blows.update(ids)
            self._at(seconds / 2, Died(worker, "simulated: crashed"))
            return
        if self._strikes("node"):
            self._at(seconds / 2, Died(worker, "simulated: node lost", infrastructure=True))
            return
        self._at(seconds, lambda: self._finish(worker, process, message, low, high, seconds))

    def _finish(self, worker: int, process: _Process, message: Message, low: int, high: int, seconds: float) -> None:
        if process.dead:
            return
        assert self._bench is not None
        process.busy += seconds
        outcomes, artifacts = self._bench.serve(message, low, high)
        outcomes.seconds = outcomes.cpu_seconds = seconds
        final = high >= len(message.requests)
        self._deliver(worker, Delivered(worker, message.id, outcomes, final, artifacts))
        if not final:
            process.queue.appendleft((message, high))
        self._begin(worker, process)

    def _deliver(self, worker: int, event: Delivered) -> None:
        if self._strikes("lose"):
            self.blows.update(event.outcomes.ids.tolist())
            if not event.final or self._chance(0.5):
                return  # not even that it was the last one is heard
            event = Delivered(worker, event.message, _nothing(event.outcomes), event.final)
        delay = 0.0
        if self._strikes("late"):
            self.blows.update(event.outcomes.ids.tolist())
            delay = self._mean * 50 * float(self._rng.random())
        elif self._strikes("reorder"):
            delay = self._mean * 3 * float(self._rng.random())
        self._at(delay, event)
        if self._strikes("duplicate"):
            self._at(delay + self._mean * 5 * float(self._rng.random()), event)

    def _seconds(self, n: int) -> float:
        if self._sigma == 0:
            return self._mean * n
        law = self._rng.lognormal(-(self._sigma**2) / 2, self._sigma, size=n)
        return float(self._mean * law.sum())

    def _strikes(self, fault: str) -> bool:
        struck = self._chance(getattr(self._faults, fault))
        self.met[fault] += struck
        return struck

    def _chance(self, probability: float) -> bool:
        return probability > 0 and float(self._rng.random()) < probability

    def _at(self, delay: float, item: Event | Callable[[], None]) -> None:
        assert math.isfinite(delay)
        heapq.heappush(self._heap, (self._now + delay, next(self._order), item))


def _nothing(outcomes: Outcomes) -> Outcomes:
    """A delivery whose content was lost on the way, but not that it was the last one."""
    return outcomes.take(np.empty(0, dtype=np.int64))
