"""What users' code returned becomes plain columns of our own, or is refused with a reason that names what is wrong.

All of this happens on the worker, inside the supervision boundary: whatever passes can be pickled, logged as JSON and
read back, so that a result has the same fate in this process and on another machine. What concerns one row fails that
row; what concerns the whole batch raises. Reasons name no row: which row of a batch it is hangs on the messages.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import EvaluationError
from evo.evaluator import Evaluations, reason_of
from workers.artifacts import Keeper

__all__ = ["Found", "amounts", "checked", "column", "joined"]

_EXACT = 1 << 53
"""Integers below this are exact as floats."""
_DEEPEST = 100


@dataclass(slots=True)
class Found:
    """A batch, measured and checked. Nobody else holds or writes these arrays."""

    objectives: NDArray[np.float64]
    measures: NDArray[np.float64]
    metrics: dict[str, NDArray[Any]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    rejected: dict[int, str] = field(default_factory=dict)
    """No row is in both."""
    artifacts: dict[int, dict[str, str]] = field(default_factory=dict)
    """name -> hash of what has been kept."""
    costs: dict[int, dict[str, float]] = field(default_factory=dict)


def checked(found: Evaluations, n: int, k: int, m: int, keeper: Keeper) -> Found:
    """The evaluations of n rows in plain form. Numbers are copied and artifacts kept, as an evaluator may use its
    buffers and files again.

    Raises:
        EvaluationError: a shape, type or name that concerns the whole batch is wrong.
    """
    if not isinstance(found, Evaluations):
        raise EvaluationError(f"evaluate_batch must return evo.Evaluations, got {type(found).__name__}")
    objectives = np.array(found.objectives, dtype=np.float64, order="C")
    if objectives.shape != (n, k):
        raise EvaluationError(f"objectives: expected shape {(n, k)}, got {objectives.shape}")
    given = found.measures
    measures = np.empty((n, 0)) if given is None else np.array(given, dtype=np.float64, order="C")
    if measures.shape != (n, m):
        raise EvaluationError(f"measures: expected shape {(n, m)}, got {measures.shape}")
    plain = Found(objectives, measures)
    for row, reason in found.failures.items():
        plain.failures[_row("failures", row, n)] = str(reason)
    rejected = {_row("rejected", row, n): str(reason) for row, reason in found.rejected.items()}
    for name, values in found.metrics.items():
        plain.metrics[name] = column(name, values, n, plain.failures, rejected.keys())
    for row, costs in found.costs.items():
        place = _row("costs", row, n)
        try:
            plain.costs[place] = amounts("cost", costs)
        except EvaluationError as error:
            plain.failures.setdefault(place, str(error))
    for row, artifacts in found.artifacts.items():
        place = _row("artifacts", row, n)
        try:
            plain.artifacts[place] = keeper.keep(artifacts)
        except (OSError, EvaluationError) as error:  # a file that is not there, a disk that is full
            plain.failures.setdefault(place, reason_of(error))
    plain.rejected = {row: reason for row, reason in rejected.items() if row not in plain.failures}
    return plain


def amounts(kind: str, given: Mapping[str, Any]) -> dict[str, float]:
    """Costs or counters as plain numbers.

    Raises:
        EvaluationError: a name is not text, or an amount is no finite number.
    """
    plain: dict[str, float] = {}
    for name, value in given.items():
        number = value.item() if isinstance(value, np.ndarray | np.generic) and value.ndim == 0 else value
        if not isinstance(name, str):
            raise EvaluationError(f"{kind}: names must be text, got {name!r}")
        if not isinstance(number, int | float):
            raise EvaluationError(f"{kind} {name!r}: expected a number, got {type(value).__name__}")
        if isinstance(number, float) and not math.isfinite(number):
            raise EvaluationError(f"{kind} {name!r}: expected a finite number, got {number}")
        plain[name] = float(number) if isinstance(number, float) else int(number)
    return plain


def joined(parts: Sequence[Found]) -> Found:
    """Batches, one after the other; a metric that a part lacks is NaN there, or None among objects."""
    sizes = [len(part.objectives) for part in parts]
    starts = np.cumsum([0, *sizes]).tolist()
    metrics: dict[str, NDArray[Any]] = {}
    for name in dict.fromkeys(name for part in parts for name in part.metrics):
        columns = [part.metrics.get(name) for part in parts]
        objects = any(column is not None and column.dtype.hasobject for column in columns)
        blank = None if objects else np.nan
        metrics[name] = np.concatenate(
            [
                np.full(size, blank, dtype=object if objects else np.float64) if column is None else column
                for size, column in zip(sizes, columns, strict=True)
            ]
        )
    whole = Found(
        np.concatenate([part.objectives for part in parts]), np.concatenate([part.measures for part in parts]), metrics
    )
    for start, part in zip(starts, parts, strict=False):
        whole.failures.update((start + row, reason) for row, reason in part.failures.items())
        whole.rejected.update((start + row, reason) for row, reason in part.rejected.items())
        whole.artifacts.update((start + row, one) for row, one in part.artifacts.items())
        whole.costs.update((start + row, one) for row, one in part.costs.items())
    return whole


def _row(what: str, row: Any, n: int) -> int:
    if not isinstance(row, int | np.integer) or not 0 <= row < n:
        raise EvaluationError(f"{what}: expected rows 0 to {n - 1}, got {row!r}")
    return int(row)


# Metrics --------------------------------------------------------------------------------------------------------------


def column(name: Any, values: Any, n: int, failures: dict[int, str], ignored: Collection[int]) -> NDArray[Any]:
    """One metric as a column of numbers or of JSON-like objects; a value that is neither fails its row, unless that is
    among those `ignored`."""
    if not isinstance(name, str):
        raise EvaluationError(f"metrics: names must be text, got {name!r}")
    column = values if isinstance(values, np.ndarray) else _array(name, values)
    if column.shape != (n,):
        raise EvaluationError(f"metric {name!r}: expected a column of shape {(n,)}, got {column.shape}")
    kind = column.dtype.kind
    if kind in "bf":
        return np.array(column, dtype=np.float64 if column.dtype.itemsize > 8 else column.dtype)
    if kind in "iu":
        wide = column.dtype.itemsize == 8 and (column.max() >= _EXACT or column.min() <= -_EXACT)
        return column.astype(object) if wide else column.copy()  # objects stay exact when joined with missing values
    if kind == "U":
        return column.astype(object)
    if kind == "O":
        return _objects(name, column, failures, ignored)
    raise EvaluationError(
        f"metric {name!r}: expected numbers, text or JSON-like values, got values of type {column.dtype}"
    )


def _array(name: str, values: Any) -> NDArray[Any]:
    if hasattr(values, "__array__"):  # a tensor, a pandas column
        return np.asarray(values)
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise EvaluationError(f"metric {name!r}: expected one value a row, got {type(values).__name__}")
    column = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):  # one by one: a list of lists must not be taken for rows
        column[row] = value
    return column


def _objects(name: str, column: NDArray[Any], failures: dict[int, str], ignored: Collection[int]) -> NDArray[Any]:
    """Objects in plain form; a column of floats where they are nothing but numbers that floats can hold.

    What becomes of a value does not depend on its neighbours' values, so that messages may be cut anywhere.
    """
    plain = np.empty(len(column), dtype=object)
    numbers = True
    for row, value in enumerate(column):
        if row in failures or row in ignored:
            continue
        try:
            value = _plain(value, 0)
        except EvaluationError as error:
            failures[row] = f"metric {name!r}: {error}"
            continue
        if isinstance(value, int) and abs(value) < _EXACT:
            value = float(value)
        plain[row] = value
        numbers = numbers and (value is None or isinstance(value, float))
    return plain.astype(np.float64) if numbers else plain


def _plain(value: Any, depth: int) -> Any:
    """A copy in exact JSON types; NaN and infinities may stand where numbers stand."""
    kind = type(value)
    if value is None or kind in (bool, float, str):
        return value
    if isinstance(value, np.floating):
        return float(value)
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufUO":
        return _plain(value.tolist(), depth)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str | float):
        return str(value) if isinstance(value, str) else float(value)
    if depth >= _DEEPEST:
        raise EvaluationError(f"a value that is nested deeper than {_DEEPEST} levels cannot be kept")
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {_key(key): _plain(item, depth + 1) for key, item in value.items()}
    raise EvaluationError(f"expected a number, text, list, dict, None or array, got {_kind(value)}")


def _key(key: Any) -> str:
    if isinstance(key, str):
        return str(key)
    if isinstance(key, int | np.integer):
        return str(int(key))
    raise EvaluationError(f"expected text as the keys of a dict, got {_kind(key)}")


def _kind(value: Any) -> str:
    return f"an array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
