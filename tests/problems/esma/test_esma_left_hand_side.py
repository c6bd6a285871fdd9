"""The canonical left-hand sides: the known counts, the same set as by brute force, and no trace of where it is cut."""

from __future__ import annotations

import itertools
import math

import flint
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from problems.esma.left_hand_side import _PRIMES, MAX_DEGREE, _primes_for, canonical, pairs, polynomials
from problems.esma.settings import _LARGEST

Sides = tuple[tuple[int, ...], tuple[int, ...]]


def sides(start: int, stop: int, degree: int, limit: int) -> list[Sides]:
    above, below = canonical(start, stop, degree, limit)
    assert above.shape == below.shape == (len(above), degree + 1)
    return [(tuple(p), tuple(q)) for p, q in zip(above.tolist(), below.tolist(), strict=True)]


def every(degree: int, limit: int) -> list[Sides]:
    return sides(0, pairs(degree, limit), degree, limit)


def positive(p: flint.fmpz_poly) -> flint.fmpz_poly:
    return -p if p[p.degree()] < 0 else p


def lowest(p: tuple[int, ...], q: tuple[int, ...]) -> Sides:
    """|P/Q| in lowest terms, highest coefficients positive, by exact polynomial division."""
    above, below = flint.fmpz_poly(list(p)), flint.fmpz_poly(list(q))
    common = above.gcd(below)
    above, below = positive(above // common), positive(below // common)
    return tuple(tuple(int(poly[i]) for i in range(len(p))) for poly in (above, below))  # type: ignore[return-value]


def quotients(degree: int, limit: int) -> set[Sides]:
    """All |P/Q| of the box that are no constants, in lowest terms."""
    box = [p for p in itertools.product(range(-limit, limit + 1), repeat=degree + 1) if any(p)]
    found = {lowest(p, q) for p in box for q in box}
    return {(p, q) for p, q in found if any(p[1:]) or any(q[1:])}


@pytest.mark.parametrize(
    ("degree", "limit", "count"), [(1, 1, 12), (1, 2, 112), (1, 3, 504), (1, 5, 3304), (2, 1, 132), (3, 1, 1256)]
)
def test_there_are_as_many_as_are_known_to_be(degree: int, limit: int, count: int) -> None:
    assert len(every(degree, limit)) == count


def test_there_are_as_many_with_coefficients_to_ten_as_are_known_to_be() -> None:
    assert len(canonical(0, pairs(1, 10), 1, 10)[0]) == 43_552


@pytest.mark.parametrize(("degree", "limit"), [(1, 1), (1, 2), (1, 4), (2, 1)])
def test_up_to_degree_two_they_are_the_quotients_of_the_box_each_once(degree: int, limit: int) -> None:
    found = every(degree, limit)
    assert len(set(found)) == len(found)
    assert set(found) == quotients(degree, limit)


@pytest.mark.parametrize(("degree", "limit"), [(1, 7), (2, 2), (3, 1)])
def test_they_are_the_quotients_whose_lowest_terms_lie_in_the_box_each_once(degree: int, limit: int) -> None:
    found = every(degree, limit)
    assert len(set(found)) == len(found)
    inside = {pair for pair in quotients(degree, limit) if max(map(abs, itertools.chain(*pair))) <= limit}
    assert set(found) == inside


def test_beyond_degree_two_a_quotient_whose_lowest_terms_lie_outside_the_box_is_left_out() -> None:
    square, one = (1, -2, 1, 0), (1, 0, 0, 0)
    assert lowest((1, -1, -1, 1), (1, 1, 0, 0)) == (square, one)
    assert (square, one) not in every(3, 1)


def test_they_are_in_lowest_terms_and_none_is_a_number() -> None:
    found = every(2, 2)
    assert len(found) > 3000
    for p, q in found[::7]:
        assert lowest(p, q) == (p, q)
        assert any(p[1:] + q[1:])


@settings(deadline=None)
@given(st.data())
def test_where_it_is_cut_makes_no_difference(data: st.DataObject) -> None:
    degree, limit = data.draw(st.sampled_from([(1, 1), (1, 2), (1, 3), (2, 1)]))
    total = pairs(degree, limit)
    cuts = sorted(data.draw(st.lists(st.integers(0, total), max_size=8)))
    parts = [sides(a, b, degree, limit) for a, b in itertools.pairwise([0, *cuts, total])]
    assert list(itertools.chain(*parts)) == every(degree, limit)


def test_a_shard_of_one_rank_is_one_pair_or_none() -> None:
    single = [sides(rank, rank + 1, 1, 2) for rank in range(pairs(1, 2))]
    assert {len(one) for one in single} == {0, 1}
    assert list(itertools.chain(*single)) == every(1, 2)


@pytest.mark.parametrize(("start", "stop"), [(5, 5), (9, 4), (144, 200), (0, 0)])
def test_an_empty_shard_holds_nothing(start: int, stop: int) -> None:
    assert pairs(1, 2) == 144
    assert sides(start, stop, 1, 2) == []


def test_a_shard_that_reaches_beyond_the_end_stops_there() -> None:
    assert sides(100, 10**6, 1, 2) == sides(100, 144, 1, 2) != []


def number(p: NDArray[np.int64], limit: int) -> int:
    """The polynomial's number: its coefficients are balanced digits."""
    return sum(int(a) * (2 * limit + 1) ** i for i, a in enumerate(p))


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 3), st.integers(1, 40), st.data())
def test_any_pair_of_the_box_is_there_just_when_it_is_in_lowest_terms(
    degree: int, limit: int, data: st.DataObject
) -> None:
    one = st.lists(st.integers(-limit, limit), min_size=degree + 1, max_size=degree + 1)
    p, q = (positive(flint.fmpz_poly(data.draw(one.filter(any)))) for _ in range(2))
    rows = [np.array([int(poly[i]) for i in range(degree + 1)]) for poly in (p, q)]
    rank = (number(rows[0], limit) - 1) * polynomials(degree, limit) + number(rows[1], limit) - 1
    common = p.gcd(q)
    good = common.degree() == 0 and common[0] == 1 and max(p.degree(), q.degree()) > 0
    expected = [tuple(tuple(row.tolist()) for row in rows)] if good else []
    assert sides(rank, rank + 1, degree, limit) == expected


@settings(deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=2, max_size=3), st.data())
def test_a_common_factor_is_seen_whatever_the_rest(factor: list[int], data: st.DataObject) -> None:
    common = flint.fmpz_poly(factor)
    assume(common.degree() > 0)
    p, q = (
        positive(common * flint.fmpz_poly(data.draw(st.lists(st.integers(-9, 9), min_size=1, max_size=2).filter(any))))
        for _ in range(2)
    )
    degree, limit = 3, 54
    rows = [np.array([int(poly[i]) for i in range(degree + 1)]) for poly in (p, q)]
    rank = (number(rows[0], limit) - 1) * polynomials(degree, limit) + number(rows[1], limit) - 1
    assert rank < 2**63
    assert sides(rank, rank + 1, degree, limit) == []


def test_the_primes_are_the_largest_below_two_to_the_31() -> None:
    primes = [n for n in range(2**31 - 1, int(_PRIMES[-1]) - 1, -1) if flint.fmpz(n).is_prime()]
    assert _PRIMES.tolist() == primes
    assert len(primes) == 8


@pytest.mark.parametrize("degree", range(1, MAX_DEGREE + 1))
@pytest.mark.parametrize("limit", [1, 2, 3, 10, 99, _LARGEST])
def test_the_primes_together_exceed_every_resultant(degree: int, limit: int) -> None:
    squared = (limit * limit * (degree + 1)) ** (2 * degree)  # Hadamard's bound of the Sylvester determinant, squared
    product = math.prod(_primes_for(degree, limit).tolist())
    assert product**2 > squared
    assert limit < min(_PRIMES)  # no prime divides a highest coefficient


def test_a_large_resultant_of_degree_eight_is_below_the_product() -> None:
    p, q = (
        [_LARGEST * sign for sign in row] for row in ([1, -1, -1, 1, 1, -1, 1, 1, 1], [1, 1, -1, 1, 1, 1, -1, -1, 1])
    )
    sylvester = flint.fmpz_mat([[0] * i + row[::-1] + [0] * (7 - i) for row in (p, q) for i in range(8)])
    found = abs(int(sylvester.det()))
    assert 10**48 < found < math.prod(_primes_for(8, _LARGEST).tolist())
