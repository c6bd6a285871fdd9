"""What a check says, and how checks are run: each within its own deadline, and what it raises is a line, too."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Check", "Finding", "Level", "Place", "examine", "no", "ok", "warn"]

Level = Literal["ok", "warn", "no"]


@dataclass(frozen=True)
class Finding:
    """One line."""

    level: Level
    """``ok``; ``warn``: something may be missed or slow; ``no``: something will not work."""
    what: str
    """Two or three words: what was looked at."""
    text: str
    """What was found."""
    remedy: str = ""
    """What to do; empty where all is well."""


def ok(what: str, text: str) -> Finding:
    """All is well."""
    return Finding("ok", what, text)


def warn(what: str, text: str, remedy: str) -> Finding:
    """Something may be missed or slow."""
    return Finding("warn", what, text, remedy)


def no(what: str, text: str, remedy: str) -> Finding:
    """Something will not work."""
    return Finding("no", what, text, remedy)


@dataclass(frozen=True)
class Place:
    """What is examined."""

    folder: Path
    """The run directory, or where one will be; it need not be there."""
    address: str | None = None
    """Of a running Ray cluster."""
    start: bool = False
    """Whether to start a Ray on this machine to see that it does."""

    @property
    def existing(self) -> Path:
        """The folder, or the nearest one above it that is there."""
        folder = self.folder.absolute()
        while not folder.is_dir() and folder != folder.parent:
            folder = folder.parent
        return folder


@dataclass(frozen=True)
class Check:
    """A function that looks at one thing."""

    what: str
    """For the line that is printed when it raises or does not answer."""
    look: Callable[[Place], Iterable[Finding]]
    deadline: float = 10.0
    """seconds"""


def examine(checks: Iterable[Check], place: Place) -> Iterator[Finding]:
    """All findings, as they come. No check keeps the others from being run."""
    for check in checks:
        yield from _within(check, place)


def _within(check: Check, place: Place) -> Iterator[Finding]:
    """What a check says until its deadline; one that hangs (a network file system does) is left behind."""
    found: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()

    def look() -> None:
        try:
            for one in check.look(place):
                found.put(one)
        except Exception as error:  # noqa: BLE001 - the supervision boundary: a broken check is a line, not a traceback
            text = f"could not be looked at ({type(error).__name__}: {error})"
            found.put(warn(check.what, text, "look at it by hand"))
        finally:
            found.put(None)

    threading.Thread(target=look, name=check.what, daemon=True).start()
    until = time.monotonic() + check.deadline
    while True:
        try:
            one = found.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            remedy = "see whether a file system or a device hangs here"
            yield no(check.what, f"no answer within {check.deadline:g} s", remedy)
            return
        if one is None:
            return
        yield one
