"""Where a run stands, told also of one whose master was killed before it could say so."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

__all__ = ["ABANDONED", "abandoned"]

ABANDONED = "interrupted (no master)"
"""How people are told."""


def abandoned(directory: Path, state: str) -> bool:
    """Whether a run that says it is running has no master: nobody holds its lock."""
    from evo.engine.rundir import LOCK

    if state != "running":
        return False
    try:
        lock = os.open(directory / LOCK, os.O_RDONLY)
    except OSError:  # nothing can be said
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(lock)  # which lets it go
