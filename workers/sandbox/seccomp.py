"""Seccomp through libseccomp, where it is installed: system calls that no evaluation needs and attacks begin with.

The filter is compiled once and loaded by each child. What is refused fails with EPERM, so that a library that merely
tries goes on without.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket

from workers.sandbox.kernel import SECCOMP, prctl

__all__ = ["compiled", "load"]

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_MODE_FILTER = 2
_NOT_EQUAL, _MASKED_EQUAL = 1, 7
_SIZE = 8
"""bytes of one instruction"""
_NEW_USER = 0x10000000

_REFUSED = (
    "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "mount", "umount2", "pivot_root",
    "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "unshare",
    "setns", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "add_key", "request_key", "keyctl", "kexec_load", "kexec_file_load", "init_module", "finit_module",
    "delete_module", "reboot", "swapon", "swapoff", "acct", "quotactl", "syslog", "settimeofday", "clock_settime",
    "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "iopl", "ioperm", "open_by_handle_at",
    "name_to_handle_at", "lookup_dcookie", "vhangup", "nfsservctl", "shmget", "msgget", "semget",
)  # fmt: skip


class _Comparison(ctypes.Structure):
    _fields_ = [
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    ]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def compiled(network: bool) -> bytes | None:
    """The filter as the kernel takes it, None where there is no libseccomp.

    Args:
        network: without it, only Unix sockets can be made.
    """
    library = _library()
    if library is None:
        return None
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
    if not context:
        return None
    try:
        for name in _REFUSED:
            _refuse(library, context, name, errno.EPERM)
        _refuse(library, context, "clone3", errno.ENOSYS)  # its flags lie in memory; C libraries then use clone
        _refuse(library, context, "clone", errno.EPERM, _Comparison(0, _MASKED_EQUAL, _NEW_USER, _NEW_USER))
        if not network:
            _refuse(library, context, "socket", errno.EPERM, _Comparison(0, _NOT_EQUAL, socket.AF_UNIX, 0))
        handle = os.memfd_create("filter")
        try:
            if library.seccomp_export_bpf(context, handle) != 0:
                return None
            return os.pread(handle, os.fstat(handle).st_size, 0)
        finally:
            os.close(handle)
    finally:
        library.seccomp_release(context)


def load(program: bytes) -> None:
    """Put the filter on this thread and its children, for good. `NO_NEW_PRIVS` must be set."""
    held = _Program(len(program) // _SIZE, program)
    prctl(SECCOMP, _MODE_FILTER, ctypes.byref(held))


def _library() -> ctypes.CDLL | None:
    for name in ("libseccomp.so.2", "libseccomp.so"):
        try:
            if name is not None:
                library = ctypes.CDLL(name)
                library.seccomp_init.restype = ctypes.c_void_p
                library.seccomp_rule_add_array.argtypes = [
                    ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p,
                ]  # fmt: skip
                return library
        except OSError:
            continue
    return None


def _refuse(library: ctypes.CDLL, context: ctypes.c_void_p, name: str, number: int, *only: _Comparison) -> None:
    call = library.seccomp_syscall_resolve_name(name.encode())
    if call >= 0:  # negative: this architecture has no such call
        library.seccomp_rule_add_array(context, _ERRNO | number, call, len(only), (_Comparison * len(only))(*only))
