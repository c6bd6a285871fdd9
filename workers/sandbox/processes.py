"""What a process has started, and what all of it occupies."""

from __future__ import annotations

import errno
import os
import resource
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

__all__ = [
    "Occupied",
    "children",
    "cpu_seconds",
    "descendants",
    "folder_bytes",
    "longest",
    "occupied",
    "own_bytes",
    "unnamed",
    "unnamed_bytes",
]

_PAGE = resource.getpagesize()
_TICK = os.sysconf("SC_CLK_TCK")
_ENTRY = 4096
"""bytes counted for each name in a folder, however little is in it"""
_DEEPEST = 100
"""Folders in folders; what is deeper counts as too much, as looking there takes too long."""


class Occupied:
    """What some processes hold together."""

    def __init__(self) -> None:
        self.tasks = 0
        self.resident = 0
        """bytes, where each process counts all its pages"""


def children(pid: int) -> list[int]:
    """Processes whose parent is this one."""
    found: list[int] = []
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{task}/children") as file:
                found.extend(map(int, file.read().split()))
    return found


def descendants(pid: int) -> list[int]:
    """All that a process has started and that is alive, without itself."""
    found: list[int] = []
    waiting = children(pid)
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting.extend(children(one))
    return found


def occupied(pids: list[int]) -> Occupied:
    """What processes hold, quickly and from above."""
    whole = Occupied()
    for pid in pids:
        with suppress(OSError, ValueError, IndexError):
            whole.tasks += len(os.listdir(f"/proc/{pid}/task"))
            with open(f"/proc/{pid}/statm") as file:
                whole.resident += int(file.read().split()[1]) * _PAGE
    return whole


def longest(pids: Iterable[int]) -> float:
    """Processor seconds of the process that took the most of them."""
    most = 0
    for pid in pids:
        with suppress(OSError, ValueError), open(f"/proc/{pid}/stat") as file:
            most = max(most, sum(map(int, file.read().rpartition(")")[2].split()[11:13])))
    return most / _TICK


def cpu_seconds(pids: list[int]) -> float:
    """Processor seconds of processes and of those of their children that have ended."""
    total = 0
    for pid in pids:
        with suppress(OSError, ValueError), open(f"/proc/{pid}/stat") as file:
            total += sum(map(int, file.read().rpartition(")")[2].split()[11:15]))
    return total / _TICK


def own_bytes(pids: list[int]) -> int:
    """bytes of memory that is in no file, where processes that share a page share its size."""
    total = 0
    for pid in pids:
        with suppress(OSError, ValueError), open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                    total += int(line.split()[1]) << 10
    return total


def unnamed(pids: Iterable[int]) -> dict[tuple[int, int], int]:
    """(device, inode) -> bytes of each file that no folder names any more, and that processes hold open or mapped.

    A file that is mapped, but not open, can be looked at by root only; for others what is mapped of it stands in.
    """
    sizes: dict[tuple[int, int], int] = {}
    for pid in pids:
        with suppress(OSError):
            for number in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    status = os.stat(f"/proc/{pid}/fd/{number}")
                    if stat.S_ISREG(status.st_mode) and not status.st_nlink:
                        sizes[status.st_dev, status.st_ino] = status.st_blocks * 512
    mapped: dict[tuple[int, int], int] = {}
    for pid in pids:
        with suppress(OSError):
            for key, size in _mapped(pid):
                mapped[key] = max(mapped.get(key, 0), size)
    return {**mapped, **sizes}


def _mapped(pid: int) -> Iterator[tuple[tuple[int, int], int]]:
    with open(f"/proc/{pid}/maps", "rb") as file:
        text = file.read()
    if b" (deleted)" not in text:
        return
    for line in text.splitlines():
        if not line.endswith(b" (deleted)"):
            continue
        span, _, _, device, inode, name = line.split(None, 5)
        try:
            status = os.stat(b"/proc/%d/map_files/%s" % (pid, _plain(span)))
        except OSError:
            if not name.startswith(b"/dev/zero"):  # memory without a file, of which little may be in use
                low, high = (int(part, 16) for part in span.split(b"-"))
                major, minor = (int(part, 16) for part in device.split(b":"))
                yield (os.makedev(major, minor), int(inode)), high - low
        else:
            if not status.st_nlink:
                yield (status.st_dev, status.st_ino), status.st_blocks * 512


def _plain(span: bytes) -> bytes:
    """A span of addresses as its file is named: without leading zeros."""
    return b"-".join(b"%x" % int(part, 16) for part in span.split(b"-"))


def unnamed_bytes(pids: Iterable[int], beside: Mapping[tuple[int, int], int]) -> int:
    """bytes of `unnamed` files, beyond what others hold of the same files."""
    return sum(max(0, size - beside.get(key, 0)) for key, size in unnamed(pids).items())


def folder_bytes(folder: str, enough: int) -> int:
    """bytes of all that lies in a folder, links not followed; stops counting beyond `enough`."""
    total = 0
    for size in _sizes(folder, enough):
        total += size
        if total > enough:
            break
    return total


def _sizes(folder: str, too_much: int) -> Iterator[int]:
    waiting = [(folder, 0)]
    while waiting:
        place, depth = waiting.pop()
        if depth > _DEEPEST:
            yield too_much
            continue
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        yield max(entry.stat(follow_symlinks=False).st_blocks * 512, _ENTRY)
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append((entry.path, depth + 1))
        except OSError as error:  # closed to its own user, or its path too long: what is below cannot be seen
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
                yield too_much
