"""A message's rows become outcomes: make, measure, check. The one place that contains what users' code may raise."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import EvaluationError, Rejected
from evo.evaluator import Work, reason_of
from evo.operator import Births
from evo.records import (
    BORN,
    CHILDREN_LOST,
    CHILDREN_REJECTED,
    MAX_CANDIDATES,
    Genomes,
    Note,
    Outcomes,
    Requests,
    Status,
)
from evo.scratch import Scratch
from evo.space import Space
from evo.worker import Kit, Message
from workers.artifacts import Keeper, needed
from workers.checking import Found, amounts, checked, joined

if TYPE_CHECKING:
    from workers.sandbox.client import Contained

__all__ = ["KEPT", "Bench"]

KEPT = "kept"
"""Where a child process leaves large artifacts, in its own folder."""


@dataclass
class _Made:
    """What the operators made for each request, before measuring."""

    batches: list[Genomes]
    """Per request, its children."""
    notes: dict[int, Note] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)


class Bench:
    """A worker's workplace: the problem and the operators warmed up, ready to serve messages.

    Users' code (an evaluator, an operator) may raise or call ``sys.exit``, return what it should not, or name files
    that are not there: the rows concerned have failed, with the reason in their notes. What raises for a batch is
    repeated group by group, and in the group that raises again row by row, so that only the rows at fault fail; the
    others of that group then have the bits of a row measured alone.

    Fidelities in a sandbox are served by a fork server, which is warmed up in this process's stead.

    Args:
        kit: what is served.
        packed: the kit as it was shipped, where it was.

    Raises:
        WorkerError: a fork server is needed and cannot start, or cannot contain what is required.
    """

    def __init__(self, kit: Kit, packed: bytes | None = None) -> None:
        self._kit = kit
        self._contained: Contained | None = None
        self._space = kit.problem.space
        self._evaluator = kit.problem.evaluator
        self._groups = {name: fidelity.group for name, fidelity in self._evaluator.fidelities.items()}
        self._k = len(kit.problem.objectives)
        self._m = len(kit.problem.measures)
        self._low = np.array([measure.low for measure in kit.problem.measures])
        self._high = np.array([measure.high for measure in kit.problem.measures])
        self._rejecting = np.array([measure.outside == "reject" for measure in kit.problem.measures], dtype=bool)
        self._rejects = bool(self._rejecting.any())
        sandboxes = kit.sandboxes()
        if not self._groups.keys() <= sandboxes.keys():
            self._evaluator.warm_up()
        if not {BORN, *self._groups} <= sandboxes.keys():
            for operator in {id(operator): operator for operator in kit.operators.values()}.values():
                operator.warm_up()
        if sandboxes:
            from workers.sandbox.client import Contained

            self._contained = Contained(kit, sandboxes, self._groups, packed)

    @property
    def space(self) -> Space:
        """Of the genomes."""
        return self._space

    @property
    def widths(self) -> tuple[int, int]:
        """Numbers of objectives and measures."""
        return self._k, self._m

    @property
    def about(self) -> dict[str, Any]:
        """What is to be said of this workplace when it is ready."""
        return {"sandbox": self._contained.about} if self._contained is not None else {}

    def contains(self, fidelity: str) -> bool:
        """Whether a fidelity is served in child processes, which keep its deadline."""
        return self._contained is not None and fidelity in self._contained.limits

    def close(self) -> None:
        """End the fork server, where there is one."""
        if self._contained is not None:
            self._contained.close()

    def group(self, fidelity: str) -> int:
        """Rows that are evaluated together at a fidelity."""
        return self._groups.get(fidelity, 1)

    def serve(self, message: Message, low: int, high: int) -> tuple[Outcomes, dict[str, bytes]]:
        """Rows low..high of a message: (outcomes, small artifacts by hash)."""
        if self._contained is not None and message.requests.fidelity in self._contained.limits:
            return self._contained.serve(self, message, low, high)
        folder = self._kit.artifacts
        room = Scratch(folder)
        try:
            return self._served(message, low, high, folder, room)
        finally:
            room.clear()

    def serve_into(self, message: Message, low: int, high: int, folder: Path) -> tuple[Outcomes, dict[str, bytes]]:
        """As `serve`, in a child process that may write in one folder only; large artifacts are left there, in `KEPT`.

        Without a run directory there are no large ones: all are in the second part of what is returned.
        """
        kept = folder / KEPT
        if self._kit.artifacts is not None:
            kept.mkdir()
        return self._served(message, low, high, kept if self._kit.artifacts is not None else None, Scratch(folder))

    def _served(
        self, message: Message, low: int, high: int, folder: Path | None, room: Scratch
    ) -> tuple[Outcomes, dict[str, bytes]]:
        started, cpu = time.perf_counter(), time.process_time()
        requests = message.requests
        if low > 0 or high < len(requests):
            requests = requests.take(slice(low, high))
        artifacts = needed(requests, message.artifacts, self._kit.artifacts) if requests.needs else {}
        work = Work(
            self._kit.seed, requests.fidelity, requests.draws, requests.params, artifacts, requests.needs, room=room
        )
        keeper = Keeper(folder, room)
        outcomes = (self._measured if requests.make is None else self._bred)(requests, work, keeper)
        outcomes.seconds, outcomes.cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
        return outcomes, keeper.small

    def unserved(self, request: Requests, status: Status, reason: str) -> Outcomes:
        """What is to be said of one request that was broken off."""
        rows = 1 if request.make is None else 0
        k, m = (0, 0) if request.fidelity == BORN else (self._k, self._m)
        return Outcomes(
            request.ids,
            np.full((rows, k), np.nan),
            np.full((rows, m), np.nan),
            status=np.array([status], dtype=np.uint8),
            owner=None if rows else np.empty(0, np.int64),
            genomes=None if rows else self._space.empty(0),
            notes={0: Note(reason)},
        )

    # One candidate a request: its genome --------------------------------------------------------------------------

    def _measured(self, requests: Requests, work: Work, keeper: Keeper) -> Outcomes:
        """The genomes of requests, measured; a candidate's failure or rejection is its request's."""
        assert requests.genomes is not None
        n = len(requests)
        group = self._groups.get(requests.fidelity, 1)
        spans = [slice(0, n)] if group >= n or group == 1 else _spans(0, n, group)
        found = self._evaluated(requests.genomes, work, spans, keeper)
        objectives, measures = found.objectives, found.measures
        invalid = self._invalid(objectives, measures)
        notes: dict[int, Note] = {}
        status = None
        if found.failures or found.rejected or invalid:
            status = np.zeros(n, dtype=np.uint8)
            for kind, reasons in (
                (Status.INVALID, invalid),
                (Status.REJECTED, found.rejected),
                (Status.FAILED, found.failures),
            ):
                for row, reason in reasons.items():
                    status[row], notes[row] = kind, Note(reason)
            bad = status != Status.OK
            objectives[bad], measures[bad] = np.nan, np.nan
        for row, artifacts in found.artifacts.items():
            notes.setdefault(row, Note()).artifacts = artifacts
        for row, costs in found.costs.items():
            notes.setdefault(row, Note()).costs = costs
        return Outcomes(requests.ids, objectives, measures, found.metrics, status, notes=notes)

    # Any number of candidates a request: its children -------------------------------------------------------------

    def _bred(self, requests: Requests, work: Work, keeper: Keeper) -> Outcomes:
        """The children of requests, measured; those whose measurement failed, and those that were rejected, are dropped
        and counted."""
        made = self._made(requests, work, keeper)
        counts = np.array([len(batch) for batch in made.batches], dtype=np.int64)
        owner = np.repeat(np.arange(len(requests)), counts)
        genomes = np.concatenate(made.batches)
        found = self._evaluated(genomes, work.part(owner), self._siblings(requests.fidelity, counts), keeper)
        notes = made.notes
        for child, artifacts in found.artifacts.items():
            note = notes.setdefault(int(owner[child]), Note())
            note.artifacts = {**note.artifacts, **artifacts}
        for child, costs in found.costs.items():
            note = notes.setdefault(int(owner[child]), Note())
            note.costs = {**note.costs, **{name: note.costs.get(name, 0) + amount for name, amount in costs.items()}}
        status = np.zeros(len(requests), dtype=np.uint8)
        for row, reason in made.failed.items():
            status[row], notes[row] = Status.FAILED, Note(reason)
        good = self._survivors(found, owner, counts, status, notes)
        return Outcomes(
            requests.ids,
            found.objectives[good],
            found.measures[good],
            {name: column[good] for name, column in found.metrics.items()},
            status if status.any() else None,
            owner=owner[good],
            genomes=genomes[good],
            notes=notes,
        )

    def _survivors(
        self,
        found: Found,
        owner: NDArray[np.int64],
        counts: NDArray[np.int64],
        status: NDArray[np.uint8],
        notes: dict[int, Note],
    ) -> NDArray[np.bool_]:
        """(c,) which children stand. A request that lost all of those it had has failed, for the reason of the first.

        It is an invalid one when every child was measured, but none gave finite values in range. A child that was
        rejected is not lost: work was done on it, so a request none of whose children was accepted is well.
        """
        good = np.ones(len(owner), dtype=bool)
        lost: dict[int, list[tuple[Status, str]]] = {}
        invalid = self._invalid(found.objectives, found.measures).items()
        bad = {child: (Status.INVALID, reason) for child, reason in invalid if child not in found.rejected}
        bad |= {child: (Status.FAILED, reason) for child, reason in found.failures.items()}
        for child in sorted(bad):
            good[child] = False
            lost.setdefault(int(owner[child]), []).append(bad[child])
        if found.rejected:
            rejected = np.array(list(found.rejected), dtype=np.int64)
            good[rejected] = False
            for row, count in zip(*np.unique(owner[rejected], return_counts=True), strict=True):
                _count(notes, int(row), CHILDREN_REJECTED, int(count))
        for row, children in lost.items():
            note = _count(notes, row, CHILDREN_LOST, len(children))
            if len(children) < counts[row]:
                note.message = note.message or children[0][1]
                continue
            status[row] = min(kind for kind, _ in children)
            note.message = next(reason for kind, reason in children if kind == status[row])
        return good

    def _siblings(self, fidelity: str, counts: NDArray[np.int64]) -> list[slice]:
        """Which children are measured together: which requests travel together must not matter where groups do."""
        ends = np.cumsum(counts).tolist()
        group = self._groups.get(fidelity, 1)
        if group == 1:
            return [slice(0, ends[-1])]
        starts = [0, *ends]
        return [span for start, end in zip(starts, ends, strict=False) for span in _spans(start, end, group)]

    def _made(self, requests: Requests, work: Work, keeper: Keeper) -> _Made:
        made = _Made([])
        for row, births in enumerate(self._births(requests, work)):
            made.batches.append(self._space.empty(0))
            if isinstance(births, BaseException):
                made.failed[row] = reason_of(births)
                continue
            try:
                genomes, note = self._checked(births, keeper)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the supervision boundary: users' code may return anything
                made.failed[row] = reason_of(error)
                continue
            made.batches[row] = genomes
            if note.counters or note.costs or note.artifacts or note.message:
                made.notes[row] = note
        return made

    def _births(self, requests: Requests, work: Work) -> list[Births | BaseException]:
        n = len(requests)
        operator = self._kit.operators.get(requests.make or "")
        try:
            if operator is None:
                raise EvaluationError(f"no operator named {requests.make!r} was shipped to the workers")
            parents = [self._handed(batch) for batch in requests.inputs] or [self._space.empty(0)] * n
            args = copy.deepcopy(list(requests.args)) or [{} for _ in range(n)]
            found = list(operator.make_batch(parents, args, self._space, work))
            if len(found) != n:
                raise EvaluationError(f"make_batch must return one entry a request: expected {n}, got {len(found)}")
            return found
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the supervision boundary: users' code may raise anything
            if n == 1:
                return [error]
        return [self._births(requests.take(slice(row, row + 1)), work.one(row))[0] for row in range(n)]

    def _checked(self, births: Births, keeper: Keeper) -> tuple[Genomes, Note]:
        """What an operator made of one request, in plain form, its artifacts kept: (children, note)."""
        if not isinstance(births, Births):
            raise EvaluationError(f"make must return evo.Births, got {type(births).__name__}")
        count = len(births.genomes)
        if count > MAX_CANDIDATES:
            raise EvaluationError(f"make: expected at most {MAX_CANDIDATES} children of one request, got {count}")
        genomes = self._space.check(births.genomes) if count else self._space.empty(0)
        note = Note(str(births.message), amounts("counter", births.counters), amounts("cost", births.costs))
        note.artifacts = keeper.keep(births.artifacts)
        return genomes, note

    # Measuring ----------------------------------------------------------------------------------------------------

    def _evaluated(self, genomes: Genomes, work: Work, spans: list[slice], keeper: Keeper) -> Found:
        """Genomes, measured in one call a span."""
        n = len(genomes)
        if work.fidelity == BORN:
            return Found(np.empty((n, 0)), np.empty((n, 0)))
        if not n:  # nothing was made; no evaluator is asked to measure nothing
            return Found(np.empty((0, self._k)), np.empty((0, self._m)))
        if len(spans) == 1:
            return self._attempt(genomes, work, keeper)
        return joined([self._attempt(genomes[span], work.part(span), keeper) for span in spans])

    def _attempt(self, genomes: Genomes, work: Work, keeper: Keeper) -> Found:
        """One call of the evaluator; when it raises, which rows are at fault is found by measuring each on its own."""
        n = len(genomes)
        try:
            found = self._evaluator.evaluate_batch(self._handed(genomes), work)
            return checked(found, n, self._k, self._m, keeper)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the supervision boundary: users' code may raise anything
            if n == 1:
                nothing = Found(np.full((1, self._k), np.nan), np.full((1, self._m), np.nan))
                if isinstance(error, Rejected):
                    nothing.rejected[0] = str(error)
                else:
                    nothing.failures[0] = reason_of(error)
                return nothing
        return joined([self._attempt(genomes[row : row + 1], work.one(row), keeper) for row in range(n)])

    def _handed(self, genomes: Genomes) -> Genomes:
        """Genomes as users' code gets them: one that it changed would not be the one in the archive."""
        if genomes.dtype.hasobject:
            return self._space.decode(self._space.encode(genomes), len(genomes))
        genomes = genomes.view()
        genomes.flags.writeable = False
        return genomes

    def _invalid(self, objectives: NDArray[np.float64], measures: NDArray[np.float64]) -> dict[int, str]:
        # Sums are finite when all terms are (up to overflow, which the second look settles): one pass, no temporaries.
        if math.isfinite(objectives.sum()) and math.isfinite(measures.sum()) and not self._rejects:
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


def _count(notes: dict[int, Note], row: int, counter: str, amount: int) -> Note:
    """Add to a counter of one request's note."""
    note = notes.setdefault(row, Note())
    note.counters = {**note.counters, counter: note.counters.get(counter, 0) + amount}
    return note


def _spans(start: int, end: int, group: int) -> list[slice]:
    return [slice(low, min(low + group, end)) for low in range(start, end, group)]
