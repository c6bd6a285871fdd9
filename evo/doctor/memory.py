"""Memory: how much there is, what a container may take of it, shared memory, and Ray's watch over it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from evo.doctor.cgroups import Limits, limits
from evo.doctor.finding import Finding, Place, no, ok, warn

__all__ = ["Memory", "memory", "monitor", "of_this_machine", "shared", "shared_memory"]

_STORE = 200_000_000
"""bytes that evo's own Ray takes of shared memory"""
_THRESHOLD = 0.95
"""Share of the memory at which Ray begins to kill, unless it is told otherwise."""
_LITTLE = 1 << 30
"""bytes: less is short for Ray, which takes more than half of it for itself"""


class Memory:
    """Bytes that there are and that are taken, by this machine or by the container, whichever is tighter.

    Args:
        meminfo: the text of ``/proc/meminfo``.
        allowed: by control groups.
    """

    def __init__(self, meminfo: str, allowed: Limits) -> None:
        held = {line.split(":")[0]: int(line.split()[1]) << 10 for line in meminfo.splitlines() if ":" in line}
        self.total = held["MemTotal"]
        self.used = self.total - held.get("MemAvailable", held.get("MemFree", 0))
        self.contained = allowed.memory is not None and allowed.memory < self.total
        """Whether a container allows less than there is."""
        if self.contained:
            assert allowed.memory is not None
            self.total, self.used = allowed.memory, allowed.memory_used or 0


def of_this_machine() -> Memory:
    """What there is now."""
    return Memory(Path("/proc/meminfo").read_text(), limits())


def memory(place: Place) -> Iterator[Finding]:
    """How much there is and how much is free."""
    yield of_memory(of_this_machine())


def of_memory(found: Memory) -> Finding:
    """What is to be said of so much memory."""
    free = found.total - found.used
    where = "allowed to this container" if found.contained else "on this machine"
    text = f"{free / 2**30:.1f} of {found.total / 2**30:.1f} GiB free, {where}"
    if free < _LITTLE:
        return warn("memory", text, "end other programs, or take fewer workers: --workers N")
    return ok("memory", text)


def monitor(place: Place) -> Iterator[Finding]:
    """Ray's memory monitor, which kills workers when memory runs short."""
    yield of_monitor(of_this_machine(), os.environ)


def of_monitor(found: Memory, environment: Mapping[str, str]) -> Finding:
    """What is to be said of the monitor, given the variables that direct it.

    Source: Ray's documentation, "Out-Of-Memory Prevention".
    """
    what = "memory monitor"
    if environment.get("RAY_memory_monitor_refresh_ms") == "0":
        return warn(
            what,
            "off (RAY_memory_monitor_refresh_ms=0): an evaluation that takes too much memory can end everything here",
            "unset RAY_memory_monitor_refresh_ms, or limit evaluations: --sandbox",
        )
    said = environment.get("RAY_memory_usage_threshold", str(_THRESHOLD))
    try:
        threshold = float(said)
    except ValueError:
        return no(what, f"RAY_memory_usage_threshold is {said!r}", "set a share such as 0.95, or unset it")
    share = found.used / found.total
    text = f"kills workers when {threshold:.0%} of {found.total / 2**30:.1f} GiB are taken; {share:.0%} are now"
    if share >= threshold:
        return no(what, text, "end other programs, or raise RAY_memory_usage_threshold")
    if share >= threshold - 0.1:
        return warn(what, text, "end other programs, or take fewer workers: --workers N")
    return ok(what, text)


def shared_memory(place: Place) -> Iterator[Finding]:
    """Where Ray keeps messages and artifacts."""
    try:
        found = os.statvfs("/dev/shm")
    except OSError as error:
        yield no("/dev/shm", f"is not there ({error.strerror})", "mount a tmpfs there: docker run --shm-size=1g")
        return
    yield shared(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize, os.access("/dev/shm", os.W_OK))


def shared(size: int, free: int, writable: bool) -> Finding:
    """What is to be said of so many bytes of shared memory."""
    what, text = "/dev/shm", f"{free / 1e9:.2f} of {size / 1e9:.2f} GB free"
    if not writable:
        return no(what, f"{text}, but it cannot be written", "chmod 1777 /dev/shm")
    if free < _STORE:
        remedy = "docker run --shm-size=1g; in Kubernetes an emptyDir of medium Memory at /dev/shm"
        return warn(what, f"{text}; Ray takes {_STORE / 1e9:.1f} GB, and writes to the disk instead, slowly", remedy)
    return ok(what, text)
