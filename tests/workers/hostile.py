"""A problem whose genomes say what their evaluation does to the machine, and how a test has them served."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evo import Evaluation, Json, Minimize, Problem, Rejected, Sandbox, Status, Work
from evo.evaluator import Resources
from evo.records import Outcomes, Requests
from evo.worker import Delivered, Kit, Message, Workers

DEADLINE = 2.0
SLACK = 1.0
"""Seconds within which a verdict is due after its deadline."""
LIMITS = Sandbox(memory=128 << 20, processes=24, file_bytes=16 << 20)
SECRET = "sentinel-of-a-secret"


def crash() -> None:
    ctypes.string_at(0)


def abort() -> None:
    os.abort()


def loop() -> None:
    while True:
        pass


def stubborn() -> None:
    """In C, and deaf to whatever can be ignored."""
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError):
            signal.signal(number, signal.SIG_IGN)
    while True:
        sum(range(10**9))


def sleep() -> None:
    time.sleep(3600)


def hungry() -> None:
    np.ones(10 * (1 << 30) // 8)


def hungry_together() -> None:
    """Each process stays within the limit, all of them together do not."""
    for _ in range(8):
        if os.fork() == 0:
            held = np.ones((40 << 20) // 8)
            time.sleep(60)
            os._exit(int(held[0]))
    time.sleep(60)


def hungry_in_files() -> None:
    """Memory that no process maps."""
    handles = []
    for _ in range(100):
        handles.append(os.memfd_create("hidden"))
        os.write(handles[-1], bytes(16 << 20))
    time.sleep(60)


def _mapped(handle: int, size: int) -> None:
    """Map an open file and close it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    assert libc.mmap(None, ctypes.c_size_t(size), 1, 1, handle, ctypes.c_long(0)) not in (None, 2**64 - 1)
    os.close(handle)


def hungry_in_maps() -> None:
    """Memory in files that are neither named nor open."""
    for _ in range(100):
        handle = os.memfd_create("hidden")
        os.write(handle, bytes(4 << 20))
        _mapped(handle, 4 << 20)
    time.sleep(60)


def segments() -> None:
    """Memory that the kernel keeps for nobody."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.shmget(0, ctypes.c_size_t(1 << 20), 0o1600) < 0 and libc.msgget(0, 0o1600) < 0:
        raise OSError(ctypes.get_errno(), "not given")


def fill_far() -> None:
    """Where no path is short enough."""
    for _ in range(18):
        os.mkdir("d" * 250)
        os.chdir("d" * 250)
    for number in range(8):
        Path(f"file-{number}").write_bytes(bytes(4 << 20))
    time.sleep(60)


def draw() -> float:
    return float(np.random.rand())  # noqa: NPY002 - the global generator is what it is about


def verbose() -> None:
    block = b"x" * (1 << 20)
    for _ in range(1024):
        os.write(1, block)


def bomb() -> None:
    while True:
        os.fork()


def threads() -> None:
    for _ in range(1000):
        threading.Thread(target=time.sleep, args=(60,)).start()


def fill() -> None:
    for number in range(1000):
        Path(f"file-{number}").write_bytes(bytes(1 << 20))
        time.sleep(0.002)
    time.sleep(60)


def fill_unseen() -> None:
    """Files without a name."""
    held = []
    for number in range(100):
        file = Path(f"file-{number}")
        held.append(file.open("wb"))
        file.unlink()
        held[-1].write(bytes(8 << 20))
        held[-1].flush()
    time.sleep(60)


def one_large_file() -> None:
    with open("large", "wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))


def many_names() -> None:
    for number in range(1_000_000):
        os.mkdir(str(number))


def deep() -> None:
    """A nest that no recursion gets out of; its folders are closed behind it."""
    for _ in range(3000):
        os.mkdir("d")
        os.chdir("d")
    os.chmod("..", 0)


def daemon(lock: str) -> None:
    """Leave a process behind that has left its family, and holds a lock as long as it lives."""
    ready, told = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            fcntl.flock(os.open(lock, os.O_RDONLY), fcntl.LOCK_EX)
            os.write(told, b"1")
            time.sleep(3600)
        os._exit(0)
    os.read(ready, 1)


def write(path: str) -> None:
    Path(path).write_text("was here")


def write_by_link(path: str) -> None:
    Path("link").symlink_to(path)
    write("link")


def append(path: str) -> None:
    with open(path, "ab") as file:
        file.write(b"was here")


def open_up(path: str) -> None:
    os.chmod(path, 0o777)


def remove(path: str) -> None:
    os.unlink(path)


def tcp(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), 1).close()


def udp(port: int) -> None:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"hello", ("127.0.0.1", port))


def abstract(name: str) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(f"\0{name}")


def spy() -> float:
    """Two where the secret of the worker's environment can be found, else one."""
    found = SECRET in "".join(os.environ.values())
    for place in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            found |= SECRET.encode() in place.read_bytes()
    return 1.0 + found


def kill() -> None:
    """Everybody but itself, one by one."""
    os.killpg(os.getpgid(0), 0)
    for number in range(1, 1 << 16):
        if number != os.getpid():
            with contextlib.suppress(OSError):
                os.kill(number, signal.SIGKILL)


def kill_all() -> None:
    os.kill(-1, signal.SIGKILL)


def trace(pid: int) -> None:
    """Attach to the worker, as a debugger does."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, pid, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def leave(code: int) -> None:
    sys.exit(code)


def leave_at_once(code: int) -> None:
    sys.stderr.write("last words\n")
    sys.stderr.flush()
    os._exit(code)


def interrupt() -> None:
    raise KeyboardInterrupt


def refuse() -> None:
    raise Rejected("not what is searched")


def forge(text: str) -> None:
    """Write to whatever is open, and go on."""
    for number in range(3, 200):
        with contextlib.suppress(OSError):
            os.set_blocking(number, False)
            os.write(number, text.encode("latin-1"))


def fork_and_forget() -> None:
    os.fork()


def give_up_limits() -> None:
    for kind in (resource.RLIMIT_DATA, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE):
        resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def score() -> None:
    pass


DEEDS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        crash, abort, loop, stubborn, sleep, hungry, hungry_together, hungry_in_files, verbose, bomb, threads, fill,
        fill_unseen, one_large_file, many_names, deep, daemon, write, write_by_link, append, open_up, remove, tcp, udp,
        abstract, spy, kill, kill_all, trace, leave, leave_at_once, interrupt, refuse, forge, fork_and_forget,
        give_up_limits, hungry_in_maps, segments, fill_far, draw, score,
    )
}  # fmt: skip


class Hostile(Problem):
    """Does what the genome says, and scores one where that comes to an end."""

    space = Json()
    objectives = (Minimize("value"),)
    deadline = DEADLINE

    def evaluate(self, genome: Any, work: Work) -> Evaluation:  # type: ignore[override]
        given = {name: value for name, value in genome.items() if name != "deed"}
        return Evaluation([DEEDS[genome["deed"]](**given) or 1.0], metrics={"draw": int(work.draws[0])})


@dataclass
class Verdict:
    """What was said of one deed."""

    status: Status
    reason: str
    value: float
    seconds: float
    outcomes: Outcomes


@contextlib.contextmanager
def employed(
    workers: Workers, problem: Problem | None = None, artifacts: Path | None = None, limits: Sandbox = LIMITS
) -> Iterator[Callable[..., Verdict]]:
    """One worker, as a function from a deed to its verdict."""
    try:
        workers.open(Kit(problem or Hostile(), {}, 5, artifacts, limits), [Resources()])
        number = workers.start(Resources())
        _next(workers, time.monotonic() + 60)

        def verdict(deed: str, deadline: float = DEADLINE, **given: Any) -> Verdict:
            requests = Requests(Json().stack([{"deed": deed, **given}]), fidelity="full", ids=np.array([7]))
            begun = time.monotonic()
            workers.send(number, Message(1, requests, 1, deadline))
            event = _next(workers, begun + deadline + 20)
            assert isinstance(event, Delivered), event
            found = event.outcomes
            return Verdict(
                Status.OK if found.status is None else Status(int(found.status[0])),
                found.notes[0].message if found.notes else "",
                float(found.objectives[0, 0]),
                time.monotonic() - begun,
                found,
            )

        yield verdict
    finally:
        workers.close()


def _next(workers: Workers, end: float) -> Any:
    while time.monotonic() < end:
        events = workers.poll(0.5)
        if events:
            return events[0]
    raise AssertionError("nothing came in time")
