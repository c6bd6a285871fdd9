"""The archive of the few best: no measures, one ranking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evo.archive import IMPROVED, NEW, NOT_FINITE, REJECTED, Addition, Archive, Elites
from evo.archives.store import Store, batch_column, batch_genomes, batch_ids
from evo.errors import ConfigError, SpaceError
from evo.problem import Measure, Objective
from evo.records import Change, Genomes
from evo.space import Space

__all__ = ["Top"]


class Top(Archive):
    """Keeps the k best distinct candidates by the first objective; the key of an elite is its rank, 0 the best.

    Of equals, the one that came first ranks first and stays. A candidate offered again keeps its better record. Status
    and value compare each row with the archive before the batch: with its own earlier record where there is one, else
    `NEW` with the signed objective while there is room, else against the last of the k. Measures are kept but not
    compared.

    Args:
        k: how many to keep.
        nonfinite: as for `Grid`: ``"raise"`` or ``"drop"``.

    Raises:
        ConfigError: k below 1, an unknown `nonfinite`.
    """

    def __init__(self, k: int = 10, *, nonfinite: Literal["raise", "drop"] = "raise") -> None:
        if k < 1:
            raise ConfigError(f"Top: k must be at least 1, got {k!r}")
        if nonfinite not in ("raise", "drop"):
            raise ConfigError(f"Top: nonfinite must be 'raise' or 'drop', got {nonfinite!r}")
        self.k = int(k)
        self.nonfinite = nonfinite

    def setup(self, space: Space, objectives: Sequence[Objective], measures: Sequence[Measure]) -> None:
        """See `Archive.setup`.

        Raises:
            ConfigError: no objective.
        """
        if not objectives:
            raise ConfigError("Top: expected at least one objective")
        signs = np.array([objective.sign for objective in objectives], dtype=np.float64)
        self._names = [measure.name for measure in measures]
        self._store = Store(self.k, space, signs, len(measures))

    def add(
        self,
        genomes: Genomes,
        objectives: NDArray[np.float64],
        measures: NDArray[np.float64],
        candidate: NDArray[np.int64],
    ) -> Addition:
        """See `Archive.add`."""
        store = self._store
        genomes = batch_genomes(genomes, store.genomes)
        n = len(genomes)
        ids = batch_ids(candidate, n)
        objectives, measures = self._columns(objectives, measures, n)
        status, value = self._judge(objectives, measures, ids)
        rivals = np.flatnonzero(status > REJECTED)
        if not len(rivals):
            return Addition(status, value, store.unchanged(self.name))
        old = len(self)
        # Held elites first, so that a stable sort keeps them ahead of equal newcomers.
        quality = np.concatenate([store.quality[:old], store.sign * objectives[rivals, 0]])
        order = np.argsort(-quality, kind="stable")
        pool_ids = np.concatenate([store.candidate[:old], ids[rivals]])
        _, first = np.unique(pool_ids[order], return_index=True)
        ranked = order[np.sort(first)][: self.k]
        moved = np.flatnonzero((ranked != np.arange(len(ranked))) | (ranked >= old))
        came = ranked[moved]
        held = came < old
        rows = rivals[came[~held] - old]

        def merged(kept: NDArray[Any], offered: NDArray[Any]) -> NDArray[Any]:
            column = np.empty((len(came), *kept.shape[1:]), dtype=kept.dtype)
            column[held], column[~held] = kept[came[held]], offered[rows]
            return column

        change = Change(
            self.name,
            moved,
            merged(store.candidate, ids),
            merged(store.objectives, objectives),
            merged(store.measures, measures),
        )
        store.put(change, merged(store.genomes, genomes), np.arange(len(moved)))
        return Addition(status, value, change)

    def preview(
        self, objectives: NDArray[np.float64], measures: NDArray[np.float64]
    ) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """See `Archive.preview`; the rows count as candidates that were never offered."""
        return self._judge(*self._columns(objectives, measures, len(objectives)), None)

    def _columns(self, objectives: Any, measures: Any, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        store = self._store
        return (
            batch_column("objectives", objectives, n, store.objectives.shape[1]),
            batch_column("measures", measures, n, store.measures.shape[1]),
        )

    def _judge(
        self, objectives: NDArray[np.float64], measures: NDArray[np.float64], ids: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        store, held = self._store, len(self)
        finite = np.isfinite(objectives).all(axis=1) & np.isfinite(measures).all(axis=1)
        if self.nonfinite == "raise" and not finite.all():
            row = int(np.argmin(finite))
            name, values = ("objectives", objectives) if np.isfinite(measures[row]).all() else ("measures", measures)
            raise SpaceError(f"{name}: row {row} is not finite: {values[row].tolist()}; nothing was added")
        offered = store.sign * objectives[:, 0]
        full = held == self.k
        met = np.full(len(offered), store.quality[held - 1] if full else 0.0)
        room = np.full(len(offered), not full)
        if ids is not None and held:
            kept = store.candidate[:held]
            slots = np.argsort(kept)
            places = slots[np.minimum(np.searchsorted(kept, ids, sorter=slots), held - 1)]
            again = np.flatnonzero(kept[places] == ids)
            met[again], room[again] = store.quality[places[again]], False
        with np.errstate(over="ignore", invalid="ignore"):
            value = offered - met
        status = np.where(room, NEW, np.where(value > 0, IMPROVED, REJECTED)).astype(np.int8)
        status[~finite], value[~finite] = NOT_FINITE, np.nan
        return status, value

    def elites(self) -> Elites:
        """See `Archive.elites`: the best first."""
        return self._store.ordered()

    def sample(self, n: int, rng: np.random.Generator) -> Elites:
        """See `Archive.sample`."""
        return self._store.sample(n, rng)

    def stats(self) -> dict[str, float]:
        """``elites``; ``best``, ``mean`` and ``last`` of the first objective as declared, NaN in an empty archive."""
        first = self._store.objectives[: len(self), 0]
        if not len(first):
            return {"elites": 0.0, "best": math.nan, "mean": math.nan, "last": math.nan}
        return {
            "elites": float(len(first)),
            "best": float(first[0]),
            "mean": float(first.mean()),
            "last": float(first[-1]),
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

    def describe(self) -> dict[str, Any]:
        """See `Archive.describe`."""
        return {"kind": "top", "k": self.k, "measures": list(self._names)}
