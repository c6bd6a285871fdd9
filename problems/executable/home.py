"""What a worker's process keeps for its programs: a folder with their files, a mark, and the guard of both."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from problems.executable import guard
from problems.executable.files import Files

__all__ = ["Home"]

_PREFIX = "evo-program-"
_LOCK = ".lock"
_PATIENCE = 30.0
"""Seconds for the guard to start."""


@dataclass
class Home:
    """One for the whole process (`Home.here`), and for those forked from it."""

    folder: Path
    """Removed by the guard when the process has ended, however it did."""
    mark: str
    _leash: int
    """The guard waits for this end of a pipe to be closed."""
    _written: dict[str, Path] = field(default_factory=dict)
    _number: itertools.count[int] = field(default_factory=itertools.count)

    @staticmethod
    def here() -> Home:
        """That of this process; made on first use.

        Raises:
            OSError: there is no room for temporary files, or no process can be started.
        """
        global _home
        with _lock:
            if _home is None:
                _home = _made()
            return _home

    def files(self, files: Files) -> Path:
        """The folder in which some files are laid out."""
        digest = files.digest
        with _lock:
            if digest not in self._written:
                place = self.folder / digest
                place.mkdir()
                files.write(place)
                self._written[digest] = place
            return self._written[digest]

    def next_mark(self) -> str:
        """The mark of one evaluation."""
        return f"{self.mark}.{os.getpid()}.{next(self._number)}."


_home: Home | None = None
_held: list[int] = []
"""Descriptors that hold the lock of its folder."""
_lock = threading.Lock()


def _made() -> Home:
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    _held.append(_locked(folder / _LOCK))
    folder.chmod(0o755)  # a program in a sandbox may run as somebody else
    mark = os.urandom(8).hex()
    reading, leash = os.pipe()
    try:
        subprocess.run(
            [sys.executable, "-I", "-S", guard.__file__, mark, str(folder)],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=True,
        )
    finally:
        os.close(reading)
    return Home(folder, mark, leash)


def _sweep() -> None:
    """Remove what processes have left whose guard was killed with them: nobody holds its lock."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if left.stat().st_uid == os.geteuid():
                os.close(_locked(left / _LOCK))
                shutil.rmtree(left, ignore_errors=True)


def _locked(file: Path) -> int:
    """A descriptor that holds the lock for as long as this process lives, and those forked from it.

    Raises:
        OSError: another process holds it.
    """
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock
