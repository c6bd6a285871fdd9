"""Folders for files that are on their way: made on first use, removed when the work is done, swept up after a crash."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

__all__ = ["Scratch", "sweep"]

_PREFIX = "scratch-"


class Scratch:
    """Folders of one piece of work; nothing is on the disk before the first is asked for.

    Args:
        parent: where they lie: the run's artifacts, so that a finished file needs a new name and no copy. None: where
            this machine keeps temporary files.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self._parent = parent
        self._root: Path | None = None

    def folder(self) -> Path:
        """A new, empty folder.

        Raises:
            OSError: the parent is not there, or cannot be written.
        """
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._parent)).resolve()
            weakref.finalize(self, shutil.rmtree, self._root, ignore_errors=True)
        return Path(tempfile.mkdtemp(dir=self._root))

    def holds(self, file: Path) -> bool:
        """Whether a file lies in one of these folders, links followed."""
        return self._root is not None and file.resolve().is_relative_to(self._root)

    def clear(self) -> None:
        """Remove all that is there."""
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = None


def sweep(parent: Path) -> None:
    """Remove what workers that died have left in a run's artifacts. None may be at work there."""
    for left in parent.glob(f"{_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
