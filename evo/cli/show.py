"""``evo show``: what a run has found so far."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from evo.run import Run

__all__ = ["show"]


def show(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    best: Annotated[int, typer.Option(min=1, help="How many of the best candidates.")] = 1,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show where a run stands, its best candidates and its failures. Reads only; a running search does not mind."""
    from rich.console import Console

    from evo.cli.closing import diverted
    from evo.cli.standing import ABANDONED, standing
    from evo.monitor.report import WIDE, as_json, as_plain, print_report
    from evo.run import load
    from evo.store.plain import document as text_of

    with diverted(json_):
        held = load(run)
        state = standing(run, held.state)
        if json_:
            document = as_json(held, "interrupted" if state == ABANDONED else "")
            if best > 1:
                document["bests"] = [as_plain(held, one) for one in held.bests(best)]
    if json_:
        typer.echo(text_of(document))
        return
    console = Console() if sys.stdout.isatty() else Console(width=WIDE)
    print_report(held, console, picture=False, state=state)
    if best > 1:
        _print_bests(held, best, console)


def _print_bests(run: Run, k: int, console: Console) -> None:
    from rich.text import Text

    from evo.monitor.showing import shown_all
    from evo.monitor.tables import figure
    from evo.records import candidate_name

    bests = run.bests(k)
    known = [one.genome for one in bests if one.genome is not None]
    texts = iter(shown_all(run, known) if known else ())
    for rank, one in enumerate(bests, start=1):
        figures = {**one.objectives, **one.measures, **one.metrics}
        text = ", ".join(f"{name} {figure(value)}" for name, value in figures.items())
        console.print(Text(f"\n{rank}. candidate {candidate_name(one.candidate)}: {text}"), soft_wrap=True)
        if one.genome is not None:
            genome, note = next(texts)
            console.print(Text(genome), soft_wrap=True)
            if note:
                console.print(Text(f"as JSON: {note}", style="dim"), soft_wrap=True)
