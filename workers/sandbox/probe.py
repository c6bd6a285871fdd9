"""Trying to break out: what a host really contains is found by a child that does what it must not.

Each attempt is made under the very rules that candidates get. What it reached is seen from outside, by the worker, or
told by the child itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import mmap
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from evo.sandbox import Sandbox
from workers.sandbox.means import Means
from workers.sandbox.watch import Ended, Task

__all__ = ["FOLDERS", "Target", "probed"]

FOLDERS = 5
"""How many folders `probed` needs."""
_LIMITS = Sandbox(memory=64 << 20, processes=8, file_bytes=64 << 20)
_TOO_MUCH = 128 << 20
_DEADLINE = 10.0
_PATIENCE = 0.4
_PIECE = 8 << 20
"""bytes of each of several files or segments that are too much together"""


class Target:
    """What a worker holds out to be reached by its server's probe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        os.chmod(folder, 0o711)
        self._file = folder / "outside"
        self._file.write_bytes(b"untouched")
        self._file.chmod(0o666)
        self._open = folder / "open"
        self._open.mkdir()
        self._open.chmod(0o1777)
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self._tcp.setblocking(False)
        self._udp.setblocking(False)

    def told(self) -> dict[str, Any]:
        """For the server."""
        return {
            "folder": str(self._folder),
            "pid": os.getpid(),
            "tcp": self._tcp.getsockname()[1],
            "udp": self._udp.getsockname()[1],
        }

    def reached(self) -> dict[str, str]:
        """ability -> what got through."""
        found: dict[str, str] = {}
        got = []
        with contextlib.suppress(BlockingIOError):
            self._tcp.accept()[0].close()
            got.append("TCP")
        with contextlib.suppress(BlockingIOError):
            self._udp.recv(16)
            got.append("UDP")
        if got:
            found["network"] = f"{' and '.join(got)} got through"
        if self._file.read_bytes() != b"untouched":
            found["files"] = "a file that all may write was written"
        elif list(self._open.iterdir()):
            found["files"] = "a file was made in a folder that all may write"
        elif self._file.stat().st_mode & 0o777 != 0o666:
            found["files"] = "the permissions of this user's files can be changed, though not what is in them"
        return found

    def environment(self) -> str:
        """What a child must not be able to read, as a hash."""
        return _hash_of(os.getpid()) or ""

    def close(self) -> None:
        """Let the sockets go."""
        self._tcp.close()
        self._udp.close()


def probed(
    means: Means, run: Callable[[Iterable[Task]], Iterable[Ended]], told: Mapping[str, Any], folders: list[str]
) -> dict[str, Any]:
    """What the children of this server could do that they must not.

    Args:
        means: what they are put behind.
        run: follows tasks to their ends.
        told: by the worker's `Target`.
        folders: as many as `FOLDERS`, the children's own.

    Returns:
        ``reached``: ability -> what got through, and ``environment``: the hash of the worker's, where it could be read.
    """
    works = (lambda: _attempts(told, means), _processes, _memory, _hidden, _segments)
    tasks = [Task(n, _as_bytes(work), _LIMITS, _DEADLINE, folders[n]) for n, work in enumerate(works)]
    ended = {one.number: one for one in run(tasks)}
    reached: dict[str, str] = {}
    broken = [one.detail for one in ended.values() if one.how == "broken"]
    if broken:
        return {"broken": broken[0]}
    said = json.loads(ended[0].answer) if ended[0].how == "answer" else {}
    reached.update(said.get("reached", {}))
    if ended[1].how == "answer" and json.loads(ended[1].answer)["all"]:
        reached["processes"] = "more were started than the limit says"
    if ended[2].how == "answer" and json.loads(ended[2].answer)["all"]:
        reached["memory"] = "more was taken than the limit says"
    elif ended[3].how == "answer" and json.loads(ended[3].answer)["all"]:
        reached["memory"] = "more was taken in files without a name than the limit says"
    elif ended[4].how == "answer" and json.loads(ended[4].answer)["all"]:
        reached["memory"] = "more was taken in System V segments than the limit says"
    if _reader(folders[0]):
        reached["descendants"] = "a process that left its parents outlived them"
    return {"reached": reached, "environment": said.get("environment")}


def _as_bytes(work: Callable[[], Mapping[str, Any]]) -> Callable[[], bytes]:
    return lambda: json.dumps(work()).encode()


def _attempts(told: Mapping[str, Any], means: Means) -> dict[str, Any]:
    reached: dict[str, str] = {}
    outside = Path(told["folder"])
    Path("link").symlink_to(outside / "outside")
    for attempt in (
        lambda: Path("link").write_bytes(b"by a link"),
        lambda: (outside / "outside").write_bytes(b"by its name"),
        lambda: (outside / "open" / "new").write_bytes(b"new"),
        lambda: (outside / "outside").chmod(0o600),
        lambda: socket.create_connection(("127.0.0.1", told["tcp"]), 1).close(),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"udp", ("127.0.0.1", told["udp"])),
    ):
        with contextlib.suppress(OSError):
            attempt()
    inside = means.pids and told["pid"] <= os.getpid() + 1  # that number is one of our own here
    if not inside:
        with contextlib.suppress(OSError):
            os.kill(told["pid"], 0)
            reached["signals"] = "the worker can be signalled"
    _daemon()
    return {"reached": reached, "environment": _hash_of(told["pid"])}


def _hash_of(pid: int) -> str | None:
    with contextlib.suppress(OSError):
        data = Path(f"/proc/{pid}/environ").read_bytes()
        return hashlib.blake2b(data).hexdigest() if data else None
    return None


def _daemon() -> None:
    """Leave a process behind that keeps a pipe with a name open."""
    os.mkfifo("fifo")
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.open("fifo", os.O_RDONLY | os.O_NONBLOCK)
            time.sleep(60)
        os._exit(0)
    time.sleep(0.02)


def _reader(folder: str) -> bool:
    try:
        os.close(os.open(os.path.join(folder, "fifo"), os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def _processes() -> dict[str, Any]:
    for _ in range(2 * _LIMITS.processes):
        try:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
        except OSError:
            return {"all": False}
    time.sleep(_PATIENCE)
    return {"all": True}


def _memory() -> dict[str, Any]:
    try:
        with mmap.mmap(-1, _TOO_MUCH, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as taken:
            for place in range(0, _TOO_MUCH, mmap.PAGESIZE):
                taken[place] = 1
            time.sleep(_PATIENCE)
    except (OSError, MemoryError):
        return {"all": False}
    return {"all": True}


def _hidden() -> dict[str, Any]:
    """Memory in files that have no name, are mapped, and not open."""
    try:
        held = []
        for _ in range(_TOO_MUCH // _PIECE):
            handle = os.memfd_create("probe")
            os.write(handle, bytes(_PIECE))
            held.append(_libc().mmap(None, ctypes.c_size_t(_PIECE), 1, mmap.MAP_SHARED, handle, ctypes.c_long(0)))
            os.close(handle)
        time.sleep(_PATIENCE)
    except (OSError, MemoryError):
        return {"all": False}
    return {"all": True}


def _segments() -> dict[str, Any]:
    """Memory in segments that no process maps any more. The kernel keeps them until they are removed, so they are."""
    libc = _libc()
    libc.shmat.restype = ctypes.c_void_p
    made = []
    try:
        for _ in range(_TOO_MUCH // _PIECE):
            segment = libc.shmget(0, ctypes.c_size_t(_PIECE), 0o1600)
            if segment < 0:
                return {"all": False}
            made.append(segment)
            place = libc.shmat(segment, None, 0)
            if place in (None, ctypes.c_void_p(-1).value):
                return {"all": False}
            ctypes.memset(place, 1, _PIECE)
            libc.shmdt(ctypes.c_void_p(place))
        time.sleep(_PATIENCE)
    finally:
        for segment in made:
            libc.shmctl(segment, 0, None)
    return {"all": True}


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    return libc
