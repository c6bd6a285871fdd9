"""What the benchmarks share: tables, verdicts, and how CPU time is told apart from a busy machine's wall time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # CPU time is compared: nobody gets threads that the other has not
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

from rich.console import Console
from rich.table import Table

__all__ = ["Meter", "cpu_of_tree", "ray_here", "show", "verdict"]

_CONSOLE = Console(width=max(120, Console().width), highlight=False)
_RAY = ("raylet", "gcs_server")


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], note: str = "") -> None:
    """Print a table: the first column left, figures right."""
    table = Table(title=title, title_justify="left", caption=note or None, caption_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(str, row))
    _CONSOLE.print(table)


def verdict(good: bool) -> str:
    """How a table says whether a target is met."""
    return "[green]met[/]" if good else "[red]missed[/]"


def cpu_of_tree() -> dict[str, float]:
    """CPU seconds, user and system, of this process, its Ray workers, and Ray's own two daemons.

    Dashboards, agents and log monitors are left out: they tick with the wall clock, whatever the load.
    """
    import psutil

    spent = {"driver": time.process_time(), "workers": 0.0, "ray": 0.0}
    for process in psutil.Process().children(recursive=True):
        try:
            name = process.name()
            kind = "workers" if name.startswith("ray::") else "ray" if name in _RAY else None
            if kind:
                times = process.cpu_times()
                spent[kind] += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return spent


@contextmanager
def ray_here() -> Iterator[None]:
    """One Ray of two cores for both sides."""
    import logging

    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


@dataclass
class Meter:
    """CPU per evaluation between the first and the last look, its own cost taken off.

    An `evo` monitor; a loop that is not evo's calls `look` itself. What happens before the first look (starting
    processes, compiling, first messages) does not count on either side.
    """

    budget: float = 0.0
    """Evaluations of the run; its first fifth is not measured."""
    _first: tuple[float, dict[str, float]] | None = None
    _last: tuple[float, dict[str, float]] | None = None
    _own: float = 0.0

    def look(self, evaluations: float) -> None:
        """Note where the processes' clocks stand."""
        started = time.process_time()
        spent = cpu_of_tree()
        spent["driver"] = started - self._own
        if self._first is None:
            self._first = evaluations, spent
        self._last = evaluations, spent
        self._own += time.process_time() - started

    def per_evaluation(self) -> dict[str, float]:
        """Microseconds by kind of process, and their sum as ``total``."""
        assert self._first is not None
        assert self._last is not None
        (low, before), (high, after) = self._first, self._last
        found = {kind: (after[kind] - before[kind]) / (high - low) * 1e6 for kind in after}
        return {**found, "total": sum(found.values())}

    # evo's monitor protocol

    def start(self, header: Mapping[str, Any]) -> None:
        """Nothing to do."""

    def update(self, totals: Mapping[str, Any]) -> None:
        """Look, once the run is under way."""
        if totals["evaluations"] >= self.budget / 5:
            self.look(totals["evaluations"])

    def finish(self, run: Any) -> None:
        """Nothing to do: the workers are gone by now."""
