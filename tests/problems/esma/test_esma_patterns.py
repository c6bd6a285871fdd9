"""Screening and verifying under every sign pattern, against doing it step by step with exact integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_formulas import KNOWN, Known

from problems.esma.cylinder import log_length_exact
from problems.esma.interlaced import detect_exact
from problems.esma.patterns import HIT, NONE, SHORT, WEAK, screen_patterns, screen_rows, verify_patterns
from problems.esma.signs import pattern_table, rewrite_exact, sign_patterns

PATTERNS = sign_patterns(1, 3)
ALL_UP = PATTERNS.index((-1,))
DEPTH, ORDER, MATCHED, BITS = 64, 20, 16, 40.0

numbers = st.one_of(
    st.lists(st.integers(1, 9), min_size=20, max_size=200),
    st.tuples(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.lists(st.integers(1, 4), max_size=5)).map(
        lambda parts: parts[1] + parts[0] * 60
    ),
    st.integers(1, 3).map(lambda step: [term for m in range(70) for term in (1, 1 + step * m, 1)]),
    st.lists(st.integers(1, 3), min_size=5, max_size=40).map(lambda terms: [*terms, 1000, *terms]),
)


def screened(simple: list[int], bits: float = BITS) -> tuple[int, list[int]]:
    hits = np.full(len(PATTERNS), 9, np.uint8)
    table = pattern_table(PATTERNS)
    found = screen_patterns(np.array(simple), len(simple), *table, DEPTH, ORDER, MATCHED, bits, hits)
    return found, hits.tolist()


def expected(simple: list[int], pattern: tuple[int, ...]) -> int:
    terms = rewrite_exact(simple, pattern, DEPTH)
    if len(terms) < DEPTH:
        return SHORT
    k, d, r = detect_exact(terms, ORDER, MATCHED)
    if k == 0:
        return NONE
    bits = log_length_exact(terms[: r + k * (d + 1)], pattern) - log_length_exact(terms, pattern)
    return HIT if bits >= BITS else WEAK


@given(simple=numbers)
def test_every_pattern_gets_what_it_gets_step_by_step(simple: list[int]) -> None:
    found, hits = screened(simple)
    for pattern, hit in zip(PATTERNS, hits, strict=True):
        wanted = expected(simple, pattern)
        if wanted in (NONE, SHORT) or hit in (NONE, SHORT):
            assert hit == wanted
        # Exact lengths are rounded to whole bits, so evidence next to the limit may fall on either side.
    assert found == hits.count(HIT)
    assert screened(simple, 1e9)[0] == 0


@given(rows=st.lists(numbers, min_size=1, max_size=5))
def test_many_rows_are_screened_like_one_at_a_time(rows: list[list[int]]) -> None:
    longest = max(map(len, rows))
    terms = np.array([row + [1] * (longest - len(row)) for row in rows])
    hits = np.empty((len(rows), len(PATTERNS)), np.uint8)
    counts = np.array([len(row) for row in rows])
    found = screen_rows(terms, counts, *pattern_table(PATTERNS), DEPTH, ORDER, MATCHED, BITS, hits)
    assert hits.tolist() == [screened(row)[1] for row in rows]
    assert found == (hits == HIT).sum()


def test_a_large_term_is_weak_evidence_when_all_is_rounded_up_and_none_otherwise() -> None:
    draw = np.random.default_rng(5)
    simple = [*draw.integers(1, 9, 7).tolist(), 100_000, *draw.integers(1, 9, 300).tolist()]
    found, hits = screened(simple)
    assert found == 0
    assert hits[ALL_UP] == WEAK
    assert set(hits[:ALL_UP] + hits[ALL_UP + 1 :]) == {NONE}


def verified(
    simple: list[int], patterns: list[tuple[int, ...]], room: int, depth: int = 100, order: int = 23
) -> tuple[int, list[list[int]], list[list[float]], list[list[int]]]:
    n = len(patterns)
    results, figures = np.full((n, 8), -1), np.full((n, 3), -1.0)
    coefficients, work = np.full((n, order), -1), np.empty(room, np.int64)
    found = verify_patterns(
        np.array(simple), len(simple), *pattern_table(patterns), depth, order, 20, 40.0, work, results, figures,
        coefficients,
    )  # fmt: skip
    return found, results.tolist(), figures.tolist(), coefficients.tolist()


@pytest.mark.parametrize("known", [known for known in KNOWN if known.signs == (1,)], ids=str)
def test_known_formulas_come_back_with_their_figures(known: Known) -> None:
    simple = known.formula().terms(700)
    found, (result,), (figure,), (coefficients,) = verified(simple, [(1,)], 1000)
    k = len(known.polynomials)
    d = max(len(row) for row in known.polynomials) - 1
    r = len(known.preperiod)
    assert (found, result) == (1, [HIT, k, d, r, 700, 700 - r - known.order, 0, 0])
    assert known.digits - 3.2 < figure[0]
    assert figure[0] < known.digits + 0.1 or known.digits == 1399
    assert figure[2] == pytest.approx(known.rate, abs=0.00051)
    assert 0 < figure[1] * 0.30103 <= figure[0] + 0.01
    full = [c for row in known.polynomials for c in [*row, *([0] * (d + 1 - len(row)))]]
    assert coefficients == full + [0] * (23 - known.order)


def test_signed_formulas_come_from_the_simple_fraction() -> None:
    e = [2, *(term for m in range(1, 300) for term in (1, 2 * m, 1))]
    e_less_1, e_over_e_less_1 = [1, *e[1:]], [1, 1, *e[1:]]
    found, results, _, coefficients = verified(e_less_1, [(-1, 1), (1, -1)], 800)
    assert results[0][:4] == [HIT, 2, 1, 0]
    assert coefficients[0][:4] == [2, 0, 3, 2]
    assert found == sum(row[0] == HIT for row in results)
    _, results, _, coefficients = verified(e_over_e_less_1, [(1, -1)], 800)
    assert results[0][:4] == [HIT, 2, 1, 0]
    assert coefficients[0][:4] == [1, 2, 2, 0]


def test_a_law_must_show_at_the_depth_and_hold_to_the_end() -> None:
    law = [1, 2, 3] * 200
    assert verified([9] * 50 + law, [(1,)], 900, depth=72)[1][0][:4] == [NONE, 0, 0, 0]
    assert verified([9] * 49 + law, [(1,)], 900, depth=72)[1][0][:4] == [HIT, 3, 0, 49]
    assert verified([*law, 7], [(1,)], 900)[1][0][:5] == [NONE, 0, 0, 0, 601]


def test_room_limits_the_terms_and_too_few_are_said_to_be_few() -> None:
    simple = [1, 2, 3] * 60
    assert verified(simple, [(1,)], 150)[1][0][:6] == [HIT, 3, 0, 0, 150, 147]
    assert verified(simple, [(1,)], 99)[1][0] == [SHORT, 0, 0, 0, 99, 0, 0, 0]
    assert verified(simple[:60], [(1,)], 300)[1][0] == [SHORT, 0, 0, 0, 60, 0, 0, 0]
