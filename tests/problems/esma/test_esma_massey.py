"""Recurrences modulo a prime, against a textbook version, and the recurrences that the original code reports."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError
from problems.esma.massey import check_modulus, extend, lift, massey
from problems.esma.signs import rewrite_exact

PRIMES = [101, 199, 1_000_003, 46_337, 2_147_483_647]
primes = st.sampled_from(PRIMES)


def textbook(s: list[int], p: int) -> tuple[int, list[int]]:
    c, b, length, shift, last = [1], [1], 0, 1, 1
    for n in range(len(s)):
        wrong = sum(c[i] * s[n - i] for i in range(min(length, len(c) - 1) + 1)) % p
        if wrong == 0:
            shift += 1
            continue
        before, factor = c[:], wrong * pow(last, -1, p)
        c += [0] * (len(b) + shift - len(c))
        for i, x in enumerate(b):
            c[i + shift] = (c[i + shift] - factor * x) % p
        if 2 * length <= n:
            length, b, last, shift = n + 1 - length, before, wrong, 1
        else:
            shift += 1
    return length, c


def found(terms: list[int], p: int, max_length: int | None = None) -> tuple[int, list[int]]:
    most = len(terms) if max_length is None else max_length
    connection = np.full(most + 3, -1)
    length = massey(np.array([term % p for term in terms], np.int64), len(terms), p, most, connection)
    return length, connection.tolist()


@given(p=primes, data=st.data())
def test_it_agrees_with_the_textbook(p: int, data: st.DataObject) -> None:
    few = st.integers(0, 2) if data.draw(st.booleans()) else st.integers(0, p - 1)
    terms = data.draw(st.lists(few, max_size=50))
    length, c = textbook(terms, p)
    assert found(terms, p) == (length, c + [0] * (len(terms) + 3 - len(c)))


@given(p=primes, seed=st.integers(0, 10**6), order=st.integers(1, 20), preperiod=st.integers(0, 4))
def test_a_recurrence_comes_back_from_its_terms(p: int, seed: int, order: int, preperiod: int) -> None:
    draw = random.Random(seed)
    c = [1, *(draw.randrange(p) for _ in range(order - 1)), draw.randrange(1, p)]
    terms = [draw.randrange(p) for _ in range(order)]
    for n in range(order, 120):
        terms.append(-sum(c[j] * terms[n - j] for j in range(1, order + 1)) % p)
    terms = [*(draw.randrange(p) for _ in range(preperiod)), *terms]
    length, connection = found(terms, p, 30)
    assert length <= order + preperiod
    for n in range(length, len(terms)):
        assert sum(connection[j] * terms[n - j] for j in range(length + 1)) % p == 0


@given(p=primes, terms=st.lists(st.integers(0, 3), max_size=40), most=st.integers(0, 20))
def test_it_gives_up_just_where_the_length_is_too_long(p: int, terms: list[int], most: int) -> None:
    whole, c = found(terms, p)
    length, given_up = found(terms, p, most)
    assert length == (whole if whole <= most else -1)
    if length >= 0:
        assert given_up[: most + 1] == (c + [0] * most)[: most + 1]


def test_it_asks_for_room() -> None:
    with pytest.raises(ValueError, match="connection needs max_length"):
        massey(np.ones(9, np.int64), 9, 199, 4, np.empty(4, np.int64))


def e_with(head: list[int]) -> list[int]:
    """The simple fraction that begins with head and goes on 1, 2, 1, 1, 4, 1, 1, 6, 1, ... as that of e does."""
    return [*head, *(term for m in range(1, 100) for term in (1, 2 * m, 1))]


@pytest.mark.parametrize(
    ("head", "signs", "depth", "recurrence"),
    [
        ([1], (1, -1), 105, [1, 0, -2, 0, 1]),  # e/(e-1), of which the tail of e-1 is the reciprocal
        ([0], (-1, 1), 105, [1, 0, -2, 0, 1]),
    ],
)
def test_it_finds_the_originals_recurrence_of_an_image_of_e(
    head: list[int], signs: tuple[int, ...], depth: int, recurrence: list[int]
) -> None:
    e_less_1 = [1, *e_with([])]
    terms = rewrite_exact([*head, *e_less_1], signs, depth)
    length, connection = found(terms, 199)
    assert lift(connection[: length + 1], 199) == recurrence
    assert extend(recurrence, terms[:4], depth) == terms


def test_it_finds_the_originals_recurrence_of_period_six() -> None:
    terms = [term for m in range(17) for term in (3, 1 + 2 * m, 3, 1, 1 + 2 * m, 1)][:100]
    length, connection = found(terms, 199)
    c = lift(connection[: length + 1], 199)
    assert c == [1, 0, 0, -1, 0, 0, -1, 0, 0, 1]
    assert extend(c, terms[:9], 100) == terms


def test_a_preperiod_lengthens_the_recurrence_but_not_its_polynomial() -> None:
    """The original restarts from the first deg C terms and so loses e itself, and (2e+1)/(e+1) as here."""
    terms = [1, 1, 2, *(term for m in range(33) for term in (1, 2 + 2 * m, 1))][:100]
    length, connection = found(terms, 199)
    c = lift(connection[: length + 1], 199)
    assert c == [1, 0, 0, -2, 0, 0, 1]
    assert length > 6
    assert extend(c, terms[:6], 100) != terms
    assert extend(c, terms[:length], 100) == terms


def test_coefficients_are_lifted_to_both_sides_of_zero() -> None:
    assert lift([1, 100, 99, 198, 0, 0], 199) == [1, -99, 99, -1]
    assert lift(np.array([1, 0, 0]), 199) == [1]
    assert lift([0, 0], 199) == []


@given(c=st.lists(st.integers(-99, 99), max_size=8))
def test_lifting_undoes_reduction(c: list[int]) -> None:
    whole = [1, *c, 5]
    assert lift([x % 199 for x in whole], 199) == whole


def test_extending_needs_as_many_terms_as_the_degree_and_grows_without_limit() -> None:
    assert extend([1, -2], [1], 300) == [2**n for n in range(300)]
    assert extend([1, -1, -1], [1, 1, 2, 3], 3) == [1, 1, 2]
    with pytest.raises(ValueError, match="at least 2 first terms, got 1"):
        extend([1, -1, -1], [1], 9)


@pytest.mark.parametrize("p", PRIMES)
def test_primes_are_moduli(p: int) -> None:
    check_modulus(p)


@pytest.mark.parametrize("p", [-199, 0, 1, 2, 97, 100, 102, 121, 46_337**2, 2**31 - 3, 2**31, 2**61 - 1])
def test_other_moduli_are_refused(p: int) -> None:
    with pytest.raises(ConfigError, match=f"modulus: expected a prime from 101 .* got {p}"):
        check_modulus(p)
