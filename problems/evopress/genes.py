"""What a genome of levels means to a model: which weights go into which layers, or which sub-blocks are left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from evo.problem import Measure
from evo.records import Genomes
from evo.spaces.levels import Levels
from problems.evopress.counts import Counts, Share
from problems.evopress.database import Database
from problems.evopress.model import Compressible
from problems.evopress.sizes import cheapest_of, size_of, spaced, splits

__all__ = ["Depth", "Sparsity", "measured", "middle"]


@dataclass(frozen=True)
class Sparsity:
    """A gene is a layer, or several fused ones; a level sets so many of their weights to zero."""

    genes: tuple[tuple[str, ...], ...]
    """Per gene, the names of its layers."""
    counts: tuple[tuple[Counts, ...], ...]
    """Per gene and layer, zeros at each level."""
    step: int
    """Zeros between neighbouring levels."""
    target: Share
    """Share of zeros, or the lowest and the highest."""
    legal: tuple[tuple[bool, ...], ...] = field(repr=False)
    """Per gene and level, whether it may be taken."""

    @cached_property
    def space(self) -> Levels:
        """All genomes with as many zeros as the uniform one, or with as many as a range allows.

        Raises:
            ConfigError: the levels that are allowed add up to nothing of the kind.
        """
        costs = [[sum(column) for column in zip(*(one.zeros for one in gene), strict=True)] for gene in self.counts]
        layers = [one for gene in self.counts for one in gene]
        low = sum(one.zeros[one.uniform] for one in layers)
        high = sum(round(self.target[1] * one.size) for one in layers) if isinstance(self.target, tuple) else low
        try:
            return Levels(costs, (low, high), legal=self.legal)
        except ConfigError as error:
            if all(map(all, self.legal)):
                raise
            raise ConfigError(f"allowed: with these levels the sparsity cannot be met ({error}, zeros)") from error

    @cached_property
    def weights(self) -> int:
        """Of all layers together."""
        return sum(one.size for gene in self.counts for one in gene)

    @property
    def measure(self) -> Measure | None:
        """The share of zeros, where it is a range."""
        return Measure("sparsity", *self.target) if isinstance(self.target, tuple) else None

    def share(self, size: int) -> float:
        """The share of zeros of genomes of a size."""
        return size / self.weights

    def even(self, size: int) -> NDArray[np.int64]:
        """The genome of a size that is nearest to the same sparsity everywhere."""
        same = np.array([gene[0].uniform for gene in self.counts])
        if size_of(self.space, same) == size and not self.space.outside(same[None])[0]:
            return same
        share = self.share(size)
        deviations = [
            np.sum([(np.array(one.zeros) / one.size - share) ** 2 for one in gene], axis=0) for gene in self.counts
        ]
        return cheapest_of(self.space, deviations, size)

    def putter(self, model: Compressible, database: Database | None, genome: NDArray[Any]) -> Callable[[], object]:
        """Brings a model into the state that a genome describes."""
        assert database is not None
        levels, weight = genome.tolist(), database.weight
        assignment = {name: level for names, level in zip(self.genes, levels, strict=True) for name in names}
        return lambda: model.apply(assignment, weight)

    def errors(self, database: Database) -> list[list[float]]:
        """Per gene and level, the sum of its layers' relative output errors."""
        return [
            [
                sum(level.error for level in column)
                for column in zip(*(database.levels(name) for name in names), strict=True)
            ]
            for names in self.genes
        ]

    def text(self, genome: NDArray[Any]) -> str:
        """Levels of each gene above those of the even genome of this size, by name of the layer."""
        lines: dict[str, list[str]] = {}
        even = self.even(size_of(self.space, genome)) if self.measure else [gene[0].uniform for gene in self.counts]
        for names, base, level in zip(self.genes, even, genome.tolist(), strict=True):
            kind = "+".join(name.rpartition(".")[2] for name in names)
            lines.setdefault(kind, []).append(f"{level - base:+d}")
        return "\n".join(f"{kind:>16}  {' '.join(steps)}" for kind, steps in lines.items())


@dataclass(frozen=True)
class Depth:
    """A gene is an attention or an MLP sub-block, or a whole block; 1 leaves it out."""

    genes: tuple[tuple[tuple[int, Any], ...], ...]
    """Per gene, (block, kind) of what it leaves out."""
    groups: tuple[str, ...]
    drop: int | tuple[int, int]
    """How many of each group are left out, or the lowest and the highest number."""
    kept: tuple[bool, ...] = field(repr=False)
    """Per gene, whether it must stay."""

    @cached_property
    def space(self) -> Levels:
        """All genomes that leave out `drop` of each group."""
        budgets = dict.fromkeys(self.groups, self.drop)
        legal = [[True, not stays] for stays in self.kept]
        return Levels([[0, 1]] * len(self.genes), budgets, groups=list(self.groups), legal=legal)

    @property
    def measure(self) -> Measure | None:
        """How many are left out, all groups together, where it is a range: a cell of a grid for each number."""
        if not isinstance(self.drop, tuple):
            return None
        low, high = (end * len(set(self.groups)) for end in self.drop)
        return Measure("left_out", low - 0.5, high + 0.5)

    def share(self, size: int) -> float:
        """What the measure is for genomes of a size."""
        return float(size)

    def even(self, size: int) -> NDArray[np.int64]:
        """The genome of a size that is evenly spread over the depth, the first and the last kept where possible."""
        left_out = np.zeros(len(self.genes), dtype=np.int64)
        for group, drop in splits(self.space, size)[0].items():
            able = [i for i, own in enumerate(self.groups) if own == group and not self.kept[i]]
            for j in range(drop):
                left_out[able[(2 * j + 1) * len(able) // (2 * drop)]] = 1
        return left_out

    def putter(self, model: Compressible, database: Database | None, genome: NDArray[Any]) -> Callable[[], object]:
        """Brings a model into the state that a genome describes."""
        left_out = [part for parts, out in zip(self.genes, genome.tolist(), strict=True) if out for part in parts]
        return lambda: model.bypass(left_out)

    def text(self, genome: NDArray[Any]) -> str:
        """A line a group: x for what is left out."""
        lines: dict[str, str] = {}
        for group, out in zip(self.groups, genome.tolist(), strict=True):
            lines[group] = lines.get(group, "") + ("x" if out else ".")
        return "\n".join(f"{group:>16}  {marks}" for group, marks in lines.items())


def measured(genes: Sparsity | Depth, genomes: Genomes) -> NDArray[np.float64] | None:
    """(n, 1) the measure of each genome; None where there is none."""
    if genes.measure is None:
        return None
    totals = genes.space.totals(genomes).sum(axis=1)
    return np.array([[genes.share(total)] for total in totals.tolist()])


def middle(genes: Sparsity | Depth) -> int:
    """The size of an exact budget, or the one in the middle of a range."""
    sizes = spaced(genes.space, 3)
    return sizes[len(sizes) // 2]
