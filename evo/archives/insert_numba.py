"""The insertion rule compiled: the same bits as `evo.archives.insert`, in a few microseconds a call.

Import it through `evo.archives.insert.rule`, which does without it where numba is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from evo.archives.insert import EDGE, Axes, Floats, Rule, Verdict

__all__ = ["NUMBA"]

_F = TypeVar("_F", bound=Callable[..., Any])


def _read(dtype: Any, ndim: int) -> Any:
    # Read-only arguments accept writable arrays too, so one signature serves every caller and nothing compiles later.
    return types.Array(dtype, ndim, "C", readonly=True)


_floats, _table = _read(types.float64, 1), _read(types.float64, 2)
_ints = _read(types.int64, 1)
_tuple: Any = types.UniTuple


def _compiled(signature: Any) -> Callable[[_F], _F]:
    """Compile for one signature when the module is imported, from the cache on disk where there is one."""

    def compile_now(function: _F) -> _F:
        try:
            kernel: _F = numba.njit(signature, cache=True)(function)
        except RuntimeError:  # numba finds no place to write its cache
            kernel = numba.njit(signature)(function)
        return kernel

    return compile_now


@_compiled(types.void(_table, _floats, _floats, _floats, _ints, types.int64[::1]))
def _locate_rows(
    measures: Floats,
    low: Floats,
    high: Floats,
    scale: Floats,
    shape: NDArray[np.int64],
    cells: NDArray[np.int64],
) -> None:
    for i in range(measures.shape[0]):
        cell = 0
        for axis in range(measures.shape[1]):
            x = measures[i, axis]
            if not math.isfinite(x):
                cell = -1
                break
            x = min(max(x, low[axis]), high[axis])
            place = int((x - low[axis]) * scale[axis] + EDGE)
            cell = cell * shape[axis] + min(place, shape[axis] - 1)
        cells[i] = cell


@_compiled(
    _tuple(types.int64, 2)(
        _ints,
        _table,
        types.float64,
        types.int32[::1],
        types.float64[::1],
        types.float64,
        types.int32[::1],
        types.int8[::1],
        types.float64[::1],
        types.int64[::1],
    )
)
def _judge_rows(
    cells: NDArray[np.int64],
    objectives: Floats,
    sign: float,
    row_of: NDArray[np.int32],
    quality: Floats,
    min_gain: float,
    leader: NDArray[np.int32],
    status: NDArray[np.int8],
    value: Floats,
    winners: NDArray[np.int64],
) -> tuple[int, int]:
    n, width = objectives.shape
    bad = -1
    for i in range(n):
        cell = cells[i]
        finite = cell >= 0
        for j in range(width):
            finite = finite and math.isfinite(objectives[i, j])
        if not finite:
            status[i], value[i] = -1, np.nan
            if bad < 0:
                bad = i
            continue
        offered = sign * objectives[i, 0]
        row = row_of[cell]
        if row == 0:
            status[i], value[i] = 2, offered
        else:
            gain = offered - quality[row - 1]
            value[i] = gain
            status[i] = 1 if gain > min_gain else 0
        if status[i] > 0:
            # A leader left over from another batch either names a row still to come or is caught by the other tests:
            # the first contender of a cell finds none before it, so the scratch needs no clearing.
            first = leader[cell]
            known = first < i and cells[first] == cell and status[first] > 0
            if not known or offered > sign * objectives[first, 0]:
                leader[cell] = i
    count = 0
    for i in range(n):
        if status[i] > 0 and leader[cells[i]] == i:
            winners[count] = i
            count += 1
    return count, bad


def _locate(measures: Floats, axes: Axes) -> NDArray[np.int64]:
    cells = np.empty(len(measures), dtype=np.int64)
    _locate_rows(measures, axes.low, axes.high, axes.scale, axes.shape, cells)
    return cells


def _judge(
    cells: NDArray[np.int64],
    objectives: Floats,
    sign: float,
    row_of: NDArray[np.int32],
    quality: Floats,
    min_gain: float,
    leader: NDArray[np.int32],
    best: Floats,
) -> Verdict:
    n = len(cells)
    status, value = np.empty(n, dtype=np.int8), np.empty(n)
    winners = np.empty(n, dtype=np.int64)
    count, bad = _judge_rows(cells, objectives, sign, row_of, quality, min_gain, leader, status, value, winners)
    return Verdict(status, value, winners[:count], bad)


NUMBA = Rule("numba", _locate, _judge)
