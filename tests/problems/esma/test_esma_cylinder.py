"""What a prefix pins down, against exact intervals; and rates against the published ones."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor, log2, log10

import flint
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_formulas import KNOWN, Known

from problems.esma.cylinder import digits, evidence, log_length_exact, log_lengths, rate

patterns = st.lists(st.sampled_from([-1, 1]), min_size=1, max_size=5)
sizes = st.one_of(st.integers(1, 3), st.integers(1, 100), st.integers(1, 2**31 + 1))


@st.composite
def prefixes(draw: st.DrawFn, longest: int = 40) -> tuple[list[int], list[int]]:
    """Terms and signs, the terms as large as the signs ask for."""
    pattern = draw(patterns)
    terms = draw(st.lists(sizes, min_size=1, max_size=longest))
    return [max(a, 2 if pattern[i % len(pattern)] < 0 else 1) for i, a in enumerate(terms)], pattern


def ends(terms: list[int], pattern: list[int]) -> tuple[Fraction, Fraction]:
    """The values of the fraction for a tail of 1 and of infinity after all terms."""
    at_one, at_infinity = Fraction(1), Fraction(terms[-1])
    for i in range(len(terms) - 1, -1, -1):
        sign = pattern[i % len(pattern)]
        at_one = terms[i] + sign / at_one if at_one else Fraction(0)
        if i < len(terms) - 1:
            at_infinity = terms[i] + sign / at_infinity
    return at_one, at_infinity


def exact_log2(x: Fraction) -> flint.arb:
    with flint.ctx.workprec(200):
        return (flint.arb(x.numerator) / x.denominator).log() / flint.arb(2).log()


def signs(pattern: list[int] | tuple[int, ...]) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    return np.array(pattern, np.int8)


def lengths_of(terms: list[int], pattern: list[int]) -> list[float]:
    out = np.empty(len(terms))
    log_lengths(np.array(terms), len(terms), signs(pattern), out)
    return out.tolist()  # type: ignore[no-any-return]


@given(prefix=prefixes())
def test_lengths_are_those_of_the_exact_intervals_and_never_too_short(prefix: tuple[list[int], list[int]]) -> None:
    terms, pattern = prefix
    for i, found in enumerate(lengths_of(terms, pattern)):
        low, high = ends(terms[: i + 1], pattern)
        exact = exact_log2(abs(high - low))
        assert exact <= found < exact + 1e-9
        bits = -log_length_exact(terms[: i + 1], pattern)
        assert Fraction(1, 2 ** (bits + 1)) < abs(high - low) <= Fraction(1, 2**bits)


@given(prefix=prefixes(12), place=st.fractions(0, 1, max_denominator=1000).filter(lambda x: 0 < x < 1))
def test_the_interval_holds_just_the_numbers_with_these_terms(
    prefix: tuple[list[int], list[int]], place: Fraction
) -> None:
    terms, pattern = prefix
    low, high = sorted(ends(terms, pattern))
    x = low + (high - low) * place
    for i, term in enumerate(terms):
        sign = pattern[i % len(pattern)]
        assert (floor(x) if sign > 0 else ceil(x)) == term
        x = sign / (x - term)
    assert x > 1


@given(prefix=prefixes())
def test_digits_and_evidence_come_from_the_same_lengths(prefix: tuple[list[int], list[int]]) -> None:
    terms, pattern = prefix
    found = lengths_of(terms, pattern)
    low, high = ends(terms, pattern)
    n = len(terms)
    known = digits(np.array(terms), n, signs(pattern))
    with flint.ctx.workprec(200):
        assert known <= max(0, -exact_log2(abs(high - low)) * flint.arb(2).log() / flint.arb(10).log())
    assert known == pytest.approx(max(0.0, -found[-1] * log10(2)), abs=1e-9)
    for given_terms in range(1, n + 1):
        fixed, added = evidence(np.array(terms), given_terms, n, signs(pattern))
        assert fixed == pytest.approx(-found[given_terms - 1], abs=1e-9)
        assert added == pytest.approx(found[given_terms - 1] - found[-1], abs=1e-9)


def test_a_run_of_twos_rounded_up_says_next_to_nothing() -> None:
    found = lengths_of([2] * 100_000, [-1])
    assert found[99_999] == pytest.approx(-log2(100_000), abs=1e-6)
    assert evidence(np.full(100, 2), 50, 100, signs([-1]))[1] == pytest.approx(1.0, abs=1e-9)
    assert evidence(np.full(100, 2), 50, 100, signs([1]))[1] > 120


def test_thousands_of_terms_lose_no_precision() -> None:
    draw = np.random.default_rng(3)
    for pattern in ([1], [-1], [-1, 1, 1, -1, -1]):
        terms = np.where(draw.random(4000) < 0.5, 2, draw.integers(2, 2**31, 4000)).tolist()
        q, u = 0, 1
        for i, a in enumerate(terms):
            q, u = (a - 1) * q + u, (a - 1 + pattern[i % len(pattern)]) * q + u
        exact = -exact_log2(Fraction(q * u))
        assert exact <= lengths_of(terms, pattern)[-1] < exact + 1e-6


def test_no_terms_pin_down_no_digits() -> None:
    assert digits(np.empty(0, np.int64), 0, signs([1])) == 0.0
    assert lengths_of([17], [-1])[0] == pytest.approx(0.0, abs=1e-12)


def terms_of(known: Known, count: int) -> list[int]:
    return known.formula().terms(count)


@pytest.mark.parametrize("known", KNOWN, ids=str)
def test_published_rates_come_out(known: Known) -> None:
    terms = np.array(terms_of(known, 300))
    assert rate(terms, 100, 300, signs(known.signs)) == pytest.approx(known.rate, abs=0.00051)
    assert rate(terms, 100, 100, signs(known.signs)) == pytest.approx(known.rate, abs=0.06)


@pytest.mark.parametrize("known", [known for known in KNOWN if known.digits < 1399], ids=str)
def test_published_digits_of_seven_hundred_terms_come_out(known: Known) -> None:
    # What they agree to is a little more, by the size of the first term that differs.
    assert known.digits - 3.2 < digits(np.array(terms_of(known, 700)), 700, signs(known.signs)) < known.digits + 0.1


@given(prefix=prefixes(30))
def test_the_rate_is_that_of_the_exact_errors(prefix: tuple[list[int], list[int]]) -> None:
    terms, pattern = prefix
    used = len(terms)
    whole = np.array([*terms, *([3] * 200)])
    found = rate(whole, used, len(whole), signs(pattern))
    if used < 2:
        assert found == 0.0
        return
    value = sum(ends(whole.tolist(), pattern)) / 2
    errors = [abs(value - ends(terms[: i + 1], pattern)[1]) for i in (used // 2, used - 1)]
    fall = (exact_log2(errors[0]) - exact_log2(errors[1])) * 2 / used
    assert found == pytest.approx(float(fall) * log10(2), rel=1e-9, abs=1e-9)


def test_a_rate_needs_two_terms() -> None:
    assert rate(np.array([3]), 100, 1, signs([1])) == 0.0
    assert rate(np.empty(0, np.int64), 100, 0, signs([1])) == 0.0
