"""``evo plot``: a picture of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["plot"]


def plot(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File: .html, .png, .svg or .pdf.")],
    what: Annotated[
        Literal["heatmap", "curves"] | None,
        typer.Option(help="What to draw; the heat-map where the archive is a grid unless given."),
    ] = None,
) -> None:
    """Draw a run's heat-map or curves: interactive and self-contained (.html), or an image."""
    from evo.run import load

    path = load(run).plot.save(output, what=what or "")
    typer.echo(str(path))
