"""A population: genomes with their quality, in columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.records import Genomes, Results
from evo.space import Space

__all__ = ["Population"]


class Population:
    """Members in order of arrival. Quality is the first objective times its sign: more is better."""

    def __init__(self, space: Space, sign: float) -> None:
        self._sign = sign
        self.genomes: Genomes = space.empty(0)
        self.quality: NDArray[np.float64] = np.empty(0)
        self.candidate: NDArray[np.int64] = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self.quality)

    def enter(self, results: Results) -> None:
        """Append measured candidates."""
        self._append(results.genomes, self._sign * results.objectives[:, 0], results.candidate)

    def append(self, other: Population) -> None:
        """Append another population's members."""
        self._append(other.genomes, other.quality, other.candidate)

    def _append(self, genomes: Genomes, quality: NDArray[np.float64], candidate: NDArray[np.int64]) -> None:
        self.genomes = np.concatenate([self.genomes, genomes])
        self.quality = np.concatenate([self.quality, quality])
        self.candidate = np.concatenate([self.candidate, candidate])

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Only these members, in the given order."""
        self.genomes, self.quality, self.candidate = self.genomes[rows], self.quality[rows], self.candidate[rows]

    def ranked(self) -> NDArray[np.int64]:
        """Rows from best to worst; the earlier one first on a tie."""
        return np.argsort(-self.quality, kind="stable")

    def tournament(self, n: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """n rows, each the best of `size` drawn uniformly with replacement; the first drawn on a tie."""
        drawn = rng.integers(len(self), size=(n, size))
        return np.asarray(drawn[np.arange(n), self.quality[drawn].argmax(axis=1)])

    def state(self) -> Mapping[str, Any]:
        """As columns."""
        return {"genomes": self.genomes, "quality": self.quality, "candidate": self.candidate}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a `state`."""
        self.genomes, self.quality, self.candidate = state["genomes"], state["quality"], state["candidate"]
