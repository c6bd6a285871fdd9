"""What the real operators draw, measured: fixed seeds, tolerances of about five standard errors."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from evo.spaces import Box
from operators.real import SBX, Gaussian, IsoLine, Polynomial, Uniform

N = 40_000
OPEN = Box(-np.inf, np.inf, size=3)
BOX = Box(-1.0, 1.0, size=3)


def rows(*values: float) -> NDArray[np.float64]:
    return np.tile(values, (N, 1))


def test_gaussian_steps_have_mean_zero_and_the_sigma_of_each_coordinate() -> None:
    sigma = np.array([0.1, 1.0, 10.0])
    steps = (Gaussian(sigma.tolist()).vary([rows(1.0, 2.0, 3.0)], OPEN, np.random.default_rng(1)) - [1, 2, 3]) / sigma
    np.testing.assert_allclose(np.cov(steps.T), np.eye(3), atol=0.035)
    np.testing.assert_allclose(steps.mean(axis=0), 0, atol=0.025)
    assert abs(np.mean(steps**4) - 3) < 0.15


def test_iso_line_spreads_along_the_line_and_a_little_around_it() -> None:
    x, y = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 1.0])
    children = IsoLine(0.1, 0.5).vary([rows(*x), rows(*y)], OPEN, np.random.default_rng(2))
    expected = 0.1**2 * np.eye(3) + 0.5**2 * np.outer(y - x, y - x)
    np.testing.assert_allclose(np.cov(children.T), expected, atol=0.04)
    np.testing.assert_allclose(children.mean(axis=0), x, atol=0.03)
    along = (y - x) / np.linalg.norm(y - x)
    across = (children - x) - np.outer((children - x) @ along, along)
    assert abs((across**2).sum(axis=1).mean() - 2 * 0.1**2) < 0.001


def test_iso_line_without_isotropic_noise_stays_on_the_line() -> None:
    children = IsoLine(0.0, 0.5).vary([rows(0.0, 0.0, 0.0), rows(1.0, 2.0, 3.0)], OPEN, np.random.default_rng(3))
    np.testing.assert_allclose(children, children[:, :1] * [1, 2, 3], rtol=1e-12)


@pytest.mark.parametrize("operator", [Gaussian(0.5), IsoLine(0.5, 0.5)])
def test_batches_of_many_blocks_are_as_independent_as_small_ones(operator: Gaussian | IsoLine) -> None:
    space = Box(-np.inf, np.inf, size=500)
    zeros = np.zeros((200, 500))
    children = operator.vary([zeros] * operator.arity, space, np.random.default_rng(4))
    assert abs(children.std() - 0.5) < 0.01
    assert len(np.unique(children)) == children.size


def test_polynomial_preserves_the_mean_at_the_centre_and_spreads_as_its_index_says() -> None:
    steps = Polynomial(eta=20, probability=1.0).vary([rows(0.0, 0.0, 0.0)], BOX, np.random.default_rng(5)) / 2
    assert abs(steps.mean()) < 0.002
    # far from the bounds the density is (eta + 1)/2 (1 - |step|)^eta, whose E|step| is 1/(eta + 2)
    assert abs(np.abs(steps).mean() - 1 / 22) < 0.001


@pytest.mark.parametrize("at", [-1.0, -0.97, 1.0])
def test_polynomial_matches_its_published_formula_and_never_meets_the_clip(at: float) -> None:
    space, eta = Box(-1.0, 1.0, size=1), 5.0
    children = Polynomial(eta, 1.0).vary([np.full((N, 1), at)], space, np.random.default_rng(6))[:, 0]
    u = np.sort(np.random.default_rng(7).random(N))
    below, above = 1 - (at + 1) / 2, 1 - (1 - at) / 2
    lower = (2 * u + (1 - 2 * u) * below ** (eta + 1)) ** (1 / (eta + 1)) - 1
    upper = 1 - (2 * (1 - u) + 2 * (u - 0.5) * above ** (eta + 1)) ** (1 / (eta + 1))
    expected = at + 2 * np.where(u < 0.5, lower, upper)
    quantiles = np.linspace(0.01, 0.99, 25)
    np.testing.assert_allclose(np.quantile(children, quantiles), np.quantile(expected, quantiles), atol=0.02)


def test_polynomial_moves_one_coordinate_on_average() -> None:
    space = Box(-1.0, 1.0, size=20)
    children = Polynomial().vary([np.zeros((N, 20))], space, np.random.default_rng(8))
    moved = (children != 0).sum(axis=1)
    assert abs(moved.mean() - 1) < 0.025
    assert abs(moved.var() - 0.95) < 0.05


def test_sbx_children_average_to_the_middle_of_their_parents() -> None:
    for space in (BOX, OPEN):
        children = SBX(2.0, 1.0).vary([rows(-0.3, 0.5, -0.1), rows(0.3, -0.5, 0.1)], space, np.random.default_rng(9))
        np.testing.assert_allclose(children.mean(axis=0), 0, atol=0.02)


def test_sbx_spreads_as_its_published_density_says() -> None:
    eta = 4.0
    children = SBX(eta, 1.0).vary([rows(-1.0, -1.0, -1.0), rows(1.0, 1.0, 1.0)], OPEN, np.random.default_rng(10))
    spread = np.abs(children)
    assert abs((spread <= 1).mean() - 0.5) < 0.01  # contracting and expanding alike
    quantiles = np.linspace(0.02, 0.98, 25)
    inverse = np.where(quantiles <= 0.5, (2 * quantiles) ** (1 / (eta + 1)), (0.5 / (1 - quantiles)) ** (1 / (eta + 1)))
    np.testing.assert_allclose(np.quantile(spread, quantiles), inverse, rtol=0.03)


def test_sbx_crosses_some_coordinates_and_takes_the_rest_from_one_parent() -> None:
    space = Box(-10.0, 10.0, size=50)
    first, second = np.full((2000, 50), -1.0), np.full((2000, 50), 1.0)
    children = SBX(15.0, 0.5).vary([first, second], space, np.random.default_rng(11))
    kept = np.abs(children) == 1.0
    assert abs(kept.mean() - 0.5) < 0.02
    sides = np.sign(np.where(kept, children, 0))
    assert (np.abs(sides.sum(axis=1)) == kept.sum(axis=1)).all()
    assert abs((sides.sum(axis=1) > 0).mean() - 0.5) < 0.06


def test_sbx_near_a_bound_never_needs_the_clip() -> None:
    space = Box(0.0, 1.0, size=1)
    children = SBX(0.5, 1.0).vary([np.full((N, 1), 0.01), np.full((N, 1), 0.2)], space, np.random.default_rng(12))
    assert (children > 0).all()
    assert (children < 1).all()


def test_sbx_copies_what_the_parents_share() -> None:
    children = SBX(probability=1.0).vary([rows(0.5, 0.5, 0.5), rows(0.5, 0.5, -0.5)], BOX, np.random.default_rng(13))
    assert (children[:, :2] == 0.5).all()


def test_uniform_takes_every_coordinate_from_either_parent_alike() -> None:
    children = Uniform().vary([rows(0.0, 0.0, 0.0), rows(1.0, 1.0, 1.0)], BOX, np.random.default_rng(14))
    np.testing.assert_allclose(np.cov(children.T), 0.25 * np.eye(3), atol=0.01)
    np.testing.assert_allclose(children.mean(axis=0), 0.5, atol=0.015)
