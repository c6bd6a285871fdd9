"""Following a fork server's children: their answers, their output, their clocks, and what they occupy."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evo.sandbox import Sandbox
from workers.sandbox.child import ENDING, Order, guard
from workers.sandbox.frames import Gone, Outbox
from workers.sandbox.kernel import NEWPID, set_namespace, unshare
from workers.sandbox.means import Means
from workers.sandbox.processes import (
    children,
    cpu_seconds,
    descendants,
    folder_bytes,
    longest,
    occupied,
    own_bytes,
    unnamed,
    unnamed_bytes,
)

__all__ = ["ANSWER_BYTES", "Ended", "Task", "followed", "text_of"]

ANSWER_BYTES = 256 << 20
"""The most that one child may say."""
TAIL = 1024
"""bytes of a failed child's last output that are kept."""

_WATCH = 0.05
"""Seconds between looks at what children occupy."""
_FILES = 0.25
"""Seconds between looks at their folders, or longer where a look itself takes long."""
_SLACK = 1 << 20
"""bytes by which folders may exceed their limit, as names take room too"""
_TERM = 1.0
"""Seconds for a guardian to end all that its child started, where the kernel does not."""
_END = 5.0
"""Seconds for what was killed to be gone; it takes longer only where the kernel itself hangs."""
_WAITING = 64 << 20
"""bytes of answers that may wait for the worker before no more children are begun"""
_READ = 1 << 16
_HUSH = 0.002


@dataclass(frozen=True)
class Task:
    """What one child shall do."""

    number: int
    work: Callable[[], bytes]
    limits: Sandbox
    deadline: float
    folder: str


@dataclass(frozen=True)
class Ended:
    """What became of one child."""

    number: int
    how: str
    """``answer``, ``exit``, ``signal``, ``deadline``, a limit's name, or ``broken``: it could not be started."""
    detail: str
    answer: bytes
    tail: str
    seconds: float
    cpu_seconds: float


@dataclass(eq=False)
class _Child:
    task: Task
    pid: int
    handle: int
    """Of the guardian, by which its end is seen."""
    answer: int
    output: int
    ending: int
    started: float
    due: float
    said: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    printed: int = 0
    verdict: tuple[str, str] | None = None
    killed: float = 0.0
    used: float = 0.0
    """Processor seconds, of one that was killed."""
    next_files: float = 0.0
    next_unnamed: float = 0.0
    base: int = 0
    """bytes of memory that the server itself held when it began."""

    def descriptors(self) -> list[int]:
        """Those of this process that belong to it."""
        return [one for one in (self.answer, self.output, self.ending, self.handle) if one >= 0]


def text_of(size: int) -> str:
    """bytes as people read them."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"


def followed(
    tasks: Sequence[Task],
    means: Means,
    at_once: int,
    shared_network: Callable[[Sandbox], bool],
    control: int,
    outbox: Outbox,
) -> Iterator[Ended]:
    """Do the tasks, each in a child, and yield how each ended, in the order of their ends.

    Args:
        tasks: what to do.
        means: what children are put behind.
        at_once: how many may live at a time.
        shared_network: of these limits, whether the server's own network is the right one.
        control: when this descriptor hangs up, all children are ended and nothing more is yielded.
        outbox: what waits to be sent there; it is sent meanwhile.
    """
    waiting = list(reversed(tasks))
    living: list[_Child] = []
    base, beside = own_bytes([os.getpid()]), unnamed([os.getpid()])
    try:
        while waiting or living:
            while waiting and len(living) < at_once and (outbox.size < _WAITING or not living):
                task = waiting.pop()
                ours = [control, *(number for child in living for number in child.descriptors())]
                living.append(_begun(task, means, at_once, shared_network(task.limits), ours))
                living[-1].base = base + outbox.size
            if not _heard(living, control, outbox):
                return
            now = time.monotonic()
            for child in list(living):
                if not _over(child.handle):  # what has ended in time is not late because this process is
                    _watch(child, now, means, beside)
                if _over(child.handle):
                    living.remove(child)
                    ended = _ended(child)
                    if not means.pids:
                        _end_strays({one.pid for one in living})
                    yield ended
    finally:
        for child in living:
            _kill(child, means, ("exit", "the worker is gone"))
            _wait(child, time.monotonic() + _END)
            _ended(child)
        if not means.pids:
            _end_strays(set())


def _begun(task: Task, means: Means, at_once: int, shared_network: bool, ours: Sequence[int]) -> _Child:
    answer, output, ending = (os.pipe() for _ in range(3))
    foreign = (*ours, answer[0], output[0], ending[0])
    with contextlib.suppress(OSError):  # a larger pipe means fewer wake-ups
        fcntl.fcntl(answer[1], fcntl.F_SETPIPE_SZ, 1 << 20)
    sys.stdout.flush()
    sys.stderr.flush()
    started = time.monotonic()
    if means.pids:
        unshare(NEWPID)
    pid = os.fork()
    if not pid:
        order = Order(
            task.work, task.limits, task.deadline, task.folder, at_once, answer[1], output[1], ending[1], foreign
        )
        guard(order, means, shared_network)
    if means.pids:
        set_namespace("/proc/self/ns/pid", NEWPID)
    for _, end in (answer, output, ending):
        os.close(end)
    for start, _ in (answer, output, ending):
        os.set_blocking(start, False)
    handle = os.pidfd_open(pid)
    return _Child(task, pid, handle, answer[0], output[0], ending[0], started, started + task.deadline)


def _heard(living: Sequence[_Child], control: int, outbox: Outbox) -> bool:
    """Read what has come, waiting for something to happen; False when the worker has hung up."""
    poll = select.poll()
    poll.register(control, select.POLLHUP | select.POLLRDHUP | (select.POLLOUT if outbox.size else 0))
    sources: dict[int, tuple[_Child, str]] = {}
    soon = time.monotonic() + _WATCH
    for child in living:
        for name in ("answer", "output", "handle"):
            number = getattr(child, name)
            if number >= 0:
                poll.register(number, select.POLLIN)
                sources[number] = child, name
        if child.verdict is None:
            soon = min(soon, child.due)
    for number, events in poll.poll(max(0.0, soon - time.monotonic()) * 1000 + 0.5):
        if number == control:
            if events & ~select.POLLOUT:
                return False
            try:
                outbox.push()
            except Gone:
                return False
            continue
        child, name = sources[number]
        if name != "handle":
            _drain(child, name)
    return True


def _drain(child: _Child, name: str) -> None:
    number = getattr(child, name)
    if number < 0:
        return
    try:
        data = os.read(number, _READ if name == "output" else 1 << 20)
    except BlockingIOError:
        return
    if not data:
        os.close(number)
        setattr(child, name, -1)
    elif name == "output":
        child.printed += len(data)
        child.tail = (child.tail + data)[-TAIL:]
    else:
        child.said += data


def _watch(child: _Child, now: float, means: Means, beside: Mapping[tuple[int, int], int]) -> None:
    """Look at clocks and sizes; end the child where it has exceeded one."""
    task, limits = child.task, child.task.limits
    if child.verdict is not None:
        if not means.pids and now > child.killed + _TERM:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(child.handle, signal.SIGKILL)
        return None
    if child.printed > limits.output_bytes:
        return _kill(child, means, ("output", f"more than {text_of(limits.output_bytes)}"))
    if len(child.said) > ANSWER_BYTES:
        return _kill(child, means, ("answer", f"more than {text_of(ANSWER_BYTES)}"))
    if now >= child.due:
        if occupied(descendants(child.pid)).tasks >= limits.processes:  # it spent its time on starting more
            return _kill(child, means, ("processes", f"more than {limits.processes}"))
        return _kill(child, means, ("deadline", f"exceeded its deadline of {task.deadline:g} s"))
    if now - child.started < _WATCH:
        return None
    pids = descendants(child.pid)
    held = occupied(pids)
    if held.tasks > limits.processes:
        return _kill(child, means, ("processes", f"more than {limits.processes}"))
    if limits.cpu_seconds is not None and longest(pids) > limits.cpu_seconds:
        return _kill(child, means, ("cpu", f"more than {limits.cpu_seconds:g} s"))
    most = limits.memory + child.base
    if held.resident > most and own_bytes(pids) > most:
        return _kill(child, means, ("memory", f"more than {text_of(limits.memory)}"))
    enough = limits.file_bytes + _SLACK
    if now >= child.next_unnamed:
        if unnamed_bytes(pids, beside) > enough:
            return _kill(child, means, ("files", f"more than {text_of(limits.file_bytes)}"))
        child.next_unnamed = now + 3 * (time.monotonic() - now)
    if now >= child.next_files:
        begun = time.monotonic()
        if folder_bytes(task.folder, enough) > enough:
            return _kill(child, means, ("files", f"more than {text_of(limits.file_bytes)}"))
        child.next_files = now + max(_FILES, 3 * (time.monotonic() - begun))
    return None


def _kill(child: _Child, means: Means, verdict: tuple[str, str]) -> None:
    """End a child and all that it started; `_over` tells when that is done."""
    if child.verdict is None:
        child.verdict, child.killed = verdict, time.monotonic()
        child.used = cpu_seconds(descendants(child.pid))  # the kernel forgets it where it ends a whole namespace
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(child.handle, signal.SIGKILL if means.pids else signal.SIGTERM)


def _over(handle: int) -> bool:
    return bool(select.select([handle], [], [], 0)[0])


def _wait(child: _Child, end: float) -> None:
    while not _over(child.handle) and time.monotonic() < end:
        select.select([child.handle], [], [], 0.05)
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(child.handle, signal.SIGKILL)


def _ended(child: _Child) -> Ended:
    """Take leave of a child: all is dead, so what its pipes hold is all there is."""
    if not _over(child.handle):
        _wait(child, time.monotonic() + _END)
    _, _, used = os.wait4(child.pid, os.WNOHANG)
    most = child.task.limits.output_bytes
    for name in ("answer", "output"):
        while getattr(child, name) >= 0 and len(child.said) <= ANSWER_BYTES and child.printed <= most:
            before = len(child.said), child.printed
            _drain(child, name)
            if before == (len(child.said), child.printed):
                break
    told = b""
    with contextlib.suppress(BlockingIOError):
        told = os.read(child.ending, 4096)
    for number in child.descriptors():
        os.close(number)
    how, detail = child.verdict or _how(child, told)
    return Ended(
        child.task.number,
        how,
        detail,
        bytes(child.said) if how == "answer" and not detail else b"",
        bytes(child.tail).decode(errors="replace"),
        time.monotonic() - child.started,
        max(used.ru_utime + used.ru_stime, child.used),
    )


def _how(child: _Child, told: bytes) -> tuple[str, str]:
    limits = child.task.limits
    if len(told) < ENDING.size:
        return "signal", "SIGKILL"  # its guardian did not live to tell
    kind, number = ENDING.unpack_from(told)
    if kind == b"b":
        return "broken", told[ENDING.size :].decode(errors="replace")
    if child.printed > limits.output_bytes:
        return "output", f"more than {text_of(limits.output_bytes)}"
    enough = limits.file_bytes + _SLACK
    if folder_bytes(child.task.folder, enough) > enough:
        return "files", f"more than {text_of(limits.file_bytes)}"
    if kind == b"s":
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        return "signal", name
    return ("answer", "") if number == 0 and child.said else ("exit", str(number))


def _end_strays(guardians: set[int]) -> None:
    """End what has lost its guardian and thereby become this process's own child, with all that it started."""
    end = time.monotonic() + _END
    while time.monotonic() < end:
        strays = [pid for pid in children(os.getpid()) if pid not in guardians]
        if not strays:
            return
        for pid in [*strays, *(one for stray in strays for one in descendants(stray))]:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for pid in strays:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(_HUSH)
