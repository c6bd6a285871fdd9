"""The records that travel between algorithm, master and workers: columns, never one object per candidate.

A `Requests` is a homogeneous batch: one operator, one source, one fidelity, one kind of work; what differs from row to
row (genome, parents, draw, needs, arguments) is a column. `ask` returns a list of such batches. A `Results` answers
rows of one `Requests` and carries zero, one or many candidates per row.

Walks through the loop
----------------------
MAP-Elites: ``Requests(genomes, operator="iso_line", parents=ids)`` -> one candidate per row, index 0.
Enumeration in shards: ``Requests(make="shard", args=[{"start": 0, "stop": 512}, ...])`` -> the survivors of a shard as
candidates 0..k-1 of its row, its totals as counters; those that the verifier turns down are counted, not kept.
EvoPress rung: ``Requests(genomes, candidate=ids, fidelity="rung1", draw=d)``: the same candidates measured again, all
on the minibatch that draw `d` selects.
Kernel cascade: ``Requests(genomes, fidelity="compile")`` yields an artifact; then ``Requests(genomes, candidate=ids,
fidelity="time", needs=[(binary,), ...])``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BORN",
    "PREPARE",
    "Change",
    "Genomes",
    "Note",
    "Outcomes",
    "Requests",
    "Results",
    "Status",
    "candidate_id",
    "candidate_name",
    "is_failure",
    "request_of",
]

Genomes: TypeAlias = NDArray[Any]
"""A batch of genomes: leading axis n; numeric, structured (mixed spaces) or object dtype (JSON-like values)."""

BORN = "born"
"""The fidelity that yields genomes without objectives, so that variation and evaluation may need other resources."""

PREPARE = "prepare"
"""The source of a problem's preparation: what it makes is known by name to `Problem.needs`."""

CHILDREN_LOST, CHILDREN_REJECTED = "children_lost", "children_rejected"
"""Counters of a request that makes its genomes: children whose measurement failed, and children that were rejected."""

_INDEX_BITS = 20
MAX_CANDIDATES = 1 << _INDEX_BITS
"""The most candidates one request may yield."""


def candidate_id(request: Any, index: Any = 0) -> Any:
    """The id a candidate gets at birth and keeps: (request id, index) in one integer. Works on columns."""
    return (request << _INDEX_BITS) | index


def request_of(candidate: Any) -> Any:
    """The id of the request that a candidate (or a column of them) was born from."""
    return candidate >> _INDEX_BITS


def candidate_name(candidate: int) -> str:
    """How people write a candidate id: ``"12"`` for the first candidate of request 12, ``"12.3"`` for its fourth."""
    index = candidate & (MAX_CANDIDATES - 1)
    return f"{candidate >> _INDEX_BITS}.{index}" if index else str(candidate >> _INDEX_BITS)


class Status(IntEnum):
    """What became of a request."""

    OK = 0
    FAILED = 1
    """The evaluator or operator raised, or said that the candidate failed; the note holds the reason."""
    INVALID = 2
    """It returned something that may not enter an archive (not finite, out of a rejecting range, wrong shape)."""
    TIMEOUT = 3
    """It overran its deadline and was ended by killing the process."""
    CRASHED = 4
    """It was alone on a fresh worker when that worker died, for the second time: quarantined. In a sandbox: its own
    process was killed by a signal."""
    REJECTED = 5
    """The evaluator did its work and says that this is not what is searched; the note holds the reason. No failure."""


def is_failure(status: Any) -> Any:
    """Whether a status, or each of a column of them, says that something went wrong: neither OK nor REJECTED."""
    return (status != Status.OK) & (status != Status.REJECTED)


@dataclass(slots=True, eq=False)
class Requests:
    """One homogeneous batch of n units of work.

    Algorithms fill everything but `ids`, which the master assigns (``turn.first_id`` tells the first in advance). Its
    length n is that of `genomes`, without them that of `args`, without those that of `inputs`.
    """

    genomes: Genomes | None = None
    """(n, ...) what is to be measured; None when the work makes its genomes (`make`)."""
    operator: str = ""
    """Which operator made the genomes on the master; for statistics and lineage. Of candidates that are asked again:
    which is credited when they are accepted now."""
    parents: NDArray[np.int64] | None = None
    """(n, p) candidate ids of the parents; -1 pads rows with fewer."""
    candidate: NDArray[np.int64] | None = None
    """(n,) the candidates asked again; None for new ones, which get ``candidate_id(request id, index)``."""
    source: str = ""
    """Opaque label: ``island/2``, ``emitter/5``, ``arm/random``."""
    fidelity: str = ""
    """At which fidelity; empty means the evaluator's reporting one; `BORN` asks for genomes only."""
    draw: NDArray[np.int64] | None = None
    """(n,) the random draw of each row; None means the request's own id. Equal draws share their random numbers."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """JSON-like settings of this work, part of its key."""
    needs: Sequence[tuple[str, ...]] = ()
    """Per row, hashes of the artifacts that the worker must hold; empty for none."""
    reserve: float = 1.0
    """What each row takes from the evaluation budget while in flight and spends when told (0 for preparation)."""
    make: str | None = None
    """Name of the operator that makes the genomes on a worker: ``make(parents, args)``."""
    args: Sequence[Mapping[str, Any]] = ()
    """Per row, the JSON-like arguments of `make`."""
    inputs: Sequence[Genomes] = ()
    """Per row, the parents' genomes that travel with `make`."""
    ids: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """(n,) request ids, assigned by the master."""

    def __len__(self) -> int:
        if self.genomes is not None:
            return len(self.genomes)
        return len(self.args) or len(self.inputs)

    @property
    def draws(self) -> NDArray[np.int64]:
        """(n,) the draw of each row, the request's id where the algorithm set none."""
        return self.ids if self.draw is None else self.draw

    @property
    def candidates(self) -> NDArray[np.int64]:
        """(n,) the candidate that each row measures when it yields one candidate."""
        if self.candidate is not None:
            return self.candidate
        return np.asarray(candidate_id(self.ids), dtype=np.int64)

    def take(self, rows: NDArray[np.int64] | slice) -> Requests:
        """The given rows as a batch of their own."""
        numbers = range(len(self))[rows] if isinstance(rows, slice) else rows
        return replace(
            self,
            genomes=None if self.genomes is None else self.genomes[rows],
            parents=None if self.parents is None else self.parents[rows],
            candidate=None if self.candidate is None else self.candidate[rows],
            draw=None if self.draw is None else self.draw[rows],
            needs=[self.needs[i] for i in numbers] if self.needs else (),
            args=[self.args[i] for i in numbers] if self.args else (),
            inputs=[self.inputs[i] for i in numbers] if self.inputs else (),
            ids=self.ids[rows],
        )


@dataclass(slots=True, eq=False)
class Note:
    """What only a few rows have to say; kept beside the columns, not in them."""

    message: str = ""
    """Why it failed or was rejected: one line, then the traceback where there is one."""
    counters: Mapping[str, float] = field(default_factory=dict)
    """Totals of the work done, summed over the run (``{"screened": 4096}``)."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """Costs other than seconds: tokens, money."""
    artifacts: Mapping[str, str] = field(default_factory=dict)
    """name -> hash of what the work produced."""


@dataclass(slots=True, eq=False)
class Outcomes:
    """What came back for some requests, as it is logged: requests in columns, their candidates in columns.

    `owner` is None in the common case of exactly one candidate per request, whose genome is the request's.
    """

    ids: NDArray[np.int64]
    """(r,) request ids."""
    objectives: NDArray[np.float64]
    """(c, k); rows of requests that yielded nothing usable (all but OK) hold NaN when `owner` is None."""
    measures: NDArray[np.float64]
    """(c, m)"""
    metrics: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """name -> (c,) further figures of each candidate."""
    status: NDArray[np.uint8] | None = None
    """(r,) `Status`; None when all are OK."""
    owner: NDArray[np.int64] | None = None
    """(c,) the row in `ids` that each candidate belongs to, non-decreasing."""
    genomes: Genomes | None = None
    """(c, ...) where the work made them."""
    same_as: NDArray[np.int64] | None = None
    """(r,) the earlier request that did this work, -1 for none."""
    notes: Mapping[int, Note] = field(default_factory=dict)
    """row -> note"""
    seconds: float = 0.0
    """Time the worker spent on all of them; not part of the canonical record."""
    cpu_seconds: float = 0.0
    """Processor time of the worker's process, all its threads together; likewise. What it starts does not count."""

    def owners(self) -> NDArray[np.int64]:
        """(c,) row in `ids` of each candidate."""
        return np.arange(len(self.ids)) if self.owner is None else self.owner

    def candidates(self) -> NDArray[np.int64]:
        """(c,) candidate ids of what was born here: (request id, index within its request)."""
        if self.owner is None:
            return np.asarray(candidate_id(self.ids), dtype=np.int64)
        starts = np.searchsorted(self.owner, np.arange(len(self.ids)))
        index = np.arange(len(self.owner)) - starts[self.owner]
        return np.asarray(candidate_id(self.ids[self.owner], index), dtype=np.int64)

    def take(self, rows: NDArray[np.int64]) -> Outcomes:
        """The given requests' outcomes, in the given order."""
        if self.owner is None:
            picked, owner = rows, None
        else:
            bounds = np.searchsorted(self.owner, np.arange(len(self.ids) + 1))
            counts = (bounds[1:] - bounds[:-1])[rows]
            owner = np.repeat(np.arange(len(rows)), counts)
            first = np.repeat(bounds[rows] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
            picked = first + np.arange(len(owner))
        where = {int(row): place for place, row in enumerate(rows)} if self.notes else {}
        return Outcomes(
            ids=self.ids[rows],
            objectives=self.objectives[picked],
            measures=self.measures[picked],
            metrics={name: column[picked] for name, column in self.metrics.items()},
            status=None if self.status is None else self.status[rows],
            owner=owner,
            genomes=None if self.genomes is None else self.genomes[picked],
            same_as=None if self.same_as is None else self.same_as[rows],
            notes={where[row]: note for row, note in self.notes.items() if row in where},
            seconds=self.seconds * len(rows) / max(1, len(self.ids)),
            cpu_seconds=self.cpu_seconds * len(rows) / max(1, len(self.ids)),
        )


@dataclass(slots=True, eq=False)
class Results:
    """The answer to rows of one `Requests`, in id order, as the algorithm is told it."""

    requests: Requests
    """(r,) the rows answered."""
    status: NDArray[np.uint8]
    """(r,) `Status`"""
    owner: NDArray[np.int64]
    """(c,) row in `requests` of each candidate."""
    candidate: NDArray[np.int64]
    """(c,) candidate ids."""
    genomes: Genomes
    """(c, ...)"""
    objectives: NDArray[np.float64]
    """(c, k), finite, as the problem declares them (not negated for minimisation); (c, 0) when only born."""
    measures: NDArray[np.float64]
    """(c, m)"""
    metrics: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """name -> (c,)"""
    same_as: NDArray[np.int64] | None = None
    """(r,) the earlier request whose result this is, -1 for none; None when no row has one."""
    notes: Mapping[int, Note] = field(default_factory=dict)
    """row -> note"""

    def __len__(self) -> int:
        """The number of candidates."""
        return len(self.candidate)


@dataclass(slots=True, eq=False)
class Change:
    """What one `tell` changed in one archive: key -> candidate, or -1 where a key was emptied."""

    archive: str
    keys: NDArray[np.int64]
    """(c,) cell index, rank or whatever the archive keys its elites by; the last row of a key counts."""
    candidate: NDArray[np.int64]
    """(c,)"""
    objectives: NDArray[np.float64]
    """(c, k)"""
    measures: NDArray[np.float64]
    """(c, m)"""
