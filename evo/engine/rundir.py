"""The run directory: made once, held by one master at a time."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from evo.errors import RunError
from evo.json_text import read_json
from evo.store.reader import FILE_NAME

__all__ = ["ARTIFACTS", "LOCK", "SUPERVISOR_LOG", "RunDir", "Standing", "began", "clear", "held", "vacant"]

ARTIFACTS = "artifacts"
LOCK = "lock"
SUPERVISOR_LOG = "supervisor.log"
"""Why masters of this run ended; locked by a supervisor that is between two masters."""
_RAY_LOG = "ray.log"
_LOOKING = 0.5
"""Seconds for which somebody who only looks (`held`) may keep a lock from a master."""


class RunDir:
    """A run directory held under a lock; a context manager that lets it go.

    Raises:
        RunError: it exists already (when creating), holds no run (when opening), cannot be written, or another master
            holds it.
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        self.path = path.absolute()
        if create:
            self._create()
        elif not (self.path / FILE_NAME).is_file():
            raise RunError(f"{path}: no run here (expected {FILE_NAME}); evo runs lists the runs there are")
        self._refuse_links()
        self._lock = self._take_lock()
        if create and began(self.path):  # another master was faster
            self.close()
            self._refuse()

    @property
    def file(self) -> Path:
        """The run file."""
        return self.path / FILE_NAME

    @property
    def artifacts(self) -> Path:
        """Where large artifacts lie."""
        return self.path / ARTIFACTS

    def _create(self) -> None:
        if began(self.path):
            self._refuse()
        if self.path.is_dir() and not vacant(self.path):
            raise RunError(f"{self.path}: the directory is not empty; choose another run directory")
        try:
            (self.path / ARTIFACTS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be created ({error.strerror}); choose a writable run directory"
            ) from error

    def _refuse(self) -> None:
        raise RunError(f"{self.path}: a run is here already; take it up with evo resume {self.path}, or choose another")

    def _refuse_links(self) -> None:
        """What a master writes must not end up elsewhere because somebody made the directory so."""
        for path in self.path.iterdir():
            if path.is_symlink():
                raise RunError(f"{path}: is a link; a run's files lie in its own directory: put what it leads to there")

    def _take_lock(self) -> int:
        try:
            lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({error.strerror}); is the directory read-only?") from error
        if not _locked(lock):
            holder = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise RunError(f"{self.path}: another master (process {holder}) is at work on this run")
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        return lock

    def close(self) -> None:
        """Let it go."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> RunDir:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _locked(lock: int) -> bool:
    deadline = time.monotonic() + _LOOKING
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def began(directory: Path) -> bool:
    """Whether a master wrote the run's header; one that was killed before leaves nothing worth keeping."""
    file = directory / FILE_NAME
    if not file.exists():
        return False
    try:
        with closing(sqlite3.connect(file)) as connection:
            found: bool = connection.execute("SELECT count(*) FROM header").fetchone() != (0,)
            return found
    except sqlite3.DatabaseError as error:
        return "no such table" not in str(error)


def vacant(directory: Path) -> bool:
    """Whether a run can begin in this directory: there is nothing but what a master leaves that never began."""
    return not began(directory) and all(map(_left_behind, directory.iterdir()))


def clear(directory: Path) -> None:
    """Take a directory away in which no run began and nothing else lies; leave any other as it is."""
    with suppress(OSError):
        if not held(directory) and vacant(directory):
            for path in directory.iterdir():
                path.rmdir() if path.name == ARTIFACTS else path.unlink()
            directory.rmdir()


def held(directory: Path, name: str = LOCK, seconds: float = 0.0) -> bool:
    """Whether a master is at work on the run, still after so many seconds; or whether another file is locked."""
    deadline = time.monotonic() + seconds
    try:
        lock = os.open(directory / name, os.O_RDONLY)
    except OSError:  # nobody has ever held it, or nothing can be said
        return False
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() >= deadline:
                    return True
                time.sleep(0.1)
            else:
                return False
    finally:
        os.close(lock)  # which lets it go


@dataclass(frozen=True)
class Standing:
    """How far a run has come, as its file says."""

    state: str = ""
    """Empty where none was written."""
    moves: int = 0
    results: int = 0
    """Rows; they only ever become more."""

    @classmethod
    def of(cls, directory: Path | None, before: Standing | None = None) -> Standing:
        """As the run file says now; nothing where there is none; `before` (or nothing) where it cannot be read."""
        try:
            if directory is None or not (directory / FILE_NAME).is_file():
                return cls()
            with closing(sqlite3.connect(directory / FILE_NAME, timeout=5)) as connection:
                moves, results, totals = connection.execute(
                    "SELECT (SELECT coalesce(max(seq) + 1, 0) FROM moves), "
                    "(SELECT coalesce(max(id), 0) FROM results), (SELECT document FROM totals)"
                ).fetchone()
            return cls(read_json(totals)["state"] if totals else "", moves, results)
        except (sqlite3.Error, OSError, ValueError, TypeError, LookupError):
            return before if before is not None else cls()


def _left_behind(path: Path) -> bool:
    """Whether this is what a master leaves that was killed before it wrote anything."""
    if path.name == ARTIFACTS:
        return not any(path.iterdir())
    return path.name in (LOCK, SUPERVISOR_LOG, _RAY_LOG) or path.name.startswith(FILE_NAME)
