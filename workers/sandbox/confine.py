"""Putting one child behind what the host offers: first its guardian (`isolate`), then itself (`confine`), for good."""

from __future__ import annotations

import glob
import math
import os
import resource
import signal
from contextlib import suppress

from evo.sandbox import Sandbox
from workers.sandbox import landlock, seccomp
from workers.sandbox.kernel import (
    DUMPABLE,
    NEWIPC,
    NEWNET,
    NEWNS,
    NO_NEW_PRIVS,
    PDEATHSIG,
    bind,
    drop_capabilities,
    mount,
    prctl,
    set_read_only,
    unshare,
)
from workers.sandbox.means import Means

__all__ = ["confine", "isolate"]

_COME_AND_GO = 512
"""Tasks that a user may start elsewhere meanwhile."""
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/nvidia*", "/dev/dri/render*", "/dev/kfd")
"""What a program may open to write without leaving a trace; accelerators among them."""


def isolate(means: Means, limits: Sandbox, folder: str, shared_network: bool) -> None:
    """New namespaces for the child to come. Called in its guardian, which keeps its privileges.

    Args:
        shared_network: the server is in a network of its own already, or need not be.
    """
    if means.network and not shared_network:
        unshare(NEWNET)
    if not means.mounts:
        return
    unshare(NEWNS | NEWIPC)
    if means.pids:
        mount("proc", "/proc")
    with suppress(OSError):  # multiprocessing's locks live here
        mount("tmpfs", "/dev/shm", f"size={limits.file_bytes},mode=1777")
    for path in (folder, *limits.write):
        bind(path, path)
        set_read_only(path, on=False, below=False)


def confine(means: Means, limits: Sandbox, folder: str, deadline: float, at_once: int) -> None:
    """Limits and rules for this process and all that it starts. There is no way back.

    Args:
        folder: where it may write.
        deadline: seconds.
        at_once: how many children of this server live at a time; some limits count them together.
    """
    prctl(PDEATHSIG, signal.SIGKILL)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # where the machine's memory runs out, this process goes first
    os.chdir(folder)
    os.environ.update(HOME=folder, TMPDIR=folder, PWD=folder)
    _limit(means, limits, deadline, at_once)
    if means.uid is not None:
        os.setgroups([])
        os.setresgid(means.uid, means.uid, means.uid)
        os.setresuid(means.uid, means.uid, means.uid)
        prctl(PDEATHSIG, signal.SIGKILL)  # a change of user has cleared it
        prctl(DUMPABLE, 1)  # likewise: its own files under /proc are its own
    drop_capabilities()
    prctl(NO_NEW_PRIVS, 1)
    if means.landlock:
        writable = [folder, *limits.write, *(path for pattern in _DEVICES for path in glob.glob(pattern))]
        landlock.restrict(means.landlock, writable + ["/dev/shm"] * means.mounts, limits.network)
    if means.filters:
        seccomp.load(means.filters[limits.network])


def _limit(means: Means, limits: Sandbox, deadline: float, at_once: int) -> None:
    seconds = limits.cpu_seconds
    if seconds is None:
        seconds = deadline * (os.cpu_count() or 1) + 1
    if math.isfinite(seconds) and seconds < 1 << 31:
        whole = max(1, math.ceil(seconds))
        _set(resource.RLIMIT_CPU, whole, whole + 1)
    _set(resource.RLIMIT_DATA, _written() + limits.memory)
    processes = limits.processes * at_once
    if means.user_namespace:
        processes += at_once + 1  # the guardians and the server are in it
    elif means.uid is None:
        processes += means.others + _COME_AND_GO
    _set(resource.RLIMIT_NPROC, processes)
    _set(resource.RLIMIT_FSIZE, limits.file_bytes)
    _set(resource.RLIMIT_NOFILE, limits.open_files)
    _set(resource.RLIMIT_CORE, 0)


def _set(kind: int, soft: int, hard: int | None = None) -> None:
    most = resource.getrlimit(kind)[1]
    hard = soft if hard is None else hard
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))


def _written() -> int:
    """bytes of private memory that this process can write already. Not all that it maps: reserved addresses (CUDA's,
    allocators' arenas) are no memory, which is why the limit is on data and not on addresses."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[5]) * resource.getpagesize()
