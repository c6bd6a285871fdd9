"""Levels under a budget: every gene takes one of its levels, and the costs add up to the budget or lie in its range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError, SpaceError
from evo.records import Genomes
from evo.space import ArraySpace
from evo.spaces.budgets import Budget, Group
from evo.spaces.integers import nearest_integers

if TYPE_CHECKING:
    from evo.spaces.switches import Switches

__all__ = ["Levels"]

Total = int | Sequence[int]
"""A budget as it is given: a whole number, or two."""


class Levels(ArraySpace):
    """Vectors of levels of a given cost: which layers a model keeps, how many bits each of its weights gets.

    Gene g takes one of the levels 0, 1, ..., each at a cost of its own; in every genome the costs of each group's genes
    add up to the group's budget, neither more nor less, or to anything in its range. Levels that occur in no such
    genome are never drawn.

    Args:
        costs: per gene, the whole-numbered cost of each of its levels; in any order, of either sign.
        budget: what the costs add up to, or the lowest and the highest total that they may, (low, high); with several
            groups, of each group by name.
        groups: per gene, the name of the group that it belongs to; None for one budget over all genes.
        legal: per gene and level, whether the level may be taken; None for all.

    Raises:
        ConfigError: arguments of different length, a gene without a level, a group without a budget, an empty range, a
            budget that no choice of levels meets (with the nearest that can be met), costs that have too fine a common
            unit.

    Example:
        Two of four layers are dropped, or one to three:

        >>> Levels([[0, 1]] * 4, budget=2).stack([[0, 1, 1, 0]])
        array([[0, 1, 1, 0]])
        >>> Levels([[0, 1]] * 4, budget=(1, 3)).stack([[0, 1, 0, 0]])
        array([[0, 1, 0, 0]])
    """

    dtype = np.dtype("<i8")

    def __init__(
        self,
        costs: Sequence[Sequence[int]],
        budget: Total | Mapping[str, Total],
        *,
        groups: Sequence[str] | None = None,
        legal: Sequence[Sequence[bool]] | None = None,
    ) -> None:
        self.costs, self.legal = _tables(costs, legal)
        """(n, levels) what each level costs, and which ones there are; genes of fewer levels are filled up."""
        self.shape = (len(self.costs),)
        names, budgets = _budgets(groups, budget, len(self.costs))
        self.groups: Mapping[str, Group] = {}
        """By name, in the order in which genes name them."""
        for name in dict.fromkeys(names):
            genes = np.flatnonzero([other == name for other in names])
            self.groups[name] = Group(name, genes, self.costs[genes], self.legal[genes], budgets[name])

    def __repr__(self) -> str:
        each = self.groups.items()
        budgets = ", ".join(f"{name}={group.budget_text}" if name else group.budget_text for name, group in each)
        return f"Levels({self.shape[0]} genes, budget {budgets})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "switches"}

    @property
    def rigid(self) -> bool:
        """True when the budgets leave one single genome."""
        return all(group.rigid for group in self.groups.values())

    @cached_property
    def switches(self) -> Switches:
        """The moves from genome to genome that keep every budget."""
        from evo.spaces.switches import Switches

        return Switches(list(self.groups.values()), self.shape[0])

    def sample(self, n: int, rng: np.random.Generator) -> Genomes:
        """Uniform over all genomes; nearly so where there are too many to count (some thousands of genes).

        Where a budget is a range, first a total is drawn, uniform over those that can be met, then a genome uniform
        over those of this total: most genomes have totals in the middle of a range, and the ends matter as much.
        """
        genomes = self.empty(n)
        for group in self.groups.values():
            genomes[:, group.genes] = group.draw(n, rng)
        return genomes

    def totals(self, genomes: Genomes) -> NDArray[np.int64]:
        """(n, groups) what each group's levels cost, groups in the order in which genes name them."""
        cost = self.costs[np.arange(self.shape[0]), genomes]
        parts = [cost[:, group.genes].sum(axis=1) for group in self.groups.values()]
        return np.stack(parts, axis=1)

    def outside(self, genomes: Genomes) -> NDArray[np.bool_]:
        """(n,) rows with a level that a gene does not have."""
        known = (genomes >= 0) & (genomes < self.legal.shape[1])
        level = np.where(known, genomes, 0)
        return np.asarray(~(known & self.legal[np.arange(self.shape[0]), level]).all(axis=1))

    def check(self, genomes: Genomes) -> Genomes:
        """See `Space.check`; a row that misses a budget is named with its group, its cost and the budget."""
        batch = super().check(genomes)
        totals, groups = self.totals(batch), list(self.groups.values())
        missed = ~np.stack([group.met(batch[:, group.genes]) for group in groups], axis=1)
        if missed.any():
            row, column = np.argwhere(missed)[0].tolist()
            group = groups[column]
            raise SpaceError(
                f"genomes: row {row} costs {totals[row, column]}{group.where}, but its budget is {group.budget_text}"
            )
        return batch

    def repair(self, genomes: Genomes) -> Genomes:
        """Levels near the given numbers that keep every budget; rows that do so already stay as they are.

        Which of many equally near genomes it is follows from the row alone. In place where the numbers are whole.
        """
        levels = nearest_integers(genomes, np.int64(0), np.int64(self.legal.shape[1] - 1))
        for group in self.groups.values():
            own = levels[:, group.genes]
            for row in np.flatnonzero(~group.met(own)):
                levels[row, group.genes] = group.repair(own[row])
        return levels

    def cheapest(
        self,
        prices: Sequence[Sequence[float] | NDArray[np.float64]] | NDArray[np.float64],
        budget: Total | Mapping[str, Total] | None = None,
    ) -> NDArray[np.int64]:
        """The genome (n,) whose prices add up to the least, exactly, by dynamic programming.

        Args:
            prices: per gene and level, finite numbers of either sign; those of levels that there are not do not count.
            budget: a total within the range, or a narrower range, for each group by name where the budget is a mapping;
                by default the budget itself.

        Raises:
            SpaceError: not one finite price for each level of each gene, or no genome of this total (with the nearest
                that can be met).
            ConfigError: no budget for each group.
        """
        wanted: Mapping[str, Budget | None] = dict.fromkeys(self.groups)
        if budget is not None:
            each = budget if isinstance(budget, Mapping) else {"": budget}
            if each.keys() != self.groups.keys():
                raise ConfigError(f"Levels.cheapest: expected a budget for each group by name, got {budget!r}")
            wanted = {name: _budget(own) for name, own in each.items()}
        rows = [np.asarray(row, dtype=np.float64) for row in prices]
        widths = self.legal.shape[1] - self.legal[:, ::-1].argmax(axis=1)
        fits = len(rows) == len(widths) and all(
            row.ndim == 1 and width <= len(row) <= self.legal.shape[1] for row, width in zip(rows, widths, strict=True)
        )
        if not fits:
            raise SpaceError(f"Levels.cheapest: expected a price for each level of each of {len(widths)} genes")
        known = np.zeros(self.costs.shape)
        for gene, row in enumerate(rows):
            known[gene, : len(row)] = row
        if not np.isfinite(known[self.legal]).all():
            raise SpaceError("Levels.cheapest: expected finite prices")
        genome = np.empty(self.shape, dtype=np.int64)
        for group in self.groups.values():
            genome[group.genes] = group.cheapest(known[group.genes], wanted[group.name])
        return genome


def _budgets(
    groups: Sequence[str] | None, budget: Total | Mapping[str, Total], n: int
) -> tuple[Sequence[str], Mapping[str, Budget]]:
    """The name of each gene's group, empty when there is one budget for all; the budget of each group."""
    if not isinstance(budget, Mapping):
        if groups is not None:
            raise ConfigError(f"Levels: expected a budget for each group by name, got {budget!r}")
        return [""] * n, {"": _budget(budget)}
    if groups is None or len(groups) != n:
        raise ConfigError(f"Levels: expected the name of a group for each of {n} genes, got {groups!r:.80}")
    if unlike := sorted(set(groups) ^ set(budget)):
        raise ConfigError(f"Levels: expected a budget for every group and genes in every group, but not for {unlike}")
    return groups, {name: _budget(own) for name, own in budget.items()}


def _budget(given: Total) -> Budget:
    ends: Sequence[Any] = given if isinstance(given, Sequence) else [given, given]
    if len(ends) != 2 or any(not isinstance(end, int | np.integer) or isinstance(end, bool) for end in ends):
        raise ConfigError(f"Levels: expected a whole number as budget, or two of them (low, high), got {given!r}")
    low, high = map(int, ends)
    if low > high:
        raise ConfigError(f"Levels: expected a budget from low to high, got the empty range {low} to {high}")
    return low if low == high else (low, high)


def _tables(
    costs: Sequence[Sequence[int]], legal: Sequence[Sequence[bool]] | None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Costs and legality as (n, levels) arrays."""
    rows = [np.asarray(row) for row in costs]
    if not rows:
        raise ConfigError("Levels: expected the costs of at least one gene")
    masks = [np.ones(row.shape, bool) for row in rows] if legal is None else [np.asarray(row) for row in legal]
    if len(masks) != len(rows):
        raise ConfigError(f"Levels: expected legal levels of {len(rows)} genes, got {len(masks)}")
    table = np.zeros((len(rows), max(row.size for row in rows)), dtype=np.int64)
    there = np.zeros(table.shape, dtype=bool)
    for gene, (row, mask) in enumerate(zip(rows, masks, strict=True)):
        if row.ndim != 1 or row.dtype.kind not in "iu" or (abs(row.astype(float)) > 2.0**62 / len(rows)).any():
            raise ConfigError(
                f"Levels: expected whole-numbered costs of the levels of gene {gene}, got {costs[gene]!r}"
            )
        if mask.shape != row.shape or mask.dtype != np.bool_ or not mask.any():
            raise ConfigError(
                f"Levels: gene {gene} with {row.size} levels needs as many true or false in legal, one of them true"
            )
        table[gene, : row.size] = row
        there[gene, : row.size] = mask
    return table, there
