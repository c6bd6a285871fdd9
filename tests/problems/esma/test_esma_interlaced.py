"""Interlaced laws: found against brute force, fitted against evaluation, certified against looking far ahead."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from problems.esma.interlaced import (
    MAX_DEGREE,
    detect,
    detect_exact,
    newton,
    newton_exact,
    predicted_until,
    stays_regular,
)

Rows = list[list[int]]

patterns = st.lists(st.sampled_from([-1, 1]), min_size=1, max_size=4)
preperiods = st.lists(st.integers(0, 9), max_size=6)


@st.composite
def laws(draw: st.DrawFn, periods: int = 6, degrees: int = 3) -> Rows:
    k, d = draw(st.integers(1, periods)), draw(st.integers(0, degrees))
    return [[draw(st.integers(0, 6)) for _ in range(d + 1)] for _ in range(k)]


def at(row: Sequence[int], m: int) -> int:
    return sum(c * comb(m, i) for i, c in enumerate(row))


def terms_of(preperiod: list[int], rows: Rows, count: int) -> list[int]:
    later = (at(rows[n % len(rows)], n // len(rows)) for n in range(count - len(preperiod)))
    return [*preperiod, *later][:count]


def found_in(terms: Sequence[int], max_order: int = 23, matched: int = 10) -> tuple[int, int, int]:
    found = detect(np.array(terms, np.int64), len(terms), max_order, matched)
    assert found == detect_exact(terms, max_order, matched)
    return found


def by_brute_force(terms: list[int], max_order: int, matched: int) -> tuple[int, int, int]:
    """Fits every law at every place and evaluates it, instead of looking at differences."""
    n, laws = len(terms), []
    for k in range(1, max_order + 1):
        for d in range(max_order // k):
            order = k * (d + 1)
            for r in range(n - order - matched + 1):
                rows = newton_exact(terms, k, d, r)
                if terms[r:] == terms_of([], rows, n - r):
                    laws.append((r + order, order, k, d, r))
                    break
    return min(laws)[2:] if laws else (0, 0, 0)


@given(
    terms=st.lists(st.integers(0, 2), min_size=1, max_size=22),
    max_order=st.integers(1, 8),
    matched=st.integers(1, 6),
)
def test_it_finds_what_brute_force_finds(terms: list[int], max_order: int, matched: int) -> None:
    assert found_in(terms, max_order, matched) == by_brute_force(terms, max_order, matched)


@given(
    preperiod=preperiods,
    rows=laws(3, 2),
    length=st.integers(1, 40),
    max_order=st.integers(1, 12),
    matched=st.integers(1, 9),
)
def test_it_finds_what_brute_force_finds_where_there_are_laws(
    preperiod: list[int], rows: Rows, length: int, max_order: int, matched: int
) -> None:
    terms = terms_of(preperiod, rows, length)
    assert found_in(terms, max_order, matched) == by_brute_force(terms, max_order, matched)


@given(preperiod=preperiods, rows=laws())
def test_the_law_it_finds_predicts_hidden_terms(preperiod: list[int], rows: Rows) -> None:
    order = len(rows) * len(rows[0])
    terms = terms_of(preperiod, rows, 400)
    k, d, r = found_in(terms[: 2 * order + len(preperiod) + 40], order)
    assert 0 < k * (d + 1) <= order
    assert r <= len(preperiod)
    assert len(rows) % k == 0
    assert terms_of(terms[:r], newton_exact(terms, k, d, r), 400) == terms


@given(preperiod=preperiods, rows=laws(), length=st.integers(60, 130))
def test_twice_as_many_terms_never_lose_a_law(preperiod: list[int], rows: Rows, length: int) -> None:
    terms = terms_of(preperiod, rows, 2 * length)
    found = found_in(terms[:length], 24, 20)
    assert found_in(terms, 24, 20) == found
    assert found[0] > 0


KNOWN_LAWS: list[tuple[list[int], Rows]] = [
    ([2], [[1], [2, 2], [1]]),
    ([], [[2, 4]]),
    ([5, 2], [[3], [2, 2], [3], [1], [2, 2], [1]]),
    ([7], [[2, 3], [1], [1], [3, 3], [18, 12]]),
    ([2, 3, 2, 1, 2], [[2], [5, 2]]),
    ([], [[1]]),
    ([1], [[2]]),
    ([3, 3], [[0, 0, 0, 1]]),
]


@pytest.mark.parametrize(("preperiod", "rows"), KNOWN_LAWS)
def test_it_finds_just_the_law_of_a_known_fraction(preperiod: list[int], rows: Rows) -> None:
    k, d = len(rows), max(len(row) for row in rows) - 1
    terms = terms_of(preperiod, rows, 100)
    assert found_in(terms, 23, 20) == (k, d, len(preperiod))
    fitted = np.empty((k, d + 1), np.int64)
    newton(np.array(terms), k, d, len(preperiod), fitted)
    full = [row + [0] * (d + 1 - len(row)) for row in rows]
    assert fitted.tolist() == full == newton_exact(terms, k, d, len(preperiod))


@pytest.mark.parametrize(("k", "d"), [(1, 0), (23, 0), (1, 22), (7, 2), (11, 1)])
def test_the_largest_order_is_found_and_one_more_is_not(k: int, d: int) -> None:
    rows = [[(3 * j) % 7 + 1] * d + [j + 1] for j in range(k)]
    if d > 6:
        rows = [[0] * d + [1]]
    terms = terms_of([9, 8], rows, 2 + k * (d + 1) + 8)
    assert found_in(terms, k * (d + 1), 8) == (k, d, 2)
    assert found_in(terms, k * (d + 1) - 1, 8) == (0, 0, 0)


def test_exactly_as_many_predicted_terms_as_asked_for_are_enough() -> None:
    terms = terms_of([9, 4], [[1], [2, 2], [1]], 2 + 6 + 11)
    assert found_in(terms, 23, 11) == (3, 1, 2)
    assert found_in(terms[:-1], 23, 11) == (0, 0, 0)


def test_equal_terms_at_the_end_do_not_hide_the_law() -> None:
    rows = [[3], *([[2]] * 15)]
    terms = terms_of([], rows, 96)
    assert terms[-15:] == [2] * 15
    assert found_in(terms, 23, 8) == (16, 0, 0)


def test_equal_terms_at_the_end_are_a_law_of_their_own() -> None:
    assert found_in([5, 1, 4, 9, *([2] * 20)], 23, 10) == (1, 0, 4)


@pytest.mark.parametrize("max_order", [0, -1])
def test_no_order_finds_nothing(max_order: int) -> None:
    assert found_in([1] * 50, max_order, 10) == (0, 0, 0)


def test_degrees_beyond_the_exact_ones_are_not_looked_for() -> None:
    rows = [[0] * (MAX_DEGREE + 1) + [1]]
    assert found_in(terms_of([], rows, 40), 40, 2) == (0, 0, 0)
    assert found_in(terms_of([], [rows[0][1:]], 40), 40, 2) == (1, MAX_DEGREE, 0)


@given(data=st.data(), k=st.integers(1, 3), d=st.integers(0, 12))
def test_the_largest_terms_leave_nothing_to_chance(data: st.DataObject, k: int, d: int) -> None:
    edge = st.sampled_from([0, 1, 2**31 - 1, 2**31 + 1])
    terms = data.draw(st.lists(edge, min_size=k * (d + 1) + 2, max_size=60))
    found_in(terms, k * (d + 1), 1)


@given(preperiod=preperiods, rows=laws(), data=st.data())
def test_a_broken_term_is_where_the_prediction_ends(preperiod: list[int], rows: Rows, data: st.DataObject) -> None:
    k, d, r = len(rows), len(rows[0]) - 1, len(preperiod)
    terms = terms_of(preperiod, rows, 100)
    assert predicted_until(np.array(terms), 100, k, d, r) == 100
    broken = data.draw(st.integers(r + k * (d + 1), 99))
    terms[broken] += 1
    assert predicted_until(np.array(terms), 100, k, d, r) == broken
    assert predicted_until(np.array(terms), broken, k, d, r) == broken


def is_regular_for(rows: Rows, signs: list[int], r: int, count: int) -> bool:
    terms = terms_of([], rows, count)
    fine = all(a >= (1 if signs[(r + n) % len(signs)] > 0 else 2) for n, a in enumerate(terms) if r + n > 0)
    return fine and not (set(signs) == {-1} and set(terms[-60:]) == {2})


@given(
    rows=st.integers(0, 2).flatmap(
        lambda d: st.lists(st.lists(st.integers(-3, 4), min_size=d + 1, max_size=d + 1), min_size=1, max_size=3)
    ),
    signs=patterns,
    r=st.integers(0, 3),
)
def test_the_certificate_agrees_with_looking_far_ahead(rows: Rows, signs: list[int], r: int) -> None:
    assert stays_regular(rows, signs, r) == is_regular_for(rows, signs, r, 400)


def test_a_polynomial_that_dips_far_out_is_not_certified() -> None:
    start, dip = 100, 60
    values = [(m - dip) ** 2 + start for m in range(3)]
    row = newton_exact(values, 1, 2, 0)[0]
    assert stays_regular([row], (1,), 1)
    row[0] -= start
    assert not stays_regular([row], (1,), 1)


@pytest.mark.parametrize("row", [[5, 4, -1], [10**9, -1], [10**9, 10**9, 10**9, -1]])
def test_a_polynomial_that_falls_in_the_end_is_not_certified(row: list[int]) -> None:
    assert not stays_regular([row], (1,), 0)


def test_a_tail_of_twos_all_rounded_up_is_the_number_one() -> None:
    assert not stays_regular([[2]], (-1,), 4)
    assert not stays_regular([[2, 0], [2, 0]], (-1, -1), 0)
    assert stays_regular([[2], [3]], (-1,), 4)
    assert stays_regular([[2], [2, 1]], (-1,), 4)
    assert stays_regular([[2]], (-1, 1), 4)


def test_only_the_very_first_term_is_free() -> None:
    assert stays_regular([[0, 1]], (1,), 0)
    assert not stays_regular([[0, 1]], (1,), 1)
    assert stays_regular([[-5, 9]], (-1,), 0)


@given(rows=laws(), signs=patterns, r=st.integers(0, 3))
def test_signs_are_counted_from_the_start_of_the_sequence(rows: Rows, signs: list[int], r: int) -> None:
    assume(r > 0)
    turned = [signs[(n + r) % len(signs)] for n in range(len(signs))]
    assert stays_regular(rows, signs, r) == stays_regular(rows, turned, len(signs) * 5)
