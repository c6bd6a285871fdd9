"""What the discrete operators change, counted with fixed seeds."""

from __future__ import annotations

import numpy as np

from evo.spaces import BitMask, Box, Categorical, Integers, Mixed, Permutation
from operators.discrete import Flip, PerPart, Resample, Swap
from operators.real import Gaussian, Uniform

N = 20_000


def test_flip_flips_one_bit_on_average_each_alike() -> None:
    first = np.tile([True, False] * 5, (N, 1))
    flipped = Flip().vary([first], BitMask(10), np.random.default_rng(1)) ^ first
    assert abs(flipped.sum(axis=1).mean() - 1) < 0.04
    np.testing.assert_allclose(flipped.mean(axis=0), 0.1, atol=0.012)


def test_flip_with_probability_one_is_the_complement() -> None:
    first = BitMask(6).sample(5, np.random.default_rng(2))
    assert (Flip(1.0).vary([first], BitMask(6), np.random.default_rng(3)) == ~first).all()


def test_resample_draws_every_value_alike_including_the_old_one() -> None:
    space = Integers([0, 10], [3, 12])
    children = Resample(0.5).vary([np.tile([0, 12], (N, 1))], space, np.random.default_rng(4))
    assert abs((children[:, 0] != 0).mean() - 0.5 * 3 / 4) < 0.02
    assert abs((children[:, 1] != 12).mean() - 0.5 * 2 / 3) < 0.02
    np.testing.assert_allclose(np.bincount(children[:, 0])[1:] / N, 0.125, atol=0.012)


def test_resample_works_on_choices() -> None:
    children = Resample(1.0).vary([np.zeros((N, 1), dtype=np.int64)], Categorical("abcd"), np.random.default_rng(5))
    np.testing.assert_allclose(np.bincount(children[:, 0]) / N, 0.25, atol=0.016)


def test_swap_exchanges_exactly_two_places_every_pair_alike() -> None:
    first = np.tile(np.arange(5), (N, 1))
    children = Swap().vary([first], Permutation(5), np.random.default_rng(6))
    moved = children != first
    assert (moved.sum(axis=1) == 2).all()
    pairs = np.unique(np.nonzero(moved)[1].reshape(N, 2), axis=0, return_counts=True)[1]
    assert len(pairs) == 10
    np.testing.assert_allclose(pairs / N, 0.1, atol=0.012)


def test_swaps_follow_one_another() -> None:
    first = np.tile(np.arange(3), (N, 1))
    children = Swap(times=2).vary([first], Permutation(3), np.random.default_rng(7))
    assert abs((children == first).all(axis=1).mean() - 1 / 3) < 0.02  # two transpositions of three: even, all alike


def test_uniform_on_permutations_keeps_what_the_parents_agree_on_in_order() -> None:
    first, second = np.tile([0, 1, 2, 3], (50, 1)), np.tile([0, 2, 1, 3], (50, 1))
    children = Uniform().vary([first, second], Permutation(4), np.random.default_rng(8))
    assert (children[:, 0] == 0).all()
    assert (children[:, 3] == 3).all()


SPACE = Mixed(rate=Box(0.0, 1.0, size=2), flags=BitMask(4))


def test_per_part_leaves_other_parts_as_they_are() -> None:
    first = SPACE.sample(100, np.random.default_rng(9))
    children = PerPart(rate=Gaussian(0.1)).vary([first], SPACE, np.random.default_rng(10))
    assert (children["flags"] == first["flags"]).all()
    assert (children["rate"] != first["rate"]).any(axis=1).all()


def test_uniform_crosses_products_coordinate_by_coordinate() -> None:
    first, second = SPACE.empty(N), SPACE.empty(N)
    first["rate"], first["flags"], second["rate"], second["flags"] = 0.0, False, 1.0, True
    children = Uniform().vary([first, second], SPACE, np.random.default_rng(11))
    columns = np.hstack([children["rate"], children["flags"]])
    np.testing.assert_allclose(np.cov(columns.T), 0.25 * np.eye(6), atol=0.012)
