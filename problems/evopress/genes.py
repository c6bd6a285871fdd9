"""What a genome of levels means to a model: which weights go into which layers, or which sub-blocks are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from evo.errors import ConfigError
from evo.spaces.levels import Levels
from problems.evopress.counts import Counts, published_step, zero_counts
from problems.evopress.database import Database
from problems.evopress.model import Compressible

__all__ = ["Depth", "Sparsity", "depth", "sparsity"]

_FUSED = ({"q_proj", "k_proj", "v_proj"}, {"gate_proj", "up_proj"})
"""Projections that inference engines run as one, so that they have to share a level."""


@dataclass(frozen=True)
class Sparsity:
    """A gene is a layer, or several fused ones; a level sets so many of their weights to zero."""

    genes: tuple[tuple[str, ...], ...]
    """Per gene, the names of its layers."""
    counts: tuple[tuple[Counts, ...], ...]
    """Per gene and layer, zeros at each level."""
    step: int
    """Zeros between neighbouring levels."""

    @property
    def space(self) -> Levels:
        """All genomes with as many zeros as the uniform one."""
        costs = [
            [sum(counts.zeros[level] for counts in gene) for level in range(_levels(gene))] for gene in self.counts
        ]
        return Levels(costs, sum(cost[gene[0].uniform] for cost, gene in zip(costs, self.counts, strict=True)))

    @property
    def uniform(self) -> list[int]:
        """The same sparsity everywhere."""
        return [gene[0].uniform for gene in self.counts]

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
        """Zeros of each gene against the uniform ones, by name of the layer."""
        lines: dict[str, list[str]] = {}
        for names, counts, level in zip(self.genes, self.counts, genome.tolist(), strict=True):
            kind = "+".join(name.rpartition(".")[2] for name in names)
            lines.setdefault(kind, []).append(f"{level - counts[0].uniform:+d}")
        return "\n".join(f"{kind:>16}  {' '.join(steps)}" for kind, steps in lines.items())


@dataclass(frozen=True)
class Depth:
    """A gene is an attention or an MLP sub-block, or a whole block; 1 leaves it out."""

    genes: tuple[tuple[tuple[int, Any], ...], ...]
    """Per gene, (block, kind) of what it leaves out."""
    groups: tuple[str, ...]
    drop: int

    @property
    def space(self) -> Levels:
        """All genomes that leave out `drop` of each group."""
        budgets = dict.fromkeys(self.groups, self.drop)
        return Levels([[0, 1]] * len(self.genes), budgets, groups=list(self.groups))

    @property
    def uniform(self) -> list[int]:
        """Evenly spread over the depth, the first and the last kept where possible."""
        left_out = [0] * len(self.genes)
        for group in dict.fromkeys(self.groups):
            members = [i for i, own in enumerate(self.groups) if own == group]
            for j in range(self.drop):
                left_out[members[(2 * j + 1) * len(members) // (2 * self.drop)]] = 1
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


def _levels(gene: Sequence[Counts]) -> int:
    return min(len(counts.zeros) for counts in gene)


def sparsity(model: Compressible, target: float, most: int, step: int | None, fused: bool) -> Sparsity:
    """The genes of a model's layers.

    Raises:
        ConfigError: arguments out of range, or fused layers whose levels do not agree.
    """
    groups: dict[Any, list[Any]] = {}
    for layer in model.layers:
        last = layer.name.rpartition(".")[2]
        group = next((i for i, names in enumerate(_FUSED) if fused and last in names), layer.name)
        groups.setdefault((layer.block, group), []).append(layer)
    step = step if step is not None else published_step(target, most, min(model.layers[0].shape))
    genes, counts = [], []
    for layers in groups.values():
        own = tuple(zero_counts(layer.size, target, step, most) for layer in layers)
        if len({(one.uniform, len(one.zeros)) for one in own}) > 1:
            names = ", ".join(layer.name for layer in layers)
            raise ConfigError(f"fused: {names} have different numbers of levels; lower step or levels")
        genes.append(tuple(layer.name for layer in layers))
        counts.append(own)
    return Sparsity(tuple(genes), tuple(counts), step)


def depth(model: Compressible, drop: int, whole_blocks: bool) -> Depth:
    """The genes of a model's sub-blocks or blocks.

    Raises:
        ConfigError: fewer are there than are to be left out.
    """
    parts: dict[Any, list[tuple[int, Any]]] = {}
    for sub in model.sub_blocks:
        parts.setdefault(sub.block if whole_blocks else (sub.block, sub.kind), []).append((sub.block, sub.kind))
    groups = tuple("block" if whole_blocks else str(key[1]) for key in parts)
    least = min(groups.count(group) for group in groups)
    if not 0 < drop < least:
        raise ConfigError(f"drop: expected 1 to {least - 1} of {least}, got {drop}")
    return Depth(tuple(map(tuple, parts.values())), groups, drop)
