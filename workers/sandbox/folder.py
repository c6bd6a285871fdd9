"""A child's folder: given to it, taken back when it is dead, and removed whatever it has built there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from evo.errors import EvaluationError
from workers.artifacts import Keeper
from workers.evaluation import KEPT

__all__ = ["given_back", "handed_over", "removed"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def handed_over(folder: Path, uid: int | None) -> None:
    """Make a folder the child's own."""
    if uid is not None:
        os.chmod(folder.parent, 0o711)  # the way there, but not what else is there
        os.chown(folder, uid, uid)


def given_back(folder: Path, digest: str, keeper: Keeper, uid: int | None) -> None:
    """Keep a large artifact that a dead child has left under its hash.

    Raises:
        EvaluationError: there is no such file, or it holds something else than its name says.
        OSError: it cannot be kept.
    """
    with contextlib.ExitStack() as stack:
        try:
            place = stack.enter_context(_opened(folder, _FOLDER))
            inner = stack.enter_context(_opened(KEPT, _FOLDER, place))
            handle = stack.enter_context(_opened(digest, _FILE, inner))
        except OSError as error:
            raise EvaluationError(f"artifact {digest}: nothing was left") from error
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_uid not in (os.geteuid(), uid):
            raise EvaluationError(f"artifact {digest}: not a file of the child's own")
        with open(handle, "rb", closefd=False) as file:
            found = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        if found != digest:
            raise EvaluationError(f"artifact {digest}: it holds something else")
        if status.st_uid != os.geteuid():
            os.fchown(handle, os.geteuid(), os.getegid())
        keeper.adopt(handle, digest, inner)


@contextlib.contextmanager
def _opened(path: Path | str, flags: int, place: int | None = None) -> Iterator[int]:
    handle = os.open(path, flags, dir_fd=place)
    try:
        yield handle
    finally:
        os.close(handle)


def removed(folder: Path) -> None:
    """Remove a folder with all that is in it, however deep, whatever its permissions; what resists stays.

    Folders are emptied upwards: what lies in one is moved to the top and looked at there, so that no depth of nesting
    takes the stack, and no path grows long.
    """
    with contextlib.suppress(OSError):
        top = os.open(folder, _FOLDER)
        try:
            os.fchmod(top, 0o700)
            names = _names()
            waiting = os.listdir(top)
            while waiting:
                waiting.extend(_lifted(top, waiting.pop(), names))
        finally:
            os.close(top)
        os.rmdir(folder)


def _names() -> Iterator[str]:
    """Names that nobody who built the folder can have guessed: what is moved must not cover what is there."""
    drawn = os.urandom(16).hex()
    return (f"evo-{drawn}-{number}" for number in count())


def _lifted(top: int, name: str, names: Iterator[str]) -> list[str]:
    """Remove one entry; of a folder, bring what is in it to the top and return the new names."""
    for remove in (os.unlink, os.rmdir):
        with contextlib.suppress(OSError):
            remove(name, dir_fd=top)
            return []
    moved = []
    with contextlib.suppress(OSError):
        inner = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=top)
        try:
            os.chmod(f"/proc/self/fd/{inner}", 0o700)
            for inside in os.listdir(f"/proc/self/fd/{inner}"):
                new = next(names)
                with contextlib.suppress(OSError):
                    try:
                        os.unlink(inside, dir_fd=inner)
                    except OSError:
                        os.chmod(f"/proc/self/fd/{inner}/{inside}", 0o700, follow_symlinks=True)
                        os.rename(inside, new, src_dir_fd=inner, dst_dir_fd=top)
                        moved.append(new)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=top)
    return moved
