"""Landlock: what a process may write, whom it may signal and connect to, given up for good without any privilege.

See https://docs.kernel.org/userspace-api/landlock.html. Reading is left alone: its rules are lists of what is allowed,
and Python, its libraries and the user's data lie anywhere.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterable

from workers.sandbox.kernel import system_call

__all__ = ["restrict", "version"]

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1

_WRITE_FILE, _REFER, _TRUNCATE = 1 << 1, 1 << 13, 1 << 14
_NAMES = sum(1 << bit for bit in range(4, 13))
"""Making and removing what has a name."""
_TCP = 1 << 0 | 1 << 1
_ABSTRACT_SOCKETS, _SIGNALS = 1 << 0, 1 << 1


def version() -> int:
    """Of the kernel's Landlock; 0 where it has none."""
    try:
        return system_call(_CREATE, None, 0, _VERSION)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            return 0
        raise


def restrict(abi: int, writable: Iterable[str], network: bool) -> None:
    """From now on this thread and its children write below `writable` only.

    From version 4 they bind and connect no TCP without `network`, from version 6 they signal and find by an abstract
    name each other only. In any version they can trace, and read the memory and environment of, each other only.
    """
    files = _WRITE_FILE | (_TRUNCATE if abi >= 3 else 0)
    handled = files | _NAMES | (_REFER if abi >= 2 else 0)
    attributes = [handled]
    if abi >= 4:
        attributes.append(0 if network else _TCP)
    if abi >= 6:
        attributes.append(_ABSTRACT_SOCKETS | _SIGNALS)
    told = struct.pack(f"<{len(attributes)}Q", *attributes)
    rules = system_call(_CREATE, told, len(told), 0)
    try:
        for path in writable:
            try:
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                allowed = handled if stat.S_ISDIR(os.fstat(place).st_mode) else files
                system_call(_ADD, rules, _PATH_BENEATH, struct.pack("<Qi", allowed, place), 0)
            finally:
                os.close(place)
        system_call(_RESTRICT, rules, 0)
    finally:
        os.close(rules)
