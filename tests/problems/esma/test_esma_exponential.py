"""Terms that grow exponentially: no polynomials, but a recurrence, found through exact integers of any size."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cache

import pytest
from sweeping import decimals, sweep

from problems.esma.problem import Esma

swept = cache(sweep)
SMALL = {"depth": 40, "max_order": 4, "matched": 12, "digits": 300, "sign_periods": (1, 2)}


def lucas() -> Iterator[int]:
    a, b = 1, 3
    while True:
        yield a
        a, b = b, a + b


def terms(name: str, count: int) -> list[int]:
    numbers: dict[str, Iterator[int]] = {
        "powers of two": (2**n for n in itertools.count()),
        "Lucas numbers": lucas(),
        "five, then powers of three": itertools.chain([5], (3**n for n in itertools.count())),
        "powers of two and one in turn": (2 ** (n // 2) if n % 2 == 0 else 1 for n in itertools.count()),
    }
    return list(itertools.islice(numbers[name], count))


@cache
def constant(name: str) -> str:
    return decimals(terms(name, 150), PLACES[name])


PLACES = {
    "powers of two": 2400,
    "Lucas numbers": 1700,
    "five, then powers of three": 3700,
    "powers of two and one in turn": 900,
}
"""Enough for 82 simple terms, from which 40 signed ones follow under any signs."""


LAWS = {
    "powers of two": ((), (1, -2), (1,)),
    "Lucas numbers": ((), (1, -1, -1), (1, 3)),
    "five, then powers of three": ((5,), (1, -3), (1,)),
    "powers of two and one in turn": ((), (1, 0, -3, 0, 2), (1, 1, 2, 1)),
}
ITSELF = (0, 1), (1, 0), (1,)


@pytest.mark.parametrize("name", LAWS)
def test_the_recurrence_is_found_and_proved(name: str) -> None:
    result = swept(constant(name), 1, 1, method="recurrence", **SMALL)
    proofs = {
        (
            tuple(one["numerator"].tolist()),
            tuple(one["denominator"].tolist()),
            tuple(s for s in one["signs"] if s),
        ): proof
        for one, proof in ((result.genomes[row], proof) for row, proof in result.proofs.items())
    }
    proof = proofs[ITSELF]
    preperiod, connection, initial = LAWS[name]
    assert (proof.formula.preperiod, proof.formula.connection, proof.formula.initial) == (
        preperiod,
        connection,
        initial,
    )
    assert proof.formula.newton == ()
    assert proof.formula.terms(90) == terms(name, 90)
    assert proof.digits >= 300
    assert proof.evidence >= result.problem.settings.evidence


@pytest.mark.parametrize("name", LAWS)
def test_no_polynomials_are_found_where_there_are_none(name: str) -> None:
    result = swept(constant(name), 1, 1, **SMALL)
    assert result.counters["left_hand_sides"] == 12
    assert result.counters["undecided"] == 0
    assert ITSELF not in result.screened()
    assert result.proofs == {}


def test_terms_beyond_31_bits_take_part() -> None:
    assert max(terms("powers of two", 40)) >= 2**31
    assert max(terms("Lucas numbers", 40)) < 2**31 < max(terms("Lucas numbers", 82))


def test_a_recurrence_is_not_found_where_its_order_is_too_large() -> None:
    options = SMALL | {"max_order": 3}
    assert (
        ITSELF not in swept(constant("powers of two and one in turn"), 1, 1, method="recurrence", **options).screened()
    )


def test_the_same_recurrence_modulo_a_small_prime_is_lifted() -> None:
    result = swept(constant("powers of two"), 1, 1, method="recurrence", **SMALL, modulus=199)
    assert ITSELF in result.verified()


def test_coefficients_beyond_half_the_modulus_cannot_be_lifted() -> None:
    growing = decimals([6**n + 5**n + 4**n for n in range(90)], 3300)  # a_n = 15 a_{n-1} - 74 a_{n-2} + 120 a_{n-3}
    large, small = (
        swept(growing, 1, 1, method="recurrence", **SMALL | {"depth": 30}, modulus=modulus)
        for modulus in (2147483647, 199)
    )
    assert ITSELF in large.verified()
    assert ITSELF not in small.verified()


def test_a_formula_with_a_recurrence_is_shown_as_people_write_it() -> None:
    problem = Esma(constant("Lucas numbers"), 1, 1, method="recurrence", **SMALL)
    genome = problem.space.empty(1)[0]
    genome["numerator"], genome["denominator"], genome["signs"] = (0, 1), (1, 0), (1, 0)
    shown = problem.show(genome)
    assert "a_n = a_{n-1} + a_{n-2}" in shown or "a_{n-1}+a_{n-2}" in shown
    assert shown.endswith("a_n = 1, 3, 4, 7, 11, 18, 29, 47, 76, 123, 199, 322, ...")
