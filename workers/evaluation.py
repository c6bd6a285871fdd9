"""A message's rows become outcomes: make, measure, check. The one place that contains what users' code may raise."""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import EvaluationError
from evo.evaluator import Evaluations, Work
from evo.records import BORN, Genomes, Note, Outcomes, Requests, Status
from evo.worker import Kit, Message

__all__ = ["Bench"]

INLINE_ARTIFACT = 1 << 20
"""Artifacts up to this many bytes travel in messages and live in the run file; larger ones become files."""


@dataclass
class _Made:
    """What the operators made for each request, before measuring."""

    genomes: Genomes
    owner: NDArray[np.int64]
    notes: dict[int, Note] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)


class Bench:
    """A worker's workplace: the problem warmed up, ready to serve messages."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._space = kit.problem.space
        self._evaluator = kit.problem.evaluator
        self._k = len(kit.problem.objectives)
        self._m = len(kit.problem.measures)
        self._low = np.array([measure.low for measure in kit.problem.measures])
        self._high = np.array([measure.high for measure in kit.problem.measures])
        self._rejecting = np.array([measure.outside == "reject" for measure in kit.problem.measures], dtype=bool)
        self._rejects = bool(self._rejecting.any())
        self._evaluator.warm_up()

    def serve(self, message: Message, low: int, high: int) -> tuple[Outcomes, dict[str, bytes]]:
        """Rows low..high of a message: (outcomes, small artifacts by hash)."""
        started = time.perf_counter()
        requests = message.requests
        if low > 0 or high < len(requests):
            requests = requests.take(slice(low, high))
        work = Work(
            self._kit.seed,
            requests.fidelity,
            requests.draws,
            requests.params,
            self._artifacts(requests, message.artifacts),
        )
        kept: dict[str, bytes] = {}
        if requests.make is None:
            assert requests.genomes is not None
            outcomes = self._measured(requests, requests.genomes, None, work, {}, {}, kept)
        else:
            made = self._made(requests, work)
            kept.update(made.artifacts)
            outcomes = self._measured(requests, made.genomes, made.owner, work, made.notes, made.failed, kept)
        outcomes.seconds = time.perf_counter() - started
        return outcomes, kept

    def overdue(self, request: Requests, reason: str) -> Outcomes:
        """What is to be said of one request that was interrupted."""
        rows = 1 if request.make is None else 0
        k, m = (0, 0) if request.fidelity == BORN else (self._k, self._m)
        return Outcomes(
            request.ids,
            np.full((rows, k), np.nan),
            np.full((rows, m), np.nan),
            status=np.array([Status.TIMEOUT], dtype=np.uint8),
            owner=None if rows else np.empty(0, np.int64),
            genomes=None if rows else self._space.empty(0),
            notes={0: Note(reason)},
        )

    def _made(self, requests: Requests, work: Work) -> _Made:
        operator = self._kit.operators.get(requests.make or "")
        batches: list[Genomes] = []
        made = _Made(self._space.empty(0), np.empty(0, np.int64))
        counts = np.zeros(len(requests), dtype=np.int64)
        for row in range(len(requests)):
            parents = requests.inputs[row] if requests.inputs else self._space.empty(0)
            args = requests.args[row] if requests.args else {}
            try:
                if operator is None:
                    raise EvaluationError(f"no operator named {requests.make!r} was shipped to the workers")
                births = operator.make(parents, args, self._space, work.one(row))
            except Exception as error:  # noqa: BLE001 - the supervision boundary: users' code may raise anything
                made.failed[row] = _reason(error)
                continue
            counts[row] = len(births.genomes)
            batches.append(births.genomes)
            hashes = self._keep(births.artifacts, made.artifacts)
            if births.counters or births.costs or hashes or births.message:
                made.notes[row] = Note(births.message, dict(births.counters), dict(births.costs), hashes)
        if batches:
            made.genomes = np.concatenate(batches)
        made.owner = np.repeat(np.arange(len(requests)), counts)
        return made

    def _measured(
        self,
        requests: Requests,
        genomes: Genomes,
        owner: NDArray[np.int64] | None,
        work: Work,
        notes: dict[int, Note],
        failed: dict[int, str],
        kept: dict[str, bytes],
    ) -> Outcomes:
        """Measure genomes; `owner` None means one per request, whose failure is the request's."""
        if requests.fidelity == BORN:
            found = Evaluations(np.empty((len(genomes), 0)), np.empty((len(genomes), 0)))
        elif not len(genomes):  # nothing was made; no evaluator is asked to measure nothing
            found = Evaluations(np.empty((0, self._k)), np.empty((0, self._m)))
        else:
            if owner is not None:
                work = Work(work.seed, work.fidelity, work.draws[owner], work.params, work.artifacts)
            found = self._evaluated(genomes, work)
        objectives, measures = found.objectives, found.measures
        if measures is None:
            measures = np.empty((len(genomes), 0))
        invalid = self._invalid(objectives, measures)
        if owner is None:
            status = None
            if found.failures or invalid:
                status = np.zeros(len(requests), dtype=np.uint8)
                for row, reason in invalid.items():
                    status[row], notes[row] = Status.INVALID, Note(reason)
                for row, reason in found.failures.items():
                    status[row], notes[row] = Status.FAILED, Note(reason)
                bad = status != Status.OK
                objectives, measures = objectives.copy(), measures.copy()
                objectives[bad], measures[bad] = np.nan, np.nan
            for row, artifacts in found.artifacts.items():
                notes[row] = _joined(notes.get(row), artifacts=self._keep(artifacts, kept))
            for row, costs in found.costs.items():
                notes[row] = _joined(notes.get(row), costs=costs)
            return Outcomes(requests.ids, objectives, measures, found.metrics, status, notes=notes)
        return self._several(requests, genomes, owner, found, objectives, measures, invalid, notes, failed, kept)

    def _several(
        self,
        requests: Requests,
        genomes: Genomes,
        owner: NDArray[np.int64],
        found: Evaluations,
        objectives: NDArray[np.float64],
        measures: NDArray[np.float64],
        invalid: Mapping[int, str],
        notes: dict[int, Note],
        failed: Mapping[int, str],
        kept: dict[str, bytes],
    ) -> Outcomes:
        """Children whose measurement failed are dropped and counted; a request fails only when its making did."""
        status = np.zeros(len(requests), dtype=np.uint8)
        for row, reason in failed.items():
            status[row], notes[row] = Status.FAILED, Note(reason)
        good = np.ones(len(genomes), dtype=bool)
        for child, reason in {**invalid, **found.failures}.items():
            good[child] = False
            row = int(owner[child])
            lost = notes.get(row, Note()).counters.get("children_lost", 0) + 1
            notes[row] = _joined(notes.get(row), message=reason, counters={"children_lost": lost})
        for child, artifacts in found.artifacts.items():
            notes[int(owner[child])] = _joined(notes.get(int(owner[child])), artifacts=self._keep(artifacts, kept))
        for child, costs in found.costs.items():
            note = notes.get(int(owner[child]), Note())
            total = {name: note.costs.get(name, 0) + amount for name, amount in costs.items()}
            notes[int(owner[child])] = _joined(note, costs=total)
        return Outcomes(
            requests.ids,
            objectives[good],
            measures[good],
            {name: column[good] for name, column in found.metrics.items()},
            status if failed else None,
            owner=owner[good],
            genomes=genomes[good],
            notes=notes,
        )

    def _evaluated(self, genomes: Genomes, work: Work) -> Evaluations:
        genomes = genomes.view()
        genomes.flags.writeable = False  # a genome that its evaluation changed would not be the one in the archive
        try:
            return self._checked(self._evaluator.evaluate_batch(genomes, work), len(genomes))
        except Exception as error:  # noqa: BLE001 - the supervision boundary: users' code may raise anything
            if len(genomes) == 1:
                return self._failure(_reason(error))
        # Which rows raise is found by measuring each on its own; the others keep their results.
        singles = []
        for row in range(len(genomes)):
            one = work.one(row)
            try:
                singles.append(self._checked(self._evaluator.evaluate_batch(genomes[row : row + 1], one), 1))
            except Exception as error:  # noqa: BLE001 - the supervision boundary: users' code may raise anything
                singles.append(self._failure(_reason(error)))
        return _joined_evaluations(singles)

    def _failure(self, reason: str) -> Evaluations:
        return Evaluations(np.full((1, self._k), np.nan), np.full((1, self._m), np.nan), failures={0: reason})

    def _checked(self, found: Evaluations, n: int) -> Evaluations:
        objectives = np.asarray(found.objectives, dtype=np.float64)
        measures = np.empty((n, 0)) if found.measures is None else np.asarray(found.measures, dtype=np.float64)
        if objectives.shape != (n, self._k):
            raise EvaluationError(f"objectives: expected shape {(n, self._k)}, got {objectives.shape}")
        if measures.shape != (n, self._m):
            raise EvaluationError(f"measures: expected shape {(n, self._m)}, got {measures.shape}")
        for name, column in found.metrics.items():
            if len(column) != n:
                raise EvaluationError(f"metric {name!r}: expected {n} values, got {len(column)}")
        if objectives is found.objectives and measures is found.measures:
            return found
        return Evaluations(objectives, measures, found.metrics, found.failures, found.artifacts, found.costs)

    def _invalid(self, objectives: NDArray[np.float64], measures: NDArray[np.float64]) -> dict[int, str]:
        # Sums are finite when all terms are (up to overflow, which the second look settles): one pass, no temporaries.
        if np.isfinite(objectives.sum()) and np.isfinite(measures.sum()) and not self._rejects:
            return {}
        invalid = {}
        for row in np.flatnonzero(~np.isfinite(objectives).all(axis=1)):
            invalid[int(row)] = f"objective not finite: {objectives[row].tolist()}"
        for row in np.flatnonzero(~np.isfinite(measures).all(axis=1)):
            invalid[int(row)] = f"measure not finite: {measures[row].tolist()}"
        if self._rejects and measures.shape[1]:
            outside = ((measures < self._low) | (measures > self._high)) & self._rejecting
            for row in np.flatnonzero(outside.any(axis=1)):
                axis = int(np.flatnonzero(outside[row])[0])
                measure = self._kit.problem.measures[axis]
                invalid[int(row)] = (
                    f"measure {measure.name!r} = {measures[row, axis]:g} outside [{measure.low:g}, {measure.high:g}]"
                )
        return invalid

    def _artifacts(self, requests: Requests, small: Mapping[str, bytes]) -> dict[str, Path | bytes]:
        found: dict[str, Path | bytes] = {}
        for row in requests.needs:
            for digest in row:
                if digest in small:
                    found[digest] = small[digest]
                elif self._kit.artifacts is not None:
                    found[digest] = self._kit.artifacts / digest
        return found

    def _keep(self, artifacts: Mapping[str, bytes | Path], kept: dict[str, bytes]) -> dict[str, str]:
        hashes = {}
        for name, content in artifacts.items():
            data = content if isinstance(content, bytes) else Path(content).read_bytes()
            digest = hashlib.blake2b(data, digest_size=16).hexdigest()
            hashes[name] = digest
            if len(data) <= INLINE_ARTIFACT or self._kit.artifacts is None:
                kept[digest] = data
            elif not (self._kit.artifacts / digest).exists():
                partial = self._kit.artifacts / f"{digest}.{time.monotonic_ns()}"
                partial.write_bytes(data)
                partial.rename(self._kit.artifacts / digest)
        return hashes


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}\n{traceback.format_exc()}"


def _joined(note: Note | None, **changes: Any) -> Note:
    note = note or Note()
    return Note(
        changes.get("message", note.message),
        {**note.counters, **changes.get("counters", {})},
        {**note.costs, **changes.get("costs", {})},
        {**note.artifacts, **changes.get("artifacts", {})},
    )


def _joined_evaluations(parts: list[Evaluations]) -> Evaluations:
    names = {name for part in parts for name in part.metrics}
    metrics = {}
    for name in sorted(names):
        columns = [part.metrics.get(name) for part in parts]
        kind: Any = object if any(c is not None and c.dtype == object for c in columns) else np.float64
        joined = np.full(len(parts), None if kind is object else np.nan, dtype=kind)
        for row, column in enumerate(columns):
            if column is not None:
                joined[row] = column[0]
        metrics[name] = joined
    return Evaluations(
        np.concatenate([part.objectives for part in parts]),
        np.concatenate([part.measures if part.measures is not None else np.empty((1, 0)) for part in parts]),
        metrics,
        failures={row: part.failures[0] for row, part in enumerate(parts) if part.failures},
        artifacts={row: part.artifacts[0] for row, part in enumerate(parts) if part.artifacts},
        costs={row: part.costs[0] for row, part in enumerate(parts) if part.costs},
    )
