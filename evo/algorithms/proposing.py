"""Looking in a model for genomes worth measuring: many cheap mutations, followed uphill from many starts at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evo.operator import Operator
from evo.records import Genomes
from evo.space import Space
from evo.spaces.keys import row_keys

__all__ = ["Proposals", "propose"]

Predict = Callable[[Genomes], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Genomes to expected quality and its standard deviation, (n,) each."""


@dataclass(frozen=True)
class Proposals:
    """Genomes to be measured, the most promising first."""

    genomes: Genomes
    """(n, ...)"""
    start: NDArray[np.int64]
    """(n,) the start that each was reached from."""


def propose(
    predict: Predict,
    starts: Genomes,
    n: int,
    seen: set[int],
    *,
    mutation: Operator,
    space: Space,
    rng: np.random.Generator,
    looks: int,
    steps: int,
    optimism: float,
) -> Proposals:
    """At most n genomes that the model thinks highly of, distinct and none of those seen.

    Each start is the head of a chain that takes `steps` steps to the best of its children, if that is better. What is
    better is the expected quality plus a multiple of the standard deviation: for the first genome none, for the last
    `optimism`, evenly between, so that one batch holds safe guesses and daring ones; chains likewise, in random order.

    Args:
        predict: the model.
        starts: (c, ...)
        n: how many are wanted.
        seen: keys (`evo.spaces.keys.row_keys`) of genomes that are not to be proposed.
        mutation, space, rng: how children are made.
        looks: how many children are looked at in all, at least one a chain and step.
        steps: steps of a chain.
        optimism: the largest multiple.
    """
    count = len(starts)
    each = max(1, looks // (count * steps))
    daring = rng.permutation(np.linspace(0.0, optimism, count))
    heads, rows = starts, np.arange(count)
    expected, doubt = predict(heads)
    height = expected + daring * doubt
    pool = [(heads, expected, doubt, rows)]
    for _ in range(steps):
        owner = np.repeat(rows, each)
        children = mutation.vary([heads[owner]] * mutation.arity, space, rng)
        expected, doubt = predict(children)
        pool.append((children, expected, doubt, owner))
        heights = (expected + daring[owner] * doubt).reshape(count, each)
        best = heights.argmax(axis=1)
        better = heights[rows, best] > height
        heads = heads.copy()
        heads[better] = children[(rows * each + best)[better]]
        height = np.maximum(height, heights[rows, best])
    genomes, expected, doubt, origin = (np.concatenate(column) for column in zip(*pool, strict=True))
    new = _unseen(genomes, seen)
    genomes, expected, doubt, origin = genomes[new], expected[new], doubt[new], origin[new]
    chosen: list[int] = []
    left = np.ones(len(genomes), dtype=bool)
    for multiple in np.linspace(0.0, optimism, n)[: len(genomes)].tolist():
        chosen.append(int(np.where(left, expected + multiple * doubt, -np.inf).argmax()))
        left[chosen[-1]] = False
    return Proposals(genomes[chosen], origin[chosen])


def _unseen(genomes: Genomes, seen: set[int]) -> NDArray[np.int64]:
    """Rows that are not seen, each genome once."""
    keys = row_keys(genomes)
    _, first = np.unique(keys, return_index=True)
    first = np.sort(first)
    return np.array(
        [row for row, key in zip(first.tolist(), keys[first].tolist(), strict=True) if key not in seen], int
    )
