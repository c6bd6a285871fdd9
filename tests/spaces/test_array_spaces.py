"""Integers, masks, categories and permutations: what belongs, and what is nearest."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError, SpaceError
from evo.spaces import BitMask, Categorical, Integers, Permutation

INT64 = np.iinfo(np.int64)


def test_integers_include_both_bounds() -> None:
    drawn = Integers(-2, 2, size=3).sample(400, np.random.default_rng(0))
    assert set(np.unique(drawn)) == {-2, -1, 0, 1, 2}


def test_integers_take_bounds_per_coordinate() -> None:
    space = Integers([0, 10], [1, 12])
    assert space.repair(np.array([[-5, 99]])).tolist() == [[0, 12]]
    with pytest.raises(SpaceError, match="row 1"):
        space.check(np.array([[0, 10], [0, 13]]))


def test_integers_round_what_has_fractions_on_repair_but_refuse_it_on_check() -> None:
    space = Integers(0, 9, size=4)
    assert space.repair(np.array([[0.4, 0.6, 99.0, np.nan]])).tolist() == [[0, 1, 9, 0]]
    with pytest.raises(SpaceError, match="fractions"):
        space.check(np.array([[0.5, 1, 2, 3]]))


def test_integers_reach_the_ends_of_64_bits() -> None:
    space = Integers(INT64.min, INT64.max, size=3)
    assert space.repair(np.array([[-np.inf, 0.0, np.inf]])).tolist() == [[INT64.min, 0, INT64.max]]
    assert space.stack([space.to_json(row) for row in [[INT64.min, 1, INT64.max]]]).tolist() == [
        [INT64.min, 1, INT64.max]
    ]


@pytest.mark.parametrize(
    "arguments", [(2, 1, 3), (0, 1), (0.5, 1, 2), ([0, 1], [2, 3, 4]), ([0, 1], 5, 3), (0, 2**70, 1)]
)
def test_integers_refuse_bounds_that_make_no_sense(arguments: tuple[object, ...]) -> None:
    with pytest.raises(ConfigError, match="Integers"):
        Integers(*arguments)  # type: ignore[arg-type]


def test_a_mask_takes_zeros_and_ones_and_nothing_else() -> None:
    assert BitMask(3).stack([[0, 1, 1.0]]).tolist() == [[False, True, True]]
    with pytest.raises(SpaceError):
        BitMask(3).stack([[0, 1, 2]])


def test_a_mask_repairs_to_the_nearer_bit() -> None:
    assert BitMask(4).repair(np.array([[-3.0, 0.4, 0.6, 7.0]])).tolist() == [[False, False, True, True]]


def test_categories_speak_in_choices_and_hold_codes() -> None:
    space = Categorical(["relu", None, 1, True, "1", [1, 2]], size=3)
    batch = space.stack([[True, [1, 2], 1]])
    assert batch.tolist() == [[3, 5, 2]]
    assert space.values(batch[0]) == space.to_json(batch[0]) == [True, [1, 2], 1]


def test_a_single_category_needs_no_list() -> None:
    assert Categorical(["a", "b"]).stack(["b", ["a"]]).tolist() == [[1], [0]]


def test_an_unknown_category_is_refused_with_the_choices() -> None:
    with pytest.raises(SpaceError, match=r"genome 1: 'c' is none of the choices \['a', 'b'\]"):
        Categorical("ab").stack([["a"], ["c"]])
    with pytest.raises(SpaceError, match="row 0"):
        Categorical("ab").check(np.array([[2]]))


@pytest.mark.parametrize("choices", [[], ["a", "a"], [(1, 2), [1, 2]], [float("nan")], [{1}]])
def test_categories_must_be_distinct_json_like_values(choices: list[object]) -> None:
    with pytest.raises(ConfigError, match="Categorical"):
        Categorical(choices)


def test_every_permutation_is_drawn() -> None:
    drawn = Permutation(4).sample(2000, np.random.default_rng(0))
    assert {tuple(row) for row in drawn.tolist()} == set(itertools.permutations(range(4)))


@given(values=st.lists(st.integers(-5, 5), min_size=1, max_size=8))
def test_a_repaired_permutation_ranks_its_numbers(values: list[int]) -> None:
    ranks = Permutation(len(values)).repair(np.array([values]))[0].tolist()
    by_rank = sorted(range(len(values)), key=lambda place: ranks[place])
    assert by_rank == sorted(range(len(values)), key=lambda place: (values[place], place))


def test_a_missing_number_is_no_permutation() -> None:
    with pytest.raises(SpaceError, match="row 0"):
        Permutation(3).check(np.array([[0, 1, 1]]))
