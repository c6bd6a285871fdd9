"""What every search says when it ends, and the exit code that it ends with."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from evo.engine.stopping import Stopping
    from evo.run import Run

__all__ = ["close", "diverted", "interruptible", "monitor"]

INTERRUPTED = 130


@contextmanager
def interruptible(stopping: Stopping) -> Iterator[None]:
    """An interruption before the search begins, or after it has ended, is one line and the exit code of all others."""
    try:
        stopping.arm()
        yield
    except KeyboardInterrupt:
        from evo.engine.rundir import began

        place = stopping.tether.facts.get("run")
        if place and began(Path(place)):
            text = f"interrupted; continue with: evo resume {_short(Path(place))}"
        else:
            text = "interrupted before the search began"
        print(f"evo: {text}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None


def monitor(as_json: bool) -> Any:
    """What shows the search while it goes on, beside standard output where that belongs to the JSON object."""
    from rich.console import Console

    from evo.monitor.terminal import Terminal

    return Terminal(Console(stderr=True)) if as_json else Terminal()


@contextmanager
def diverted(as_json: bool) -> Iterator[None]:
    """Whatever is printed meanwhile, by evaluators, libraries or processes started, goes to standard error where
    standard output belongs to the JSON object."""
    if not as_json:
        yield
        return
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # closed: there is nothing to keep clean
        kept = -1
    try:
        if kept >= 0:
            with suppress(OSError):  # no standard error either
                os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if kept >= 0:
            _flush_libraries()
            os.dup2(kept, 1)
            os.close(kept)


def _flush_libraries() -> None:
    """What libraries in C have printed, but still hold back."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).fflush(None)


def _short(directory: Path | None) -> str:
    """As a path from here where it lies below."""
    here = Path.cwd()
    return str(directory.relative_to(here) if directory is not None and directory.is_relative_to(here) else directory)


def close(run: Run, as_json: bool, stopping: Stopping) -> None:
    """Print the report, say what can be done next, and exit; an interrupted report changes nothing of how it ended."""
    from evo.cli import FAILED
    from evo.monitor.report import as_json as json_of
    from evo.monitor.report import print_report
    from evo.store.plain import document

    if as_json:
        print(document(json_of(run)))
    else:
        with suppress(KeyboardInterrupt):
            print_report(run, picture=not stopping.hurried)
    if run.state == "interrupted":
        print(f"evo: interrupted; continue with: evo resume {_short(run.dir)}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)
    if run.state == "failed":
        print(f"evo: {run.reason}", file=sys.stderr)
        raise typer.Exit(FAILED)
