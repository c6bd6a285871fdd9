"""The log as a table: one row an evaluated candidate, in id order, in chunks of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.records import (
    MAX_CANDIDATES,
    Genomes,
    Outcomes,
    Requests,
    Status,
    candidate_id,
    candidate_name,
    request_of,
)
from evo.space import Space
from evo.store.lookup import OPAQUE
from evo.store.reader import RunReader

__all__ = ["Chunk", "chunks", "column_names", "names_of", "told_outcomes"]

STATUS_NAMES = np.array([status.name.lower() for status in Status], dtype=object)
_BASE = ("candidate", "request", "parents", "operator", "source", "fidelity", "status", "same_as")


@dataclass(slots=True)
class Chunk:
    """Rows in id order. A request that failed without a candidate has one row, with NaN figures and its message."""

    request: NDArray[np.int64]
    candidate: NDArray[np.int64]
    parents: NDArray[np.int64]
    """(r, p), padded with -1"""
    operator: NDArray[Any]
    source: NDArray[Any]
    fidelity: NDArray[Any]
    status: NDArray[np.uint8]
    same_as: NDArray[np.int64]
    objectives: NDArray[np.float64]
    measures: NDArray[np.float64]
    metrics: dict[str, NDArray[Any]]
    message: NDArray[Any]
    genomes: Genomes | None
    """None when the space is not known; rows without a genome (failed work that should have made one) are unset."""
    born: NDArray[np.bool_]
    """Whether the row has a genome."""

    def __len__(self) -> int:
        return len(self.request)


def told_outcomes(reader: RunReader, told: NDArray[np.int64], low: int, high: int) -> list[Outcomes]:
    """What is logged of the told requests low..high; blocks as they arrived, cut to those requests."""
    wanted = told[np.searchsorted(told, low) : np.searchsorted(told, high, side="right")]
    found = []
    for outcomes in reader.outcomes(low, high):
        if not len(wanted):
            break
        place = np.minimum(np.searchsorted(wanted, outcomes.ids), len(wanted) - 1)
        rows = np.flatnonzero(wanted[place] == outcomes.ids)
        if len(rows):
            found.append(outcomes if len(rows) == len(outcomes.ids) else outcomes.take(rows))
    return found


def chunks(reader: RunReader, space: Space | None, size: int = 1 << 14) -> Iterator[Chunk]:
    """The told rows of about `size` requests at a time; with genomes where a space is given."""
    source = RunReader(reader.connection, OPAQUE if space is None else space)
    header = reader.header()
    widths = len(header["objectives"]), len(header["measures"])
    told = reader.told()
    reporting = header.get("reporting", "")
    window: list[Requests] = []
    held = 0
    for batch in source.requests():
        window.append(batch)
        held += len(batch.ids)
        if held >= size:
            yield from _chunk(source, space, told, window, widths, reporting)
            window, held = [], 0
    if window:
        yield from _chunk(source, space, told, window, widths, reporting)


def _chunk(
    reader: RunReader,
    space: Space | None,
    told: NDArray[np.int64],
    window: Sequence[Requests],
    widths: tuple[int, int],
    reporting: str,
) -> Iterator[Chunk]:
    low, high = int(window[0].ids[0]), int(window[-1].ids[-1])
    blocks = told_outcomes(reader, told, low, high)
    if not blocks:
        return
    parts = [_rows(block) for block in blocks]
    request = np.concatenate([block.ids[owner] for block, (owner, _) in zip(blocks, parts, strict=True)])
    order = np.argsort(request, kind="stable")  # the candidates of one request lie together and in order already
    request = request[order]
    starts = np.flatnonzero(np.concatenate([[True], request[1:] != request[:-1]])) if len(request) else request
    index = np.arange(len(request)) - np.repeat(starts, np.diff(np.append(starts, len(request))))
    firsts = np.array([batch.ids[0] for batch in window])
    batch_of = np.searchsorted(firsts, request, side="right") - 1

    def each(attribute: str, blank: str = "") -> NDArray[Any]:
        return np.array([getattr(batch, attribute) or blank for batch in window], dtype=object)[batch_of]

    objectives, measures = (
        np.concatenate([_gather(getattr(b, name), row, width) for b, (_, row) in zip(blocks, parts, strict=True)])[
            order
        ]
        for name, width in zip(("objectives", "measures"), widths, strict=True)
    )
    chunk = Chunk(
        request=request,
        candidate=np.asarray(candidate_id(request, index)),
        parents=np.full((len(request), max((_width(batch) for batch in window), default=0)), -1, np.int64),
        operator=each("operator"),
        source=each("source"),
        fidelity=each("fidelity", reporting),
        status=_joined(blocks, parts, "status", 0)[order].astype(np.uint8),
        same_as=_joined(blocks, parts, "same_as", -1)[order].astype(np.int64),
        objectives=objectives,
        measures=measures,
        metrics=_metrics(blocks, [row for _, row in parts], order),
        message=_messages(blocks, parts)[order],
        genomes=None if space is None else space.empty(len(request)),
        born=np.zeros(len(request), dtype=bool),
    )
    _from_requests(chunk, window, batch_of)
    if chunk.genomes is not None:
        start = 0
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        for block, (_, row) in zip(blocks, parts, strict=True):
            rows = place[start : start + len(row)]
            start += len(row)
            if block.genomes is not None:
                chunk.genomes[rows[row >= 0]] = block.genomes[row[row >= 0]]
                chunk.born[rows[row >= 0]] = True
    yield chunk


def _rows(block: Outcomes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(row in ids, row among candidates or -1) of each table row: every candidate, and every failure without one."""
    if block.owner is None:
        every = np.arange(len(block.ids))
        return every, every
    owner, row = block.owner, np.arange(len(block.owner))
    if block.status is not None:
        alone = np.setdiff1d(np.flatnonzero(block.status), owner)
        owner, row = np.concatenate([owner, alone]), np.concatenate([row, np.full(len(alone), -1)])
    return owner, row


def _gather(values: NDArray[Any], rows: NDArray[np.int64], width: int) -> NDArray[np.float64]:
    """The rows, NaN where -1 and where the work had no figures (a genome that was only born)."""
    found = np.full((len(rows), width), np.nan)
    if values.shape[1:] == (width,):
        found[rows >= 0] = values[rows[rows >= 0]]
    return found


def _joined(blocks: Sequence[Outcomes], parts: Sequence[Any], name: str, blank: int) -> NDArray[Any]:
    columns = []
    for block, (owner, _) in zip(blocks, parts, strict=True):
        column = getattr(block, name)
        columns.append(np.full(len(owner), blank) if column is None else column[owner])
    return np.concatenate(columns)


def _metrics(blocks: Sequence[Outcomes], rows: Sequence[NDArray[np.int64]], order: Any) -> dict[str, NDArray[Any]]:
    """name -> column; NaN (None for JSON-like values) where a block has no such metric."""
    result = {}
    for name in dict.fromkeys(name for block in blocks for name in block.metrics):
        numeric = all(block.metrics[name].dtype.kind in "biuf" for block in blocks if name in block.metrics)
        columns = []
        for block, row in zip(blocks, rows, strict=True):
            column = np.full(len(row), np.nan) if numeric else np.full(len(row), None, dtype=object)
            if name in block.metrics:
                column[row >= 0] = block.metrics[name][row[row >= 0]]
            columns.append(column)
        result[name] = np.concatenate(columns)[order]
    return result


def _messages(blocks: Sequence[Outcomes], parts: Sequence[Any]) -> NDArray[Any]:
    columns = []
    for block, (owner, _) in zip(blocks, parts, strict=True):
        column = np.full(len(block.ids), "", dtype=object)
        for row, note in block.notes.items():
            column[row] = note.message
        columns.append(column[owner])
    return np.concatenate(columns)


def _width(batch: Requests) -> int:
    return 0 if batch.parents is None else batch.parents.shape[1]


def _from_requests(chunk: Chunk, window: Sequence[Requests], batch_of: NDArray[np.int64]) -> None:
    """Parents, genomes, and the ids of candidates that were asked again."""
    bounds = np.searchsorted(batch_of, np.arange(len(window) + 1))
    for batch, start, stop in zip(window, bounds[:-1], bounds[1:], strict=True):
        rows = chunk.request[start:stop] - batch.ids[0]
        if batch.parents is not None:
            chunk.parents[start:stop, : _width(batch)] = batch.parents[rows]
        if batch.candidate is not None:
            chunk.candidate[start:stop] = batch.candidate[rows]
        if batch.genomes is not None and chunk.genomes is not None:
            chunk.genomes[start:stop] = batch.genomes[rows]
            chunk.born[start:stop] = True


def names_of(candidates: NDArray[np.int64]) -> list[str]:
    """How people write these ids."""
    if not (candidates & (MAX_CANDIDATES - 1)).any():  # nearly always, and a third of the time
        return list(map(str, request_of(candidates).tolist()))
    return [candidate_name(one) for one in candidates.tolist()]


def column_names(header: dict[str, Any], metrics: Sequence[str]) -> list[str]:
    """Names of the objectives', measures' and metrics' columns; one that is taken gets its kind appended."""
    taken = {*_BASE, "message", "genome"}
    names = []
    kinds = [(one["name"], kind) for kind in ("objectives", "measures") for one in header[kind]]
    for name, kind in [*kinds, *((name, "metrics") for name in metrics)]:
        unique = f"{name}_{kind.removesuffix('s')}" if name in taken else name
        taken.add(unique)
        names.append(unique)
    return names
