"""The worker that is the master's own process: no messages, no copies; the fastest for cheap objectives."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import FrameType
from typing import ClassVar

from evo.evaluator import Resources
from evo.worker import Delivered, Event, Kit, Message, Ready, Workers
from workers.evaluation import Bench

__all__ = ["Inline"]

LONG = 1800.0
"""Seconds above which a deadline is not watched: it is somebody's default."""


class _OverdueError(BaseException):
    """Not an Exception, so that no evaluation can swallow it."""


class Inline(Workers):
    """Evaluates inside the master's process, one chunk a poll.

    It cannot survive a crash of the evaluator. A deadline interrupts Python code only, and only on the main thread.
    """

    restartable: ClassVar[bool] = False

    def __init__(self) -> None:
        self._waiting: deque[tuple[Message, int]] = deque()
        self._events: list[Event] = []
        self._bench: Bench | None = None

    def open(self, kit: Kit, shapes: Sequence[Resources]) -> None:
        """Warm the problem up in this process."""
        self._bench = Bench(kit)

    def start(self, shape: Resources) -> int:
        """The one worker there is."""
        self._events.append(Ready(0))
        return 0

    def send(self, worker: int, message: Message) -> None:
        """Queue the message; `poll` does the work."""
        self._waiting.append((message, 0))

    def poll(self, timeout: float) -> list[Event]:
        """Evaluate one chunk, or wait when there is nothing to do."""
        if self._events:
            events, self._events = self._events, []
            return events
        if not self._waiting:
            time.sleep(timeout)
            return []
        assert self._bench is not None
        message, low = self._waiting.popleft()
        high = min(low + message.chunk, len(message.requests))
        try:
            with _deadline(message.deadline) if message.deadline <= LONG else nullcontext():
                outcomes, artifacts = self._bench.serve(message, low, high)
        except _OverdueError:
            if high - low > 1:  # one by one, so that only the overdue candidate pays
                self._waiting.appendleft((replace(message, chunk=1), low))
                return []
            reason = f"exceeded its deadline of {message.deadline:g} s"
            outcomes, artifacts = self._bench.overdue(message.requests.take(slice(low, low + 1)), reason), {}
        final = high >= len(message.requests)
        if not final:
            self._waiting.appendleft((message, high))
        return [Delivered(0, message.id, outcomes, final, artifacts)]

    def kill(self, worker: int) -> None:
        """Forget what is queued; the process itself is the master's."""
        self._waiting.clear()

    def now(self) -> float:
        """The machine's monotonic clock."""
        return time.monotonic()

    def close(self) -> None:
        """Forget everything."""
        self._waiting.clear()
        self._bench = None


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def overdue(signum: int, frame: FrameType | None) -> None:
        raise _OverdueError

    before = signal.signal(signal.SIGALRM, overdue)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
