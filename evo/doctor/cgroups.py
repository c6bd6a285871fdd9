"""What a container or a service is allowed: the limits of control groups, of either version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evo.doctor.mounts import mounts

__all__ = ["Limits", "limits"]

_ENDLESS = 1 << 60
"""Version 1 says a number like this where there is no limit."""


@dataclass(frozen=True)
class Limits:
    """None where there is no limit."""

    memory: int | None = None
    """bytes"""
    memory_used: int | None = None
    """bytes, of the group whose limit that is, without what is cached of files and can be given back"""
    cpus: float | None = None
    processes: int | None = None


def limits(root: Path = Path("/")) -> Limits:
    """The tightest limits of the groups that this process is in.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.

    Args:
        root: below which /proc and /sys lie.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text()
        table = mounts((root / "proc/self/mountinfo").read_text())
    except OSError:
        return Limits()
    memory, used, cpus, processes = None, None, None, None
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        names = set(controllers.split(",")) - {""}
        for mount in table:
            if mount.kind == ("cgroup" if names else "cgroup2") and names <= set(mount.options.split(",")):
                inside = path.removeprefix(mount.root) if mount.root != "/" else path
                for folder in _upwards(root / mount.point.lstrip("/"), inside):
                    found = _second(folder) if not names else _first(folder, names)
                    if found.memory is not None and (memory is None or found.memory < memory):
                        memory, used = found.memory, found.memory_used
                    cpus = min((one for one in (cpus, found.cpus) if one is not None), default=None)
                    processes = min((one for one in (processes, found.processes) if one is not None), default=None)
                break
    return Limits(memory, used, cpus, processes)


def _upwards(top: Path, inside: str) -> Iterator[Path]:
    """The group's folder and those above it; in a container often the topmost alone is there."""
    folder = top / inside.lstrip("/")
    while True:
        if folder.is_dir():
            yield folder
        if folder == top or not folder.is_relative_to(top):
            return
        folder = folder.parent


def _second(folder: Path) -> Limits:
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    cached = _field(folder / "memory.stat", "inactive_file")
    used = _number(folder / "memory.current")
    return Limits(
        _number(folder / "memory.max"),
        None if used is None else max(0, used - cached),
        int(quota) / int(period) if quota.isdigit() and period.isdigit() else None,
        _number(folder / "pids.max"),
    )


def _first(folder: Path, names: set[str]) -> Limits:
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    cached = _field(folder / "memory.stat", "total_inactive_file")
    used = _number(folder / "memory.usage_in_bytes")
    return Limits(
        _number(folder / "memory.limit_in_bytes") if "memory" in names else None,
        None if used is None else max(0, used - cached),
        quota / period if "cpu" in names and quota and period else None,
        _number(folder / "pids.max") if "pids" in names else None,
    )


def _text(file: Path) -> str:
    with suppress(OSError):
        return file.read_text().strip()
    return ""


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.isdigit() and int(text) < _ENDLESS else None


def _field(file: Path, name: str) -> int:
    for line in _text(file).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return 0
