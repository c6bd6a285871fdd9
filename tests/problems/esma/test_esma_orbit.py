"""Orbits: what fractional-linear maps leave alone, and rankings against sorting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evo.errors import ConfigError
from problems.esma.orbit import Key, best_variants, by_rate, by_simplicity, orbit_key, orbits, primitives

small = st.integers(-6, 6)
matrices = st.tuples(small, small, small, small).filter(lambda m: m[0] * m[3] != m[1] * m[2])
sides = st.lists(small, min_size=4, max_size=4)
factors = st.lists(small, min_size=1, max_size=3).filter(any)

GOLDEN = (-1, -1, 1)
CUBE_ROOT_OF_2 = (-2, 0, 0, 1)
FOURTH_ROOT_OF_2 = (-2, 0, 0, 0, 1)
ROOTS_OF_2_AND_3 = (1, 0, -10, 0, 1)
FIELDS = [None, GOLDEN, CUBE_ROOT_OF_2, FOURTH_ROOT_OF_2, ROOTS_OF_2_AND_3, (-1, -1, 0, 0, 0, 1)]


def key_of(p: list[int], q: list[int], minimal_polynomial: tuple[int, ...] | None) -> Key:
    try:
        return orbit_key(p, q, minimal_polynomial)
    except ConfigError:
        assume(False)
        raise


def times(p: list[int], q: list[int]) -> list[int]:
    return np.convolve(p, q).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("minimal_polynomial", FIELDS, ids=str)
@given(p=sides, q=sides, matrix=matrices)
def test_fractional_linear_maps_keep_the_orbit(
    p: list[int], q: list[int], matrix: tuple[int, int, int, int], minimal_polynomial: tuple[int, ...] | None
) -> None:
    a, b, c, d = matrix
    key = key_of(p, q, minimal_polynomial)
    mapped = [[x * s + y * t for s, t in zip(p, q, strict=True)] for x, y in ((a, b), (c, d))]
    assert orbit_key(*mapped, minimal_polynomial) == key


@pytest.mark.parametrize("minimal_polynomial", [None, GOLDEN, CUBE_ROOT_OF_2], ids=str)
@given(p=sides, q=sides, factor=factors)
def test_common_factors_keep_the_orbit(
    p: list[int], q: list[int], factor: list[int], minimal_polynomial: tuple[int, ...] | None
) -> None:
    if minimal_polynomial is not None:  # times zero, nothing is left of a left-hand side
        assume(np.polydiv(factor[::-1], minimal_polynomial[::-1])[1].any())
    key = key_of(p, q, minimal_polynomial)
    assert orbit_key(times(p, factor), times(q, factor), minimal_polynomial) == key


@given(p=sides, q=sides, zeros=st.integers(0, 3))
def test_zeros_beyond_the_degree_keep_the_orbit(p: list[int], q: list[int], zeros: int) -> None:
    key = key_of(p, q, None)
    assert orbit_key(p + [0] * zeros, q) == key


def test_polynomials_of_a_transcendental_number_keep_apart() -> None:
    assert orbit_key([0, 1], [1]) == orbit_key([3, 2], [1, 5]) == ((1,), (0, 1))
    assert orbit_key([0, 0, 1], [1]) == ((1,), (0, 0, 1))
    assert orbit_key([1, 2, 3], [2]) == ((1,), (0, 2, 3))
    assert orbit_key([0, 0, 1], [0, 1]) == orbit_key([0, 1], [1])  # e^2/e


def test_quadratic_constants_have_one_orbit() -> None:
    keys = {
        orbit_key([a, b, c], [d, 1], GOLDEN) for a in range(3) for b in range(2, 5) for c in range(3) for d in (3, 4)
    }
    assert keys == {((1,), (0, 1))}


def test_cubic_values_have_one_orbit_in_their_field() -> None:
    assert orbit_key([0, 1], [1], CUBE_ROOT_OF_2) == orbit_key([5, 1, 2], [0, 3, -1], CUBE_ROOT_OF_2)


def test_quadratic_values_in_a_larger_field_go_by_their_own_field() -> None:
    root_2 = orbit_key([0, 0, 1], [1], FOURTH_ROOT_OF_2)
    assert root_2 == orbit_key([0, 0, 0, 1], [0, 1], FOURTH_ROOT_OF_2) == ((1,), (0, 0, 1))
    assert root_2 != orbit_key([0, 1], [1], FOURTH_ROOT_OF_2)
    # With c = sqrt2 + sqrt3: sqrt6 = (c^2 - 5)/2, sqrt2 = (c^3 - 9c)/2, sqrt3 = (11c - c^3)/2.
    roots = [([-5, 0, 1], [2]), ([0, -9, 0, 1], [2]), ([0, 11, 0, -1], [2])]
    assert len({orbit_key(p, q, ROOTS_OF_2_AND_3) for p, q in roots}) == 3


@pytest.mark.parametrize(
    ("p", "q", "minimal_polynomial"),
    [
        ([1, 2], [2, 4], None),
        ([0], [1, 2], None),
        ([1, 2], [0, 0], None),
        ([], [], None),
        ([-1, -1, 1], [0, 1], GOLDEN),
        ([0, 1], [-1, -1, 1], GOLDEN),
        ([1, 1], [0, 0, 1], GOLDEN),
    ],
)
def test_rational_values_have_no_orbit(p: list[int], q: list[int], minimal_polynomial: tuple[int, ...] | None) -> None:
    with pytest.raises(ConfigError, match="not rational"):
        orbit_key(p, q, minimal_polynomial)


@pytest.mark.parametrize("minimal_polynomial", [None, GOLDEN, FOURTH_ROOT_OF_2], ids=str)
def test_many_left_hand_sides_get_the_keys_of_each(minimal_polynomial: tuple[int, ...] | None) -> None:
    sampled = np.random.default_rng(1).integers(-2, 3, (600, 2, 3))
    rows, keys = [], []
    for p, q in sampled.tolist():
        try:
            keys.append(orbit_key(p, q, minimal_polynomial))
            rows.append((p, q))
        except ConfigError:
            continue
    sides = np.array(rows, dtype=np.int64)
    orbit, names = orbits(np.ascontiguousarray(sides[:, 0]), np.ascontiguousarray(sides[:, 1]), minimal_polynomial)
    assert [names[i] for i in orbit] == keys
    assert names == list(dict.fromkeys(keys))


def test_degree_one_is_one_orbit_and_none_is_none() -> None:
    sides = np.array([[0, 1], [1, 2], [-1, 1], [2**31 - 1, 5]])
    orbit, names = orbits(sides, np.array([[5, 1], [2, 2], [0, 3], [1, 1]]))
    assert orbit.tolist() == [0, 0, 0, 0]
    assert names == [((1,), (0, 1))]
    empty = np.empty((0, 2), dtype=np.int64)
    assert orbits(empty, empty)[0].shape == (0,)


def test_large_coefficients_and_odd_shapes_are_refused() -> None:
    one, large = np.array([[1, 0]]), np.array([[-(2**31), 1]])
    with pytest.raises(ConfigError, match="below 2\\*\\*31"):
        orbits(large, one)
    with pytest.raises(ConfigError, match="equal \\(n, width\\)"):
        orbits(one, np.array([[1, 0, 0]]))
    with pytest.raises(ConfigError, match="not rational"):
        orbits(one, 2 * one)


columns = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2), st.integers(0, 2), st.integers(0, 3)),
    max_size=30,
)


@given(rows=columns, most=st.integers(1, 3))
def test_rankings_are_those_of_sorting_by_hand(rows: list[tuple[int, int, int, int, int]], most: int) -> None:
    table = np.array(rows, dtype=np.int64).reshape(-1, 5)
    cost, rate = table[:, 0] / 2, table[:, 1] / 3
    p, q, orbit = table[:, 2:3], table[:, 3:4], table[:, 4].astype(np.intp)
    by_hand = sorted(range(len(rows)), key=lambda i: (cost[i], -rate[i], *rows[i][2:4]))
    order = by_simplicity(cost, rate, p, q)
    assert order.tolist() == by_hand
    assert by_rate(cost, rate, p, q).tolist() == sorted(by_hand, key=lambda i: (-rate[i], cost[i], *rows[i][2:4]))
    seen: list[int] = []
    for i in by_hand:
        if sum(rows[k][4] == rows[i][4] for k in seen) < most:
            seen.append(i)
    assert best_variants(orbit, order, most).tolist() == seen
    firsts = {rows[i][4]: i for i in reversed(by_hand)}
    assert primitives(orbit, order).tolist() == sorted(firsts.values(), key=by_hand.index)
