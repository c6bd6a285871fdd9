"""The grid archive of MAP-Elites: one elite per cell of a regular division of the measures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evo.archive import Addition, Archive, Elites
from evo.archives.insert import Axes, Floats, Verdict, rule
from evo.archives.store import Store, batch_column, batch_genomes, batch_ids
from evo.errors import ConfigError, SpaceError
from evo.problem import Measure, Objective
from evo.records import Change, Genomes
from evo.space import Space

__all__ = ["Grid"]


class Grid(Archive):
    """Keeps the best candidate of each cell of a regular grid over the measures (Mouret & Clune 2015).

    Axis i of the grid divides measure i between its `low` and `high` into ``shape[i]`` equal cells. A value beyond the
    range counts for the edge cell, `high` belongs to the last cell, and a value on an inner edge to the cell above (a
    millionth of a cell below an edge is the edge: see `insert.EDGE`).

    A candidate enters when its cell is empty or it is strictly better than the elite there; of several in one batch the
    best enters, the first of equals. `Addition.status` and `value` compare every row with the archive before the batch.

    Args:
        shape: cells along each measure.
        min_gain: a gain over the elite of at most this is a tie. Rows of one batch compare exactly among themselves.
        nonfinite: for a NaN or infinite objective or measure, ``"raise"`` a `SpaceError` with the archive untouched, or
            ``"drop"`` the row (status `NOT_FINITE`, value NaN) and insert the others as if it had not been there.

    Raises:
        ConfigError: a shape without cells, a negative `min_gain`, an unknown `nonfinite`.

    Example:
        >>> import evo.problem, evo.spaces.box
        >>> grid = Grid(shape=(10,))
        >>> measure = evo.problem.Measure("x", 0.0, 1.0)
        >>> grid.setup(evo.spaces.box.Box(0, 1, size=2), [evo.problem.Maximize("f")], [measure])
        >>> grid.add(np.zeros((2, 2)), np.array([[1.0], [2.0]]), np.array([[0.3], [0.35]]), np.array([7, 8])).status
        array([2, 2], dtype=int8)
        >>> grid.elites().candidate
        array([8])
    """

    def __init__(
        self,
        shape: int | Sequence[int] = (50, 50),
        *,
        min_gain: float = 0.0,
        nonfinite: Literal["raise", "drop"] = "raise",
    ) -> None:
        self.shape = (shape,) if isinstance(shape, int) else tuple(int(size) for size in shape)
        if not self.shape or min(self.shape) < 1:
            raise ConfigError(f"Grid: shape must give at least one cell along each measure, got {shape!r}")
        if not (math.isfinite(min_gain) and min_gain >= 0):
            raise ConfigError(f"Grid: min_gain must be a finite number of at least 0, got {min_gain!r}")
        if nonfinite not in ("raise", "drop"):
            raise ConfigError(f"Grid: nonfinite must be 'raise' or 'drop', got {nonfinite!r}")
        self.min_gain = float(min_gain)
        self.nonfinite = nonfinite

    def setup(self, space: Space, objectives: Sequence[Objective], measures: Sequence[Measure]) -> None:
        """See `Archive.setup`.

        Raises:
            ConfigError: no objective, another number of measures than axes, or a range too wide or narrow for doubles.
        """
        if len(measures) != len(self.shape):
            names = ", ".join(measure.name for measure in measures) or "none"
            expected, declared = f"shape {self.shape} expects {len(self.shape)} measures", f"{len(measures)} ({names})"
            raise ConfigError(f"Grid: {expected}, the problem declares {declared}")
        if not objectives:
            raise ConfigError("Grid: expected at least one objective")
        low, high = np.array([[measure.low, measure.high] for measure in measures], dtype=np.float64).T.copy()
        with np.errstate(over="ignore", divide="ignore"):
            scale = self.shape / (high - low)
        if not (np.isfinite(scale) & (scale > 0)).all():
            raise ConfigError(
                f"Grid: the measures' ranges {low.tolist()} to {high.tolist()} cannot be divided in doubles"
            )
        self._names = [measure.name for measure in measures]
        self._objective = objectives[0]
        strides = [math.prod(self.shape[axis + 1 :]) for axis in range(len(self.shape))]
        self._axes = Axes(low, high, scale, np.array(self.shape, dtype=np.int64), np.array(strides, dtype=np.int64))
        signs = np.array([objective.sign for objective in objectives], dtype=np.float64)
        self._store = Store(math.prod(self.shape), space, signs, len(measures))
        self._stats: dict[str, float] | None = None

    @property
    def cells(self) -> int:
        """The number of cells, occupied or not."""
        return math.prod(self.shape)

    @property
    def ranges(self) -> NDArray[np.float64]:
        """(m, 2) low and high of each measure."""
        return np.stack([self._axes.low, self._axes.high], axis=1)

    def index_of(self, measures: NDArray[np.float64]) -> NDArray[np.int64]:
        """(n,) the cell of each row of measures (n, m), the last axis varying fastest; -1 where one is not finite."""
        return rule().locate(batch_column("measures", measures, len(measures), len(self.shape)), self._axes)

    def add(
        self,
        genomes: Genomes,
        objectives: NDArray[np.float64],
        measures: NDArray[np.float64],
        candidate: NDArray[np.int64],
    ) -> Addition:
        """See `Archive.add`. Only the genomes of winners are read; genomes of object dtype are kept by reference."""
        store = self._store
        genomes = batch_genomes(genomes, store.genomes)
        n = len(genomes)
        candidate = batch_ids(candidate, n)
        objectives = batch_column("objectives", objectives, n, store.objectives.shape[1])
        measures = batch_column("measures", measures, n, len(self.shape))
        cells, (status, value, winners, _) = self._judge(objectives, measures)
        if not len(winners):
            return Addition(status, value, store.unchanged(self.name))
        change = Change(self.name, cells[winners], candidate[winners], objectives[winners], measures[winners])
        store.put(change, genomes, winners)
        self._stats = None
        return Addition(status, value, change)

    def preview(
        self, objectives: NDArray[np.float64], measures: NDArray[np.float64]
    ) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """See `Archive.preview`; raises as `add` does."""
        n = len(objectives)
        objectives = batch_column("objectives", objectives, n, self._store.objectives.shape[1])
        _, verdict = self._judge(objectives, batch_column("measures", measures, n, len(self.shape)))
        return verdict.status, verdict.value

    def _judge(self, objectives: Floats, measures: Floats) -> tuple[NDArray[np.int64], Verdict]:
        store, chosen = self._store, rule()
        cells = chosen.locate(measures, self._axes)
        verdict = chosen.judge(
            cells, objectives, store.sign, store.row_of, store.quality, self.min_gain, store.leader, store.best
        )
        if verdict.bad >= 0 and self.nonfinite == "raise":
            row = verdict.bad
            name, values = ("measures", measures) if cells[row] < 0 else ("objectives", objectives)
            raise SpaceError(f"{name}: row {row} is not finite: {values[row].tolist()}; nothing was added")
        return cells, verdict

    def merge(self, other: Grid) -> Change:
        """Take over the elites of `other` that are better than ours; of equals, the one with the smaller candidate id.

        `min_gain` plays no part, so the elites that result do not depend on the order or repetition of merges.

        Returns:
            What changed here.

        Raises:
            SpaceError: `other` has another shape, other ranges, objectives or genomes.
        """
        mine, theirs = self._store, other._store
        if not self._fits(other):
            raise SpaceError(f"merge: expected a grid like {self.describe()}, got {other.describe()}")
        rows = mine.row_of[theirs.keys[: theirs.size]] - 1
        gain = theirs.quality[: theirs.size]
        met = mine.quality[rows]  # arbitrary where the cell is empty, as is the candidate below
        earlier = theirs.candidate[: theirs.size] < mine.candidate[rows]
        winners = np.flatnonzero((rows < 0) | (gain > met) | ((gain == met) & earlier))
        change = Change(
            self.name,
            theirs.keys[winners],
            theirs.candidate[winners],
            theirs.objectives[winners],
            theirs.measures[winners],
        )
        if len(winners):
            mine.put(change, theirs.genomes, winners)
            self._stats = None
        return change

    def _fits(self, other: Grid) -> bool:
        mine, theirs = self._store, other._store
        return (
            self.shape == other.shape
            and np.array_equal(self.ranges, other.ranges)
            and mine.sign == theirs.sign
            and mine.objectives.shape[1] == theirs.objectives.shape[1]
            and mine.genomes.dtype == theirs.genomes.dtype
            and mine.genomes.shape[1:] == theirs.genomes.shape[1:]
        )

    def elites(self) -> Elites:
        """See `Archive.elites`."""
        return self._store.ordered()

    def retrieve(self, keys: NDArray[np.int64]) -> Elites:
        """The elites of the cells `keys`, in that order; empty cells are left out.

        Raises:
            SpaceError: a key that is no cell of this grid.
        """
        keys = np.asarray(keys, dtype=np.int64)
        if keys.size and (keys.min() < 0 or keys.max() >= self.cells):
            raise SpaceError(f"keys: expected cells in 0..{self.cells - 1}, got {keys.min()}..{keys.max()}")
        rows = self._store.row_of[keys] - 1
        return self._store.gather(rows[rows >= 0].astype(np.int64))

    def sample(self, n: int, rng: np.random.Generator) -> Elites:
        """See `Archive.sample`."""
        return self._store.sample(n, rng)

    def stats(self) -> dict[str, float]:
        """Figures of the present contents.

        ``elites``; ``coverage``, their share of the cells; ``qd_score``, the sum of the signed first objectives above
        the signed `Objective.worst` (above 0 without one); ``norm_qd_score``, that per cell; ``best`` and ``mean`` of
        the first objective as declared, NaN in an empty archive.
        """
        if self._stats is None:  # recounted, not kept along: exact, and 10 microseconds for 10,000 elites
            self._stats = self._count()
        return dict(self._stats)

    def _count(self) -> dict[str, float]:
        quality, sign = self._store.quality[: len(self)], self._store.sign
        worst = self._objective.worst
        score = float(quality.sum() if worst is None else (quality - sign * worst).sum())
        return {
            "elites": float(len(self)),
            "coverage": len(self) / self.cells,
            "qd_score": score,
            "norm_qd_score": score / self.cells,
            "best": sign * float(quality.max()) if len(self) else math.nan,
            "mean": sign * float(quality.mean()) if len(self) else math.nan,
        }

    def __len__(self) -> int:
        return self._store.size

    def state(self) -> Mapping[str, Any]:
        """See `Archive.state`."""
        return self._store.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Archive.restore`.

        Raises:
            SpaceError: the state does not fit; contents stay as they were.
        """
        self._store.restore(state)
        self._stats = None

    def describe(self) -> dict[str, Any]:
        """See `Archive.describe`."""
        low, high = self._axes.low.tolist(), self._axes.high.tolist()
        return {"kind": "grid", "shape": list(self.shape), "low": low, "high": high, "measures": list(self._names)}
