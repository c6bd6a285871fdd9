"""The counts of a run: what was asked, told, failed, best. Moved by asks and tells alone, so a replay rebuilds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.problem import Problem
from evo.records import CHILDREN_LOST, CHILDREN_REJECTED, PREPARE, Change, Requests, Results, Status, is_failure

__all__ = ["BestSoFar", "Tally"]

_FEW = 100
"""Below this many candidates a set is faster than numpy."""


@dataclass
class BestSoFar:
    """The best candidate told at the reporting fidelity, by the first objective; the earlier one on a tie."""

    candidate: int
    genome: Any
    objectives: list[float]
    measures: list[float]
    metrics: dict[str, Any]


@dataclass
class Tally:
    """Running totals."""

    asked: int = 0
    told: int = 0
    evaluations: float = 0.0
    """What was spent: the reserves of the distinct keys told."""
    reserved: float = 0.0
    """What is in flight."""
    repeats: int = 0
    """Requests answered by an earlier one's work."""
    good: int = 0
    """Requests whose work was done, whatever the verdict, but for those that cost nothing: a preparation that works
    says nothing of the search."""
    rejected: int = 0
    """Requests whose genome is not what is searched; no failures."""
    failures: dict[str, int] = field(default_factory=dict)
    operators: dict[str, dict[str, int]] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    """name -> hash of what the preparation made"""
    best: BestSoFar | None = None
    since_gain: float = 0.0
    """Evaluations since the best or an archive gained."""
    repeats_running: int = 0
    """Requests told in a row without a new piece of work."""
    first_failure: str = ""

    def asks(self, batches: Sequence[Requests]) -> None:
        """Count what an ask gave."""
        for batch in batches:
            self.asked += len(batch)
            self.reserved += batch.reserve * len(batch)

    def tells(self, results: Sequence[Results], changes: Sequence[Change], problem: Problem, reporting: str) -> None:
        """Count what was told and what it changed."""
        before, repeats = self.evaluations, self.repeats
        gained = any(len(change.keys) for change in changes)
        accepted = self._accepted(results, changes)
        for part in results:
            self._count(part)
            entry = self._operator(part)
            if entry is not None:
                entry["accepted"] += _count_in(part.candidate, accepted)
            if part.requests.fidelity == reporting and self._better(part, problem):
                gained = True
        spent = self.evaluations - before
        self.since_gain = 0.0 if gained else self.since_gain + spent
        told = sum(len(part.requests) for part in results)
        self.repeats_running = self.repeats_running + told if self.repeats - repeats == told else 0

    @staticmethod
    def _accepted(results: Sequence[Results], changes: Sequence[Change]) -> NDArray[np.int64]:
        if not any(part.requests.operator or part.requests.make for part in results):
            return np.empty(0, np.int64)
        kept = [change.candidate for change in changes if len(change.candidate)]
        return np.concatenate(kept) if kept else np.empty(0, np.int64)

    def _count(self, part: Results) -> None:
        n = len(part.requests)
        repeated = 0 if part.same_as is None else int((part.same_as >= 0).sum())
        self.told += n
        self.repeats += repeated
        self.reserved = round(self.reserved - part.requests.reserve * n, 9)
        self.evaluations = round(self.evaluations + part.requests.reserve * (n - repeated), 9)
        bad = self._verdicts(part) if part.status.any() else 0
        self.good += n - bad if part.requests.reserve else 0
        for note in part.notes.values():
            for name, amount in note.counters.items():
                self.counters[name] = self.counters.get(name, 0) + amount
            for name, amount in note.costs.items():
                self.costs[name] = self.costs.get(name, 0) + amount
            if part.requests.source == PREPARE:
                self.artifacts.update(note.artifacts)

    def _verdicts(self, part: Results) -> int:
        """Count what is not OK; how many of those are failures."""
        self.rejected += int((part.status == Status.REJECTED).sum())
        bad = np.flatnonzero(is_failure(part.status))
        for status, count in zip(*np.unique(part.status[bad], return_counts=True), strict=True):
            name = Status(int(status)).name.lower()
            self.failures[name] = self.failures.get(name, 0) + int(count)
        if len(bad) and not self.first_failure:
            row = int(bad[0])
            note = part.notes.get(row)
            self.first_failure = note.message if note else Status(int(part.status[row])).name.lower()
        return len(bad)

    def _operator(self, part: Results) -> dict[str, int] | None:
        name = part.requests.operator or part.requests.make
        if not name:
            return None
        entry = self.operators.setdefault(
            name, dict.fromkeys(("told", "failed", "children", "rejected", "accepted"), 0)
        )
        if part.requests.candidate is not None:
            return entry  # its children were counted at their birth
        entry["told"] += len(part.requests)
        well = not part.status.any()
        entry["failed"] += 0 if well else int(is_failure(part.status).sum())
        if part.requests.make is None:
            entry["children"] += len(part.requests)
            entry["rejected"] += 0 if well else int((part.status == Status.REJECTED).sum())
        else:
            rejected = _counted(part, CHILDREN_REJECTED)
            entry["children"] += len(part) + rejected + _counted(part, CHILDREN_LOST)
            entry["rejected"] += rejected
        return entry

    def _better(self, part: Results, problem: Problem) -> bool:
        if len(part) == 0 or part.objectives.shape[1] == 0:
            return False
        sign = problem.objectives[0].sign
        values = part.objectives[:, 0]
        row = int(values.argmax() if sign > 0 else values.argmin())
        if self.best is not None and not sign * values[row] > sign * self.best.objectives[0]:
            return False
        self.best = BestSoFar(
            int(part.candidate[row]),
            problem.space.to_json(part.genomes[row]),
            part.objectives[row].tolist(),
            part.measures[row].tolist(),
            {name: _plain(column[row]) for name, column in part.metrics.items()},
        )
        return True

    def document(self) -> dict[str, Any]:
        """As JSON-like data, for the totals table and for snapshots."""
        document = dict(vars(self))
        for name in ("failures", "counters", "costs", "artifacts"):
            document[name] = dict(document[name])
        document["operators"] = {name: dict(entry) for name, entry in self.operators.items()}
        document["best"] = None if self.best is None else dict(vars(self.best))
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Tally:
        """The reverse of `document`."""
        values = dict(document)
        if values["best"] is not None:
            values["best"] = BestSoFar(**values["best"])
        return cls(**values)


def _counted(part: Results, counter: str) -> int:
    return int(sum(note.counters.get(counter, 0) for note in part.notes.values()))


def _count_in(candidates: NDArray[np.int64], accepted: NDArray[np.int64]) -> int:
    if len(candidates) < _FEW:
        kept = set(accepted.tolist())
        return sum(candidate in kept for candidate in candidates.tolist())
    held = np.sort(accepted)
    place = np.minimum(np.searchsorted(held, candidates), len(held) - 1)
    return int(np.count_nonzero(held[place] == candidates)) if len(held) else 0


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
