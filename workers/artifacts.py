"""What work needs and what it leaves behind: small artifacts travel in messages, large ones are files in the run."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evo.errors import EvaluationError
from evo.records import Requests
from evo.scratch import Scratch

__all__ = ["INLINE_ARTIFACT", "MESSAGE_ARTIFACT", "Keeper", "needed"]

INLINE_ARTIFACT = 1 << 20
"""Artifacts up to this many bytes travel in messages and live in the run file; larger ones become files."""

MESSAGE_ARTIFACT = 64 << 20
"""bytes: the largest artifact that travels in a message, where a worker has no folder to put it."""

_READING = 0o444
_DIGITS = frozenset("0123456789abcdef")


def needed(requests: Requests, small: Mapping[str, bytes], folder: Path | None) -> dict[str, Path | bytes]:
    """hash -> content or file of what any of the requests needs."""
    found: dict[str, Path | bytes] = {}
    for row in requests.needs:
        for digest in row:
            if not set(digest) <= _DIGITS:
                raise EvaluationError(f"needs: expected the hash of an artifact, got {digest!r}")
            if digest in small:
                found[digest] = small[digest]
            elif folder is not None:
                found[digest] = folder / digest
    return found


class Keeper:
    """Puts artifacts where they belong, by the hash of their content.

    A large one appears in the run's folder complete and on the disk, or not at all: it gets its name last. From then on
    nobody may write it, for the name says what is in it; whoever may read the folder may read it. No file is ever in
    memory as a whole: one in the scratch folder is read once, for its hash, and renamed; any other is copied, and so is
    one that has a second name (a hard link) or another owner, through whom its content could still change.

    Args:
        folder: the run's, or None where all artifacts travel in messages, whatever their size.
        scratch: of this work, on the folder's file system.

    Attributes:
        small: hash -> content of what shall travel in messages.
    """

    def __init__(self, folder: Path | None, scratch: Scratch) -> None:
        self.small: dict[str, bytes] = {}
        self._folder, self._scratch = folder, scratch
        self._moved: dict[Path, str] = {}

    def keep(self, artifacts: Mapping[str, bytes | Path]) -> dict[str, str]:
        """name -> hash of what users' code hands over.

        Raises:
            EvaluationError: a name is not text, or something is neither bytes nor the path of a file.
            OSError: a file cannot be read, or not be written where it belongs.
        """
        hashes = {}
        for name, content in artifacts.items():
            if not isinstance(name, str):
                raise EvaluationError(f"artifacts: names must be text, got {name!r}")
            hashes[name] = self._kept(name, content)
        return hashes

    def _kept(self, name: str, content: Any) -> str:
        if isinstance(content, Path):
            return self._of_file(name, content)
        if not isinstance(content, bytes | bytearray | memoryview):
            raise EvaluationError(f"artifact {name!r}: expected bytes or a pathlib.Path, got {type(content).__name__}")
        data = bytes(content)
        self._refuse(name, len(data))
        if self._folder is None or len(data) <= INLINE_ARTIFACT:
            return self._hold(data)
        partial = self._scratch.folder() / "content"
        partial.write_bytes(data)
        return self._move(partial, self._folder)

    def _of_file(self, name: str, path: Path) -> str:
        path = Path(os.path.realpath(path))
        if path in self._moved and not path.exists():  # handed over under two names
            return self._moved[path]
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise EvaluationError(f"artifact {name!r}: expected a file, but {path} is none")
        self._refuse(name, status.st_size)
        if self._folder is None or status.st_size <= INLINE_ARTIFACT:
            return self._hold(path.read_bytes())
        if self._scratch.holds(path) and status.st_nlink == 1 and status.st_uid == os.geteuid():
            self._moved[path] = self._move(path, self._folder)
            return self._moved[path]
        partial = self._scratch.folder() / "copy"
        shutil.copyfile(path, partial)
        return self._move(partial, self._folder)

    def _refuse(self, name: str, size: int) -> None:
        if self._folder is None and size > MESSAGE_ARTIFACT:
            raise EvaluationError(
                f"artifact {name!r}: {size:,} bytes, but this worker has no folder for it, and at most "
                f"{MESSAGE_ARTIFACT:,} travel in a message: use a run directory that every node sees (--run-dir)"
            )

    def adopt(self, handle: int, digest: str, place: int) -> None:
        """Take over a file whose hash has been read, and which nobody else holds open, from the folder `place`.

        Raises:
            EvaluationError: there is no folder for it.
            OSError: it cannot be moved.
        """
        if self._folder is None:
            raise EvaluationError(f"artifact {digest}: there is no folder for it")
        os.fsync(handle)
        if (self._folder / digest).exists():
            return
        os.fchmod(handle, stat.S_IMODE(self._folder.stat().st_mode) & _READING)
        os.replace(digest, self._folder / digest, src_dir_fd=place)
        _sync(self._folder)

    def _hold(self, data: bytes) -> str:
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        self.small[digest] = data
        return digest

    def _move(self, path: Path, folder: Path) -> str:
        """Name a file of the scratch folder by its content; where that is there already, processes may have it mapped,
        so it stays."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, _blake).hexdigest()
            os.fsync(file.fileno())
        if (folder / digest).exists():
            path.unlink()
        else:
            path.chmod(stat.S_IMODE(folder.stat().st_mode) & _READING)
            path.replace(folder / digest)
            _sync(folder)
        return digest


def _sync(folder: Path) -> None:
    """Bring the names in a folder onto the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # file systems that cannot do it for folders say so
            raise
    finally:
        os.close(handle)


def _blake() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)
