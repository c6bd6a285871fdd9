"""Level switches: budgets are kept in every child, no child is its parent, and steps pair as published."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evo.algorithms.keeping import default_mutation
from evo.errors import ConfigError, SpaceError
from evo.operator import Operator
from evo.registry import build
from evo.spaces import Integers, Levels
from evo.testing import check_operator
from operators.budget import LevelSwitch
from operators.chain import Chain
from operators.real import Uniform

UNEVEN = Levels([[size * bits for bits in range(2, 7)] for size in (4, 1, 1, 4, 14, 14, 14) * 10], 3 * 52 * 10)
GROUPED = Levels([[0, 3]] * 9 + [[4, 8, 16]] * 6, {"drop": 12, "bits": 48}, groups=["drop"] * 9 + ["bits"] * 6)
NO_PAIR = Levels([[0, 3]] + [[0, 1]] * 5, 3)
RANGE = Levels([[0, 1, 2]] * 4, (3, 5))


@st.composite
def spaces(draw: st.DrawFn) -> Levels:
    """Spaces with unequal sizes, missing levels, several groups and ranges, around a genome that exists."""
    n = draw(st.integers(2, 12))
    sizes = [draw(st.sampled_from([1, 3, 4, 11])) for _ in range(n)]
    costs = [[size * level for level in draw(st.lists(st.integers(0, 5), min_size=2, max_size=4))] for size in sizes]
    chosen = [draw(st.integers(0, len(row) - 1)) for row in costs]
    legal = [
        [level == own or draw(st.booleans()) for level in range(len(row))]
        for row, own in zip(costs, chosen, strict=True)
    ]
    groups = [draw(st.sampled_from(["attention", "mlp"])) for _ in range(n)]
    budget: dict[str, int | tuple[int, int]] = {}
    for name in dict.fromkeys(groups):
        total = sum(costs[g][chosen[g]] for g in range(n) if groups[g] == name)
        below, above = draw(st.sampled_from([(0, 0), (0, 5), (7, 0), (10, 20)]))
        budget[name] = (total - below, total + above) if below or above else total
    return Levels(costs, budget, groups=groups, legal=legal)


@settings(deadline=None)
@given(
    space=spaces(),
    seed=st.integers(0, 2**32),
    most=st.integers(1, 5),
    trades=st.sampled_from([0.0, 0.5, 1.0]),
    steps=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_every_child_keeps_every_budget_and_differs_from_its_parent(
    space: Levels, seed: int, most: int, trades: float, steps: float
) -> None:
    assume(not space.rigid)
    rng = np.random.default_rng(seed)
    parents = space.sample(8, rng)
    children = LevelSwitch(most, trades, steps).vary([parents], space, rng)
    space.check(children)
    assert (children != parents).any(axis=1).all()


@pytest.mark.parametrize("trades", [0.0, 1.0])
@pytest.mark.parametrize("space", [Levels([[0, 1]] * 8, 3), UNEVEN, GROUPED, NO_PAIR, RANGE], ids=repr)
def test_it_keeps_an_operators_promises(space: Levels, trades: float) -> None:
    check_operator(LevelSwitch(trades=trades), space)


@pytest.mark.parametrize(
    "operator", [Uniform(), Chain(Uniform(), LevelSwitch())], ids=lambda operator: type(operator).__name__
)
@pytest.mark.parametrize("space", [UNEVEN, GROUPED, NO_PAIR], ids=repr)
def test_other_operators_stay_within_the_budgets_by_repair(operator: Operator, space: Levels) -> None:
    check_operator(operator, space)


def test_the_number_of_switches_is_the_smaller_of_two_drawn() -> None:
    space = Levels([[0, 1, 2]] * 2000, 2000)  # two switches of one child practically never meet
    parents = np.ones((3000, 2000), dtype=np.int64)
    children = LevelSwitch().vary([parents], space, np.random.default_rng(0))
    raised, lowered = (children > parents).sum(axis=1), (children < parents).sum(axis=1)
    assert raised.tolist() == lowered.tolist()
    share = np.bincount(raised, minlength=4) / 3000
    np.testing.assert_allclose(share, [0, 5 / 9, 3 / 9, 1 / 9], atol=0.03)


def test_a_switch_is_uniform_over_the_pairs_of_a_raise_and_a_lowering() -> None:
    space = Levels([[0, 1]] * 5, 2)
    parents = np.tile([1, 0, 0, 1, 0], (6000, 1))
    drawn = Counter(map(tuple, LevelSwitch(most=1).vary([parents], space, np.random.default_rng(0)).tolist()))
    assert len(drawn) == 6
    assert all(abs(count - 1000) < 150 for count in drawn.values())


def test_a_switch_stays_in_one_group_drawn_in_proportion_to_its_steps() -> None:
    space = Levels([[0, 3]] * 12, {"few": 6, "many": 12}, groups=["few"] * 4 + ["many"] * 8)
    parents = np.tile(space.stack([[1, 1, 0, 0] + [1, 0] * 4]), (6000, 1))
    changed = LevelSwitch(most=1).vary([parents], space, np.random.default_rng(0)) != parents
    in_few = changed[:, :4].sum(axis=1)
    assert set(in_few.tolist()) == {0, 2}
    assert abs((in_few == 2).mean() - 4 / 12) < 0.03


def test_without_trades_sizes_keep_their_shares_and_with_trades_they_do_not() -> None:
    parents = np.tile(UNEVEN.sample(1, np.random.default_rng(0)), (200, 1))
    ones = np.flatnonzero(UNEVEN.costs[:, 0] == 2)
    for trades, kept in ((0.0, True), (1.0, False)):
        children = LevelSwitch(trades=trades).vary([parents], UNEVEN, np.random.default_rng(1))
        UNEVEN.check(children)
        share = children[:, ones].sum(axis=1)
        assert (share == parents[:, ones].sum(axis=1)).all() == kept


def test_a_step_that_no_other_cancels_is_made_up_for_by_several() -> None:
    parents = NO_PAIR.stack([[1, 0, 0, 0, 0, 0]] * 50)
    children = LevelSwitch(most=1).vary([parents], NO_PAIR, np.random.default_rng(0))
    assert (children[:, 0] == 0).all()
    assert (children[:, 1:].sum(axis=1) == 3).all()
    assert len(np.unique(children, axis=0)) > 5


def test_two_genomes_change_places_for_ever() -> None:
    space = Levels([[0, 1]] * 2, 1)
    children = LevelSwitch().vary([space.stack([[0, 1], [1, 0]] * 30)], space, np.random.default_rng(0))
    assert children.tolist() == [[1, 0], [0, 1]] * 30


def test_levels_that_cost_the_same_are_exchanged_alone() -> None:
    space = Levels([[2, 2, 3]] * 2, 4)
    children = LevelSwitch(most=1).vary([space.stack([[0, 0]] * 20)], space, np.random.default_rng(0))
    assert {tuple(row) for row in children.tolist()} == {(0, 1), (1, 0)}


def test_missing_levels_are_stepped_over() -> None:
    space = Levels([[2, 3, 4]] * 3, 8, legal=[[True, False, True]] * 3)
    children = LevelSwitch().vary([space.stack([[2, 0, 0]] * 20)], space, np.random.default_rng(0))
    assert {tuple(row) for row in children.tolist()} == {(0, 2, 0), (0, 0, 2)}


def test_in_a_range_so_many_switches_are_one_step_alone_as_is_said() -> None:
    parents = np.tile(RANGE.stack([[1, 1, 1, 1]]), (1500, 1))
    for steps in (0.0, 0.25, 1.0):
        changed = (LevelSwitch(1, steps=steps).vary([parents], RANGE, np.random.default_rng(0)) != parents).sum(axis=1)
        assert set(changed.tolist()) <= {1, 2}
        assert abs((changed == 1).mean() - steps) < 0.05


def test_a_step_alone_is_uniform_over_those_that_stay_in_the_range() -> None:
    parents = np.tile(RANGE.stack([[0, 1, 2, 2]]), (1500, 1))  # at its upper end
    children = LevelSwitch(1, steps=1.0).vary([parents], RANGE, np.random.default_rng(0))
    drawn = Counter(map(tuple, children.tolist()))
    assert set(drawn) == {(0, 0, 2, 2), (0, 1, 1, 2), (0, 1, 2, 1)}
    assert all(abs(count - 500) < 90 for count in drawn.values())


def test_exact_budgets_know_nothing_of_steps_alone() -> None:
    parents = UNEVEN.sample(30, np.random.default_rng(0))
    one, other = (
        LevelSwitch(steps=steps).vary([parents], UNEVEN, np.random.default_rng(1)).tolist() for steps in (0.0, 1.0)
    )
    assert one == other


@pytest.mark.parametrize(
    "space",
    [RANGE, Levels([[0, 3], [0, 2], [0, 5, 6]], (5, 8)), Levels([[0, 1]] * 4, {"a": (0, 1), "b": 1}, groups=[*"aabb"])],
    ids=repr,
)
def test_every_genome_of_a_range_is_reached_from_every_other(space: Levels) -> None:
    genomes = {
        choice
        for choice in itertools.product(*(range(len(row)) for row in space.costs))
        if all(group.met(np.array([choice])[:, group.genes]).all() for group in space.groups.values())
        and space.legal[np.arange(len(choice)), list(choice)].all()
    }
    operator, rng = LevelSwitch(1, trades=0.5), np.random.default_rng(0)
    following: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    for genome in genomes:
        children = operator.vary([np.tile(genome, (150, 1))], space, rng)
        following[genome] = set(map(tuple, children.tolist()))
    for start in genomes:
        reached, edge = {start}, {start}
        while edge:
            edge = {child for genome in edge for child in following[genome]} - reached
            reached |= edge
        assert reached == genomes
    assert len(genomes) > 4


def test_it_is_the_mutation_of_levels_by_default() -> None:
    assert isinstance(build("operators", default_mutation(UNEVEN)), LevelSwitch)


@pytest.mark.parametrize("space", [Integers(0, 1, 4), Levels([[0, 1]] * 3, 3)], ids=repr)
def test_a_space_that_leaves_nothing_to_switch_is_refused(space: Integers | Levels) -> None:
    with pytest.raises(SpaceError, match="LevelSwitch varies levels that a budget leaves some choice"):
        LevelSwitch().vary([space.empty(2)], space, np.random.default_rng(0))


@pytest.mark.parametrize(
    "arguments",
    [{"most": 0}, {"trades": -0.1}, {"trades": 1.5}, {"trades": float("nan")}, {"steps": 1.5}, {"steps": float("nan")}],
)
def test_parameters_that_make_no_sense_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="LevelSwitch"):
        LevelSwitch(**arguments)  # type: ignore[arg-type]
