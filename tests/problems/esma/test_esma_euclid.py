"""The compiled Euclid against exact intervals: no term that could be wrong, few that could be had are missing."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import flint
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evo.errors import ConfigError
from problems.esma.euclid import ENDED, MORE, OK, WIDE, expand, expand_exact, limbs

NARROW = 1 << 31
EXPONENTS = {"e": 1, "exp(-20)": -20, "exp(20)": 20}


def powers_of(name: str, degree: int, bits: int) -> list[int]:
    if name == "sqrt 2":  # its even powers are whole, which balls cannot tell
        return [math.isqrt(1 << (2 * bits + i)) for i in range(degree + 1)]
    with flint.ctx.workprec(bits + 400):
        value = flint.arb.pi() if name == "pi" else flint.arb(EXPONENTS[name]).exp()
        return [int((value**i * flint.arb(2) ** bits).floor().unique_fmpz()) for i in range(degree + 1)]


def expanded(
    numerators: NDArray[np.int64], denominators: NDArray[np.int64], powers: list[int], wanted: int
) -> list[tuple[list[int], int]]:
    rows = len(numerators)
    terms, counts = np.full((rows, wanted), -7, np.int64), np.empty(rows, np.int64)
    status = np.empty(rows, np.uint8)
    expand(numerators, denominators, limbs(powers), terms, counts, status)
    return [(terms[i, : counts[i]].tolist(), int(status[i])) for i in range(rows)]


def of_pair(p: int, q: int, wanted: int) -> tuple[list[int], int]:
    """Two integers that were rounded down, as the powers of two one-coefficient polynomials."""
    return expanded(np.array([[1, 0]]), np.array([[0, -1]]), [p, q], wanted)[0]


def agree(found: tuple[list[int], int], p: int, q: int, error: int, wanted: int) -> None:
    """What was found is right, nearly complete, and its status says why it ends."""
    terms, status = found
    exact = expand_exact(p, q, error, error, wanted)
    assert terms == exact[: len(terms)]
    narrow = list(itertools.takewhile(lambda term: term < NARROW, exact))
    assert len(terms) >= 0.97 * len(narrow) - 3
    assert len(terms) <= wanted
    assert (status == OK) == (len(terms) == wanted)
    assert max(terms, default=0) < NARROW
    if status == WIDE and len(exact) > len(terms):
        assert exact[len(terms)] >= NARROW


def continuant(terms: list[int]) -> tuple[int, int]:
    p, q = 1, 0
    for term in reversed(terms):
        p, q = term * p + q, p
    return p, q


def combined(row: NDArray[np.int64], powers: list[int]) -> int:
    return abs(sum(int(c) * power for c, power in zip(row, powers, strict=True)))


@pytest.mark.parametrize("name", ["pi", "sqrt 2", *EXPONENTS])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_many_random_left_hand_sides_agree_with_exact_intervals_and_with_more_bits(name: str, degree: int) -> None:
    rng = np.random.default_rng(degree)
    for bits, size, rows in ((64, 3, 60), (100, 10, 60), (320, 10, 60), (512, 1000, 20), (1500, 5, 4)):
        coefficients = rng.integers(-size, size + 1, (2, rows, degree + 1))
        coarse, fine = powers_of(name, degree, bits), powers_of(name, degree, 3 * bits)
        wanted = bits // 4
        for found, above, below in zip(expanded(*coefficients, coarse, wanted), *coefficients, strict=True):
            error = int(max(abs(above).sum(), abs(below).sum()))
            agree(found, combined(above, coarse), combined(below, coarse), error, wanted)
            truth = expand_exact(combined(above, fine), combined(below, fine), error, error, wanted)
            assert found[0] == truth[: len(found[0])]


terms_of_all_sizes = st.lists(
    st.one_of(
        st.just(1),
        st.integers(1, 4),
        st.integers(1, 1000),
        st.integers(NARROW - 3, NARROW + 3),
        st.integers(NARROW // 4, NARROW * 8),
        st.sampled_from([1 << 29, 1 << 30, (1 << 33) - 1, 1 << 33, 1 << 63, 1 << 64, 1 << 65, 1 << 200]),
    ),
    min_size=1,
    max_size=120,
)


@settings(max_examples=300)
@given(
    terms=terms_of_all_sizes,
    below_one=st.booleans(),
    bits=st.integers(64, 2000),
    wanted=st.integers(1, 130),
    noise=st.tuples(st.integers(-2, 2), st.integers(-2, 2)),
)
@example(terms=[1] * 120, below_one=False, bits=64, wanted=130, noise=(0, 0))
@example(terms=[1, NARROW - 1] * 20, below_one=False, bits=1400, wanted=40, noise=(0, 0))
@example(terms=[3, 1, 1 << 65, 5], below_one=True, bits=600, wanted=10, noise=(0, 1))
@example(terms=[1 << 200], below_one=False, bits=300, wanted=2, noise=(0, 0))
def test_a_chosen_fraction_comes_back_as_far_as_its_bits_tell(
    terms: list[int], below_one: bool, bits: int, wanted: int, noise: tuple[int, int]
) -> None:
    p, q = continuant([0, *terms] if below_one else terms)
    scale = (1 << bits) // max(p, q) + 1
    p, q = max(0, p * scale + noise[0]), max(0, q * scale + noise[1])
    agree(of_pair(p, q, wanted), p, q, 1, wanted)


@settings(max_examples=500)
@given(data=st.data(), bits=st.integers(1, 4000), wanted=st.integers(1, 200))
def test_any_two_integers_agree_with_exact_intervals(data: st.DataObject, bits: int, wanted: int) -> None:
    p = data.draw(st.integers(0, 1 << bits))
    near = st.integers(-(1 << (bits // 2)), 1 << (bits // 2)).map(lambda gap: max(0, p + gap))
    q = data.draw(st.one_of(st.integers(0, 1 << bits), near, st.integers(0, 4), st.just(p)))
    agree(of_pair(p, q, wanted), p, q, 1, wanted)
    agree(of_pair(q, p, wanted), q, p, 1, wanted)


@pytest.mark.parametrize("last", range(NARROW - 4, NARROW + 4))
@pytest.mark.parametrize("before", [[], [1], [2, 1, 1], [5] * 30])
def test_terms_on_either_side_of_the_limit_are_narrow_and_wide(before: list[int], last: int) -> None:
    p, q = continuant([*before, last, 3, 7, 2])
    scale = 1 << 600
    found, status = of_pair(p * scale, q * scale, len(before) + 3)
    if last < NARROW:
        assert (found, status) == ([*before, last, 3, 7], OK)
    else:
        assert (found, status) == (before, WIDE)


def test_the_terms_of_known_numbers_appear() -> None:
    powers = powers_of("e", 1, 320)
    (e, of_e), (half, _) = expanded(np.array([[0, -1], [1, 1]]), np.array([[1, 0], [-2, 2]]), powers, 64)
    assert of_e == OK
    assert e == [2, *(term for m in range(1, 22) for term in (1, 2 * m, 1))]
    assert half[:6] == [1, 12, 5, 28, 9, 44]
    root, _ = expanded(np.array([[0, 1]]), np.array([[1, 0]]), powers_of("sqrt 2", 1, 320), 64)[0]
    assert root == [1] + [2] * 63


def test_golden_ratios_use_nearly_all_bits() -> None:
    p, q = continuant([1] * 3000)
    shift = p.bit_length() - 1000
    found, status = of_pair(p >> shift, q >> shift, 3000)
    assert status == MORE
    assert set(found) == {1}
    assert len(found) >= 1000 / 1.3885 - 8


def test_what_cannot_be_told_from_zero_has_no_terms() -> None:
    whole = 1 << 300
    for p, q in ((0, whole), (1, whole), (2, whole), (whole, 0), (whole, 1), (0, 0), (1, 1)):
        assert of_pair(p, q, 5) == ([], ENDED)
    nothing = expanded(np.array([[0, 0], [1, -1]]), np.array([[1, 0], [3, 2]]), [whole, whole], 5)
    assert nothing == [([], ENDED), ([], ENDED)]


def test_a_rational_value_ends_without_its_last_term() -> None:
    whole = 1 << 400
    assert of_pair(7 * whole, 3 * whole, 9) == ([2], ENDED)
    assert of_pair(whole, whole, 9) == ([], ENDED)
    assert of_pair(7 * whole - 1, 3 * whole, 9)[1] == ENDED
    assert of_pair(3 * whole, 7 * whole, 9) == ([0, 2], ENDED)


def test_a_row_is_the_same_in_any_batch_and_inputs_may_be_read_only() -> None:
    rng = np.random.default_rng(5)
    above, below = rng.integers(-9, 10, (2, 200, 3))
    powers = powers_of("pi", 2, 200)
    together = expanded(above, below, powers, 70)
    for array in (above, below):
        array.setflags(write=False)
    alone = [expanded(above[i : i + 1], below[i : i + 1], powers, 70)[0] for i in range(200)]
    assert together == alone
    assert {status for _, status in together} >= {MORE}


def test_no_rows_and_no_terms_are_fine() -> None:
    none = np.empty((0, 2), np.int64)
    assert expanded(none, none, [1, 1], 5) == []
    assert of_pair(3 << 90, 2 << 90, 0) == ([], OK)


@pytest.mark.parametrize("large", [NARROW, -NARROW, 2**63 - 1, -(2**63)])
def test_coefficients_too_large_for_the_limbs_are_refused(large: int) -> None:
    with pytest.raises(ValueError, match="coefficients"):
        expanded(np.array([[large, 1]]), np.array([[1, 2]]), [1 << 90, 1 << 91], 5)
    with pytest.raises(ValueError, match="coefficients"):
        expanded(np.array([[1, 2]]), np.array([[NARROW // 2, -NARROW // 2]]), [1 << 90, 1 << 91], 5)


def test_the_largest_coefficients_do_not_overflow() -> None:
    powers = [(1 << 512) - 1, (1 << 512) - 12345]
    for above, below in (([NARROW - 1, 0], [1, 1 - NARROW // 2]), ([2 - NARROW, 1], [NARROW - 2, 1])):
        found = expanded(np.array([above]), np.array([below]), powers, 60)[0]
        p, q = combined(np.array(above), powers), combined(np.array(below), powers)
        agree(found, p, q, max(sum(map(abs, above)), sum(map(abs, below))), 60)


def test_shapes_that_do_not_match_are_refused() -> None:
    two, three = np.ones((4, 2), np.int64), np.ones((4, 3), np.int64)
    terms, counts, status = np.empty((4, 8), np.int64), np.empty(4, np.int64), np.empty(4, np.uint8)
    with pytest.raises(ValueError, match="powers"):
        expand(two, three, limbs([1, 1]), terms, counts, status)
    with pytest.raises(ValueError, match="powers"):
        expand(three, three, limbs([1, 1]), terms, counts, status)
    with pytest.raises(ValueError, match="a row for each"):
        expand(two, two, limbs([1, 1]), terms[:3], counts, status)


@given(values=st.lists(st.integers(0, 1 << 500), max_size=5))
def test_limbs_hold_the_integers(values: list[int]) -> None:
    rows = limbs(values)
    assert [sum(int(limb) << (32 * i) for i, limb in enumerate(row)) for row in rows] == values


def test_limbs_of_negative_integers_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 0"):
        limbs([3, -1])


def plain(x: Fraction, wanted: int) -> list[int]:
    terms: list[int] = []
    while len(terms) < wanted:
        terms.append(x.numerator // x.denominator)
        if x == terms[-1]:
            break
        x = 1 / (x - terms[-1])
    return terms


@given(
    p=st.integers(0, 10**6),
    q=st.integers(1, 10**6),
    errors=st.tuples(st.integers(0, 90), st.integers(0, 90)),
    data=st.data(),
)
def test_exact_terms_are_shared_by_all_numbers_in_the_interval(
    p: int, q: int, errors: tuple[int, int], data: st.DataObject
) -> None:
    found = expand_exact(p, q, *errors, 40)
    assert found == expand_exact(flint.fmpz(p), flint.fmpz(q), *map(flint.fmpz, errors), 40)
    assert all(type(term) is int for term in found)
    if found:
        above = data.draw(st.integers(p - errors[0], p + errors[0]))
        below = data.draw(st.integers(q - errors[1], q + errors[1]))
        assert plain(Fraction(above, below), 40)[: len(found)] == found


@given(p=st.integers(0, 1 << 300), q=st.integers(1, 1 << 300))
def test_without_errors_the_exact_expansion_is_whole(p: int, q: int) -> None:
    found = expand_exact(p, q, 0, 0, 1000)
    assert found == plain(Fraction(p, q), 1000)
    assert expand_exact(p, q, 0, 0, 3) == found[:3]
