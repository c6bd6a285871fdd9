"""``evo runs``: the runs below a folder."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["runs"]


def runs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with run directories.")] = Path("runs"),
) -> None:
    """List the runs in a folder: state, problem, evaluations, best, coverage, age."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from evo.cli.standing import standing
    from evo.errors import RunError
    from evo.monitor.report import WIDE
    from evo.store.reader import FILE_NAME, RunReader

    files = [] if not folder.is_dir() else [path for path in folder.glob(f"**/{FILE_NAME}") if path.is_file()]
    if not files:
        typer.echo(f"no runs in {folder}")
        return
    table = Table(box=None, padding=(0, 2), header_style="dim")
    for name in ("run", "state", "problem", "algorithm"):
        table.add_column(name, overflow="fold")
    for name in ("evaluations", "best", "coverage", "age"):
        table.add_column(name, justify="right")
    for path in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        place = str(path.parent)
        try:
            reader = RunReader.open(path.parent)
            header, totals = reader.header(), reader.totals()
        except RunError as error:
            table.add_row(Text(place), "unreadable", Text(str(error)))
            continue
        reader.connection.close()
        state = standing(path.parent, str(totals.get("state", "running")))
        table.add_row(*map(Text, (place, state, *_facts(header, totals), _age(path))))
    (Console() if sys.stdout.isatty() else Console(width=WIDE)).print(table)


def _facts(header: dict[str, Any], totals: dict[str, Any]) -> list[str]:
    best, stats = totals.get("best"), totals.get("stats") or {}
    coverage = stats.get("coverage")
    return [
        str(header.get("problem", "")),
        str(header.get("algorithm", "")),
        f"{totals.get('evaluations', 0.0):,.0f}",
        f"{best['objectives'][0]:.6g}" if best and best["objectives"] else "",
        "" if coverage is None else f"{coverage:.1%}",
    ]


def _age(path: Path) -> str:
    """Since the run last wrote."""
    from evo.monitor.terminal import duration

    log = path.with_name(f"{path.name}-wal")  # empty where a reader made it
    written = [file.stat() for file in (path, log) if file.exists()]
    return duration(max(0.0, time.time() - max(file.st_mtime for file in written if file.st_size)))
