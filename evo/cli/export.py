"""``evo export``: a run in another form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    format: Annotated[
        str, typer.Option("--format", "-f", help="csv, parquet, jsonl, canonical, or the problem's own.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    archive: Annotated[str | None, typer.Option(help="Write this archive's elites instead of all candidates.")] = None,
) -> None:
    """Write a run as csv, parquet or JSON lines, in canonical form, or in a format of its problem's own."""
    from evo.run import load

    path = load(run).export(format, output, archive=archive)
    typer.echo(str(path))
