"""Left-hand sides over algebraic constants: one for each irrational value, the simplest, by exact comparison."""

from __future__ import annotations

import itertools
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.errors import ConfigError
from problems.esma.constant import Constant
from problems.esma.field import LARGEST, check_size, simplest
from problems.esma.left_hand_side import pairs

CONSTANTS = ("phi", "sqrt(2)", "cbrt(2)", "sqrt(2)+sqrt(3)", "-sqrt(7)", "sqrt(3/5)")
PLACES = 60


def number(text: str) -> mpmath.mpf:
    """The constant, by a library of its own."""
    with mpmath.workdps(2 * PLACES):
        root = mpmath.sqrt
        return {
            "phi": (1 + root(5)) / 2,
            "sqrt(2)": root(2),
            "cbrt(2)": mpmath.cbrt(2),
            "sqrt(2)+sqrt(3)": root(2) + root(3),
            "-sqrt(7)": -root(7),
            "sqrt(3/5)": root(mpmath.mpf(3) / 5),
        }[text]


def key(value: mpmath.mpf) -> int:
    """Equal for equal values, which are far fewer and farther apart than 10**-PLACES."""
    return int(mpmath.nint(abs(value) * mpmath.mpf(10) ** PLACES))


def rational(value: mpmath.mpf) -> bool:
    whole = Fraction(key(value), 10**PLACES)
    return abs(whole - whole.limit_denominator(10**6)) < Fraction(1, 10 ** (PLACES - 10))


def by_force(text: str, degree: int, limit: int) -> dict[int, list[tuple[tuple[int, ...], tuple[int, ...]]]]:
    """value -> the pairs of the box, with positive highest coefficients, that have it."""
    found: dict[int, list[tuple[tuple[int, ...], tuple[int, ...]]]] = {}
    c = number(text)
    with mpmath.workdps(2 * PLACES):
        powers = [c**i for i in range(degree + 1)]
        box = [
            (row, sum(a * power for a, power in zip(row, powers, strict=True)))
            for row in itertools.product(range(-limit, limit + 1), repeat=degree + 1)
            if any(row) and [a for a in row if a][-1] > 0
        ]
        nonzero = [(row, value) for row, value in box if abs(value) > mpmath.mpf(10) ** -PLACES]
        for (p, above), (q, below) in itertools.product(nonzero, repeat=2):
            value = above / below
            if not rational(value):
                found.setdefault(key(value), []).append((p, q))
    return found


def minimal(text: str) -> tuple[int, ...]:
    found = Constant(text).minimal_polynomial
    assert found is not None
    return found


def every(text: str, degree: int, limit: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    above, below = simplest(0, pairs(degree, limit), degree, limit, minimal(text))
    return [(tuple(p), tuple(q)) for p, q in zip(above.tolist(), below.tolist(), strict=True)]


def size(pair: tuple[tuple[int, ...], tuple[int, ...]]) -> int:
    return sum(map(abs, itertools.chain(*pair)))


BOXES = [(text, 1, 2) for text in CONSTANTS] + [("phi", 2, 1), ("sqrt(2)", 2, 1), ("cbrt(2)", 2, 1)]


@pytest.mark.parametrize(("text", "degree", "limit"), BOXES)
def test_each_irrational_value_of_the_box_is_there_once_and_written_as_simply_as_can_be(
    text: str, degree: int, limit: int
) -> None:
    expected = by_force(text, degree, limit)
    found = every(text, degree, limit)
    value_of = {pair: value for value, several in expected.items() for pair in several}
    assert len(found) == len(expected) > 10
    assert {value_of[pair] for pair in found} == set(expected)
    for pair in found:
        assert size(pair) == min(map(size, expected[value_of[pair]]))


@pytest.mark.parametrize(("text", "count"), [("phi", 50), ("sqrt(2)", 70), ("cbrt(2)", 112)])
def test_there_are_fewer_values_the_more_of_them_coincide(text: str, count: int) -> None:
    assert len(every(text, 1, 2)) == count


@pytest.mark.parametrize(("text", "degree", "limit"), [("phi", 1, 5), ("phi", 3, 1), ("sqrt(2)+sqrt(3)", 3, 1)])
def test_larger_boxes_hold_each_value_once(text: str, degree: int, limit: int) -> None:
    expected = by_force(text, degree, limit)
    value_of = {pair: value for value, several in expected.items() for pair in several}
    found = every(text, degree, limit)
    assert len(found) == len(expected)
    assert {value_of[pair] for pair in found} == set(expected)


def test_where_polynomials_vanish_or_quotients_are_rational_there_is_nothing() -> None:
    found = every("phi", 2, 1)
    assert ((-1, -1, 1), (1, 0, 0)) not in found  # phi^2 - phi - 1 is 0
    assert ((1, 0, 0), (-1, -1, 1)) not in found
    assert ((1, 1, 0), (0, 0, 1)) not in found  # phi + 1 is phi^2
    assert any(p == (0, 1, 0) for p, _ in found)


@settings(deadline=None)
@given(st.lists(st.integers(0, 144), max_size=6))
def test_where_it_is_cut_makes_no_difference(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), 144]
    parts = [simplest(a, b, 1, 2, minimal("phi")) for a, b in itertools.pairwise(edges)]
    whole = simplest(0, 144, 1, 2, minimal("phi"))
    for i in range(2):
        assert np.concatenate([part[i] for part in parts]).tolist() == whole[i].tolist()


def test_a_box_of_too_many_pairs_is_refused() -> None:
    assert pairs(1, 18) < LARGEST < pairs(1, 19)
    check_size(1, 18)
    with pytest.raises(ConfigError, match=r"^coefficients: over an algebraic constant at most 500,000 pairs"):
        check_size(1, 19)


@pytest.mark.parametrize("degree", [4, 5])
def test_values_beyond_64_bits_are_refused_and_never_wrong(degree: int) -> None:
    with pytest.raises(ConfigError, match=r"^coefficients: .* exceed 64 bits; lower them or the degree"):
        every("sqrt(1000003/999983)", degree, 1)
