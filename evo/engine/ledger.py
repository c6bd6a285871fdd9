"""What is in flight: blocks of requests, what has arrived for them, and how that becomes results."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.records import Outcomes, Requests, Results, Status

__all__ = ["Batch", "Block", "Ledger", "join", "results_of"]


@dataclass(slots=True, eq=False)
class Batch:
    """One homogeneous batch in flight."""

    requests: Requests
    first: int
    waiting: int
    """Rows without an outcome."""
    done: NDArray[np.bool_]
    """(n,) rows that have their outcome; the guard that counts every request once."""
    earlier: NDArray[np.int64] | None
    """(n,) the earlier request that does the same work, -1 for none."""
    arrived: list[Outcomes] = field(default_factory=list)
    untold: int = 0
    """Rows arrived but not told."""


@dataclass(slots=True, eq=False)
class Block:
    """What one ask gave."""

    seq: int
    batches: list[Batch]
    waiting: int
    open: int
    """Rows not told yet."""


class Ledger:
    """Blocks asked and not yet told, in order."""

    def __init__(self) -> None:
        self._blocks: dict[int, Block] = {}
        self._arrived: dict[int, Batch] = {}
        self.waiting = 0
        """Requests without an outcome."""
        self.open = 0
        """Requests not told."""
        self.late = 0
        """Outcomes that came again or too late and were ignored."""
        self._firsts: list[int] = []
        self._batches: dict[int, tuple[Batch, Block]] = {}

    @property
    def blocks(self) -> Collection[Block]:
        """In the order in which they were asked."""
        return self._blocks.values()

    @property
    def oldest(self) -> Block:
        """The first block asked of those not told."""
        return next(iter(self._blocks.values()))

    @property
    def arrived(self) -> list[Batch]:
        """Batches with rows that have arrived and were not told, in the order of arrival."""
        return list(self._arrived.values())

    def add(self, seq: int, batches: Sequence[Requests], earlier: Sequence[NDArray[np.int64] | None]) -> Block:
        """Enter what an ask gave; ids must be assigned and grow."""
        entries = []
        for requests, same in zip(batches, earlier, strict=True):
            n = len(requests)
            entries.append(Batch(requests, int(requests.ids[0]), n, np.zeros(n, dtype=bool), same))
        count = sum(batch.waiting for batch in entries)
        block = Block(seq, entries, count, count)
        for batch in entries:
            self._firsts.append(batch.first)
            self._batches[batch.first] = (batch, block)
        self._blocks[seq] = block
        self.waiting += count
        self.open += count
        return block

    def find(self, request: int) -> Batch | None:
        """The batch in flight that holds a request, None when it was told."""
        place = bisect_right(self._firsts, request) - 1
        if place < 0:
            return None
        batch = self._batches[self._firsts[place]][0]
        return batch if request < batch.first + len(batch.requests) else None

    def accept(self, outcomes: Outcomes) -> list[Outcomes]:
        """Enter outcomes; returns those that were news, one part per batch, ids ascending in each."""
        ids = outcomes.ids
        if len(ids) == 0:
            return []
        batch = self.find(int(ids[0]))
        if batch is not None and int(ids[-1]) < batch.first + len(batch.requests) and _ascending(ids):
            part = self._accept_part(batch, outcomes)
            return [] if part is None else [part]
        order = np.argsort(ids, kind="stable")
        places = np.searchsorted(np.asarray(self._firsts, dtype=np.int64), ids[order], side="right") - 1
        news = []
        for place in np.unique(places):
            rows = order[places == place]
            if place < 0:
                self.late += len(rows)
                continue
            batch = self._batches[self._firsts[place]][0]
            inside = ids[rows] < batch.first + len(batch.requests)
            self.late += int((~inside).sum())
            if inside.any():
                part = self._accept_part(batch, outcomes.take(rows[inside]))
                if part is not None:
                    news.append(part)
        return news

    def _accept_part(self, batch: Batch, outcomes: Outcomes) -> Outcomes | None:
        rows = outcomes.ids - batch.first
        seen = batch.done[rows]
        if seen.any():
            self.late += int(seen.sum())
            fresh = np.flatnonzero(~seen)
            if not len(fresh):
                return None
            outcomes, rows = outcomes.take(fresh), rows[fresh]
        batch.done[rows] = True
        n = len(rows)
        batch.waiting -= n
        batch.untold += n
        self._batches[batch.first][1].waiting -= n
        self.waiting -= n
        batch.arrived.append(outcomes)
        self._arrived[batch.first] = batch
        return outcomes

    def take(self, batch: Batch) -> Results:
        """The results of all rows that have arrived, which leave the ledger with them."""
        arrived = join(batch.arrived)
        batch.arrived = []
        del self._arrived[batch.first]
        block = self._batches[batch.first][1]
        n = len(arrived.ids)
        batch.untold = 0
        block.open -= n
        self.open -= n
        whole = n == len(batch.requests)
        return results_of(batch.requests if whole else batch.requests.take(arrived.ids - batch.first), arrived)

    def skip(self, batch: Batch, rows: NDArray[np.int64]) -> None:
        """Mark rows as told before a snapshot was taken."""
        n = len(rows)
        block = self._batches[batch.first][1]
        batch.done[rows] = True
        batch.waiting -= n
        block.waiting -= n
        block.open -= n
        self.waiting -= n
        self.open -= n

    def settle(self, batch: Batch) -> None:
        """Forget a batch all of whose rows were told, and its block when that was the last."""
        block = self._batches.pop(batch.first)[1]
        del self._firsts[bisect_right(self._firsts, batch.first) - 1]
        block.batches.remove(batch)
        if not block.batches:
            del self._blocks[block.seq]


def _ascending(ids: NDArray[np.int64]) -> bool:
    n = len(ids)
    return n == 1 or bool((ids[1:] > ids[:-1]).all())


def join(parts: Sequence[Outcomes]) -> Outcomes:
    """Outcomes of one batch as one, in id order."""
    if len(parts) == 1:
        return parts[0]
    several = any(part.owner is not None for part in parts)
    ids = np.concatenate([part.ids for part in parts])
    starts = np.concatenate([[0], np.cumsum([len(part.ids) for part in parts])]).astype(np.int64)
    joined = Outcomes(
        ids=ids,
        objectives=np.concatenate([part.objectives for part in parts]),
        measures=np.concatenate([part.measures for part in parts]),
        metrics=_join_metrics(parts),
        status=_join_column(parts, "status", 0, np.uint8),
        owner=np.concatenate([part.owners() + start for part, start in zip(parts, starts, strict=False)])
        if several
        else None,
        genomes=np.concatenate([part.genomes for part in parts if part.genomes is not None]) if several else None,
        same_as=_join_column(parts, "same_as", -1, np.int64),
        notes={
            row + int(start): note
            for part, start in zip(parts, starts, strict=False)
            for row, note in part.notes.items()
        },
        seconds=sum(part.seconds for part in parts),
        cpu_seconds=sum(part.cpu_seconds for part in parts),
    )
    if _ascending(ids):
        return joined
    return joined.take(np.argsort(ids, kind="stable"))


def _join_column(parts: Sequence[Outcomes], name: str, blank: int, dtype: Any) -> Any:
    columns = [getattr(part, name) for part in parts]
    if all(column is None for column in columns):
        return None
    return np.concatenate(
        [
            np.full(len(part.ids), blank, dtype=dtype) if column is None else column
            for part, column in zip(parts, columns, strict=True)
        ]
    )


def _join_metrics(parts: Sequence[Outcomes]) -> dict[str, NDArray[Any]]:
    names = sorted({name for part in parts for name in part.metrics})
    joined: dict[str, NDArray[Any]] = {}
    for name in names:
        columns = [part.metrics.get(name) for part in parts]
        if all(column is not None for column in columns):
            joined[name] = np.concatenate(columns)  # type: ignore[arg-type]
            continue
        as_object = any(column is not None and column.dtype == object for column in columns)
        blank: Any = None if as_object else np.nan
        joined[name] = np.concatenate(
            [
                np.full(len(part.objectives), blank, dtype=object if as_object else np.float64)
                if column is None
                else column
                for part, column in zip(parts, columns, strict=True)
            ]
        )
    return joined


def results_of(requests: Requests, outcomes: Outcomes) -> Results:
    """What the algorithm is told of requests whose outcomes (same ids, same order) are known."""
    status = np.zeros(len(requests), dtype=np.uint8) if outcomes.status is None else outcomes.status
    if outcomes.owner is not None:
        assert outcomes.genomes is not None
        return Results(
            requests,
            status,
            outcomes.owner,
            outcomes.candidates(),
            outcomes.genomes,
            outcomes.objectives,
            outcomes.measures,
            outcomes.metrics,
            outcomes.same_as,
            outcomes.notes,
        )
    assert requests.genomes is not None
    if outcomes.status is None or not status.any():
        rows: Any = slice(None)
        owner = np.arange(len(requests))
    else:
        owner = rows = np.flatnonzero(status == Status.OK)
    return Results(
        requests,
        status,
        owner,
        requests.candidates[rows],
        requests.genomes[rows],
        outcomes.objectives[rows],
        outcomes.measures[rows],
        {name: column[rows] for name, column in outcomes.metrics.items()},
        outcomes.same_as,
        outcomes.notes,
    )
