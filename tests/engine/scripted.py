"""Workers that follow a script, on a clock of their own, and a dispatcher in front of them."""

from collections import Counter, deque

import numpy as np

import evo
from evo.engine.crew import Group
from evo.engine.dispatch import Dispatcher
from evo.engine.failures import Blank
from evo.engine.queue import Queue
from evo.evaluator import Fidelity, Resources
from evo.records import BORN, Outcomes, Requests
from evo.worker import Delivered, Died, Ready, Workers

__all__ = ["Case", "Scripted"]


class Scripted(Workers):
    """Serves one chunk of one worker a poll, on a clock of its own, with the misfortunes it is told of."""

    def __init__(self):
        self.clock = 0.0
        self.started, self.killed, self.log = [], [], []
        self.serving = {}
        self.events = []
        self.broken_starts = 0
        self.silent_starts = 0
        self.killers = set()
        self.hangers = set()
        self.node_failures = 0
        self.losing = 0
        self.repeating = False

    def open(self, kit, shapes):
        pass

    def start(self, shape):
        number = len(self.started)
        self.started.append(shape)
        if self.broken_starts:
            self.broken_starts -= 1
            self.events.append(Died(number, "no such library"))
        elif self.silent_starts:
            self.silent_starts -= 1
        else:
            self.serving[number] = deque()
            self.events.append(Ready(number))
        return number

    def send(self, worker, message):
        self.log.append((worker, message.requests.ids.tolist(), message.chunk))
        self.serving[worker].append([message, 0])

    def poll(self, timeout):
        events, self.events = self.events, []
        for worker, waiting in list(self.serving.items()):
            if waiting:
                events += self._serve(worker, waiting)
        return events

    def _serve(self, worker, waiting):
        message, low = waiting[0]
        high = min(low + message.chunk, len(message.requests))
        ids = message.requests.ids[low:high]
        if self.hangers & set(ids.tolist()):
            return []
        if self.node_failures or self.killers & set(ids.tolist()):
            died = Died(worker, "signal 11", infrastructure=self.node_failures > 0)
            self.node_failures = max(0, self.node_failures - 1)
            del self.serving[worker]
            return [died]
        self.clock += 0.01 * len(ids)
        final = high == len(message.requests)
        waiting[0][1] = high
        if final:
            waiting.popleft()
        outcomes = Outcomes(ids, ids[:, None] * 1.0, np.empty((len(ids), 0)), seconds=0.01 * len(ids))
        delivered = Delivered(worker, message.id, outcomes, final, {f"a{one}": b"x" for one in ids.tolist()})
        if self.losing and not final:
            self.losing -= 1
            return []
        return [delivered, delivered] if self.repeating else [delivered]

    def kill(self, worker):
        self.killed.append(worker)
        self.serving.pop(worker, None)

    def now(self):
        return self.clock

    def close(self):
        pass


class Case:
    """A dispatcher between a queue and scripted workers."""

    def __init__(self, workers=1, n=0, window=2, shape=None, groups=None, **fidelity):
        self.backend = Scripted()
        fidelities = {BORN: Fidelity(), "full": Fidelity(**fidelity)}
        self.queue = Queue(fidelities)
        staff = groups or [Group(workers, workers, shape or Resources())]
        self.make = lambda: Dispatcher(
            self.backend, staff, self.queue, fidelities, Blank(evo.Box(0, 1, size=1), 1, 0),
            window=window, artifact={"known": b"content"}.get,
        )  # fmt: skip
        self.told, self.artifacts, self.dispatcher = [], {}, None
        if n:
            self.put(0, n)

    def put(self, first, n, **columns):
        ids = np.arange(first, first + n)
        self.queue.put(Requests(genomes=ids[:, None] * 1.0, ids=ids, fidelity="full", **columns))

    def tick(self, seconds=0.0):
        self.dispatcher = self.dispatcher or self.make()
        self.backend.clock += seconds
        outcomes, artifacts = self.dispatcher.absorb(self.backend.poll(0.0))
        self.told += outcomes
        self.artifacts |= artifacts
        self.dispatcher.pump()

    def run(self, ticks=500, seconds=0.0):
        for _ in range(ticks):
            self.tick(seconds)
            if not self.dispatcher.in_flight and not len(self.queue):
                return self.statuses()
        raise AssertionError("it never ended")

    def statuses(self):
        """id -> status, each counted once."""
        found = {}
        for part in self.told:
            status = np.zeros(len(part.ids), int) if part.status is None else part.status
            for one, code in zip(part.ids.tolist(), status.tolist(), strict=True):
                assert one not in found, f"{one} was told twice"
                found[one] = code
        return found

    def sent(self):
        """How often each id was sent."""
        return Counter(one for _, ids, _ in self.backend.log for one in ids)
