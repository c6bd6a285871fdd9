"""Linear projections, against the formulas written out coordinate by coordinate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError
from evo.testing import check_problem
from problems.projection import Projection, Rastrigin, Sphere

vectors = st.lists(st.floats(-30, 30), min_size=2, max_size=30)


def sphere(x: float) -> float:
    return (x - 2.048) ** 2


def rastrigin(x: float) -> float:
    return 10 + (x - 2.048) ** 2 - 10 * math.cos(2 * math.pi * (x - 2.048))


TERMS = [(Sphere, sphere), (Rastrigin, rastrigin)]


@pytest.mark.parametrize(("kind", "term"), TERMS)
@given(x=vectors)
def test_it_agrees_with_the_formula(kind: type[Projection], term: type, x: list[float]) -> None:
    found = kind(len(x)).evaluate_batch(np.array([x]))
    worst = len(x) * term(-5.12)
    folded = [value if abs(value) <= 5.12 else 5.12 / value for value in x]
    half = len(x) // 2
    expected = [100 * (worst - math.fsum(map(term, x))) / worst, math.fsum(folded[:half]), math.fsum(folded[half:])]
    assert found.measures is not None
    np.testing.assert_allclose([found.objectives[0, 0], *found.measures[0]], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", [Sphere, Rastrigin])
@pytest.mark.parametrize("dimensions", [2, 7, 20, 100, 600])
def test_it_keeps_a_problems_promises(kind: type[Projection], dimensions: int) -> None:
    check_problem(kind(dimensions), n=150)
    far = 10 * np.random.default_rng(1).standard_normal((80, dimensions))
    check_problem(kind(dimensions), genomes=far)


@pytest.mark.parametrize("kind", [Sphere, Rastrigin])
def test_memory_layout_does_not_change_a_bit(kind: type[Projection]) -> None:
    genomes = 4 * np.random.default_rng(0).standard_normal((97, 33))
    found, again = kind(33).evaluate_batch(genomes), kind(33).evaluate_batch(np.asfortranarray(genomes))
    assert found.measures is not None
    assert again.measures is not None
    assert again.objectives.tobytes() == found.objectives.tobytes()
    assert again.measures.tobytes() == found.measures.tobytes()


@pytest.mark.parametrize("kind", [Sphere, Rastrigin])
def test_the_optimum_is_worth_100_and_the_corner_0(kind: type[Projection]) -> None:
    found = kind(6).evaluate_batch(np.array([[2.048] * 6, [-5.12] * 6]))
    np.testing.assert_allclose(found.objectives[:, 0], [100, 0], atol=1e-12)


def test_a_coordinate_on_the_rim_is_not_folded_and_one_beyond_it_is() -> None:
    found = Sphere(2).evaluate_batch(np.array([[5.12, -5.12], [10.24, -20.48]]))
    assert found.measures is not None
    np.testing.assert_array_equal(found.measures, [[5.12, -5.12], [0.5, -0.25]])


def test_the_measures_reach_as_far_as_the_halves_can() -> None:
    assert [(measure.low, measure.high) for measure in Sphere(5).measures] == [(-10.24, 10.24), (-15.36, 15.36)]


def test_it_starts_at_the_origin_and_is_shown_with_its_value() -> None:
    problem = Sphere(2)
    assert problem.space.stack(problem.initial()).tolist() == [[0.0, 0.0]]
    assert problem.show([2.048, 0.0]) == "value 95.92 at (+2.05, +0.00), x 2.048 0.000"


def test_a_projection_has_two_halves() -> None:
    with pytest.raises(ConfigError, match="Rastrigin: expected dimensions >= 2"):
        Rastrigin(1)
