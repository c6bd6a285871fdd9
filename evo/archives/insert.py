"""The insertion rule in numpy, and the choice between it and its compiled twin.

A rule is two functions. `locate` finds the cell of each row of measures. `judge` compares a batch with the elites it
meets and names the winners; it writes nothing but scratch memory, so the caller may still refuse the batch. The rule
reads one number per elite, never a genome, and its cost does not depend on the number of cells.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evo.archive import NEW, NOT_FINITE

__all__ = ["EDGE", "NUMPY", "Axes", "Rule", "Verdict", "forced", "rule"]

Floats: TypeAlias = NDArray[np.float64]

EDGE = 1e-6
"""Added to a position counted in cells, so that an edge that is not a binary fraction (0.3 of ten cells over 0 to 1)
belongs to the cell above it. A measure less than a millionth of a cell below an edge is therefore counted above it."""


@dataclass(frozen=True, slots=True)
class Axes:
    """The axes of a grid with m measures, as the rule needs them."""

    low: Floats
    """(m,)"""
    high: Floats
    """(m,)"""
    scale: Floats
    """(m,) cells per unit of the measure"""
    shape: NDArray[np.int64]
    """(m,) cells along each axis"""
    strides: NDArray[np.int64]
    """(m,) what a step along each axis adds to a cell's number; 1 for the last axis"""


class Verdict(NamedTuple):
    """What `judge` found about n rows."""

    status: NDArray[np.int8]
    """(n,)"""
    value: Floats
    """(n,) NaN where the row is not finite"""
    winners: NDArray[np.int64]
    """(w,) the best row of each cell that changes, ascending"""
    bad: int
    """the first row that is not finite, -1 for none"""


class Rule(NamedTuple):
    """One implementation of the insertion rule."""

    name: str
    locate: Callable[[Floats, Axes], NDArray[np.int64]]
    """(measures (n, m), axes) -> (n,) cells; -1 where a measure is not finite."""
    judge: Callable[
        [NDArray[np.int64], Floats, float, NDArray[np.int32], Floats, float, NDArray[np.int32], Floats], Verdict
    ]
    """(cells (n,), objectives (n, k), sign, row_of, quality, min_gain, leader, best) -> `Verdict`.

    ``row_of[cell]`` is 0 for an empty cell, else one more than the elite's place in `quality`. `leader` and `best` are
    scratch, one place per cell; what they hold between calls does not matter.
    """


def _locate(measures: Floats, axes: Axes) -> NDArray[np.int64]:
    finite = np.isfinite(measures)
    whole = bool(finite.all())
    if not whole:
        measures = np.where(finite, measures, axes.low)
    # One row per axis, so that the inner loops of numpy run over the batch. Clipped before the subtraction: the
    # distance to a far value may overflow.
    position = np.maximum(measures.T, axes.low[:, None], order="C")
    np.minimum(position, axes.high[:, None], out=position)
    position -= axes.low[:, None]
    position *= axes.scale[:, None]
    position += EDGE
    steps = np.minimum(position.astype(np.int64), axes.shape[:, None] - 1)
    cells: NDArray[np.int64] = axes.strides.dot(steps)
    if not whole:
        cells[~finite.all(axis=1)] = -1
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
    offered = sign * objectives[:, 0]
    rows = row_of[cells]
    empty = rows == 0
    with np.errstate(over="ignore", invalid="ignore"):
        value = offered - quality[rows - 1]
    np.copyto(value, offered, where=empty)
    status = (value > min_gain).view(np.int8)
    status[empty] = NEW
    bad = -1
    if not (np.isfinite(objectives).all() and cells.min(initial=0) >= 0):
        finite = np.isfinite(objectives).all(axis=1) & (cells >= 0)
        bad = int(np.argmin(finite))
        status[~finite], value[~finite] = NOT_FINITE, np.nan
    winners = (status > 0).nonzero()[0]
    if len(winners) > 1:
        cell, quality_of = cells[winners], offered[winners]
        best[cell] = quality_of  # any contender of the cell will do to begin with
        np.maximum.at(best, cell, quality_of)
        equal = np.flatnonzero(quality_of == best[cell])[::-1]
        leader[cell[equal]] = equal  # of several rows for one cell the last write stays: the first row
        winners = winners[leader[cell] == np.arange(len(winners))]
    return Verdict(status, value, winners, bad)


NUMPY = Rule("numpy", _locate, _judge)
_chosen: Rule | None = None


def rule() -> Rule:
    """The rule in force: compiled where numba is installed, else numpy; ``EVO_NUMBA=0`` asks for numpy.

    numba is imported by the first call, not with this module.
    """
    global _chosen
    if _chosen is None:
        _chosen = _choose()
    return _chosen


def _choose() -> Rule:
    if os.environ.get("EVO_NUMBA", "1") == "0":
        return NUMPY
    try:
        from evo.archives.insert_numba import NUMBA
    except ImportError:
        return NUMPY
    return NUMBA


@contextmanager
def forced(choice: Rule) -> Iterator[None]:
    """Use one implementation inside a ``with`` block; for tests and benchmarks."""
    global _chosen
    before, _chosen = _chosen, choice
    try:
        yield
    finally:
        _chosen = before
