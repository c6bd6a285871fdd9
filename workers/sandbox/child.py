"""What a fork server's children do: a guardian isolates, starts the candidate's process, and outlives it.

The guardian is the first process of its namespace: when it ends, the kernel ends all that is left there. Where there
are no process namespaces it adopts what loses its parent, and ends all of that itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from evo.sandbox import Sandbox
from workers.sandbox.confine import confine, isolate
from workers.sandbox.kernel import CHILD_SUBREAPER, PDEATHSIG, prctl
from workers.sandbox.means import Means
from workers.sandbox.processes import descendants

__all__ = ["ENDING", "Order", "guard"]

ENDING = struct.Struct("<ci")
"""How a candidate's process ended, as its guardian tells: ``e`` with an exit code, ``s`` with a signal; or ``b`` when
it could not be started."""

_HUSH = 0.002
_END = 10.0
"""Seconds to end all that was started; what the kernel cannot end in this time is left to it."""


@dataclass(frozen=True)
class Order:
    """One child to be: what it shall do, and where its pipes are."""

    work: Callable[[], bytes]
    """Does the work and returns the answer. Runs in the child, with all limits in force."""
    limits: Sandbox
    deadline: float
    folder: str
    """The child's own; it is its working directory."""
    at_once: int
    """How many children live at a time."""
    answer: int
    output: int
    ending: int
    """Descriptors to write to."""
    foreign: tuple[int, ...]
    """Descriptors of the server that no child may hold. Those that were opened in warming up stay open."""


def guard(order: Order, means: Means, shared_network: bool) -> NoReturn:
    """Be the guardian of one child: never returns."""
    try:
        prctl(PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
        for number in order.foreign:
            os.close(number)
        if not means.pids:
            prctl(CHILD_SUBREAPER, 1)
        isolate(means, order.limits, order.folder, shared_network)
        child = os.fork()
        if not child:
            _be(order, means)
        os.close(order.answer)
        os.close(order.output)
        told = _awaited(child)
        if not means.pids:
            _end_all()
        if told is not None:
            os.write(order.ending, told)
    except BaseException:  # noqa: BLE001 - whatever it is, nobody above this frame may go on in this process
        with contextlib.suppress(OSError):
            os.write(order.ending, ENDING.pack(b"b", 0) + traceback.format_exc().encode()[-1000:])
    finally:
        os._exit(0)


def _awaited(child: int) -> bytes | None:
    """How the child has ended; None when this guardian was told to stop."""
    while True:
        if signal.sigwait({signal.SIGCHLD, signal.SIGTERM}) == signal.SIGTERM:
            return None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return ENDING.pack(b"e", code) if code >= 0 else ENDING.pack(b"s", -code)


def _end_all() -> None:
    """End everything that was started below; new ones may appear while we are at it."""
    end = time.monotonic() + _END
    while time.monotonic() < end:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        signal.sigtimedwait({signal.SIGCHLD}, _HUSH)


def _be(order: Order, means: Means) -> NoReturn:
    """Be the candidate's process."""
    code = 1
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(order.output, 1)
        os.dup2(order.output, 2)
        os.close(null)
        os.close(order.output)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        confine(means, order.limits, order.folder, order.deadline, order.at_once)
        os.close(order.ending)
    except BaseException:  # noqa: BLE001 - not confined: nothing of the candidate may run
        with contextlib.suppress(OSError):
            os.write(order.ending, ENDING.pack(b"b", 0) + traceback.format_exc().encode()[-1000:])
        os._exit(1)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD, signal.SIGTERM})
        own = os.getpid()
        _reseed()
        answer = order.work()
        if os.getpid() == own:  # not a copy of it that users' code has forked and forgotten
            _write(order.answer, answer)
            code = 0
    except BaseException:  # noqa: BLE001 - users' code may raise anything; the parent reads what was printed
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _reseed() -> None:
    """Give libraries' global generators states of this child's own, as Python's `random` has one after a fork."""
    for module, name in (("numpy.random", "seed"), ("torch", "seed")):
        seed = getattr(sys.modules.get(module), name, None)
        if callable(seed):
            seed()


def _write(to: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(to, view) :]
