"""How busy one master keeps many workers, and where it saturates: the real master on a virtual clock.

The clock moves by drawn evaluation times, by the master's own CPU time (measured, ask, tell and log included) and by
0.8 ms for every message it sends, the measured cost of a Ray call. Busy is the share of the workers' time, from the
first moment they were all ready, that was spent on evaluations while the budget was not yet asked for.

    python benchmarks/simulated.py [--quick]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import evo
from operators.real.iso_line import IsoLine
from problems.arm import Arm
from workers.simulated import Simulated

TARGET = 0.97


class Watched(Simulated):
    """Remembers when work was last begun, so that the tail in which work runs out is not counted."""

    last_sent = 0.0
    busy_then = 0.0

    def send(self, worker: int, message: Any) -> None:
        """Note the moment."""
        super().send(worker, message)
        self.last_sent = self.now()
        self.busy_then = self.busy()

    @property
    def share(self) -> float:
        """Busy share from the workers' start until the last message was sent."""
        assert self.count
        return self.busy_then / (self.count * (self.last_sent - self._start_seconds))


def measure(workers: int, seconds: float, sigma: float, order: Any, per_worker: int) -> tuple[float, float]:
    """(busy share, evaluations per virtual second)."""
    crowd = Watched(seconds, sigma, count=workers, seed=1, charge=True)
    evaluations = workers * per_worker
    with tempfile.TemporaryDirectory() as folder:
        evo.search(
            Arm(20),
            evo.MapElites((50, 50), operator=IsoLine(0.1, 0.2)),
            evaluations=evaluations,
            seed=1,
            workers=crowd,
            order=order,
            run_dir=Path(folder) / "run",
        )
    return crowd.share, evaluations / crowd.now()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only the first rows, fewer evaluations")
    quick = parser.parse_args().quick
    cases: list[tuple[int, float, float, Any, int]] = [
        (64, 0.1, 0.0, evo.Arrival(), 100),
        (64, 0.1, 0.5, evo.Arrival(), 100),
        (64, 0.1, 0.5, evo.Strict(64, 8), 100),
        (64, 0.1, 1.0, evo.Arrival(), 100),
        (1000, 1.0, 0.5, evo.Arrival(), 20),
        (2000, 1.0, 0.5, evo.Arrival(), 10),
        (5000, 1.0, 0.5, evo.Arrival(), 10),
        (10000, 1.0, 0.5, evo.Arrival(), 10),
    ]
    table = Table(title="one master, virtual workers")
    for column in ("workers", "evaluation", "sigma", "order", "busy %", "evaluations/s", "ideal/s", "target"):
        table.add_column(column, justify="right")
    measure(2, 0.1, 0.0, evo.Arrival(), 20)  # loads what is loaded once
    for workers, seconds, sigma, order, per_worker in cases[: 3 if quick else None]:
        share, rate = measure(workers, seconds, sigma, order, 30 if quick else per_worker)
        target = f">= {100 * TARGET:.0f} %" if workers == 64 and sigma == 0 else ""
        kind = order.describe()
        name = kind["type"] if kind["type"] == "arrival" else f"strict {kind['block']} x {kind['lag']}"
        table.add_row(
            str(workers),
            f"{seconds:g} s",
            f"{sigma:g}",
            name,
            f"{100 * share:.1f}",
            f"{rate:.0f}",
            f"{workers / seconds:.0f}",
            target,
        )
    Console().print(table)


if __name__ == "__main__":
    main()
