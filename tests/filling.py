"""Fills run files through the writer, as a master would, for tests of what reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evo.archives.grid import Grid
from evo.problem import Problem
from evo.records import Change, Note, Outcomes, Requests, Status, candidate_id
from evo.run import Run
from evo.spec import spec_of
from evo.store.reader import FILE_NAME, RunReader
from evo.store.writer import RunWriter, open_file
from problems.arm import Arm

FAILED_EVERY = 37
TRACEBACK = 'it broke\nTraceback (most recent call last):\n  File "somewhere.py", line 3\nValueError: it broke'


def header_of(problem: Problem, grid: Grid | None, **more: Any) -> dict[str, Any]:
    """The header document of a run."""
    return {
        "schema": 1,
        "evo": "0",
        "created": "2026-01-01T00:00:00+00:00",
        "name": "filled",
        "seed": 7,
        "spec": {
            "problem": spec_of(problem),
            "algorithm": {"type": "evo.algorithms.map_elites:MapElites", "params": {}},
            "order": {"kind": "strict", "block": 50, "lag": 1},
            "budget": {"evaluations": 1000.0, "seconds": None},
            "stop": {},
            "workers": {"backend": "inline"},
        },
        "config": None,
        "problem": "arm",
        "algorithm": "map_elites",
        "objectives": [
            {"name": o.name, "sign": o.sign, "worst": o.worst, "measured": o.measured} for o in problem.objectives
        ],
        "measures": [{"name": m.name, "low": m.low, "high": m.high} for m in problem.measures],
        "archives": {} if grid is None else {"archive": grid.describe()},
        "reporting": "full",
        **more,
    }


class Filler:
    """A run of the arm, written block by block."""

    def __init__(
        self, path: Path | None, shape: tuple[int, ...] = (20, 20), joints: int = 5, message: int = 16
    ) -> None:
        self.problem = Arm(joints=joints)
        self.grid = Grid(shape)
        self.grid.setup(self.problem.space, self.problem.objectives, self.problem.measures)
        self.path = path
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
        self.connection = open_file(None if path is None else path / FILE_NAME)
        self.writer = RunWriter(self.connection, self.problem.space)
        self.message = message
        self.seq, self.next_id, self.told = 0, 0, 0
        self.failures = 0
        self.best: dict[str, Any] | None = None
        with self.writer.transaction():
            self.writer.header(header_of(self.problem, self.grid))

    def ask(self, requests: Requests) -> Requests:
        """Log one asked batch."""
        n = len(requests)
        requests.ids = np.arange(self.next_id, self.next_id + n, dtype=np.int64)
        with self.writer.transaction():
            self.writer.ask(self.seq, n, self.next_id, [requests], {}, float("inf"))
        self.next_id += n
        self.seq += 1
        return requests

    def tell(self, outcomes: Outcomes, changes: list[Change], shuffle: np.random.Generator | None = None) -> None:
        """Log results in messages, in any order, then their tell."""
        rows = np.arange(len(outcomes.ids))
        messages = [rows[i : i + self.message] for i in range(0, len(rows), self.message)]
        if shuffle is not None:
            shuffle.shuffle(messages)
        with self.writer.transaction():
            for message in messages:
                self.writer.outcomes(self.seq, outcomes.take(message))
            self.writer.tell(self.seq, outcomes.ids)
            self.writer.changes(self.seq, changes)
            self.told += len(outcomes.ids)
            self.writer.curve(self.seq, self.told, self.told / 100, self.grid.stats())
        self.seq += 1

    def block(self, n: int, rng: np.random.Generator, *, told: bool = True, shuffle: bool = False) -> Requests:
        """Ask n fresh genomes and tell what came of them; some fail."""
        genomes = rng.normal(0.0, 0.6, (n, self.problem.joints))
        parents = np.full((n, 2), -1, np.int64)
        if self.next_id:
            parents[:, 0] = candidate_id(rng.integers(0, self.next_id, n))
        requests = self.ask(Requests(genomes, operator="gaussian", parents=parents))
        if not told:
            return requests
        found = self.problem.evaluate_batch(genomes)
        status = np.where(requests.ids % FAILED_EVERY == FAILED_EVERY - 1, Status.FAILED, Status.OK).astype(np.uint8)
        failed = np.flatnonzero(status)
        objectives, measures = found.objectives.copy(), np.asarray(found.measures).copy()
        objectives[failed] = np.nan
        measures[failed] = np.nan
        good = np.flatnonzero(status == 0)
        change = self.grid.add(genomes[good], objectives[good], measures[good], requests.candidates[good]).change
        change = Change("archive", change.keys, change.candidate, change.objectives, change.measures)
        self.failures += len(failed)
        for row in good:
            if self.best is None or objectives[row, 0] > self.best["objectives"][0]:
                self.best = {
                    "candidate": int(requests.candidates[row]),
                    "genome": genomes[row].tolist(),
                    "objectives": objectives[row].tolist(),
                    "measures": measures[row].tolist(),
                    "metrics": {"half": float(objectives[row, 0] / 2)},
                }
        outcomes = Outcomes(
            requests.ids,
            objectives,
            measures,
            metrics={"half": objectives[:, 0] / 2},
            status=status if len(failed) else None,
            notes={int(row): Note(message=TRACEBACK) for row in failed},
            seconds=0.5,
        )
        self.tell(outcomes, [change], rng if shuffle else None)
        return requests

    def totals(self, state: str = "finished") -> None:
        """Log where the run stands."""
        with self.writer.transaction():
            self.writer.totals(
                {
                    "state": state,
                    "reason": "budget spent" if state == "finished" else "",
                    "evaluations": float(self.told),
                    "budget": {"evaluations": 1000.0, "seconds": None},
                    "asked": self.next_id,
                    "told": self.told,
                    "performed": self.told,
                    "attempts": self.told,
                    "repeats": 0,
                    "failures": {"failed": self.failures, "invalid": 0, "timeout": 0, "crashed": 0},
                    "best": self.best,
                    "operators": {"gaussian": {"told": self.told, "failed": self.failures, "accepted": len(self.grid)}},
                    "costs": {},
                    "counters": {"screened": 12.0},
                    "elapsed": self.told / 100,
                    "workers": {"alive": 2, "busy": 1, "lost": 0},
                    "stats": self.grid.stats(),
                    "summary": {"held_out": 0.5},
                }
            )

    def run(self) -> Run:
        """What a user holds of it."""
        return Run(RunReader(self.connection, self.problem.space), self.problem, self.path)


def fill(path: Path | None, blocks: int = 6, seed: int = 0, **options: Any) -> Filler:
    """A finished run of some blocks of 50."""
    filler = Filler(path, **options)
    rng = np.random.default_rng(seed)
    for _ in range(blocks):
        filler.block(50, rng)
    filler.totals()
    return filler
