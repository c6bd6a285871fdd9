"""All that a run has found, as plain columns: for analysis without pandas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.records import Genomes, Status
from evo.space import Space
from evo.store.reader import RunReader
from evo.store.table import Chunk, chunks

__all__ = ["Candidates", "candidates"]


@dataclass(frozen=True, eq=False)
class Candidates:
    """The candidates that were measured well at the reporting fidelity, one row each, in id order."""

    candidate: NDArray[np.int64]
    """(n,) ids; `evo.records.candidate_name` writes them as people do."""
    genomes: Genomes
    """(n, ...)"""
    objectives: NDArray[np.float64]
    """(n, k)"""
    measures: NDArray[np.float64]
    """(n, m)"""
    metrics: dict[str, NDArray[Any]]
    """name -> (n,) numbers, NaN where a candidate has none; or objects, None where it has none."""

    def __len__(self) -> int:
        return len(self.candidate)

    def __repr__(self) -> str:
        return f"<Candidates: {len(self)}, metrics {', '.join(self.metrics) or 'none'}>"


def candidates(reader: RunReader, space: Space) -> Candidates:
    """The columns of a run; of a candidate that was measured more than once, the first time counts."""
    header = reader.header()
    k, m = len(header["objectives"]), len(header["measures"])
    nothing = Candidates(np.empty(0, np.int64), space.empty(0), np.empty((0, k)), np.empty((0, m)), {})
    found = [_measured(chunk, header.get("reporting", "")) for chunk in chunks(reader, space)]
    return _joined([nothing, *found])


def _measured(chunk: Chunk, reporting: str) -> Candidates:
    """The rows of a chunk that count."""
    assert chunk.genomes is not None
    rows = np.flatnonzero((chunk.status == Status.OK) & (chunk.fidelity == reporting) & chunk.born)
    metrics = {name: column[rows] for name, column in chunk.metrics.items()}
    return Candidates(chunk.candidate[rows], chunk.genomes[rows], chunk.objectives[rows], chunk.measures[rows], metrics)


def _joined(parts: Sequence[Candidates]) -> Candidates:
    candidate, first = np.unique(np.concatenate([part.candidate for part in parts]), return_index=True)
    names = dict.fromkeys(name for part in parts for name in part.metrics)
    return Candidates(
        candidate,
        np.concatenate([part.genomes for part in parts])[first],
        np.concatenate([part.objectives for part in parts])[first],
        np.concatenate([part.measures for part in parts])[first],
        {name: _metric(name, parts)[first] for name in names},
    )


def _metric(name: str, parts: Sequence[Candidates]) -> NDArray[Any]:
    """One metric of all parts; floats where no part has anything else."""
    there = [part.metrics[name] for part in parts if name in part.metrics]
    numeric = all(column.dtype.kind in "biuf" for column in there)
    blank, kind = (np.nan, np.float64) if numeric else (None, object)
    columns = [
        part.metrics[name].astype(kind) if name in part.metrics else np.full(len(part), blank, dtype=kind)
        for part in parts
    ]
    return np.concatenate(columns)
