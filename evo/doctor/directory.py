"""The run directory: writable, with room, on a disk of this machine, where locks and SQLite's log really work."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from evo.doctor.finding import Finding, Place, no, ok, warn
from evo.doctor.mounts import is_network, mount_of, mounts

__all__ = ["file_system", "locks", "room", "room_in"]

_WHAT = "run directory"
_FEW, _LITTLE = 50 << 20, 1 << 30
"""bytes: below the first no run goes far, below the second not a long one"""
_PATIENCE = 20.0
"""Seconds for a child process."""

_CHILD = """
import fcntl, sqlite3, sys
folder = sys.argv[1]
with open(folder + "/lock") as file:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("locked")
connection = sqlite3.connect("file:" + folder + "/file?mode=ro", uri=True, timeout=5)
print(connection.execute("SELECT sum(n) FROM t").fetchone()[0])
"""


def room(place: Place) -> Iterator[Finding]:
    """Whether it can be written, and how much goes in."""
    folder = place.existing
    try:
        with tempfile.TemporaryDirectory(prefix=".evo-doctor-", dir=folder):
            pass
    except OSError as error:
        yield no(_WHAT, f"{folder} cannot be written ({error.strerror})", "choose another: --run-dir")
        return
    found = os.statvfs(folder)
    yield room_in(folder, found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None)


def room_in(folder: Path, free: int, names: int | None) -> Finding:
    """What is to be said of so many bytes, and of how many more files may be made (None: no limit is known)."""
    text = f"{folder}: {free / 1e9:,.1f} GB free"
    if free < _FEW or names == 0:
        what = "bytes" if free < _FEW else "inodes"
        return no(_WHAT, f"{text}, and no {what} to speak of", "free some, or choose another: --run-dir")
    if free < _LITTLE:
        return warn(_WHAT, text, "enough for a short run; free some before a long one")
    return ok(_WHAT, f"{text}, can be written")


def file_system(place: Place) -> Iterator[Finding]:
    """What kind of file system it is on."""
    yield kind_of(place.existing.resolve(), Path("/proc/self/mountinfo").read_text())


def kind_of(folder: Path, mountinfo: str) -> Finding:
    """What is to be said of a folder, given this machine's mounts."""
    what = "file system"
    mount = mount_of(folder, mounts(mountinfo))
    if mount is None:
        return warn(what, f"that of {folder} is not known", "make sure that it is a disk of this machine")
    if is_network(mount.kind):
        return no(
            what,
            f"{mount.kind} at {mount.point} (from {mount.source}): SQLite's log needs memory that all processes share, "
            "which no network file system has",
            "keep runs on a disk of the machine that runs the master (--run-dir), and copy them when they are finished",
        )
    if mount.kind in ("tmpfs", "ramfs"):
        return warn(what, f"{mount.kind} at {mount.point}: in memory", "a run here is gone when the machine restarts")
    return ok(what, f"{mount.kind} at {mount.point}, on this machine")


def locks(place: Place) -> Iterator[Finding]:
    """A lock that another process meets, and a write-ahead log that it reads while this one writes."""
    what, remedy = "locks and log", "keep runs on a disk of this machine: --run-dir"
    try:
        with tempfile.TemporaryDirectory(prefix=".evo-doctor-", dir=place.existing) as folder:
            complaint = _tried(folder)
    except (OSError, sqlite3.Error, subprocess.SubprocessError) as error:
        complaint = f"{type(error).__name__}: {error}"
    if complaint:
        yield no(what, complaint, remedy)
    else:
        yield ok(what, "a second process meets the lock and reads the write-ahead log")


def _tried(folder: str) -> str:
    """What does not work; empty where all does."""
    with open(f"{folder}/lock", "w") as lock, closing(sqlite3.connect(f"{folder}/file")) as connection:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            return f"SQLite has no write-ahead log here (it stays with {mode!r})"
        connection.execute("CREATE TABLE t (n)")
        connection.execute("INSERT INTO t VALUES (40)")
        connection.commit()
        connection.execute("INSERT INTO t VALUES (2)")
        connection.commit()
        child = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _CHILD, folder],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        said = child.stdout.split()
        if said == ["42"]:
            return "a second process gets the lock that this one holds: two masters could write one run"
        if said != ["locked", "42"]:
            last = child.stderr.strip().rpartition("\n")[2] or " ".join(said)
            return f"a second process does not read what this one writes ({last[-200:]})"
        return ""
