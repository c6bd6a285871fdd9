"""The outcomes of several children as one, as if one process had measured them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.records import Outcomes

__all__ = ["joined"]


def joined(parts: Sequence[Outcomes]) -> Outcomes:
    """Outcomes of the same kind of requests, one after the other; a metric that a part lacks is NaN there, or None
    among objects."""
    if len(parts) == 1:
        return parts[0]
    sizes = [len(part.ids) for part in parts]
    starts = np.cumsum([0, *sizes]).tolist()
    born = parts[0].owner is not None
    status = None
    if any(part.status is not None for part in parts):
        status = np.concatenate([np.zeros(len(p.ids), np.uint8) if p.status is None else p.status for p in parts])
    return Outcomes(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.objectives for part in parts]),
        np.concatenate([part.measures for part in parts]),
        {name: _metric(name, parts) for name in dict.fromkeys(name for part in parts for name in part.metrics)},
        status,
        np.concatenate([part.owner + start for part, start in zip(parts, starts, strict=False)]) if born else None,
        np.concatenate([part.genomes for part in parts]) if born else None,
        notes={
            start + row: note for part, start in zip(parts, starts, strict=False) for row, note in part.notes.items()
        },
        seconds=sum(part.seconds for part in parts),
        cpu_seconds=sum(part.cpu_seconds for part in parts),
    )


def _metric(name: str, parts: Sequence[Outcomes]) -> NDArray[Any]:
    columns = [part.metrics.get(name) for part in parts]
    objects = any(column is not None and column.dtype.hasobject for column in columns)
    blank = None if objects else np.nan
    return np.concatenate(
        [
            np.full(len(part.objectives), blank, dtype=object if objects else np.float64) if column is None else column
            for part, column in zip(parts, columns, strict=True)
        ]
    )
