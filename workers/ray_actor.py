"""Workers as long-lived Ray actors: on this machine's cores or on a thousand machines.

Ray starts processes and carries messages; it restarts nothing and retries nothing. Each message is one call, its
outcomes one reply or, when it has several chunks, a stream of them, so that a crash costs only what was not delivered.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
import ray.cloudpickle
from ray.exceptions import (
    ActorUnschedulableError,
    GetTimeoutError,
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    RayActorError,
    RayError,
    RayTaskError,
    RuntimeEnvSetupError,
)

import evo
from evo.cluster.layout import check_layout, fingerprints, root
from evo.cluster.shipping import ship
from evo.evaluator import Resources
from evo.worker import Delivered, Died, Event, Kit, Message, Ready, Workers
from workers import ray_bench
from workers.ray_folder import Folder
from workers.ray_nodes import alive, answers, check, demand, free, how_many, some_place
from workers.ray_session import Session

__all__ = ["RayWorkers"]

# By value, so that the actor runs before anything is imported by name on the worker's side.
ray.cloudpickle.register_pickle_by_value(ray_bench)  # type: ignore[no-untyped-call]

_INFRASTRUCTURE = (ActorUnschedulableError, LocalRayletDiedError, NodeDiedError, RuntimeEnvSetupError)
_UNREADABLE = (GetTimeoutError, ObjectLostError)
"""Of a message this may be the fault of what was returned, unless the node that held it is lost; never of a start."""

_PATIENCE = 10.0
"""Seconds to read a result that Ray says is here."""

_KNOCKS = 3
"""Knocks without an answer after which a node is taken for lost."""
_KNOCK_AGAIN = 5.0
"""Seconds between looks whether a lost node answers again."""

_PLACE, _WARM = -2, -1
"""Calls on an actor that are no messages."""


@dataclass(slots=True)
class _Call:
    """One call on an actor whose end has not been seen."""

    source: Any
    """What to wait for: an ObjectRef, or an ObjectRefGenerator for a stream."""
    message: int
    """Its id; `_PLACE` for having a place at all, `_WARM` for warming up."""
    rows: int = 0
    """Not yet delivered."""
    stream: bool = False


@dataclass(slots=True)
class _Worker:
    handle: Any
    run: Any
    stream: Any
    shape: Resources
    calls: deque[_Call] = field(default_factory=deque)
    node: str | None = None
    """None while it waits for a place."""
    blind: bool = False
    """It does not see the run's folder."""


class RayWorkers(Workers):
    """Evaluates in Ray actors, one process each.

    Args:
        count_hint: how many workers there will be at least; Ray on this machine gets room for them.
        address: of a running cluster; None starts Ray on this machine. A Ray that is already initialised in this
            process (a notebook, a test session) is used, and outlives the workers.
        log: where Ray's own messages go, instead of the terminal.
        resources: custom resources that this machine has, for shapes that ask for them.
        optional: shapes that the cluster may have no node for yet, so that they are not refused.
    """

    def __init__(
        self,
        count_hint: int = 2,
        address: str | None = None,
        log: str | Path | None = None,
        *,
        resources: Mapping[str, float] | None = None,
        optional: Sequence[Resources] = (),
    ) -> None:
        self.count = count_hint
        self._optional = optional
        self._session = Session(address, Path(log) if log else None, resources or {})
        self._workers: dict[int, _Worker] = {}
        self._next = 0
        self._actor: Any = None
        self._warmth: tuple[Any, ...] = ()
        self._folder: Folder | None = None
        self._blind: set[str] = set()
        """Nodes that joined without seeing the run's folder, where the problem needs it."""
        self._gone: set[str] = set()
        """Nodes that do not answer."""
        self._next_knock = 0.0

    def open(self, kit: Kit, shapes: Sequence[Resources]) -> None:
        """Pack the kit, connect to Ray, refuse shapes that no node can hold and nodes that lack a folder they need."""
        check_layout()
        packed = ship(kit)
        self._session.open(shapes, self.count or 1, len(packed))
        check([shape for shape in shapes if shape not in self._optional])
        self._folder = Folder(kit, self._session.alone)
        self._folder.probe({node: one["NodeManagerAddress"] for node, one in alive().items()})
        self._actor = ray.remote(ray_bench.RayBench)
        local = self._session.local
        home = str(root()) if local else None
        path = [folder for folder in sys.path if local and os.path.isabs(folder)]
        self._warmth = ray.put(packed), evo.__version__, fingerprints(), home, path, self._folder.mark

    def start(self, shape: Resources) -> int:
        """Ask Ray for an actor of this shape and have it warm up."""
        asked = demand(shape)
        handle = self._actor.options(
            num_cpus=asked.pop("CPU", 0),
            num_gpus=asked.pop("GPU", 0),
            memory=asked.pop("memory", None),
            resources=asked,
            scheduling_strategy=some_place(shape, barred) if (barred := self._barred()) else "SPREAD",
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=1,
        ).remote(max(1, int(shape.cpus)))
        number, self._next = self._next, self._next + 1
        stream = handle.stream.options(num_returns="streaming").remote
        worker = _Worker(handle, handle.run.remote, stream, shape)
        worker.calls.append(_Call(handle.place.remote(), _PLACE))
        worker.calls.append(_Call(handle.warm.remote(*self._warmth), _WARM))
        self._workers[number] = worker
        return number

    def room(self, shape: Resources) -> int | None:
        """How many more such workers the free resources of the nodes allow; None on a Ray of our own."""
        asked = demand(shape)
        if self._session.alone or not asked:
            return None
        waiting = [worker.shape for worker in self._workers.values() if worker.node is None]
        return how_many(asked, free(self._barred()), waiting)

    def placed(self, worker: int) -> bool:
        """Whether the actor's process is there; until then it may wait for resources that others have taken."""
        return self._session.alone or self._workers[worker].node is not None

    def send(self, worker: int, message: Message) -> None:
        """Queue the message on the actor, as one call."""
        rows = len(message.requests)
        stream = message.chunk < rows
        to = self._workers[worker]
        if to.blind and self._folder is not None:
            message = self._folder.carrying(message)
        call = to.stream if stream else to.run
        to.calls.append(_Call(call(pickle.dumps(message, 5)), message.id, rows, stream))

    def poll(self, timeout: float) -> list[Event]:
        """All that has arrived; waits for the first of it."""
        # Only the oldest call of each worker: the next cannot be ready before it, and half as many are waited for.
        heads = {worker.calls[0].source: number for number, worker in self._workers.items() if worker.calls}
        if not heads:
            time.sleep(timeout)
            return []
        waited = list(heads)
        ready, _ = ray.wait(waited, num_returns=len(waited), timeout=0)
        if not ready and timeout > 0:
            ready, _ = ray.wait(waited, num_returns=1, timeout=timeout)
        return [event for source in ready for event in self._events(heads[source])]

    def kill(self, worker: int) -> None:
        """End the actor's process and forget what it was asked."""
        known = self._workers.pop(worker, None)
        if known is not None and ray.is_initialized():
            ray.kill(known.handle, no_restart=True)

    def now(self) -> float:
        """The machine's monotonic clock."""
        return time.monotonic()

    def close(self) -> None:
        """End the actors, and Ray where it was started here."""
        for number in list(self._workers):
            self.kill(number)
        self._warmth = ()
        if self._folder is not None:
            self._folder.close()
        self._session.close()

    def _events(self, number: int) -> Iterator[Event]:
        """What the oldest call of a worker has to say: its reply, or all of its stream that is here."""
        worker = self._workers[number]
        call = worker.calls[0]
        try:
            if call.message == _PLACE:
                worker.node = ray.get(call.source, timeout=_PATIENCE)
                worker.calls.popleft()
                return
            if call.message == _WARM:
                yield self._warmed(number, *ray.get(call.source, timeout=_PATIENCE))
                return
            while True:
                packed = ray.get(next(call.source) if call.stream else call.source, timeout=_PATIENCE)
                outcomes, artifacts = pickle.loads(packed)
                if worker.blind and self._folder is not None:
                    artifacts = self._folder.kept(artifacts)
                call.rows -= len(outcomes.ids)
                yield Delivered(number, call.message, outcomes, call.rows == 0, artifacts)
                if call.rows == 0:
                    worker.calls.popleft()
                    return
                if not ray.wait([call.source], timeout=0)[0]:
                    return
        except RayError as error:
            yield self._died(number, *self._blame(error, worker.node, call.message))

    def _warmed(self, number: int, about: dict[str, Any], complaint: str) -> Event:
        worker = self._workers[number]
        worker.calls.popleft()
        if complaint:
            return self._died(number, complaint)
        worker.blind = "artifacts" in about
        if worker.blind and self._folder is not None and self._folder.vital:
            self._blind.add(about["node"])  # it came after the others were asked, so the run goes on without it
            reason = f"its node does not see the run's folder: {about['artifacts']}"
            logging.getLogger("ray").warning("node %s is not used: %s", about["host"], reason)
            return self._died(number, reason, infrastructure=True)
        return Ready(number, about)

    def _blame(self, error: RayError, node: str | None, message: int) -> tuple[str, bool]:
        """Why a worker is gone, and whether that was its node's or Ray's own doing."""
        if isinstance(error, RayTaskError):  # our own code or `warm_up` raised
            return f"{type(error.cause).__name__}: {error.cause}\n{error}", False
        infrastructure = isinstance(error, _INFRASTRUCTURE if message >= 0 else _INFRASTRUCTURE + _UNREADABLE)
        if isinstance(error, RayActorError):
            infrastructure = error.preempted or "its node has died" in str(error)
        return _short(error), infrastructure or self._lost(node)

    def _lost(self, node: str | None) -> bool:
        """Whether a worker's node is gone; Ray itself takes a quarter of a minute to notice that it does not answer."""
        if node is None:
            return False
        if node in self._gone:
            return True
        known = alive().get(node)
        if known is not None and any(answers(known) for _ in range(_KNOCKS)):
            return False
        self._gone.add(node)
        self._next_knock = self.now() + _KNOCK_AGAIN
        return True

    def _barred(self) -> set[str]:
        """Nodes that take no new workers; one that did not answer for a while does so again."""
        if self._gone and self.now() >= self._next_knock:
            here = alive()
            self._gone = {node for node in self._gone if node not in here or not answers(here[node])}
            self._next_knock = self.now() + _KNOCK_AGAIN
        return self._blind | self._gone

    def _died(self, number: int, reason: str, infrastructure: bool = False) -> Died:
        self.kill(number)
        return Died(number, reason, infrastructure)


def _short(error: RayError) -> str:
    """Ray's words without its table of ids and its list of causes that might be."""
    lines = [line.strip() for line in str(error).splitlines() if not re.match(r"\t\w+: ", line)]
    return f"{type(error).__name__}: {' '.join(lines).partition(' Some common causes')[0]}"
