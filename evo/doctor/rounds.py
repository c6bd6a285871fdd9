"""All checks, in the order in which they are printed."""

from __future__ import annotations

from collections.abc import Sequence

from evo.doctor.cores import cores, open_files, processes, threads
from evo.doctor.directory import file_system, locks, room
from evo.doctor.finding import Check, Place
from evo.doctor.interpreter import extras, layout, packages, python
from evo.doctor.memory import memory, monitor, shared_memory
from evo.doctor.ray_cluster import VISITING, cluster
from evo.doctor.ray_here import STARTING, ray, starts, token
from evo.doctor.sandboxes import sandbox
from evo.doctor.toolchain import compilers, gpus
from evo.errors import ConfigError
from evo.registry import nearest

__all__ = ["CHECKS", "checks_for"]

CHECKS: Sequence[Check] = (
    Check("python", python),
    Check("packages", packages),
    Check("extras", extras),
    Check("shadowed packages", layout),
    Check("run directory", room),
    Check("file system", file_system),
    Check("locks and log", locks, 30.0),
    Check("cores", cores),
    Check("memory", memory),
    Check("/dev/shm", shared_memory),
    Check("open files", open_files),
    Check("processes", processes),
    Check("arithmetic threads", threads),
    Check("compilers", compilers, 240.0),
    Check("gpus", gpus, 70.0),
    Check("sandbox", sandbox, 60.0),
    Check("ray", ray),
    Check("memory monitor", monitor),
    Check("ray token", token),
)
"""What any machine is looked at for."""

_ON_REQUEST: Sequence[Check] = (Check("ray start", starts, STARTING), Check("cluster", cluster, VISITING))


def checks_for(place: Place, only: Sequence[str] = ()) -> list[Check]:
    """Those that make sense there, or of these the ones that are named.

    Raises:
        ConfigError: a name is none of theirs.
    """
    wanted = {"ray start": place.start, "cluster": place.address is not None}
    checks = [*CHECKS, *(check for check in _ON_REQUEST if wanted[check.what])]
    known = [check.what for check in checks]
    for name in only:
        if name not in known:
            raise ConfigError(f"{name!r} is no check{nearest(name, known)}; expected some of {', '.join(known)}")
    return [check for check in checks if not only or check.what in only]
