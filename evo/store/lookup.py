"""Finds single candidates in a run file: their genomes and figures, wherever and whenever they came to be."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import RunError
from evo.records import Genomes, Requests, candidate_id, candidate_name, request_of
from evo.space import Space
from evo.store.codec import decode_outcomes, decode_requests
from evo.store.plain import plain

__all__ = ["OPAQUE", "genomes_of", "metrics_of"]


class _Opaque(Space):
    """Stands for a space that is not known or not wanted: genomes stay undecoded."""

    dtype = np.dtype(object)

    def sample(self, n: int, rng: np.random.Generator) -> Genomes:
        raise NotImplementedError

    def stack(self, values: Any) -> Genomes:
        raise NotImplementedError

    def check(self, genomes: Genomes) -> Genomes:
        raise NotImplementedError

    def repair(self, genomes: Genomes) -> Genomes:
        raise NotImplementedError

    def encode(self, genomes: Genomes) -> bytes:
        raise NotImplementedError

    def decode(self, data: bytes, n: int) -> Genomes:
        return self.empty(n)

    def to_json(self, genome: Any) -> Any:
        return None


OPAQUE: Space = _Opaque()
"""Decodes every genome to None, so that a run can be read without its problem."""


def genomes_of(connection: sqlite3.Connection, space: Space, candidates: NDArray[np.int64]) -> Genomes:
    """(n, ...) genomes of the candidates, in their order.

    Raises:
        RunError: a candidate is not in this run.
    """
    order = np.argsort(candidates, kind="stable")
    wanted = candidates[order]
    found = space.empty(len(wanted))
    missing = np.ones(len(wanted), dtype=bool)
    for batch in _births(connection, space, request_of(wanted)):
        if batch.genomes is not None:
            _fill(found, missing, wanted, batch.candidates, batch.genomes)
    if missing.any():
        births = request_of(wanted[missing])
        rows = connection.execute(
            "SELECT columns FROM results WHERE high >= ? AND low <= ?", (int(births[0]), int(births[-1]))
        )
        for (columns,) in rows:
            outcomes = decode_outcomes(columns, space)
            if outcomes.genomes is not None:
                _fill(found, missing, wanted, outcomes.candidates(), outcomes.genomes)
    if missing.any():
        raise RunError(f"candidate {candidate_name(int(wanted[missing][0]))} is not in this run")
    result = space.empty(len(wanted))
    result[order] = found
    return result


def _births(connection: sqlite3.Connection, space: Space, requests: NDArray[np.int64]) -> Iterator[Requests]:
    """The batches that hold the sorted request ids; only those are decoded."""
    for first, count in connection.execute("SELECT first, count FROM requests ORDER BY first").fetchall():
        place = np.searchsorted(requests, first)
        if place < len(requests) and requests[place] < first + count:
            (columns,) = connection.execute("SELECT columns FROM requests WHERE first = ?", (first,)).fetchone()
            yield decode_requests(columns, first, space)


def _fill(found: Genomes, missing: Any, wanted: NDArray[np.int64], ids: NDArray[np.int64], genomes: Genomes) -> None:
    """Copy the genomes of those sorted `wanted` that are among `ids` and still missing."""
    if not len(ids):
        return
    low, high = np.searchsorted(wanted, ids.min()), np.searchsorted(wanted, ids.max(), side="right")
    order = np.argsort(ids, kind="stable")
    place = np.searchsorted(ids, wanted[low:high], sorter=order)
    rows = order[np.minimum(place, len(ids) - 1)]
    hit = missing[low:high] & (ids[rows] == wanted[low:high])
    found[low:high][hit] = genomes[rows[hit]]
    missing[low:high][hit] = False


def metrics_of(connection: sqlite3.Connection, candidate: int, reporting: str) -> dict[str, Any]:
    """The further figures of a candidate as first measured at the reporting fidelity; empty where there are none."""
    birth = int(request_of(candidate))
    rows = connection.execute("SELECT first, columns FROM requests WHERE first + count > ? ORDER BY first", (birth,))
    for first, columns in rows:
        batch = decode_requests(columns, first, OPAQUE)
        if batch.fidelity not in ("", reporting) or (batch.candidate is None and first > birth):
            continue
        if batch.candidate is None:
            asked = [(birth, candidate)]
        else:
            asked = [(int(r), int(candidate_id(r))) for r in batch.ids[batch.candidate == candidate]]
        for request, born_as in asked:
            found = _metrics_at(connection, request, born_as)
            if found is not None:
                return found
    return {}


def _metrics_at(connection: sqlite3.Connection, request: int, born_as: int) -> dict[str, Any] | None:
    rows = connection.execute("SELECT columns FROM results WHERE high >= ? AND low <= ?", (request, request))
    for (columns,) in rows:
        outcomes = decode_outcomes(columns, OPAQUE)
        places = np.flatnonzero(outcomes.candidates() == born_as)
        if len(places):
            values = {name: plain(column[places[0]]) for name, column in outcomes.metrics.items()}
            return {name: value for name, value in values.items() if value is not None}
    return None
