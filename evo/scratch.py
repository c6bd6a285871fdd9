"""Folders for files that are on their way: made on first use, removed when the work is done, swept up after a crash."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path

__all__ = ["Scratch", "sweep"]

_PREFIX = "scratch-"


class Scratch:
    """Folders of one piece of work; nothing is on the disk before the first is asked for.

    They belong to the process that made them: one forked from it leaves them alone, however it ends. A process that is
    killed removes nothing. What it leaves in a run is swept up when the session ends, or when the next one begins;
    without a run directory it stays among the machine's temporary files, as nobody can tell there whether another
    process still needs it, and goes when the machine cleans those.

    Args:
        parent: where they lie: the run's artifacts, so that a finished file needs a new name and no copy. None: where
            this machine keeps temporary files.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self._parent = parent
        self._root: Path | None = None
        self._maker = -1

    def folder(self) -> Path:
        """A new, empty folder.

        Raises:
            OSError: the parent is not there, or cannot be written.
        """
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._parent)).resolve()
            self._maker = os.getpid()
            weakref.finalize(self, _remove, self._root, self._maker)
        return Path(tempfile.mkdtemp(dir=self._root))

    def holds(self, file: Path) -> bool:
        """Whether a file lies in one of these folders, links followed."""
        return self._root is not None and file.resolve().is_relative_to(self._root)

    def clear(self) -> None:
        """Remove all that is there."""
        if self._root is not None:
            _remove(self._root, self._maker)
            self._root = None


def _remove(root: Path, maker: int) -> None:
    if os.getpid() == maker:
        shutil.rmtree(root, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove what workers that died have left in a run's artifacts. None may be at work there."""
    for left in parent.glob(f"{_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
