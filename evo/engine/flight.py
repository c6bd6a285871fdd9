"""What the dispatcher remembers: of each message that is under way, and of each worker."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.engine.failures import Caution
from evo.evaluator import Resources
from evo.store.writer import Attempt
from evo.worker import Message

__all__ = ["START_DEADLINE", "Employed", "Flight", "contained"]

START_DEADLINE = 180.0
"""Seconds a worker may take to start and warm up, and wait for a place."""
SANDBOX_GRACE = 10.0
"""Seconds that a worker has beyond a candidate's deadline to say that it has ended the candidate itself."""


@dataclass(slots=True, eq=False)
class Flight:
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

    def places(self, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in the message the requests with these ids are."""
        ids = self.message.requests.ids
        if (ids[1:] > ids[:-1]).all():
            return np.searchsorted(ids, wanted)
        order = np.argsort(ids, kind="stable")
        return np.asarray(order[np.searchsorted(ids, wanted, sorter=order)], dtype=np.int64)

    def attempt(self, worker: int, outcome: str, opened: float, now: float) -> Attempt:
        """For the log, once it has ended; times count from `opened`."""
        requests = self.message.requests
        return Attempt(
            worker,
            int(requests.ids[0]),
            int(requests.ids[-1]),
            self.rows,
            self.delivered,
            requests.fidelity,
            self.sent - opened,
            now - opened,
            outcome,
            self.seconds,
            self.cpu_seconds,
        )


@dataclass(slots=True, eq=False)
class Employed:
    """One worker."""

    shape: Resources
    group: int
    started: float
    placed: bool
    """It does not wait for resources any more."""
    ready: bool = False
    fresh: bool = True
    """Has not been sent anything yet."""
    since: float = 0.0
    """When it last said something, or was given something to do while idle."""
    contained: Mapping[str, float] = field(default_factory=dict)
    """fidelity -> seconds that its fork server may take to start again, where it ends overdue children itself."""
    flights: deque[Flight] = field(default_factory=deque)

    def limit(self, usual: Callable[[str], float]) -> float:
        """When its silence is too long: a chunk may take one candidate's deadline and what the others usually take.

        Where the worker ends overdue candidates itself, one may do so twice: in its group and then alone.

        Args:
            usual: fidelity -> seconds that one candidate usually takes.
        """
        if not self.ready:
            return self.started + START_DEADLINE
        message = self.flights[0].message
        fidelity = message.requests.fidelity
        limit = self.since + message.deadline + 4 * usual(fidelity) * (message.chunk - 1)
        again = self.contained.get(fidelity)
        return limit if again is None else limit + message.deadline + SANDBOX_GRACE + 3 * again


def contained(about: Mapping[str, Any]) -> dict[str, float]:
    """`Employed.contained` from what a worker says of itself."""
    sandbox = about.get("sandbox") or {}
    return dict.fromkeys(sandbox.get("fidelities", ()), float(sandbox.get("warm_seconds", 0.0)))
