"""The model of single effects and pairs: what it learns exactly, what it does not mind, what it does not know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evo
from evo.algorithms.alphabet import Alphabet
from evo.algorithms.pairwise import Pairwise
from problems.planted import PlantedCoupled, PlantedLevels, PlantedLinear


def learned(problem: Any, known: int, fresh: int = 200) -> tuple[Any, Any, Any]:
    """Expected quality, doubt and true quality of random genomes, after random others."""
    genomes = problem.space.sample(known + fresh, np.random.default_rng(3))
    quality = -problem.values(genomes)
    alphabet = Alphabet(problem.space)
    codes = alphabet.codes(genomes)
    model = Pairwise(codes[:known], quality[:known], alphabet.letters)
    return (*model.predict(codes[known:]), quality[known:])


def test_single_effects_are_learned_from_little_more_than_one_observation_each() -> None:
    expected, doubt, truth = learned(PlantedLinear(32, 12), 48)
    assert expected == pytest.approx(truth, abs=0.05 * truth.std())
    assert doubt.max() < 0.1 * truth.std()


def test_pairs_are_learned_from_little_more_than_one_observation_each() -> None:
    expected, _, truth = learned(PlantedCoupled(12, 5), 100)  # 1 + 11 + 54 effects that a budget leaves
    assert expected == pytest.approx(truth, abs=0.02 * np.ptp(truth))
    few, doubt, truth = learned(PlantedCoupled(12, 5), 30)
    assert abs(few - truth).max() > 0.05 * np.ptp(truth)
    assert doubt.min() > 0.01 * truth.std()


def test_where_codes_have_an_order_neighbours_tell_of_each_other() -> None:
    space = evo.Integers(0, 100, size=1)
    alphabet = Alphabet(space)
    genomes = np.arange(0, 101, 10)[:, None]
    model = Pairwise(alphabet.codes(genomes), np.sin(genomes[:, 0] / 30.0), alphabet.letters)
    between = np.arange(5, 96, 10)[:, None]
    expected, _ = model.predict(alphabet.codes(between))
    assert expected == pytest.approx(np.sin(between[:, 0] / 30.0), abs=0.1)


def test_choices_without_an_order_tell_nothing_of_each_other() -> None:
    codes = np.array([[0], [1], [3], [4]])
    model = Pairwise(codes, np.array([0.0, 10.0, 20.0, 30.0]), 5, ordered=False)
    (expected,), (doubt,) = model.predict(np.array([[2]]))
    assert expected == pytest.approx(15.0, abs=0.5)
    assert doubt > model.predict(codes)[1].max()


def test_allocations_are_ranked_right_from_few_observations() -> None:
    expected, _, truth = learned(PlantedLevels(12, spread=1.0), 100)
    assert np.corrcoef(expected, truth)[0, 1] > 0.98


@settings(max_examples=20, deadline=None)
@given(offsets=st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4), seed=st.integers(0, 1000))
def test_what_a_group_has_in_common_does_not_matter(offsets: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = PlantedLinear(12, 5)
    genomes = problem.space.sample(80, rng)
    quality = -problem.values(genomes)
    group = np.arange(60) % 4
    model = Pairwise(genomes[:60], quality[:60] + np.array(offsets)[group], 2, group=group)
    expected, _ = model.predict(genomes[60:])
    assert np.corrcoef(expected, quality[60:])[0, 1] > 0.98


def test_noise_is_recognised_and_averaged() -> None:
    rng = np.random.default_rng(5)
    problem = PlantedLinear(12, 5)
    genomes = problem.space.sample(260, rng)
    truth = -problem.values(genomes)
    heard = truth + rng.normal(0.0, 0.5 * truth.std(), 260)
    model = Pairwise(genomes[:200], heard[:200], 2)
    assert model.noise >= 0.1
    expected, _ = model.predict(genomes[200:])
    assert np.corrcoef(expected, truth[200:])[0, 1] > 0.95


def test_it_is_sure_of_what_it_knows_and_in_doubt_about_the_rest() -> None:
    problem = PlantedCoupled(16, 6)
    genomes = problem.space.sample(120, np.random.default_rng(1))
    model = Pairwise(genomes[:80], -problem.values(genomes[:80]), 2)
    assert model.predict(genomes[:80])[1].max() < 0.1 * np.median(model.predict(genomes[80:])[1])


@settings(max_examples=25, deadline=None)
@given(
    quality=st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=12),
    letters=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_no_observations_break_it(quality: list[float], letters: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, letters, size=(len(quality), 3))
    model = Pairwise(codes, np.array(quality), letters, group=rng.integers(0, 3, len(quality)))
    expected, doubt = model.predict(rng.integers(0, letters, size=(20, 3)))
    assert np.isfinite(expected).all()
    assert (doubt >= 0).all()


@pytest.mark.parametrize(
    ("space", "letters", "ordered"),
    [
        (evo.Integers([-3, 5], [4, 6]), 8, True),
        (evo.Integers(-(2**62), 2**62, size=2), 32, True),
        (evo.Integers(7, 7, size=2), 1, True),
        (evo.BitMask(4), 2, True),
        (evo.Categorical(list("abcdef"), size=3), 6, False),
        (evo.Categorical(list(range(40)), size=3), 40, False),
        (evo.Levels([[0, 1, 2], [0, 2]], 2), 3, True),
    ],
)
def test_genomes_of_whole_numbers_become_codes(space: evo.Space, letters: int, ordered: bool) -> None:
    alphabet = Alphabet(space)
    assert (alphabet.letters, alphabet.ordered) == (letters, ordered)
    codes = alphabet.codes(space.sample(200, np.random.default_rng(0)))
    assert codes.min() == 0
    assert codes.max() == letters - 1


@pytest.mark.parametrize("space", [evo.Box(0.0, 1.0, size=2), evo.Permutation(4), evo.Json()])
def test_other_spaces_are_refused(space: evo.Space) -> None:
    with pytest.raises(evo.ConfigError, match=f"expected vectors of whole numbers .*got a {type(space).__name__}"):
        Alphabet(space)
