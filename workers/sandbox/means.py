"""What this host lets a fork server put its children behind: each means is tried in a child before it is counted on."""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workers.sandbox import landlock, seccomp
from workers.sandbox.kernel import (
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWUSER,
    NO_NEW_PRIVS,
    bind,
    mount,
    mount_private,
    prctl,
    set_namespace,
    set_read_only,
    unshare,
)

__all__ = ["Means", "enter", "settle", "wrap"]

_UIDS = range(60578, 61184)
"""User ids that no distribution gives away (https://systemd.io/UIDS-GIDS)."""
_TRY = 10.0
"""Seconds for bubblewrap to begin, and for each thing that is tried."""
_NOBODY_NEEDS = (
    ".ray", ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".config/gcloud", ".config/gh", ".netrc",
    ".git-credentials", ".pypirc", ".huggingface/token", ".cache/huggingface/token",
)  # fmt: skip
"""Where tools keep secrets, below the home directory."""


@dataclass(frozen=True)
class Means:
    """What children of this process are put behind."""

    user_namespace: bool
    """Of the server: limits count its processes alone, and privileges end there."""
    pids: bool
    """A process namespace for each child: ending its first process ends all."""
    mounts: bool
    """A mount namespace for each child: everything is read-only but its own folder."""
    network: bool
    """A network namespace without any network."""
    landlock: int
    """Version; 0 for none."""
    filters: tuple[bytes, bytes] | None
    """seccomp: (without network, with it)."""
    uid: int | None
    """A user of the child's own."""
    wrapped: bool
    """Bubblewrap is around the server."""
    others: int
    """Tasks of this user that count where neither it nor a user namespace keeps the children's apart."""

    @property
    def limits_bind(self) -> bool:
        """Whether the kernel's limit on processes holds for the children, and counts them alone: root has none."""
        return self.uid is not None or (self.user_namespace and os.geteuid() != 0)

    def describe(self) -> dict[str, object]:
        """Plain data, for people."""
        return {
            "user namespace": self.user_namespace,
            "process namespaces": self.pids,
            "mount namespaces": self.mounts,
            "network namespace": self.network,
            "landlock": self.landlock,
            "seccomp": self.filters is not None,
            "bubblewrap": self.wrapped,
            "limits bind": self.limits_bind,
            "user id": self.uid,
        }


def enter() -> bool | None:
    """Enter namespaces of mounts, before anything starts a thread; None where none can be made.

    Returns:
        Whether it took a user namespace, for a user who is not root. The caller then goes on as the first process in
        it; the original process stays behind and waits.
    """
    if os.geteuid() == 0 and _tried(lambda: unshare(NEWNS)):
        unshare(NEWNS)
        mount_private()
        return False
    if not _tried(_alone):
        return None
    _alone()
    return True


def wrap(arguments: Sequence[str], network: bool, writable: Iterable[str]) -> None:
    """Go on as this same program inside bubblewrap, where that is installed and works; else return.

    It may be allowed what this process is not: distributions that forbid user namespaces make an exception for it.

    Args:
        arguments: of the program inside.
        network: whether the network is to be there.
        writable: folders that stay writable.
    """
    program = shutil.which("bwrap")
    if program is None:
        return
    options = [program, "--ro-bind", "/", "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc", "--die-with-parent"]
    options += ["--unshare-user", "--unshare-ipc", "--unshare-pid", "--cap-add", "ALL"]
    options += [] if network else ["--unshare-net"]
    for path in writable:
        options += ["--bind", path, path]
    if subprocess.run([*options, "true"], stderr=subprocess.DEVNULL, check=False, timeout=_TRY).returncode:
        return
    os.set_inheritable(int(arguments[0]), True)
    os.execv(program, [*options, sys.executable, "-P", "-m", "workers.sandbox.server", *arguments])


def settle(
    user_namespace: bool, wrapped: bool, paths: Iterable[str], networked: bool, secrets: Iterable[str] = ()
) -> Means:
    """Try what there is, and do what is done once for all children. Nothing is written by this process from now on.

    Args:
        user_namespace: whether this process is in one of its own.
        wrapped: whether it is inside bubblewrap.
        paths: what children must be able to read, whoever they are.
        networked: whether some children may use the network.
        secrets: files and folders that no child may read, beside the usual ones.
    """
    uid = None if user_namespace else _taken()  # its name is one of this network's: before that is left
    network = _tried(lambda: unshare(NEWNET))
    if network and not networked:
        unshare(NEWNET)
    mounts = _tried(_isolated)
    if mounts:
        unshare(NEWNS)  # a file that is open for writing would hold its mount writable; in a copy none is
        _hide(secrets)
        set_read_only("/", on=True, below=True)
    pids = mounts and _tried(_two_pids)
    abi = landlock.version()
    without, with_network = seccomp.compiled(False), seccomp.compiled(True)
    filters = None
    if without and with_network and _tried(lambda: _bound(lambda: seccomp.load(without))):
        filters = without, with_network
    return Means(
        user_namespace,
        pids,
        mounts,
        network or (wrapped and not networked),
        abi if _tried(lambda: _bound(lambda: landlock.restrict(abi, [], False))) else 0,
        filters,
        uid if uid is not None and _reads(uid, paths) else None,
        wrapped,
        0 if user_namespace else _tasks(),
    )


def _hide(more: Iterable[str]) -> None:
    """Put nothing over the places where tools keep secrets. Needs a mount namespace of its own."""
    home = Path(os.path.expanduser("~"))
    for path in [*(home / name for name in _NOBODY_NEEDS), *map(Path, more)]:
        with suppress(OSError):
            if path.is_dir():
                mount("tmpfs", str(path), "size=0,mode=000")
            elif path.exists():
                bind("/dev/null", str(path))


def _alone() -> None:
    """A user namespace in which this user has all privileges, over new namespaces only."""
    uid, gid = os.geteuid(), os.getegid()
    unshare(NEWUSER | NEWNS | NEWPID)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    mount_private()
    first = os.fork()
    if first:
        _wait_for(first)
    mount("proc", "/proc")


def _wait_for(child: int) -> None:
    """Nothing is left to do here but to end as the child ends, or with the worker, whose end ends both."""
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 255)


def _isolated() -> None:
    """What `confine.isolate` and `settle` do with mounts."""
    unshare(NEWNS | NEWIPC)
    mount_private()
    set_read_only("/", on=True, below=True)


def _bound(function: Callable[[], None]) -> None:
    """Do what is allowed to those who never gain privileges."""
    prctl(NO_NEW_PRIVS, 1)
    function()


def _two_pids() -> None:
    for _ in range(2):
        unshare(NEWPID)
        child = os.fork()
        if not child:
            unshare(NEWNS)
            mount("proc", "/proc")
            os._exit(0)
        if not _well(child):
            raise OSError("a process namespace, but no /proc in it")
        set_namespace("/proc/self/ns/pid", NEWPID)


def _taken() -> int | None:
    """A user id that no other server has, held while this process lives; None where one cannot be had.

    It is drawn, as servers in other containers of this machine count for the same limits and cannot be seen from here.
    """
    if os.geteuid() != 0:
        return None
    for uid in random.SystemRandom().sample(_UIDS, len(_UIDS)):
        holder = socket.socket(socket.AF_UNIX)
        try:
            holder.bind(f"\0evo-sandbox-{uid}")  # a name that goes with the process
        except OSError:
            holder.close()
            continue
        _held.append(holder)
        return uid
    return None


def _reads(uid: int, paths: Iterable[str]) -> bool:
    """Whether a user can read these, as far as they exist."""
    known = [path for path in paths if os.path.exists(path)]

    def read() -> None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        if not all(os.access(path, os.R_OK) for path in known):
            raise PermissionError

    return _tried(read)


_held: list[socket.socket] = []


def _tasks() -> int:
    """Processes and threads of this user."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if folder.stat().st_uid == os.getuid():
                count += len(os.listdir(folder / "task"))
    return count


def _tried(function: Callable[[], object]) -> bool:
    """Whether something can be done here: it is done in a child."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        code = 1
        try:
            function()
            code = 0
        except OSError:
            code = 1
        finally:
            os._exit(code)
    return _well(child)


def _well(child: int) -> bool:
    """Whether a child ends as it should, and in time."""
    handle = os.pidfd_open(child)
    try:
        if not select.select([handle], [], [], _TRY)[0]:
            os.kill(child, signal.SIGKILL)
            if not select.select([handle], [], [], _TRY)[0]:
                return False
    finally:
        os.close(handle)
    return os.waitpid(child, 0)[1] == 0
