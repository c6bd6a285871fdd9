"""What faults cost on Ray: a hang, a dead worker, and those who happened to be near.

*hang*: a candidate that never returns costs its worker the deadline and two seconds at most, measured by the master
from the message (or from the last delivery before it) to the verdict. *death*: workers kill themselves with -9 while
they evaluate; how long until the one that replaces them is ready. *neighbours*: how many innocent candidates that
shared their messages were sent again, and that none of them was struck or lost.

    python benchmarks/faults.py           # two minutes
    python benchmarks/faults.py --quick   # one deadline, fewer deaths

Exits with 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sections.common import show, verdict

import evo
from evo.records import Status
from evo.worker import Delivered, Died, Event, Message, Ready
from workers.ray_actor import RayWorkers

SLACK = 2.0
"""Seconds beyond its deadline that a hang may cost."""


class Perilous(evo.Problem):
    """A request's number says what its candidate does to the worker."""

    space = evo.Box(-1.0, 1.0, size=2)
    objectives = (evo.Minimize("height"),)

    def __init__(self, deadline: float, hanging: Sequence[int] = (), deadly: Sequence[int] = ()) -> None:
        self.deadline, self.hanging, self.deadly = deadline, list(hanging), list(deadly)

    def evaluate(self, x: Any, work: evo.Work) -> evo.Evaluation:
        """20 ms, or for ever, or to death."""
        request = int(work.draws[0])
        if request in self.hanging:
            time.sleep(3600)
        if request in self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
        return evo.Evaluation([float((x**2).sum())])


@dataclass
class Noted:
    """A worker's life, as the master sees it."""

    started: float
    ready: float | None = None
    heard: float | None = None
    """When it was last given something or delivered."""
    died: float | None = None
    kind: str = ""


class Watched(RayWorkers):
    """Notes when workers start, speak and die."""

    def __init__(self, count: int) -> None:
        super().__init__(count, log=os.devnull)
        self.lives: dict[int, Noted] = {}

    def start(self, shape: evo.Resources) -> int:
        """Note it."""
        number = super().start(shape)
        self.lives[number] = Noted(self.now())
        return number

    def send(self, worker: int, message: Message) -> None:
        """Note it, where the worker was idle."""
        life = self.lives[worker]
        if life.heard is None:
            life.heard = self.now()
        super().send(worker, message)

    def poll(self, timeout: float) -> list[Event]:
        """Note what is said."""
        events = super().poll(timeout)
        for event in events:
            life = self.lives[event.worker]
            if isinstance(event, Ready):
                life.ready = self.now()
            elif isinstance(event, Delivered):
                life.heard = self.now()
            elif isinstance(event, Died):
                life.died, life.kind = self.now(), "died"
        return events

    def kill(self, worker: int) -> None:
        """Note it: the master has lost patience."""
        life = self.lives.get(worker)
        if life is not None and life.died is None:
            life.died, life.kind = self.now(), "killed"
        super().kill(worker)

    def close(self) -> None:
        """Those that still live end with the search."""
        for life in self.lives.values():
            life.died = life.died if life.died is not None else -1.0
        super().close()


@dataclass
class Lived:
    """A search and its workers' lives."""

    run: evo.Run
    lives: dict[int, Noted] = field(default_factory=dict)

    def ended(self, kind: str) -> list[Noted]:
        """Lives that ended so."""
        return [life for life in self.lives.values() if life.kind == kind]

    def replacements(self) -> list[float]:
        """Seconds from a death to the readiness of the worker that was started in its place."""
        found = []
        for life in self.lives.values():
            after = [one for one in self.lives.values() if life.died is not None and 0 <= one.started - life.died < 0.5]
            if life.kind and life.died and life.died > 0 and after and after[0].ready is not None:
                found.append(after[0].ready - life.died)
        return found


def lived(problem: Perilous, evaluations: int, workers: int = 2) -> Lived:
    """A random search."""
    watched = Watched(workers)
    run = evo.search(problem, evo.Random(batch=40), evaluations=evaluations, workers=watched, handle_signals=False)
    return Lived(run, watched.lives)


def hangs(deadlines: Sequence[float]) -> tuple[list[tuple[Any, ...]], bool]:
    """A candidate that hangs twice (its second time alone), for each deadline."""
    rows, good = [], True
    for deadline in deadlines:
        found = lived(Perilous(deadline, hanging=[57]), 200)
        costs = [life.died - life.heard for life in found.ended("killed") if life.heard and life.died]
        status = statuses(found.run)
        met = max(costs) <= deadline + SLACK and status == {Status.TIMEOUT: 1}
        good &= met
        rows.append(
            (
                f"{deadline:g} s",
                len(costs),
                f"{max(costs):.2f}",
                f"{max(costs) - deadline:.2f}",
                text(status),
                f"<= {SLACK:g}",
                verdict(met),
            )
        )
    return rows, good


def deaths(poisonous: int) -> tuple[list[tuple[Any, ...]], bool]:
    """Candidates that kill each worker they meet."""
    deadly = list(range(7, 400, 400 // poisonous))[:poisonous]
    found = lived(Perilous(30.0, deadly=deadly), 400)
    run = found.run
    spent = found.replacements()
    status = statuses(run)
    frame = run.frame()
    innocent = frame[~frame["status"].eq("ok") & ~frame["request"].isin(deadly)]
    performed, attempts = run.totals["performed"], run.totals["attempts"]
    died = len(found.ended("died"))
    again = attempts - performed - died
    met = status == {Status.CRASHED: poisonous} and not len(innocent) and len(frame) == 400
    rows = [
        ("deadly candidates", poisonous, ""),
        ("workers that died", died, ""),
        ("seconds until the next was ready, median / most", f"{np.median(spent):.2f} / {max(spent):.2f}", ""),
        ("innocent rows sent again", again, ""),
        ("innocent rows struck or lost", len(innocent) + 400 - len(frame), verdict(not len(innocent))),
        ("quarantined", text(status), verdict(met)),
    ]
    return rows, met


def statuses(run: evo.Run) -> dict[Status, int]:
    """Failures by kind."""
    return {Status[name.upper()]: count for name, count in run.totals["failures"].items() if count}


def text(status: dict[Status, int]) -> str:
    """For people."""
    return ", ".join(f"{count} {kind.name.lower()}" for kind, count in status.items()) or "none"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one deadline, fewer deaths")
    quick = parser.parse_args().quick
    import ray

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_memory_monitor_refresh_ms": "0"}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        rows, hung = hangs([2.0] if quick else [0.5, 2.0, 8.0])
        show(
            "a candidate that hangs, on two workers",
            ("deadline", "hangs", "cost, s", "beyond", "verdicts", "target", ""),
            rows,
        )
        rows, died = deaths(2 if quick else 5)
        show("candidates that kill their worker, 400 requests on two workers", ("", "", ""), rows)
    finally:
        ray.shutdown()
    raise SystemExit(0 if hung and died else 1)


if __name__ == "__main__":
    main()
