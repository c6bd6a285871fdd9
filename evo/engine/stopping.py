"""What signals ask of a master: to drain, to be quick about it, or to stop at once.

A signal may come to the master, to its supervisor, or (Ctrl-C in a terminal, SLURM, systemd) to both. Each side counts
what came to it, and the larger count is the number of times that somebody asked.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from evo.engine.tether import Tether

__all__ = ["WAKE", "Stopping", "asking"]

WAKE = signal.SIGURG
"""Tells a master to look at its tether. Ignored by processes that do not know it."""
DRAIN_SECONDS = 60.0
"""How long work that is under way may take after one Ctrl-C."""
HURRY_SECONDS = 10.0
"""How long after SIGTERM or SIGHUP: SLURM and Kubernetes kill 30 s after it."""
KILL_SECONDS = 20.0
"""After SIGTERM a supervised master that has not ended by then is killed; the rest is done again on resume."""


def asking() -> set[signal.Signals]:
    """Signals that ask for an end: SIGINT, SIGTERM, and SIGHUP unless we were started to outlive the terminal."""
    wanted = {signal.SIGINT, signal.SIGTERM}
    return wanted if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else wanted | {signal.SIGHUP}


class Stopping:
    """What was asked so far, and what follows from it, which depends on what the master does.

    Before it drives (`drains` is False) and when it is asked a second time, the first opportunity to stop is taken:
    KeyboardInterrupt. While it closes (`closing`) it is left alone.
    """

    def __init__(self, tether: Tether | None = None) -> None:
        self.tether = tether if tether is not None else Tether()
        self.armed = True
        """Whether KeyboardInterrupt may be raised: not before there is somebody who catches it."""
        self.drains = False
        self.closing = False
        self._stop = threading.Event()
        self._interrupts = 0
        """That came here, to be compared with those that came to the supervisor."""
        self._counted = 0
        self._urgent = False
        self._overdue = False
        self._deadline = 0.0
        self._over = threading.Event()
        self._signals: set[signal.Signals] = set()

    @property
    def asked(self) -> bool:
        """Whether the run is to end."""
        return self._stop.is_set()

    @property
    def hurried(self) -> bool:
        """Whether the end has to come within seconds: no time for pictures."""
        return self._urgent

    @property
    def patient(self) -> bool:
        """Whether what is under way may still be waited for."""
        return time.monotonic() < self._deadline

    def request(self) -> None:
        """Drain and end, as one Ctrl-C does; from any thread."""
        self._deadline = time.monotonic() + DRAIN_SECONDS
        self._stop.set()

    def arm(self) -> None:
        """From now on a stop is a KeyboardInterrupt, one that was asked for already included."""
        self.armed = True
        self._raise(self.asked)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Signals come here, on the main thread only."""
        if self._signals or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in asking() | {WAKE}}
        self.take()
        try:
            yield
        finally:
            self._over.set()
            self._signals = set()
            for number, old in before.items():
                signal.signal(number, old if old is not None else signal.SIG_DFL)

    def take(self) -> None:
        """Signals come here until this process ends."""
        self._signals = asking() | {WAKE}
        self._over.clear()
        self.listen()

    def listen(self) -> None:
        """Take the signals again, where a library (Ray) has taken them."""
        for number in self._signals:
            signal.signal(number, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._interrupts += number == signal.SIGINT
        count = max(self._interrupts, self.tether.interrupts)
        more, self._counted = count > self._counted, count
        if not self._urgent and (number in (signal.SIGTERM, signal.SIGHUP) or self.tether.urgent):
            self._urgent = True
            hurried = not self.asked
            self._deadline = time.monotonic() + HURRY_SECONDS
            self._stop.set()
            threading.Thread(target=self._insist, name="evo-stopping", daemon=True).start()
            self._raise(hurried and not self.drains)
        if more:
            again = self.asked
            if not again:
                self.request()
            self._raise(again or not self.drains)
        if self._overdue:
            self._overdue = False
            self._raise(True)

    def _raise(self, now: bool) -> None:
        if now and self.armed and not (self.closing and self._counted < 3):  # who presses Ctrl-C a third time means it
            raise KeyboardInterrupt

    def _insist(self) -> None:
        """No evaluation in this process, however long, outlasts the time that SIGTERM leaves."""
        main: Any = threading.main_thread().ident
        if self._over.wait(HURRY_SECONDS):
            return
        self._overdue = True
        signal.pthread_kill(main, WAKE)
        if self.tether.supervised and not self._over.wait(KILL_SECONDS - HURRY_SECONDS):
            os.kill(os.getpid(), signal.SIGKILL)
