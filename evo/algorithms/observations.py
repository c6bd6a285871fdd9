"""What a model is fitted to: genomes with their quality, as many as it can bear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.algorithms.population import Population
from evo.records import Genomes, Results
from evo.space import Space
from evo.spaces.keys import row_keys

__all__ = ["Observations"]

EXACT = -1
FAR = 30.0
"""How far below the lower quartile quality still counts, in distances from there to the best."""


class Observations:
    """Measured genomes in columns, and apart from them those that failed or were rejected.

    What was measured on one draw is comparable, and so is what was measured at the reporting fidelity; each such group
    has a number of its own.

    Args:
        space: of the genomes.
        sign: of the first objective.
        most: how many measured genomes are kept, and how many lost ones: the best make up half, the latest the rest.
        reporting: the fidelity of which all measurements are one group.
    """

    def __init__(self, space: Space, sign: float, most: int, reporting: str) -> None:
        self._most, self._reporting = most, reporting
        self._measured = Population(space, sign)
        self._group: NDArray[np.int64] = np.empty(0, np.int64)
        self._lost: Genomes = space.empty(0)

    def __len__(self) -> int:
        return len(self._measured)

    def enter(self, part: Results) -> None:
        """Take results; of equal genomes in one group the first stands."""
        requests, measured = part.requests, self._measured
        measured.enter(part)
        exact = requests.fidelity == self._reporting
        group = np.full(len(part), EXACT) if exact else requests.draws[part.owner]
        self._group = np.concatenate([self._group, group])
        pairs = np.stack([row_keys(measured.genomes), self._group.astype(np.uint64)], axis=1)
        _, first = np.unique(row_keys(pairs), return_index=True)
        kept = np.zeros(len(measured), dtype=bool)
        kept[first] = True
        if len(first) > self._most:
            ranked = measured.ranked()
            best = ranked[kept[ranked]][: self._most // 2]
            kept[best] = False
            latest = np.flatnonzero(kept)[len(best) - self._most :]
            kept[:] = False
            kept[best] = kept[latest] = True
        measured.keep(np.flatnonzero(kept))
        self._group = self._group[kept]
        if requests.genomes is not None:
            lost = np.setdiff1d(np.arange(len(requests)), part.owner)
            self._lost = np.concatenate([self._lost, requests.genomes[lost]])[-self._most :]

    @property
    def candidate(self) -> NDArray[np.int64]:
        """(n,) ids of the measured."""
        return self._measured.candidate

    @property
    def genomes(self) -> Genomes:
        """(n, ...) of the measured."""
        return self._measured.genomes

    def ranked(self) -> NDArray[np.int64]:
        """Rows of the measured from best to worst, as if all were comparable."""
        return self._measured.ranked()

    def lessons(self) -> tuple[Genomes, NDArray[np.float64], NDArray[np.int64]]:
        """Genomes, quality and group of the measured, and then of the lost, whose quality is the lower quartile.

        Quality is cut off far below that quartile: how bad the hopeless are would drown all other differences.
        """
        quality, lost = self._measured.quality, len(self._lost)
        best, quartile = float(quality.max()), float(np.sort(quality)[len(quality) // 4])
        if best > quartile:
            quality = np.maximum(quality, quartile - FAR * (best - quartile))
        genomes = np.concatenate([self._measured.genomes, self._lost])
        group = np.concatenate([self._group, np.full(lost, EXACT)])
        return genomes, np.concatenate([quality, np.full(lost, quartile)]), group

    def state(self) -> Mapping[str, Any]:
        """As columns."""
        return {"measured": self._measured.state(), "group": self._group, "lost": self._lost}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a `state`."""
        self._measured.restore(state["measured"])
        self._group, self._lost = state["group"], state["lost"]
