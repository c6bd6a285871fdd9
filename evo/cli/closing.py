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
    from evo.run import Run

__all__ = ["close", "diverted", "monitor"]

INTERRUPTED = 130


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
    here = Path.cwd()
    return str(directory.relative_to(here) if directory is not None and directory.is_relative_to(here) else directory)


def close(run: Run, as_json: bool) -> None:
    """Print the report, say what can be done next, and exit."""
    from evo.cli import FAILED
    from evo.monitor.report import as_json as json_of
    from evo.monitor.report import print_report
    from evo.store.plain import document

    if as_json:
        print(document(json_of(run)))
    else:
        print_report(run)
    if run.state == "interrupted":
        print(f"evo: interrupted; continue with: evo resume {_short(run.dir)}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)
    if run.state == "failed":
        print(f"evo: {run.reason}", file=sys.stderr)
        raise typer.Exit(FAILED)
