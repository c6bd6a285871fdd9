"""File systems: which one a folder lies on, and whether it is one of a network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["Mount", "is_network", "mount_of", "mounts"]

_NETWORK = frozenset({
    "9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "cvmfs", "davfs", "fhgfs", "gfs", "gfs2", "glusterfs", "gpfs",
    "lizardfs", "lustre", "mfs", "moosefs", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb2",
    "smb3", "smbfs", "sshfs", "vboxsf", "virtiofs", "vmhgfs", "wekafs",
})  # fmt: skip
_FUSE = frozenset({
    "ceph", "davfs", "gcsfuse", "glusterfs", "goofys", "juicefs", "mfs", "rclone", "s3fs", "smbnetfs", "sshfs",
    "vmhgfs-fuse",
})  # fmt: skip
"""What follows ``fuse.``, where it is another machine's."""


class Mount(NamedTuple):
    """One line of ``/proc/self/mountinfo``."""

    point: str
    kind: str
    source: str
    options: str
    """Of the super block: what a cgroup hierarchy controls, among others."""
    root: str
    """Which part of the file system is mounted."""


def mounts(text: str) -> list[Mount]:
    """The lines of mountinfo, in the order in which they were mounted.

    Source: Linux, Documentation/filesystems/proc.rst, section 3.5.
    """
    found = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if len(left) >= 6 and len(right) >= 2:
            point, source = _plain(left[4]), _plain(right[1])
            found.append(Mount(point, right[0], source, right[2] if len(right) > 2 else "", _plain(left[3])))
    return found


def mount_of(folder: Path, table: list[Mount]) -> Mount | None:
    """What a folder lies on: the longest mount point above it, of two alike the later one, which hides the other."""
    above = [mount for mount in table if folder.is_relative_to(mount.point)]
    return max(reversed(above), key=lambda mount: len(mount.point), default=None)


def is_network(kind: str) -> bool:
    """Whether files of this kind of file system lie on another machine, or behind a door to one."""
    name, _, below = kind.partition(".")
    return below in _FUSE if name in ("fuse", "fuseblk") and below else name in _NETWORK


def _plain(text: str) -> str:
    """Without the octal escapes of spaces, tabs and backslashes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
