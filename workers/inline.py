"""The worker that is the master's own process: no messages, no copies; the fastest for cheap objectives."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any, ClassVar

from evo.evaluator import Resources
from evo.records import Outcomes, Status
from evo.worker import Delivered, Event, Kit, Message, Ready, Workers
from workers.evaluation import Bench

__all__ = ["Inline"]

LONG = 1800.0
"""Seconds above which a deadline is not watched: it is somebody's default."""
_AGAIN = 1.0
"""Seconds after which an evaluation that swallowed its interruption is interrupted again."""


class _OverdueError(BaseException):
    """Not an Exception, so that an evaluation's `except Exception` does not swallow it."""


@dataclass(frozen=True)
class _Waiting:
    """Rows of a message that have not been served."""

    message: Message
    low: int
    high: int
    chunk: int


class Inline(Workers):
    """Evaluates inside the master's process, one chunk a poll.

    Without a sandbox it cannot survive a crash of the evaluator. A deadline interrupts Python code only (a call into a
    library is interrupted when it returns), and only on the main thread: where the search runs in another one
    (`evo.start`), or the deadline is longer than `LONG`, none is kept. A chunk that overruns is served again in the
    groups that its fidelity declares, and a group that overruns row by row, so that only the overdue candidate pays.

    Fidelities in a sandbox are measured in child processes, one after the other: there it survives crashes and keeps
    every deadline, in any thread.
    """

    restartable: ClassVar[bool] = False

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._events: list[Event] = []
        self._bench: Bench | None = None

    def open(self, kit: Kit, shapes: Sequence[Resources]) -> None:
        """Warm the problem up in this process."""
        self._bench = Bench(kit)

    def start(self, shape: Resources) -> int:
        """The one worker there is."""
        assert self._bench is not None
        self._events.append(Ready(0, {"host": socket.gethostname(), "pid": os.getpid(), **self._bench.about}))
        return 0

    def send(self, worker: int, message: Message) -> None:
        """Queue the message; `poll` does the work."""
        self._waiting.append(_Waiting(message, 0, len(message.requests), message.chunk))

    def poll(self, timeout: float) -> list[Event]:
        """Evaluate one chunk, or wait when there is nothing to do."""
        if self._events:
            events, self._events = self._events, []
            return events
        if not self._waiting:
            time.sleep(timeout)
            return []
        assert self._bench is not None
        rows = self._waiting.popleft()
        message, low = rows.message, rows.low
        high = min(low + rows.chunk, rows.high)
        try:
            outcomes, artifacts = self._served(self._bench, message, low, high)
        except _OverdueError:
            if high - low > 1:
                self._divide(rows, high, self._bench.group(message.requests.fidelity))
                return []
            reason = f"exceeded its deadline of {message.deadline:g} s"
            request = message.requests.take(slice(low, high))
            outcomes, artifacts = self._bench.unserved(request, Status.TIMEOUT, reason), {}
        if high < rows.high:
            self._waiting.appendleft(replace(rows, low=high))
        return [Delivered(0, message.id, outcomes, high >= len(message.requests), artifacts)]

    def kill(self, worker: int) -> None:
        """Forget what is queued; the process itself is the master's."""
        self._waiting.clear()

    def now(self) -> float:
        """The machine's monotonic clock."""
        return time.monotonic()

    def close(self) -> None:
        """Forget everything."""
        self._waiting.clear()
        if self._bench is not None:
            self._bench.close()
        self._bench = None

    def _served(self, bench: Bench, message: Message, low: int, high: int) -> tuple[Outcomes, dict[str, bytes]]:
        unwatched = message.deadline > LONG or threading.current_thread() is not threading.main_thread()
        if unwatched or bench.contains(message.requests.fidelity):
            return bench.serve(message, low, high)
        together = high - low if high - low <= bench.group(message.requests.fidelity) else 1
        watch = _Watch()
        try:
            try:
                watch.start(message.deadline * together)
                return bench.serve(message, low, high)
            finally:
                watch.stop()
        except _OverdueError:
            watch.stop()  # the alarm may have struck inside `stop`
            raise

    def _divide(self, rows: _Waiting, high: int, group: int) -> None:
        """Queue rows whose chunk, up to `high`, overran: in groups, or singly where the chunk was one group."""
        if high - rows.low > group:
            self._waiting.appendleft(replace(rows, chunk=group))
            return
        if high < rows.high:
            self._waiting.appendleft(replace(rows, low=high))
        self._waiting.appendleft(replace(rows, high=high, chunk=1))


class _Watch:
    """Interrupts the main thread after some seconds, and again where the interruption was swallowed."""

    def __init__(self) -> None:
        self._before: Any = None

    def start(self, seconds: float) -> None:
        self._before = signal.signal(signal.SIGALRM, self._overdue)
        signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self._before is not None:
            signal.signal(signal.SIGALRM, self._before)

    @staticmethod
    def _overdue(signum: int, frame: FrameType | None) -> None:
        raise _OverdueError
