"""Elites in columns, compact: one row per elite in the order the keys were first filled, found through `row_of`.

Memory follows the elites, not the capacity: what belongs to a key is a few bytes, and pages are touched when used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.archive import Elites
from evo.errors import ConfigError, SpaceError
from evo.records import Change, Genomes
from evo.space import Space

__all__ = ["Store", "batch_column", "batch_genomes", "batch_ids"]

_RESERVE = 1 << 28
"""Bytes of genomes reserved at once, untouched until used; a store that needs more doubles."""
_COLUMNS = ("keys", "candidate", "genomes", "objectives", "measures")
_MOST = 2**31 - 1


class Store:
    """At most `capacity` elites, one a key in 0..capacity-1.

    Args:
        capacity: the number of keys.
        space: whose genomes are kept.
        signs: (k,) the sign of each objective.
        measures: the number of measures, m.

    Raises:
        ConfigError: more keys than an archive can number.
    """

    def __init__(self, capacity: int, space: Space, signs: NDArray[np.float64], measures: int) -> None:
        if capacity > _MOST:
            raise ConfigError(f"an archive holds at most {_MOST} cells, got {capacity}; choose a coarser shape")
        self.capacity = capacity
        self.sign = float(signs[0])
        self.size = 0
        self.row_of = np.zeros(capacity, dtype=np.int32)
        """(capacity,) 0 for an empty key, else 1 + the row of its elite"""
        self.leader = np.zeros(capacity, dtype=np.int32)
        self.best = np.zeros(capacity)
        width = max(1, np.dtype(space.dtype).itemsize * int(np.prod(space.shape)))
        rows = min(capacity, max(1024, _RESERVE // width))
        self.keys = np.empty(rows, dtype=np.int64)
        self.candidate = np.empty(rows, dtype=np.int64)
        self.genomes: Genomes = np.empty((rows, *space.shape), dtype=space.dtype)
        self.objectives = np.empty((rows, len(signs)))
        self.measures = np.empty((rows, measures))
        self.quality = np.empty(rows)
        """(rows,) the first objective times its sign: the only column that comparing reads"""

    def put(self, change: Change, genomes: Genomes, chosen: NDArray[np.int64]) -> None:
        """Write the rows of `change` (c,), whose keys are distinct, with the genomes ``genomes[chosen]``.

        What may fail (memory) fails before anything an observer sees has changed.
        """
        rows = self.row_of[change.keys].astype(np.int64) - 1
        fresh = rows < 0
        added = int(np.count_nonzero(fresh))
        end = self.size + added
        if end > len(self.keys):
            self._grow(end)
        quality = self.sign * change.objectives[:, 0]
        at: slice | NDArray[np.int64] = rows
        if added == len(rows):
            at = slice(self.size, end)
            _copy_rows(genomes, chosen, self.genomes[at])
        elif added:
            better = ~fresh
            replacing = genomes[chosen[better]]
            _copy_rows(genomes, chosen[fresh], self.genomes[self.size : end])
            self.genomes[rows[better]] = replacing
            rows[fresh] = np.arange(self.size, end)
        else:
            if len(rows) == 1:
                at = slice(int(rows[0]), int(rows[0]) + 1)  # indexing by arrays costs several times as much
            self.genomes[at] = genomes[chosen]
        self.keys[at] = change.keys
        self.candidate[at] = change.candidate
        self.objectives[at] = change.objectives
        self.measures[at] = change.measures
        self.quality[at] = quality
        if added:
            self.row_of[change.keys] = np.arange(self.size + 1, end + 1) if isinstance(at, slice) else rows + 1
        self.size = end

    def sample(self, n: int, rng: np.random.Generator) -> Elites:
        """n elites, uniform with replacement.

        Raises:
            ValueError: the store is empty.
        """
        if not self.size:
            raise ValueError("cannot sample from an empty archive")
        return self.gather(rng.integers(self.size, size=n))

    def unchanged(self, archive: str) -> Change:
        """The change that is none."""
        return Change(archive, self.keys[:0], self.candidate[:0], self.objectives[:0], self.measures[:0])

    def gather(self, rows: NDArray[np.int64]) -> Elites:
        """The elites of `rows`, copied."""
        return Elites(
            self.keys.take(rows),
            self.candidate.take(rows),
            self.genomes.take(rows, axis=0),
            self.objectives.take(rows, axis=0),
            self.measures.take(rows, axis=0),
        )

    def ordered(self) -> Elites:
        """All elites in key order, copied."""
        return self.gather(np.argsort(self.keys[: self.size]))

    def state(self) -> dict[str, NDArray[Any]]:
        """The occupied rows, copied, in row order: sampling after `restore` draws what it would have drawn here."""
        return {name: getattr(self, name)[: self.size].copy() for name in _COLUMNS}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Replace the contents by a `state`.

        Raises:
            SpaceError: a column is missing, or does not fit this store; contents stay as they were.
        """
        missing = [name for name in _COLUMNS if name not in state]
        if missing:
            raise SpaceError(f"state: expected the columns {', '.join(_COLUMNS)}; {', '.join(missing)} is missing")
        keys = np.asarray(state["keys"], dtype=np.int64)
        n = len(keys)
        columns: dict[str, NDArray[Any]] = {"keys": keys, "candidate": np.asarray(state["candidate"], dtype=np.int64)}
        columns["genomes"] = batch_genomes(np.asarray(state["genomes"]), self.genomes)
        columns["objectives"] = batch_column("objectives", state["objectives"], n, self.objectives.shape[1])
        columns["measures"] = batch_column("measures", state["measures"], n, self.measures.shape[1])
        for name, column in columns.items():
            if len(column) != n:
                raise SpaceError(f"state: expected {n} rows of {name}, as many as keys, got {len(column)}")
        if n and (keys.min() < 0 or keys.max() >= self.capacity or len(np.unique(keys)) != n):
            raise SpaceError(f"state: expected distinct keys in 0..{self.capacity - 1}")
        if n > len(self.keys):
            self._grow(n)
        self.row_of[self.keys[: self.size]] = 0
        self._release(n)
        for name, column in columns.items():
            getattr(self, name)[:n] = column
        self.quality[:n] = self.sign * self.objectives[:n, 0]
        self.row_of[keys] = np.arange(1, n + 1)
        self.size = n

    def _release(self, start: int) -> None:
        # Rows beyond the contents must not keep objects alive.
        if self.genomes.dtype.hasobject:
            self.genomes[start : self.size] = np.zeros((), dtype=self.genomes.dtype)

    def _grow(self, need: int) -> None:
        rows = min(self.capacity, max(need, 2 * len(self.keys)))
        grown = {}
        for name in (*_COLUMNS, "quality"):
            old = getattr(self, name)
            grown[name] = np.empty((rows, *old.shape[1:]), dtype=old.dtype)
            grown[name][: self.size] = old[: self.size]
        for name, column in grown.items():
            setattr(self, name, column)

    def __getstate__(self) -> dict[str, Any]:
        """What is occupied, not what is reserved."""
        kept = {name: getattr(self, name)[: self.size] for name in (*_COLUMNS, "quality")}
        return kept | {"capacity": self.capacity, "sign": self.sign, "rows": len(self.keys)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.capacity, self.sign, rows = state["capacity"], state["sign"], state["rows"]
        self.size = len(state["keys"])
        self.row_of = np.zeros(self.capacity, dtype=np.int32)
        self.leader = np.zeros(self.capacity, dtype=np.int32)
        self.best = np.zeros(self.capacity)
        for name in (*_COLUMNS, "quality"):
            column = state[name]
            setattr(self, name, np.empty((rows, *column.shape[1:]), dtype=column.dtype))
            getattr(self, name)[: self.size] = column
        self.row_of[self.keys[: self.size]] = np.arange(1, self.size + 1)


def _copy_rows(source: Genomes, rows: NDArray[np.int64], out: Genomes) -> None:
    if source.flags.c_contiguous:
        np.take(source, rows, axis=0, out=out, mode="clip")  # no intermediate copy; the other modes make one
    else:
        out[...] = source[rows]  # np.take would copy the whole source


def batch_genomes(genomes: Genomes, like: Genomes) -> Genomes:
    """`genomes` in the type of the column `like`, checked.

    Raises:
        SpaceError: another shape, or a type that does not convert without loss of kind.
    """
    genomes = np.asarray(genomes)
    if genomes.shape[1:] != like.shape[1:] or genomes.ndim == 0:
        raise SpaceError(f"genomes: expected shape {_shape('n', *like.shape[1:])}, got {genomes.shape}")
    if genomes.dtype != like.dtype:
        if not np.can_cast(genomes.dtype, like.dtype, "same_kind"):
            raise SpaceError(f"genomes: expected {like.dtype} values, got {genomes.dtype}")
        genomes = genomes.astype(like.dtype)
    return genomes


def batch_column(name: str, values: Any, n: int, width: int) -> NDArray[np.float64]:
    """`values` as a contiguous (n, width) column of doubles; copied only when it is not one already.

    Raises:
        SpaceError: another shape, naming the argument, or values that are not numbers.
    """
    try:
        column = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise SpaceError(f"{name}: expected ({n}, {width}) numbers, got {values!r:.80}") from None
    if column.shape != (n, width):
        raise SpaceError(f"{name}: expected shape ({n}, {width}), got {column.shape}")
    flags = column.flags
    return column if flags.c_contiguous and flags.aligned else column.copy()


def batch_ids(candidate: Any, n: int) -> NDArray[np.int64]:
    """`candidate` as (n,) ids.

    Raises:
        SpaceError: another shape, or not whole numbers.
    """
    ids = np.asarray(candidate)
    if ids.shape != (n,) or (ids.dtype.kind not in "iu" and n):
        raise SpaceError(f"candidate: expected ({n},) whole numbers, got {ids.dtype} values of shape {ids.shape}")
    return ids.astype(np.int64, copy=False)


def _shape(*sizes: Any) -> str:
    return f"({', '.join(map(str, sizes))}{',' if len(sizes) == 1 else ''})"
