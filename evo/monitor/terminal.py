"""A search while it goes on: a panel that redraws itself on a terminal, a line every few seconds anywhere else."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from evo.run import Run

__all__ = ["Terminal", "duration"]

_WINDOW = 10.0
"""Seconds over which the present rate is taken."""
_REDRAW, _LINE_EVERY = 0.2, 5.0


def duration(seconds: float) -> str:
    """A span of time as people read it: ``42 s``, ``3 min 05 s``, ``2 h 10 min``, ``3 d 4 h``."""
    if not math.isfinite(seconds):
        return "unknown"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


class Terminal:
    """Shows a run's header and totals. The master calls it; each call returns at once, most without drawing.

    Args:
        console: where to; standard output unless given (``Console(stderr=True)`` beside JSON output).
        clock: seconds, monotonic.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console if console is not None else Console()
        self._clock = clock
        self._live: Live | None = None
        self._header: Mapping[str, Any] = {}
        self._trail: deque[tuple[float, float]] = deque()
        self._shown = -math.inf
        self._began = 0.0
        self._first = 0.0

    def start(self, header: Mapping[str, Any]) -> None:
        """The search begins, or goes on after a resume."""
        self._header = header
        self._began = self._clock()
        self._shown = -math.inf if self._console.is_terminal else self._began
        self._trail.clear()
        title = Text.assemble((str(header.get("name", "")), "bold"), "  ", _what(header), style="default")
        self._console.print(title, highlight=False, soft_wrap=True)
        if self._console.is_terminal:
            # no thread of its own: the master may fork, and draws between ticks anyway
            self._live = Live(Text(""), console=self._console, auto_refresh=False, transient=True)
            self._live.start()

    def update(self, totals: Mapping[str, Any]) -> None:
        """Where the search stands now."""
        now = self._clock()
        evaluations = float(totals.get("evaluations", 0.0))
        if not self._trail:
            self._first = evaluations
        if not self._trail or now - self._trail[-1][0] >= _REDRAW:
            self._trail.append((now, evaluations))
        while len(self._trail) > 2 and now - self._trail[1][0] >= _WINDOW:
            self._trail.popleft()
        if now - self._shown < (_REDRAW if self._live else _LINE_EVERY):
            return
        self._shown = now
        if self._live:
            self._live.update(self._panel(totals, now), refresh=True)
        else:
            self._console.print(Text(self._line(totals, now)), soft_wrap=True)

    def finish(self, run: Run) -> None:
        """The search ended; the panel gives way to one line."""
        if self._live:
            self._live.stop()
            self._live = None
        totals = run.totals
        text = f"{totals.get('state', 'ended')}" + (f": {run.reason}" if run.reason else "")
        self._console.print(Text(f"{text}; {self._line(totals, self._clock(), over=True)}"), soft_wrap=True)

    def close(self) -> None:
        """Give the terminal back, whatever happened."""
        if self._live:
            self._live.stop()
            self._live = None

    def _rates(self, evaluations: float, now: float) -> tuple[float, float]:
        """Evaluations per second: lately, and since the start."""
        since, then = self._trail[0] if self._trail else (now, evaluations)
        lately = (evaluations - then) / (now - since) if now > since else 0.0
        session = now - self._began
        return lately, (evaluations - self._first) / session if session > 0 else 0.0

    def _left(self, totals: Mapping[str, Any], rate: float) -> float:
        """Seconds to the end; infinite where unknown."""
        budget, end = totals.get("budget") or {}, _end(totals)
        bounds = []
        if end and rate > 0:
            bounds.append(max(0.0, end - totals.get("evaluations", 0.0)) / rate)
        if budget.get("seconds"):
            bounds.append(max(0.0, budget["seconds"] - totals.get("elapsed", 0.0)))
        return min(bounds, default=math.inf)

    def _share(self, totals: Mapping[str, Any]) -> float | None:
        """How much of the way is behind, 0 to 1; None where there is no end."""
        budget = {"evaluations": _end(totals), "seconds": (totals.get("budget") or {}).get("seconds")}
        spent = {"evaluations": totals.get("evaluations", 0.0), "seconds": totals.get("elapsed", 0.0)}
        shares = [spent[name] / budget[name] for name in spent if budget.get(name)]
        return min(1.0, max(shares)) if shares else None

    def _facts(self, totals: Mapping[str, Any], now: float) -> dict[str, str]:
        stats = totals.get("stats") or {}
        lately, overall = self._rates(float(totals.get("evaluations", 0.0)), now)
        facts = {"rate": f"{lately:,.0f}/s ({overall:,.0f}/s since start)" if lately < 1e15 else ""}
        if max(lately, overall) < 10:
            facts["rate"] = f"{lately:.2f}/s ({overall:.2f}/s since start)"
        best = totals.get("best")
        if best and best.get("objectives"):
            name = next((one["name"] for one in self._header.get("objectives", [])), "best")
            facts["best"] = f"{name} {best['objectives'][0]:.6g}"
        if stats.get("coverage") is not None:
            facts["coverage"] = f"{stats['coverage']:.1%}"
        if stats.get("qd_score") is not None:
            facts["QD score"] = f"{stats['qd_score']:,.6g}"
        failures = {kind: count for kind, count in (totals.get("failures") or {}).items() if count}
        facts["failures"] = ", ".join(f"{count:,} {kind}" for kind, count in failures.items()) or "none"
        if totals.get("rejected"):
            facts["rejected"] = f"{totals['rejected']:,}"
        workers = totals.get("workers") or {}
        if workers:
            lost = f", {workers['lost']} lost" if workers.get("lost") else ""
            facts["workers"] = f"{workers.get('busy', 0)} busy of {workers.get('alive', 0)}{lost}"
        left = self._left(totals, lately or overall)
        if math.isfinite(left):
            facts["left"] = duration(left)
        return facts

    def _count(self, totals: Mapping[str, Any]) -> str:
        end = _end(totals)
        return f"{totals.get('evaluations', 0.0):,.0f}" + (f" of {end:,.0f}" if end else "")

    def _line(self, totals: Mapping[str, Any], now: float, over: bool = False) -> str:
        facts = self._facts(totals, now)
        for name in ("left", "workers") if over else ():
            facts.pop(name, None)
        parts = [f"{name} {value}" for name, value in facts.items() if not (name == "failures" and value == "none")]
        return ", ".join([f"{duration(totals.get('elapsed', 0.0))}: {self._count(totals)} evaluations", *parts])

    def _panel(self, totals: Mapping[str, Any], now: float) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", justify="right")
        table.add_column()
        table.add_row("evaluations", f"{self._count(totals)} in {duration(totals.get('elapsed', 0.0))}")
        for name, value in self._facts(totals, now).items():
            table.add_row(name, Text(value, style="red" if name == "failures" and value != "none" else ""))
        share = self._share(totals)
        if share is None:
            return table
        width = max(20, min(60, self._console.width - 20))
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=1.0, completed=share, width=width, complete_style="cyan", finished_style="cyan"),
            f"{share:.0%}",
        )
        return Group(table, bar)


def _end(totals: Mapping[str, Any]) -> float | None:
    """After how many evaluations the search ends: its budget, or what the algorithm expects where that is less."""
    ends = [(totals.get("budget") or {}).get("evaluations"), totals.get("expected")]
    return min((end for end in ends if end), default=None)


def _what(header: Mapping[str, Any]) -> str:
    return f"{header.get('problem', '')} · {header.get('algorithm', '')} · seed {header.get('seed', '')}"
