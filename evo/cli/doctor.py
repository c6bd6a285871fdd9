"""`evo doctor`: what may keep searches from running well here, each with its remedy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from evo.doctor import Finding

__all__ = ["doctor"]

_COLOURS = {"ok": "green", "warn": "yellow", "no": "red"}
_WHAT = 18
"""Columns for what was looked at."""


def doctor(
    only: Annotated[list[str] | None, typer.Argument(metavar="[CHECK]...", help="Default: all.")] = None,
    address: Annotated[str | None, typer.Option(help="Of a running Ray cluster; default: RAY_ADDRESS.")] = None,
    run_dir: Annotated[Path, typer.Option(help="Where runs will be.")] = Path("runs"),
    start: Annotated[bool, typer.Option("--start", help="Also start a Ray on this machine, and end it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list of findings, at the end.")] = False,
) -> None:
    """Look for what may keep searches from running well on this machine, or on a cluster."""
    import json
    from dataclasses import asdict

    from evo.cli import FAILED
    from evo.doctor import Place, checks_for, examine
    from evo.redact import redacted

    address = address or os.environ.get("RAY_ADDRESS")
    place = Place(run_dir, None if address in ("", "local") else address, start)
    findings = []
    console = None if as_json else _console()
    for finding in examine(checks_for(place, only or ()), place):
        findings.append(finding)
        if console is not None:
            _print(console, finding)
    if as_json:
        print(json.dumps(redacted([asdict(finding) for finding in findings]), indent=2))
    if any(finding.level == "no" for finding in findings):
        raise typer.Exit(FAILED)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _print(console: Console, finding: Finding) -> None:
    """On a terminal in columns; elsewhere one line, so that it can be searched."""
    from rich.table import Table
    from rich.text import Text

    from evo.redact import redact

    text, remedy = redact(finding.text), redact(finding.remedy)
    mark = Text(finding.level, _COLOURS[finding.level])
    if not console.is_terminal:
        line = f"{finding.what.ljust(_WHAT)}  {text}{f'; remedy: {remedy}' if remedy else ''}"
        console.print(Text.assemble(mark, " " * (6 - len(finding.level)), line), soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(width=4)
    table.add_column(width=_WHAT)
    table.add_column()
    table.add_row(mark, finding.what, text)
    if remedy:
        table.add_row("", "", Text(f"→ {remedy}", "dim" if finding.level == "ok" else ""))
    console.print(table)
