"""Where a run stands, told also of one whose master was killed before it could say so."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ABANDONED", "BETWEEN", "standing"]

ABANDONED = "interrupted (no master)"
BETWEEN = "running (between two masters)"
"""How people are told."""


def standing(directory: Path, state: str) -> str:
    """The state of a run as people are told it, from the state that its file says."""
    from evo.engine.rundir import LOCK, SUPERVISOR_LOG, held

    if state != "running" or not (directory / LOCK).exists() or held(directory):
        return state
    return BETWEEN if held(directory, SUPERVISOR_LOG) else ABANDONED
