"""How busy 32 Ray workers are when evaluations wait 200 ms on average, some much longer.

Evaluations sleep for times drawn from a lognormal law of mean 200 ms (a time belongs to a request, so each order meets
the same ones). Arrival order is measured at sigma 0.5 and 1.0, strict order with 256 requests in flight at sigma 0.5.
Busy is the workers' time between the moment when all of them had something to do and the last message sent, in which
they evaluated, read from the run file's attempts.

    python benchmarks/busy.py             # under three minutes
    python benchmarks/busy.py --quick     # fewer evaluations
    python benchmarks/busy.py --simulated # the same runs on a virtual clock: what the order alone costs
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sections.common import show, verdict

import evo
from evo.store.reader import connect_read_only

WORKERS = 32
MEAN = 0.2
ARRIVAL, STRICT = 0.95, 0.03
"""Targets: busy in arrival order, and how far strict order may stay behind it."""
CASES: list[tuple[str, Any, float]] = [
    ("arrival", evo.Arrival(), 0.5),
    ("arrival", evo.Arrival(), 1.0),
    ("strict 8 x 32", evo.Strict(8, 32), 0.5),
]


class Sleeper(evo.Evaluator):
    """Sleeps, as a call to a service does, for a time of its own; needs next to no core."""

    def __init__(self, sigma: float, sleeps: bool) -> None:
        self.sigma, self.sleeps = sigma, sleeps

    @property
    def fidelities(self) -> Mapping[str, evo.Fidelity]:
        """One, of a small part of a core."""
        return {"full": evo.Fidelity(evo.Resources(cpus=0.05), deadline=60.0)}

    def evaluate_batch(self, genomes: Any, work: evo.Work) -> evo.Evaluations:
        """Wait for each, then measure all."""
        for row in range(len(genomes)):
            if self.sleeps:
                time.sleep(MEAN * work.rng(row).lognormal(-(self.sigma**2) / 2, self.sigma))
        return evo.Evaluations((genomes**2).sum(axis=1, keepdims=True), genomes)


class Waiting(evo.Problem):
    """The bottom of a bowl, looked for slowly."""

    space = evo.Box(-1.0, 1.0, size=2)
    objectives = (evo.Minimize("height"),)
    measures = (evo.Measure("x", -1.0, 1.0), evo.Measure("y", -1.0, 1.0))

    def __init__(self, sigma: float, sleeps: bool = True) -> None:
        self.sigma, self.sleeps = sigma, sleeps

    @property
    def evaluator(self) -> evo.Evaluator:
        """The sleeper."""
        return Sleeper(self.sigma, self.sleeps)


@dataclass
class Found:
    """What one run showed."""

    busy: float
    rate: float
    seconds: float
    """Length of the part that was measured."""
    master: float
    """CPU seconds of the master per second of it, where it is known."""
    waits: float
    """Mean seconds of a message between being sent and being begun, beyond the window's own queue."""


def measure(order: Any, sigma: float, evaluations: int, workers: Any) -> Found:
    """One search."""
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        spent = time.process_time()
        evo.search(
            Waiting(sigma, sleeps=isinstance(workers, int)),
            evo.MapElites((20, 20), batch=8),
            evaluations=evaluations,
            seed=1,
            workers=workers,
            order=order,
            run_dir=run_dir,
            handle_signals=False,
        )
        spent = time.process_time() - spent
        return judged(run_dir, spent)


def judged(run_dir: Path, spent: float) -> Found:
    """The steady part, from the attempts."""
    connection = connect_read_only(run_dir)
    rows = connection.execute(
        "SELECT worker, sent, ended, seconds, count FROM attempts WHERE outcome = 'ok'"
    ).fetchall()
    connection.close()
    worker, sent, ended, seconds, count = (np.array(column) for column in zip(*rows, strict=True))
    low = max(sent[worker == one].min() for one in np.unique(worker))
    high = sent.max()
    inside = np.minimum(ended, high) - np.maximum(ended - seconds, low)
    counted = (ended > low) & (ended <= high)
    gaps = []
    for one in np.unique(worker):
        order = np.argsort(ended[worker == one])
        end, begun = ended[worker == one][order], (ended - seconds)[worker == one][order]
        gaps.append(begun[1:] - end[:-1])
    return Found(
        float(inside.clip(0).sum() / (len(np.unique(worker)) * (high - low))),
        float(count[counted].sum() / (high - low)),
        float(high - low),
        spent / float(ended.max()),
        float(np.concatenate(gaps).mean()),
    )


def main() -> None:
    """Print the table; exit with 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer evaluations")
    parser.add_argument("--simulated", action="store_true", help="on a virtual clock, without Ray")
    options = parser.parse_args()
    evaluations = 2000 if options.quick else 6000
    found = simulated(evaluations) if options.simulated else on_ray(evaluations)
    rows, good = [], True
    usual = found[0].busy
    for (name, order, sigma), one in zip(CASES, found, strict=True):
        strict = isinstance(order, evo.Strict)
        met = one.busy >= usual * (1 - STRICT) if strict else one.busy >= ARRIVAL
        good &= met
        target = f"within {STRICT:.0%} of arrival" if strict else f">= {ARRIVAL:.0%}"
        rows.append(
            (
                name,
                f"{sigma:g}",
                f"{100 * one.busy:.1f}",
                f"{one.rate:.0f}",
                f"{one.seconds:.0f}",
                f"{1000 * one.waits:.1f}",
                f"{one.master:.2f}",
                target,
                verdict(met),
            )
        )
    most = WORKERS / MEAN
    show(
        f"{WORKERS} workers, evaluations that sleep {1000 * MEAN:.0f} ms on average: {most:.0f} a second at most",
        ("order", "sigma", "busy %", "a second", "steady s", "gap ms", "master", "target", ""),
        rows,
        f"gap: between two evaluations of a worker; master: CPU s a second. Load average {os.getloadavg()[0]:.1f}",
    )
    raise SystemExit(0 if good else 1)


def simulated(evaluations: int) -> list[Found]:
    """The same runs on virtual workers, which draw times of the same law."""
    from workers.simulated import Simulated

    return [
        measure(order, sigma, evaluations, Simulated(MEAN, sigma, count=WORKERS, seed=1)) for _, order, sigma in CASES
    ]


def on_ray(evaluations: int) -> list[Found]:
    """One Ray, which is told of more cores than there are: sleeping needs none."""
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        return [measure(order, sigma, evaluations, WORKERS) for _, order, sigma in CASES]
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
