"""Linux system calls that Python 3.11 has no functions for. Each raises OSError as those of `os` do."""

from __future__ import annotations

import ctypes
import os
import struct

__all__ = [
    "CHILD_SUBREAPER",
    "DUMPABLE",
    "NEWIPC",
    "NEWNET",
    "NEWNS",
    "NEWPID",
    "NEWUSER",
    "NO_NEW_PRIVS",
    "PDEATHSIG",
    "SECCOMP",
    "bind",
    "drop_capabilities",
    "mount",
    "mount_private",
    "prctl",
    "set_namespace",
    "set_read_only",
    "system_call",
    "unshare",
]

NEWNS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x00020000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
"""Kinds of namespaces: mounts, System V and message queues, users, processes, network."""

PDEATHSIG, DUMPABLE, SECCOMP, CAPBSET_DROP, CHILD_SUBREAPER, NO_NEW_PRIVS = 1, 4, 22, 24, 36, 38
"""Of prctl(2)."""

_MS_REC, _MS_PRIVATE, _MS_BIND = 0x4000, 1 << 18, 0x1000
_MS_NOSUID, _MS_NODEV = 2, 4
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_SETATTR = 442  # one number on every architecture, as all calls since 424
_READ_ONLY = 1
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def system_call(number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """A call by number; integers are passed as longs."""
    passed = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *passed), f"system call {number}")


def prctl(option: int, value: int = 0, pointer: object = 0) -> int:
    """prctl(2)."""
    third = pointer if not isinstance(pointer, int) else ctypes.c_ulong(pointer)
    return _checked(_libc.prctl(option, ctypes.c_ulong(value), third, ctypes.c_ulong(0), ctypes.c_ulong(0)), "prctl")


def unshare(flags: int) -> None:
    """Leave namespaces for new ones; a new one of processes is entered by the next child."""
    _checked(_libc.unshare(flags), "unshare")


def set_namespace(path: str, kind: int) -> None:
    """Enter the namespace that a file under /proc/PID/ns stands for."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.setns(handle, kind), "setns")
    finally:
        os.close(handle)


def mount(kind: str, target: str, options: str = "") -> None:
    """Mount a file system of the kernel's own (``proc``, ``tmpfs``)."""
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV)
    told = options.encode() or None
    _checked(_libc.mount(kind.encode(), os.fsencode(target), kind.encode(), flags, told), f"mount {kind}")


def bind(source: str, target: str) -> None:
    """Show a file or folder at a second place."""
    _checked(_libc.mount(os.fsencode(source), os.fsencode(target), None, ctypes.c_ulong(_MS_BIND), None), "bind mount")


def mount_private() -> None:
    """No mount of this namespace shows up in another."""
    _checked(_libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "mount --make-rprivate")


def set_read_only(path: str, on: bool, below: bool) -> None:
    """Make the mount at `path`, and those below it, read-only or writable (kernel 5.12)."""
    flag = _READ_ONLY
    told = struct.pack("<QQQQ", flag if on else 0, 0 if on else flag, 0, 0)
    at = _AT_RECURSIVE if below else 0
    system_call(_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(path), at, told, len(told))


def drop_capabilities() -> None:
    """Give up every privilege of this thread, and what a later program could win back."""
    for number in range(_LAST_CAPABILITY + 1):
        if _libc.prctl(CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0) < 0:
            break  # the kernel knows no more of them, or there is nothing that may be dropped
    header = struct.pack("<Ii", _CAPABILITY_VERSION_3, 0)
    _checked(_libc.capset(header, bytes(24)), "capset")
