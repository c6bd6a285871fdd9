"""The told candidates as one pandas table."""

from __future__ import annotations

from typing import Any

import numpy as np

from evo.store.extras import need
from evo.store.reader import RunReader
from evo.store.table import STATUS_NAMES, chunks, column_names, names_of

__all__ = ["frame"]


def frame(reader: RunReader) -> Any:
    """One row an evaluated candidate, in id order; failures have a row with NaN figures and their message.

    Columns: ``candidate`` (its name), ``request``, ``parents`` (their names), ``operator``, ``source``, ``fidelity``,
    ``status``, ``same_as`` (-1 for none), objectives, measures and metrics by name, ``message``.
    """
    pandas = need("pandas", "frame", "run.frame()")
    header = reader.header()
    parts = list(chunks(reader, None, size=1 << 16))
    metrics = list(dict.fromkeys(name for part in parts for name in part.metrics))
    columns: dict[str, Any] = {
        "candidate": [name for part in parts for name in names_of(part.candidate)],
        "request": _joined([part.request for part in parts], np.int64),
        "parents": [row for part in parts for row in _parents(part.parents)],
    }
    for name in ("operator", "source", "fidelity"):
        columns[name] = pandas.Categorical(_joined([getattr(part, name) for part in parts], object))
    status = _joined([part.status for part in parts], np.uint8)
    columns["status"] = pandas.Categorical.from_codes(status.astype(np.int8), categories=STATUS_NAMES.tolist())
    columns["same_as"] = _joined([part.same_as for part in parts], np.int64)
    k, m = len(header["objectives"]), len(header["measures"])
    figures = [np.hstack([part.objectives, part.measures]) for part in parts]
    joined = np.concatenate(figures).T if figures else np.empty((k + m, 0))
    names = column_names(header, metrics)
    columns |= dict(zip(names, joined, strict=False))
    for name, metric in zip(names[k + m :], metrics, strict=True):
        blank = {len(part): np.full(len(part), np.nan) for part in parts if metric not in part.metrics}
        columns[name] = np.concatenate([part.metrics.get(metric, blank.get(len(part))) for part in parts])
    columns["message"] = _joined([part.message for part in parts], object)
    return pandas.DataFrame(columns)


def _joined(parts: list[Any], dtype: Any) -> Any:
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _parents(parents: Any) -> list[tuple[str, ...]]:
    columns = [names_of(column) for column in parents.T]
    if not columns:
        return [()] * len(parents)
    if (parents >= 0).all():
        return list(zip(*columns, strict=True))
    return [
        tuple(name for name, one in zip(names, ids, strict=True) if one >= 0)
        for names, ids in zip(zip(*columns, strict=True), parents.tolist(), strict=True)
    ]
