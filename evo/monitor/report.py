"""The end of a search: a table for people, a document for programs, a picture in the run directory."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evo.errors import EvoError
from evo.monitor.showing import shown
from evo.monitor.tables import figure, flat, is_table, print_table, tables_in
from evo.monitor.terminal import duration
from evo.problem import Best
from evo.records import candidate_name
from evo.store.plain import finite

if TYPE_CHECKING:
    from evo.run import Run

__all__ = ["WIDE", "as_json", "as_plain", "draw", "print_report"]

WIDE = 160
"""Columns where there is no terminal: a file does not wrap."""
_WIDTH = 600
"""Characters of a genome in the table."""


def as_json(run: Run, state: str = "") -> dict[str, Any]:
    """The run as a JSON-like document; None for what is not finite.

    Args:
        run: the run.
        state: its state, where more is known than the run file says.
    """
    totals = run.totals
    return {
        "run": str(run.dir) if run.dir is not None else run.name,
        "state": state or run.state,
        "reason": run.reason,
        "restarts": _restarts(run),
        "problem": run.header.get("problem"),
        "algorithm": run.header.get("algorithm"),
        "seed": run.seed,
        "evaluations": run.evaluations,
        "performed": totals.get("performed", 0),
        "failures": run.failures,
        "rejected": run.rejected,
        "elapsed": totals.get("elapsed", 0.0),
        "worker_seconds": totals.get("worker_seconds", 0.0),
        "cpu_seconds": totals.get("cpu_seconds", 0.0),
        "workers": run.workers() if run.logged else [],
        "best": None if totals.get("best") is None else finite(_named(run, totals["best"])),
        "stats": finite(dict(totals.get("stats") or {})),
        "summary": finite(run.summary),
    }


def as_plain(run: Run, best: Best) -> dict[str, Any]:
    """One candidate as a JSON-like document."""
    space = None if run.problem is None else run.problem.space
    genome = best.genome if space is None or best.genome is None else space.to_json(best.genome)
    figures = {"objectives": dict(best.objectives), "measures": dict(best.measures), "metrics": dict(best.metrics)}
    document: dict[str, Any] = finite({"candidate": candidate_name(best.candidate), "genome": genome, **figures})
    return document


def _named(run: Run, best: Mapping[str, Any]) -> dict[str, Any]:
    """The best of the totals: its genome lies there as JSON, so the problem is not needed."""
    figures = {
        kind: dict(zip([one["name"] for one in run.header[kind]], best[kind], strict=True))
        for kind in ("objectives", "measures")
    }
    name = candidate_name(int(best["candidate"]))
    return {"candidate": name, "genome": best["genome"], **figures, "metrics": dict(best.get("metrics", {}))}


def print_report(run: Run, console: Console | None = None, *, picture: bool = True, state: str = "") -> None:
    """Print what was found and how it went; then draw it into the run directory and say where.

    Args:
        run: the run.
        console: where to; standard output unless given.
        picture: whether to draw, where the run has a directory and the extra is installed.
        state: its state, where more is known than the run file says.
    """
    if console is None:
        console = Console() if sys.stdout.isatty() else Console(width=WIDE)
    console.print(_overview(run, state or run.state))
    for name, rows in tables_in(run.summary):
        print_table(console, name, rows, "run.summary" if run.dir is None else f"evo show {run.dir} --json")
    if run.totals.get("operators"):
        console.print(_operators(run.totals["operators"]))
    for message, count in _messages(run):
        console.print(Text(f"  {count:,} x {message}", style="red"))
    if picture and run.dir is not None:
        for path in draw(run, run.dir):
            console.print(Text(f"picture: {path}"), soft_wrap=True)
    if run.dir is not None:
        console.print(Text(f"run: {run.dir}"), soft_wrap=True)


def _overview(run: Run, state: str) -> Table:
    totals, header, stats = run.totals, run.header, run.totals.get("stats") or {}
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column(overflow="fold")
    elapsed = float(totals.get("elapsed", 0.0))
    rate = f", {run.evaluations / elapsed:,.1f}/s" if elapsed > 0 else ""
    table.add_row("problem", Text(str(header.get("problem", ""))))
    table.add_row("algorithm", Text(str(header.get("algorithm", ""))))
    table.add_row("seed", str(run.seed))
    table.add_row("state", Text(state + (f": {run.reason}" if run.reason else "")))
    table.add_row("evaluations", f"{run.evaluations:,.0f} in {duration(elapsed)}{rate}")
    restarts = _restarts(run)
    if restarts:
        table.add_row("restarts", Text(f"{len(restarts):,}: " + ", ".join(dict.fromkeys(restarts))))
    if totals.get("repeats"):
        table.add_row("repeats", f"{totals['repeats']:,} answered without evaluating again")
    for row in _best_rows(run):
        table.add_row(*row)
    if stats.get("coverage") is not None:
        table.add_row("coverage", f"{stats['coverage']:.2%}, {stats.get('elites', 0):,.0f} elites")
    if stats.get("qd_score") is not None:
        table.add_row("QD score", f"{stats['qd_score']:,.8g}")
    if run.rejected:
        table.add_row("rejected", f"{run.rejected:,}")
    failures = {kind: count for kind, count in run.failures.items() if count}
    text = ", ".join(f"{count:,} {kind}" for kind, count in failures.items()) or "none"
    table.add_row("failures", Text(text, style="red" if failures else ""))
    for label, said in _work_rows(run):
        table.add_row(label, said)
    if totals.get("sandbox") is not None:
        table.add_row("sandbox", _sandbox(totals["sandbox"]))
    for name, value in flat({**run.summary, **run.counters, **run.costs}):
        if not is_table(value):
            table.add_row(Text(name), Text(figure(value, grouped=True)))
    return table


def _sandbox(contained: Mapping[str, str]) -> Text:
    """What is not contained, in red; what is, by name."""
    escapes = ", ".join(f"{name} ({reached})" for name, reached in contained.items() if reached)
    text = Text("contained: " + (", ".join(name for name, reached in contained.items() if not reached) or "nothing"))
    return text.append(f"; NOT contained: {escapes}", style="red") if escapes else text


def _restarts(run: Run) -> list[str]:
    """Why there was another master before, each time."""
    return [event["why"] for event in run.events("restart")] if run.logged else []


def _work_rows(run: Run) -> Iterator[tuple[str, str]]:
    """What the work took, and how evenly it lay on the workers."""
    cpu = float(run.totals.get("cpu_seconds", 0.0))
    if cpu:
        yield "cpu", f"{duration(cpu)} CPU on workers"
    shares = [one["share"] for one in run.workers()] if run.logged else []
    if len(shares) > 1:
        yield "workers", f"{len(shares):,}, each busy {min(shares):.0%} to {max(shares):.0%} of its time"


def _best_rows(run: Run) -> list[tuple[str, Text]]:
    best = run.best
    if best is None:
        verdict = "nothing was accepted" if run.rejected else "nothing was measured"
        return [("best", Text(verdict))]
    figures = ", ".join(f"{name} {figure(value)}" for name, value in {**best.objectives, **best.measures}.items())
    text, note = shown(run, best.genome)
    if len(text) > _WIDTH:
        text = text[:_WIDTH].rstrip() + " ... (evo show prints all)"
    rows = [("best", Text(f"{figures} (candidate {candidate_name(best.candidate)})")), ("genome", Text(text))]
    return [*rows, ("", Text(f"as JSON: {note}", style="dim"))] if note else rows


def _operators(operators: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("operator")
    shown_columns = ["told", "failed", "children", "rejected", "accepted"]
    if all(counts.get("children", counts.get("told")) == counts.get("told") for counts in operators.values()):
        shown_columns.remove("children")  # one each, as from every operator that varies on the master
    if not any(counts.get("rejected") for counts in operators.values()):
        shown_columns.remove("rejected")
    for name in (*shown_columns, "share"):
        table.add_column(name, justify="right")
    for name, counts in sorted(operators.items()):
        children = counts.get("children", counts.get("told", 0))
        share = f"{counts.get('accepted', 0) / children:.1%}" if children else ""
        table.add_row(Text(name or "(none)"), *(f"{counts.get(column, 0):,}" for column in shown_columns), share)
    return table


def _messages(run: Run, most: int = 3) -> list[tuple[str, int]]:
    """The most common first lines of failures."""
    if run.dir is None or not any(run.failures.values()):
        return []
    counts = Counter(message.splitlines()[0] for message in run.reader.messages() if message)
    return counts.most_common(most)


def draw(run: Run, directory: Path) -> list[Path]:
    """The heat-map (of a grid) or the curves, as far as their libraries are installed; what was written."""
    from evo.monitor.figures import save
    from evo.monitor.plot import picture_of

    if run.header["archives"] and run.archive.description.get("kind") == "grid":
        name = "heatmap"
    elif run.curve():
        name = "curves"
    else:
        return []
    written = []
    for library, suffix in (("matplotlib", "png"), ("plotly", "html")):
        if importlib.util.find_spec(library) is None:
            continue
        try:
            written.append(save(picture_of(run, name), directory / f"{name}.{suffix}"))
        except EvoError:
            return written  # a report that cannot be drawn (a full or read-only disk) is still a report
    return written
