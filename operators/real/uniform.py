"""Uniform crossover."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evo.errors import SpaceError
from evo.operator import Operator
from evo.records import Genomes
from evo.space import Space

__all__ = ["Uniform"]


class Uniform(Operator):
    """Takes every coordinate from either parent with a fair coin (Syswerda, ICGA 1989).

    Works on arrays of any kind and, field by field, on `evo.spaces.Mixed`. What does not survive mixing is put right by
    the space's repair (a permutation becomes the ranks of what was drawn).

    Raises:
        SpaceError: from `vary`, on genomes that are not arrays (JSON-like values).
    """

    arity = 2

    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        """One child of each pair of rows of ``parents[0]`` and ``parents[1]``, (n, ...) each."""
        first, second = parents
        if first.dtype.hasobject:
            raise SpaceError(f"Uniform crosses arrays, got the space {space!r}")
        if first.dtype.names is None:
            return space.repair(_cross(first, second, rng))
        children = space.empty(len(first))
        for name in first.dtype.names:
            children[name] = _cross(first[name], second[name], rng)
        return space.repair(children)


def _cross(first: Genomes, second: Genomes, rng: np.random.Generator) -> Genomes:
    return np.where(rng.integers(0, 2, size=first.shape, dtype=bool), first, second)
