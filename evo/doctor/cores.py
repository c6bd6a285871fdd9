"""Cores, open files and processes: how many there may be; how many threads a worker's arithmetic takes."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping

from evo.doctor.cgroups import Limits, limits
from evo.doctor.finding import Finding, Place, ok, warn

__all__ = ["cores", "of_cores", "of_files", "of_threads", "open_files", "processes", "threads"]

_FILES = 4096
"""Descriptors: Ray asks for 65536, a master of 100 workers takes about a thousand."""
_PROCESSES = 4096
"""Ray's threads count, some hundreds a node, and about 30 a worker."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def cores(place: Place) -> Iterator[Finding]:
    """How many cores this process may use."""
    yield of_cores(os.cpu_count() or 1, len(os.sched_getaffinity(0)), limits())


def of_cores(seen: int, bound: int, allowed: Limits) -> Finding:
    """What is to be said of `seen` cores of which this process is bound to some, and allowed the time of some."""
    usable = min(seen, bound) if allowed.cpus is None else min(seen, bound, allowed.cpus)
    if usable < seen:
        why = "by the container" if allowed.cpus is not None and allowed.cpus == usable else "by its affinity"
        text = f"{seen} seen, {usable:g} allowed {why}"
        return warn("cores", text, f"--workers {max(1, int(usable))}: Ray and evo start one for each core they see")
    return ok("cores", f"{seen}")


def open_files(place: Place) -> Iterator[Finding]:
    """How many files one process may have open."""
    yield of_files(*resource.getrlimit(resource.RLIMIT_NOFILE))


def of_files(soft: int, hard: int) -> Finding:
    """What is to be said of the soft and the hard limit."""
    if soft != resource.RLIM_INFINITY and soft < _FILES:
        most = 65536 if hard == resource.RLIM_INFINITY else min(65536, hard)
        more = "" if most >= _FILES else ", after raising the hard limit (/etc/security/limits.conf)"
        return warn(
            "open files", f"{soft} for a process, short for many workers", f"ulimit -n {max(most, _FILES)}{more}"
        )
    return ok("open files", "no limit" if soft == resource.RLIM_INFINITY else f"{soft} for a process")


def processes(place: Place) -> Iterator[Finding]:
    """How many processes and threads there may be."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    by_user = None if soft == resource.RLIM_INFINITY or os.geteuid() == 0 else soft
    yield of_processes(by_user, limits().processes)


def of_processes(by_user: int | None, by_container: int | None) -> Finding:
    """What is to be said of the limits of a user and of a container."""
    least = min((one for one in (by_user, by_container) if one is not None), default=None)
    if least is None:
        return ok("processes", "no limit")
    if least < _PROCESSES:
        remedy = "docker run --pids-limit=-1" if least == by_container else "ulimit -u 65536"
        return warn("processes", f"{least} processes and threads, short for Ray with many workers", remedy)
    return ok("processes", f"{least} processes and threads")


def threads(place: Place) -> Iterator[Finding]:
    """How many threads numpy and others take for their arithmetic."""
    yield of_threads(os.environ, len(os.sched_getaffinity(0)))


def of_threads(environment: Mapping[str, str], seen: int) -> Finding:
    """What is to be said of the variables that direct BLAS."""
    said = {name: environment[name] for name in _THREADS if environment.get(name)}
    many = {name: value for name, value in said.items() if value.isdigit() and int(value) > seen}
    if many:
        text = ", ".join(f"{name}={value}" for name, value in many.items())
        return warn("arithmetic threads", f"{text} on {seen} cores", f"unset {' '.join(many)}")
    if said:
        return ok("arithmetic threads", ", ".join(f"{name}={value}" for name, value in said.items()))
    return ok("arithmetic threads", f"as many as a Ray worker has cpus; in this process up to {seen}")
