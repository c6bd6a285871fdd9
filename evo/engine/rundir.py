"""The run directory: made once, held by one master at a time."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from types import TracebackType

from evo.errors import RunError
from evo.store.reader import FILE_NAME

__all__ = ["ARTIFACTS", "RunDir"]

ARTIFACTS = "artifacts"
LOCK = "lock"


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
        self._lock = self._take_lock()
        if create and _began(self.file):  # another master was faster
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
        if _began(self.file):
            self._refuse()
        if self.path.is_dir() and not all(map(_left_behind, self.path.iterdir())):
            raise RunError(f"{self.path}: the directory is not empty; choose another run directory")
        try:
            (self.path / ARTIFACTS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be created ({error.strerror}); choose a writable run directory"
            ) from error

    def _refuse(self) -> None:
        raise RunError(f"{self.path}: a run is here already; take it up with evo resume {self.path}, or choose another")

    def _take_lock(self) -> int:
        try:
            lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({error.strerror}); is the directory read-only?") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise RunError(f"{self.path}: another master (process {holder}) is at work on this run") from None
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


def _began(file: Path) -> bool:
    """Whether a master wrote the run's header; one that was killed before leaves nothing worth keeping."""
    if not file.exists():
        return False
    try:
        with closing(sqlite3.connect(file)) as connection:
            found: bool = connection.execute("SELECT count(*) FROM header").fetchone() != (0,)
            return found
    except sqlite3.DatabaseError as error:
        return "no such table" not in str(error)


def _left_behind(path: Path) -> bool:
    """Whether this is what a master leaves that was killed before it wrote anything."""
    if path.name == ARTIFACTS:
        return not any(path.iterdir())
    return path.name == LOCK or path.name.startswith(FILE_NAME)
