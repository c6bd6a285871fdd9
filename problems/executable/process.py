"""Runs one program to its end: input in, output out within bounds, a deadline, and nothing of it left behind."""

from __future__ import annotations

import errno
import os
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from problems.executable.guard import MARK, end_marked

__all__ = ["ANSWER", "COMPLAINT", "Ended", "run"]

ANSWER = 4 << 20
"""Bytes of standard output that are kept, the last ones."""
COMPLAINT = 64 << 10
"""Bytes of standard error that are kept, the last ones."""

_GRACE = 0.5
"""Seconds between SIGTERM and SIGKILL."""
_DYING = 0.3
"""Seconds to wait for what was killed."""
_LATE = 0.2
"""Seconds for output that is still on its way when the program has ended."""
_GLANCE = 0.01
"""Seconds between looks at the program where the kernel cannot wake us at its end."""
_BUSY = (errno.EAGAIN, errno.ETXTBSY)
"""Why a program may not start now and start a moment later."""


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    code: int
    """Its exit code; -n where signal n killed it."""
    output: bytes
    """Of standard output the last `ANSWER` bytes."""
    whole: bool
    """Whether that is all of it."""
    complaint: bytes
    """Of standard error the last `COMPLAINT` bytes."""
    overdue: bool
    """Whether it was ended at its deadline."""


def run(
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    given: bytes,
    deadline: float,
    mark: str,
) -> Ended:
    """Run a program. At the deadline it gets SIGTERM, half a second later it and all that it started get SIGKILL.

    Args:
        arguments: the program and its arguments.
        folder: where it runs.
        environment: all its variables; one more tells its processes by `mark`.
        given: its standard input.
        deadline: seconds.
        mark: of this evaluation alone.

    Raises:
        OSError: it cannot be started.
    """
    with ExitStack() as stack:
        leash, held = os.pipe()
        stack.callback(os.close, leash)
        try:
            child = _started(arguments, folder, {**environment, MARK: mark}, held)
        finally:
            os.close(held)
        running = _Running(child, leash, mark, given)
        stack.callback(running.end)  # also where a signal's handler raises: nothing may be left
        stack.callback(running.close)
        overdue = not running.watch(time.monotonic() + deadline)
        if overdue:
            running.signal(signal.SIGTERM)
            running.watch(time.monotonic() + _GRACE)
        running.end()
        running.rest()
        return Ended(
            child.returncode if child.returncode is not None else -signal.SIGKILL,
            bytes(running.output.kept),
            running.output.whole,
            bytes(running.complaint.kept),
            overdue,
        )


def _started(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], leash: int
) -> subprocess.Popen[bytes]:
    for attempt in range(5):
        try:
            return subprocess.Popen(
                arguments,
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                pass_fds=(leash,),
                bufsize=0,
            )
        except OSError as error:
            if error.errno not in _BUSY or attempt == 4:
                raise
            time.sleep(0.05)
    raise AssertionError


@dataclass
class _Tail:
    """The last bytes of a stream."""

    most: int
    kept: bytearray = field(default_factory=bytearray)
    whole: bool = True

    def add(self, data: bytes) -> None:
        self.kept += data
        if len(self.kept) > self.most:
            self.whole = False
            if len(self.kept) > 2 * self.most:
                del self.kept[: -self.most]

    def cut(self) -> None:
        del self.kept[: -self.most]


class _Running:
    """A program, its pipes, and the leash: an open pipe that all it starts inherits, so that its end is theirs."""

    def __init__(self, child: subprocess.Popen[bytes], leash: int, mark: str, given: bytes) -> None:
        self._child, self._leash, self._mark = child, leash, mark
        self._given = memoryview(given)
        self._selector = selectors.DefaultSelector()
        self.output, self.complaint = _Tail(ANSWER), _Tail(COMPLAINT)
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        for pipe in (child.stdin, child.stdout, child.stderr):
            os.set_blocking(pipe.fileno(), False)
        self._selector.register(child.stdout, selectors.EVENT_READ, self.output)
        self._selector.register(child.stderr, selectors.EVENT_READ, self.complaint)
        if given:
            self._selector.register(child.stdin, selectors.EVENT_WRITE)
        else:
            child.stdin.close()
        try:
            self._handle = os.pidfd_open(child.pid)
            self._selector.register(self._handle, selectors.EVENT_READ)
        except OSError:  # an old kernel, or a sandbox that forbids it
            self._handle = -1

    def watch(self, until: float) -> bool:
        """Carry its input and output until it ends; False when it has not by then."""
        while not self._over():
            left = until - time.monotonic()
            if left <= 0:
                return False
            self._carry(left if self._handle >= 0 else min(left, _GLANCE))
        return True

    def rest(self) -> None:
        """Take the output that is still on its way."""
        until = time.monotonic() + _LATE
        with suppress(KeyError):
            self._selector.unregister(self._handle)
        assert self._child.stdin is not None
        with suppress(KeyError, ValueError):
            self._selector.unregister(self._child.stdin)
        while self._selector.get_map() and (left := until - time.monotonic()) > 0:
            self._carry(left)
        self.output.cut()
        self.complaint.cut()

    def end(self) -> None:
        """Kill what is left of it, and of all that it started."""
        if self._child.returncode is not None:
            return
        alone = self._over() and bool(select.select([self._leash], [], [], 0)[0])
        if not alone:
            self.signal(signal.SIGKILL)
            end_marked(self._mark)
        with suppress(subprocess.TimeoutExpired):  # not even SIGKILL ends what waits for a device
            self._child.wait(_DYING)

    def signal(self, number: int) -> None:
        """To its group: it has not been waited for, so the number is still its own."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    def close(self) -> None:
        """Let the pipes go."""
        self._selector.close()
        if self._handle >= 0:
            os.close(self._handle)
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _over(self) -> bool:
        """Whether it has ended; it is not waited for yet."""
        if self._child.returncode is not None:
            return True
        try:
            return os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # somebody else has waited for it: its exit code is lost
            self._child.poll()
            return True

    def _carry(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, _Tail):
                data = _read(key.fd)
                if data:
                    key.data.add(data)
                elif data is not None:
                    self._selector.unregister(key.fileobj)
            elif key.fd != self._handle:
                self._feed()
            else:
                self._selector.unregister(self._handle)

    def _feed(self) -> None:
        assert self._child.stdin is not None
        try:
            written = os.write(self._child.stdin.fileno(), self._given[: 1 << 16])
        except BlockingIOError:
            return
        except BrokenPipeError:  # it does not read its input
            written = len(self._given)
        self._given = self._given[written:]
        if not self._given:
            self._selector.unregister(self._child.stdin)
            self._child.stdin.close()


def _read(pipe: int) -> bytes | None:
    """Some bytes, none at the end, None where nothing is there yet."""
    try:
        return os.read(pipe, 1 << 16)
    except BlockingIOError:
        return None
