"""What a child's end means: the status of its candidate, and the reason in words."""

from __future__ import annotations

import re
from dataclasses import replace

from evo.records import Outcomes, Status
from evo.sandbox import Sandbox
from workers.sandbox.watch import text_of

__all__ = ["explain", "verdict"]

_LIMITS = ("memory", "output", "files", "processes", "answer")


def verdict(how: str, detail: str, limits: Sandbox, tail: str) -> tuple[Status, str]:
    """(status, reason) of a child that gave no answer that could be used.

    Args:
        how: `Ended.how`, or ``garbled``.
        detail: its detail.
        limits: that were in force.
        tail: the end of its output.
    """
    status = Status.FAILED
    if how == "deadline":
        status, reason = Status.TIMEOUT, detail
    elif how == "cpu":
        status, reason = Status.TIMEOUT, f"cpu: {detail}"
    elif how == "signal" and detail == "SIGXCPU":
        told = "its deadline allows" if limits.cpu_seconds is None else f"{limits.cpu_seconds:g} s"
        status, reason = Status.TIMEOUT, f"cpu: more than {told}"
    elif how == "signal" and detail == "SIGXFSZ":
        reason = f"files: more than {text_of(limits.file_bytes)}"
    elif how == "signal":
        status, reason = Status.CRASHED, f"killed by {detail}"
    elif how in _LIMITS:
        reason = f"{how}: {detail}"
    elif how == "garbled":
        reason = f"its answer is not in order: {detail}"
    else:
        reason = f"ended without an answer (exit code {detail})"
    said = tail.strip()
    return status, f"sandbox: {reason}" + (f"\n{said}" if said else "")


def explain(outcomes: Outcomes, limits: Sandbox) -> None:
    """Where a limit is what made a row fail, say so in front of its reason."""
    for row, note in outcomes.notes.items():
        if outcomes.status is not None and outcomes.status[row] != Status.FAILED:
            continue
        for pattern, told in (
            (_MEMORY, f"memory: more than {text_of(limits.memory)}"),
            (_PROCESSES, f"processes: more than {limits.processes}"),
            (_FILE, f"files: more than {text_of(limits.file_bytes)}"),
            (_OPEN, f"open files: more than {limits.open_files}"),
        ):
            if pattern.match(note.message):
                outcomes.notes = {**outcomes.notes, row: replace(note, message=f"sandbox: {told}\n{note.message}")}


_MEMORY = re.compile(r"\w*MemoryError\b|OSError: \[Errno 12\]")
_PROCESSES = re.compile(r"BlockingIOError: \[Errno 11\]|RuntimeError: can't start new thread")
_FILE = re.compile(r"OSError: \[Errno 27\]")
_OPEN = re.compile(r"OSError: \[Errno 24\]")
