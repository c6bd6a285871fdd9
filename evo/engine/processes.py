"""What Linux offers to a process that answers for others: children that end with it, orphans that come to it."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["Child", "Inbox", "adopt", "children", "end_children", "end_with"]

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36

Child = tuple[int, int]
"""Process id, and the time of its start, as ids are used again."""


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


class Inbox:
    """Signals that wait to be read. (`signal.sigtimedwait` makes them up when it is interrupted by a stop.)"""

    def __init__(self, numbers: Set[int]) -> None:
        self._numbers = numbers
        self._reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, _noted)

    def wait(self, seconds: float) -> list[int]:
        """Those that have come; waits so long for the first."""
        if not select.select([self._reading], [], [], seconds)[0]:
            return []
        return [number for number in os.read(self._reading, 512) if number in self._numbers]

    @contextmanager
    def held(self, also: Set[int]) -> Iterator[set[int]]:
        """None of them, nor of `also`, comes to this process or to its children before the end: the mask to go back."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {*self._numbers, *also})
        yield before
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def leave(self) -> None:
        """In a child: nothing of this is its own."""
        signal.set_wakeup_fd(-1)
        for number in self._numbers:
            signal.signal(number, signal.SIG_DFL)
        os.close(self._reading)
        os.close(self._writing)


def _noted(number: int, frame: object) -> None:
    """The number is in the pipe by now."""


def end_with(parent: int, number: signal.Signals) -> bool:
    """Have this process sent `number` when its parent dies; False where `parent` is dead already."""
    _prctl(_PR_SET_PDEATHSIG, number)
    return os.getppid() == parent


def adopt() -> frozenset[Child]:
    """Processes whose parents die become children of this one, however deep below it they were.

    Returns:
        the children that there are already: of whoever was this process before (``sh -c 'helper & exec evo ...'``).
    """
    before = frozenset(children())
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    return before


def children(ours: bool = False) -> list[Child]:
    """The processes whose parent is this one, the dead but unreaped left out; `ours`: only those of its session."""
    found, session = [], os.getsid(0)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                said = (entry / "stat").read_text().rpartition(")")[2].split()
                state, parent, _, its = said[:4]
                if int(parent) == os.getpid() and state != "Z" and (not ours or int(its) == session):
                    found.append((int(entry.name), int(said[19])))
    return found


def end_children(spared: Set[Child] = frozenset(), ours: bool = False, seconds: float = 5.0) -> None:
    """Kill this process's children, and theirs as they come to it, until only `spared` are left or time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        left = [child for child in children(ours) if child not in spared]
        for pid, _ in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        if not left:
            break
        time.sleep(0.01)
