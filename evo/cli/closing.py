"""What every search says when it ends, and the exit code that it ends with."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from evo.run import Run

__all__ = ["close", "monitor"]

INTERRUPTED = 130


def monitor(as_json: bool) -> Any:
    """What shows the search while it goes on, beside standard output where that belongs to the JSON object."""
    from rich.console import Console

    from evo.monitor.terminal import Terminal

    return Terminal(Console(stderr=True)) if as_json else Terminal()


def _short(directory: Path | None) -> str:
    here = Path.cwd()
    return str(directory.relative_to(here) if directory is not None and directory.is_relative_to(here) else directory)


def close(run: Run, as_json: bool) -> None:
    """Print the report, say what can be done next, and exit."""
    from evo.cli import FAILED
    from evo.monitor.report import as_json as json_of
    from evo.monitor.report import print_report

    if as_json:
        print(json.dumps(json_of(run)))
    else:
        print_report(run)
    if run.state == "interrupted":
        print(f"evo: interrupted; continue with: evo resume {_short(run.dir)}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)
    if run.state == "failed":
        print(f"evo: {run.reason}", file=sys.stderr)
        raise typer.Exit(FAILED)
