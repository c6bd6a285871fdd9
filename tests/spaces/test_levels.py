"""Levels under a budget, against trying every choice of levels."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import cloudpickle
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evo.errors import ConfigError, SpaceError
from evo.spaces import Box, Levels, Mixed
from evo.spaces.budgets import Group
from evo.testing import check_space

Choice = tuple[int, ...]

unhurried = settings(deadline=None)  # tables are made on first use


@st.composite
def spaces(draw: st.DrawFn, genes: int = 6, names: Sequence[str] = ("q", "k", "v")) -> Levels:
    """Spaces of few genes with odd costs, missing levels, several groups and ranges, around a genome that exists."""
    n = draw(st.integers(1, genes))
    costs = [draw(st.lists(st.integers(-9, 9), min_size=1, max_size=4)) for _ in range(n)]
    chosen = [draw(st.integers(0, len(row) - 1)) for row in costs]
    legal = [
        [level == own or draw(st.booleans()) for level in range(len(row))]
        for row, own in zip(costs, chosen, strict=True)
    ]
    groups = [draw(st.sampled_from(names)) for _ in range(n)]
    budget: dict[str, Any] = {}
    for name in dict.fromkeys(groups):
        total = sum(costs[g][chosen[g]] for g in range(n) if groups[g] == name)
        below, above = draw(st.sampled_from([(0, 0), (0, 7), (3, 0), (2, 9), (99, 99)]))
        budget[name] = (total - below, total + above) if below or above else total
    if len(budget) == 1 and draw(st.booleans()):
        return Levels(costs, *budget.values(), legal=legal)
    return Levels(costs, budget, groups=groups, legal=legal)


def low(group: Group) -> int:
    return group.budget if isinstance(group.budget, int) else group.budget[0]


def high(group: Group) -> int:
    return group.budget if isinstance(group.budget, int) else group.budget[1]


def every_genome(space: Levels) -> list[Choice]:
    """By trying all."""
    found = []
    for choice in itertools.product(*(np.flatnonzero(row).tolist() for row in space.legal)):
        cost = dict.fromkeys(space.groups, 0)
        for name, group in space.groups.items():
            cost[name] = sum(int(space.costs[gene, choice[gene]]) for gene in group.genes)
        if all(low(group) <= cost[name] <= high(group) for name, group in space.groups.items()):
            found.append(choice)
    return found


@unhurried
@given(space=spaces(), seed=st.integers(0, 2**32))
def test_it_keeps_a_spaces_promises(space: Levels, seed: int) -> None:
    check_space(space, n=9, seed=seed)


@unhurried
@given(space=spaces(genes=4))
def test_what_is_drawn_is_every_genome_and_no_other(space: Levels) -> None:
    genomes = every_genome(space)
    assume(len(genomes) <= 8)
    drawn = Counter(map(tuple, space.sample(400, np.random.default_rng(0)).tolist()))
    assert set(drawn) == set(genomes)
    totals = Counter(map(tuple, space.totals(np.array(genomes)).tolist()))  # each alike, then each genome of its total
    for genome, total in zip(genomes, space.totals(np.array(genomes)).tolist(), strict=True):
        expected = 400 / len(totals) / totals[tuple(total)]
        assert abs(drawn[genome] - expected) < 6 * expected**0.5
    assert space.rigid == (len(genomes) == 1)


def test_genomes_are_drawn_uniformly() -> None:
    space = Levels([[0, 1, 2], [0, 2, 4], [3, 0], [0, 1], [1, 0, 5]], 5)
    genomes = every_genome(space)
    drawn = Counter(map(tuple, space.sample(20_000, np.random.default_rng(1)).tolist()))
    expected = 20_000 / len(genomes)
    chi_square = sum((drawn[genome] - expected) ** 2 / expected for genome in genomes)
    assert len(genomes) == 12
    assert chi_square < 31.3  # 11 degrees of freedom, one in a thousand


@unhurried
@given(space=spaces(genes=4), numbers=st.lists(st.integers(-3, 6), min_size=4, max_size=4))
def test_exactly_the_genomes_within_budget_are_accepted(space: Levels, numbers: list[int]) -> None:
    row = numbers[: space.shape[0]]
    if tuple(row) in every_genome(space):
        assert space.check(np.array([row])).tolist() == [row]
    else:
        with pytest.raises(SpaceError, match="row 0"):
            space.check(np.array([row]))


@unhurried
@given(space=spaces(), seed=st.integers(0, 2**32))
def test_whatever_is_repaired_meets_every_budget(space: Levels, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for wild in (rng.integers(-5, 9, (9, *space.shape)), rng.standard_cauchy((9, *space.shape)) * 10):
        once = space.repair(wild.copy())
        space.check(once)
        assert space.repair(once.copy()).tolist() == once.tolist()
        assert [space.repair(row[None].copy())[0].tolist() for row in wild] == once.tolist()


@unhurried
@given(seed=st.integers(0, 2**32), bits=st.integers(2, 40), data=st.data())
def test_repair_changes_no_more_bits_than_it_must(seed: int, bits: int, data: st.DataObject) -> None:
    budget = data.draw(st.integers(0, bits))
    wrong = np.random.default_rng(seed).integers(0, 2, (5, bits))
    right = Levels([[0, 1]] * bits, budget).repair(wrong.copy())
    assert abs(right - wrong).sum(axis=1).tolist() == abs(wrong.sum(axis=1) - budget).tolist()


def test_repair_prefers_no_gene() -> None:
    wrong = np.random.default_rng(0).integers(0, 2, (3000, 20))
    right = Levels([[0, 1]] * 20, 10).repair(wrong.copy())
    changed = (right != wrong).mean(axis=0)
    assert changed.min() > 0.75 * changed.mean()
    assert changed.max() < 1.25 * changed.mean()


@unhurried
@given(space=spaces(), seed=st.integers(0, 2**32))
def test_the_cheapest_genome_is_the_cheapest_of_all(space: Levels, seed: int) -> None:
    prices = np.random.default_rng(seed).normal(size=space.costs.shape)
    each = np.arange(space.shape[0])
    found = space.cheapest(prices)
    assert tuple(found.tolist()) == min(every_genome(space), key=lambda genome: prices[each, genome].sum())


@unhurried
@given(space=spaces(genes=5), seed=st.integers(0, 2**32))
def test_the_cheapest_of_every_total_is_the_cheapest_of_all_of_that_total(space: Levels, seed: int) -> None:
    prices = np.random.default_rng(seed).normal(size=space.costs.shape)
    each = np.arange(space.shape[0])
    by_total: dict[tuple[int, ...], list[Choice]] = {}
    for genome in every_genome(space):
        by_total.setdefault(tuple(space.totals(np.array([genome]))[0].tolist()), []).append(genome)
    for total, genomes in by_total.items():
        names = dict(zip(space.groups, total, strict=True))
        found = space.cheapest(prices, names.get("", names))
        assert tuple(found.tolist()) == min(genomes, key=lambda genome: prices[each, genome].sum())


@unhurried
@given(space=spaces(genes=5))
def test_the_totals_of_a_group_are_those_of_its_genomes(space: Levels) -> None:
    found = space.totals(np.array(every_genome(space)))
    for column, group in enumerate(space.groups.values()):
        assert group.totals.tolist() == np.unique(found[:, column]).tolist()


@unhurried
@given(space=spaces(genes=5, names=["q"]), total=st.integers(-60, 60))
def test_a_total_that_no_genome_has_is_refused_with_the_nearest_that_one_has(space: Levels, total: int) -> None:
    (name,) = space.groups
    totals = space.groups[name].totals
    budget = {name: total} if name else total
    prices = np.zeros(space.costs.shape)
    if total in totals:
        assert space.totals(space.cheapest(prices, budget)[None]).item() == total
        return
    with pytest.raises(
        SpaceError, match=f"costs exactly {total}( in group .q.)?; nearest that can be met: "
    ) as refused:
        space.cheapest(prices, budget)
    named = [int(number) for number in re.findall(r"-?\d+", str(refused.value).partition("met:")[2])]
    assert named == [*totals[totals < total][-1:].tolist(), *totals[totals > total][:1].tolist()]


@unhurried
@given(space=spaces(genes=5), ends=st.tuples(st.integers(-60, 60), st.integers(-60, 60)))
def test_a_range_that_nothing_lies_in_is_refused_with_the_nearest_beside_it(
    space: Levels, ends: tuple[int, int]
) -> None:
    costs = [np.array(row)[mask].tolist() for row, mask in zip(space.costs, space.legal, strict=True)]
    sums = {sum(choice) for choice in itertools.product(*costs)}
    least, most = min(ends), max(ends)
    assume(least < most)
    if any(least <= total <= most for total in sums):
        inside = [total for total in sorted(sums) if least <= total <= most]
        assert Levels(costs, (least, most)).groups[""].totals.tolist() == inside
        return
    with pytest.raises(ConfigError, match=f"costs from {least} to {most}; nearest that can be met: ") as refused:
        Levels(costs, (least, most))
    named = [int(number) for number in re.findall(r"-?\d+", str(refused.value).partition("met:")[2])]
    below, above = [total for total in sums if total < least], [total for total in sums if total > most]
    assert named == [*([max(below)] if below else []), *([min(above)] if above else [])]


@unhurried
@given(budget=st.integers(0, 12), seed=st.integers(0, 2**32))
def test_a_range_from_a_number_to_itself_is_that_number(budget: int, seed: int) -> None:
    costs = [[0, 1, 2], [0, 2, 4], [3, 0], [0, 1], [1, 0, 5]]
    assume(budget in {sum(choice) for choice in itertools.product(*costs)})
    one, other = Levels(costs, budget), Levels(costs, (budget, budget))
    assert repr(one) == repr(other)
    drawn = [space.sample(9, np.random.default_rng(seed)).tolist() for space in (one, other)]
    assert drawn[0] == drawn[1]


@unhurried
@given(space=spaces(genes=5), budget=st.integers(-60, 60))
def test_a_budget_that_cannot_be_met_is_refused_with_the_nearest_that_can(space: Levels, budget: int) -> None:
    costs = [np.array(row)[mask].tolist() for row, mask in zip(space.costs, space.legal, strict=True)]
    sums = {sum(choice) for choice in itertools.product(*costs)}
    if budget in sums:
        assert Levels(costs, budget).shape == space.shape
        return
    with pytest.raises(ConfigError, match=f"costs exactly {budget}; nearest that can be met: ") as refused:
        Levels(costs, budget)
    named = [int(number) for number in re.findall(r"-?\d+", str(refused.value).partition("met:")[2])]
    below, above = [total for total in sums if total < budget], [total for total in sums if total > budget]
    assert named == [*([max(below)] if below else []), *([min(above)] if above else [])]


def test_an_absurd_budget_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="in group 'mlp'; nearest that can be met: 4"):
        Levels([[0, 1], [2, 4]], {"attention": 1, "mlp": 10**30}, groups=["attention", "mlp"])
    with pytest.raises(ConfigError, match="too fine"):
        Levels([[0, 10**12 + gene] for gene in range(9)], 5)


def test_a_row_that_misses_its_budget_is_named_with_group_cost_and_budget() -> None:
    space = Levels([[0, 4], [0, 4], [0, 7], [0, 7]], {"attn": 4, "mlp": 7}, groups=["attn", "attn", "mlp", "mlp"])
    assert space.totals(np.array([[0, 1, 1, 1], [0, 0, 0, 1]])).tolist() == [[4, 14], [0, 7]]
    with pytest.raises(SpaceError, match="row 1 costs 14 in group 'mlp', but its budget is 7"):
        space.check(np.array([[0, 1, 1, 0], [0, 1, 1, 1]]))
    with pytest.raises(SpaceError, match="row 0 costs 1, but its budget is 2"):
        Levels([[0, 1]] * 3, 2).check(np.array([[0, 1, 0]]))
    with pytest.raises(SpaceError, match="row 0 lies outside the space Levels"):
        Levels([[0, 1]] * 3, 2).check(np.array([[0, 2, 0]]))


def test_every_total_of_a_range_is_drawn_alike_however_few_genomes_have_it() -> None:
    space = Levels([[0, 1]] * 16, (0, 16))
    totals = np.bincount(space.totals(space.sample(17_000, np.random.default_rng(0)))[:, 0], minlength=17)
    assert (abs(totals - 1000) < 150).all()


def test_a_row_outside_its_range_is_named_with_group_cost_and_range() -> None:
    space = Levels([[0, 4], [0, 7], [0, 7]], {"attn": 4, "mlp": (0, 7)}, groups=["attn", "mlp", "mlp"])
    assert repr(space) == "Levels(3 genes, budget attn=4, mlp=0 to 7)"
    space.check(np.array([[1, 0, 0], [1, 0, 1]]))
    with pytest.raises(SpaceError, match="row 1 costs 14 in group 'mlp', but its budget is 0 to 7"):
        space.check(np.array([[1, 0, 1], [1, 1, 1]]))


@unhurried
@given(seed=st.integers(0, 2**32), bits=st.integers(2, 40), data=st.data())
def test_repair_stops_at_the_nearer_end_of_a_range(seed: int, bits: int, data: st.DataObject) -> None:
    least = data.draw(st.integers(0, bits))
    most = data.draw(st.integers(least, bits))
    wrong = np.random.default_rng(seed).integers(0, 2, (5, bits))
    right = Levels([[0, 1]] * bits, (least, most)).repair(wrong.copy())
    totals = wrong.sum(axis=1)
    assert abs(right - wrong).sum(axis=1).tolist() == abs(np.clip(totals, least, most) - totals).tolist()


def test_repair_takes_one_step_into_a_range_rather_than_many() -> None:
    space = Levels([[0, 1]] * 20 + [[0, 10]], (20, 25))
    right = space.repair(np.array([[1] * 12 + [0] * 9]))
    assert right.tolist() == [[1] * 12 + [0] * 8 + [1]]


def test_people_write_and_read_lists() -> None:
    space = Levels([[0, 1]] * 3, 2)
    assert space.to_json(space.stack([[1, 0, 1]])[0]) == [1, 0, 1]
    assert repr(space) == "Levels(3 genes, budget 2)"


def test_levels_are_part_of_a_product() -> None:
    check_space(Mixed(bits=Levels([[2, 3, 4]] * 5, 15), rate=Box(0.0, 1.0, size=2)))


def test_thousands_of_genes_of_unequal_size_are_drawn_and_repaired_exactly() -> None:
    space = Levels([[size * bits for bits in range(2, 7)] for size in [4, 1, 1, 4, 14, 14, 14] * 220], 3 * 11440)
    drawn = space.sample(4, np.random.default_rng(0))
    space.check(drawn)
    wide = Levels(space.costs.tolist(), (2 * 11440, 6 * 11440))
    wide.check(wide.sample(2, np.random.default_rng(0)))
    share = np.bincount(drawn.ravel(), minlength=5) / drawn.size
    assert (np.diff(share) < 0).all()  # few bits are commoner than many where the mean is low
    assert share[-1] > 0.02
    crossed = np.where(np.arange(1540) % 2, drawn[0], drawn[1])[None]
    fixed = space.repair(crossed.copy())
    space.check(fixed)
    assert (fixed != crossed).mean() < 0.1


def test_a_pickled_space_leaves_its_tables_behind() -> None:
    space = Levels([[2, 3, 4, 5, 6]] * 200, 600)
    fresh = len(cloudpickle.dumps(space))
    before = space.sample(3, np.random.default_rng(0))
    space.switches.move(before[0].copy(), np.random.default_rng(0))
    assert len(cloudpickle.dumps(space)) < 2 * fresh
    again = cloudpickle.loads(cloudpickle.dumps(space))
    assert again.sample(3, np.random.default_rng(0)).tolist() == before.tolist()


@pytest.mark.parametrize(
    ("costs", "budget", "more", "why"),
    [
        ([], 0, {}, "at least one gene"),
        ([[0, 1], []], 1, {}, "costs of the levels of gene 1"),
        ([[0, 1.5]], 1, {}, "costs of the levels of gene 0"),
        ([[0, 2**62]] * 3, 0, {}, "costs of the levels of gene 0"),
        ([[0, 2**70]], 0, {}, "costs of the levels of gene 0"),
        ([[0, 1]], 1.5, {}, r"whole number as budget, or two of them \(low, high\), got 1.5"),
        ([[0, 1]], True, {}, "whole number as budget.* got True"),
        ([[0, 1]], (1, 0), {}, "from low to high, got the empty range 1 to 0"),
        ([[0, 1]], (0, 1, 2), {}, "or two of them"),
        ([[0, 1]], (0, 0.5), {}, "or two of them"),
        ([[0, 1]], "01", {}, "or two of them"),
        ([[0, 1]] * 2, 1, {"legal": [[True, True]]}, "legal levels of 2 genes, got 1"),
        ([[0, 1]] * 2, 1, {"legal": [[True, True], [True]]}, "gene 1 with 2 levels"),
        ([[0, 1]] * 2, 1, {"legal": [[True, True], [False, False]]}, "gene 1 with 2 levels"),
        ([[0, 1]] * 2, 1, {"groups": ["a", "b"]}, "a budget for each group by name, got 1"),
        ([[0, 1]] * 2, {"a": 1}, {}, "name of a group for each of 2 genes"),
        ([[0, 1]] * 2, {"a": 1}, {"groups": ["a"]}, "name of a group for each of 2 genes"),
        ([[0, 1]] * 2, {"a": 1}, {"groups": ["a", "b"]}, r"not for \['b'\]"),
        ([[0, 1]] * 2, {"a": 1, "c": 0}, {"groups": ["a", "a"]}, r"not for \['c'\]"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    costs: Sequence[Sequence[int]], budget: Any, more: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        Levels(costs, budget, **more)


@pytest.mark.parametrize("prices", [[[0.0, 1.0]], [[0.0, 1.0], [0.0]], [[0.0, 1.0], [0.0, np.nan]]])
def test_prices_that_do_not_fit_are_refused(prices: list[list[float]]) -> None:
    with pytest.raises(SpaceError, match=r"Levels\.cheapest"):
        Levels([[0, 1]] * 2, 1).cheapest(prices)


@pytest.mark.parametrize("budget", [1, {"mlp": 1}, {"attn": 1, "mlp": 1, "head": 0}])
def test_a_total_for_other_groups_than_there_are_is_refused(budget: Any) -> None:
    space = Levels([[0, 1]] * 4, {"attn": (0, 2), "mlp": 1}, groups=["attn", "mlp"] * 2)
    with pytest.raises(ConfigError, match="a budget for each group by name"):
        space.cheapest(np.zeros((4, 2)), budget)
