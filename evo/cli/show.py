"""``evo show``: what a run has found so far."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["show"]


def show(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    best: Annotated[int, typer.Option(min=1, help="How many of the best candidates.")] = 1,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show where a run stands, its best candidates and its failures. Reads only; a running search does not mind."""
    from rich.console import Console
    from rich.text import Text

    from evo.monitor.report import WIDE, as_json, as_plain, print_report
    from evo.monitor.showing import shown
    from evo.records import candidate_name
    from evo.run import load

    held = load(run)
    if json_:
        document = as_json(held)
        if best > 1:
            document["bests"] = [as_plain(held, one) for one in held.bests(best)]
        typer.echo(json.dumps(document, allow_nan=False))
        return
    console = Console() if sys.stdout.isatty() else Console(width=WIDE)
    print_report(held, console, picture=False)
    if best == 1:
        return
    for rank, one in enumerate(held.bests(best), start=1):
        figures = {**one.objectives, **one.measures, **one.metrics}
        text = ", ".join(
            f"{name} {value:.8g}" if isinstance(value, float) else f"{name} {value}" for name, value in figures.items()
        )
        console.print(f"\n{rank}. candidate {candidate_name(one.candidate)}: {text}", highlight=False, soft_wrap=True)
        if one.genome is not None:
            # only the first is worth a process of its own
            genome = shown(held, one.genome)[0] if rank == 1 else json.dumps(as_plain(held, one)["genome"])
            console.print(Text(genome), soft_wrap=True)
