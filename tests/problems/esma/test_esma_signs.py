"""Sign patterns, and rewriting against rounding the number itself, up or down, as the definition says."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError
from problems.esma.signs import pattern_table, rewrite, rewrite_exact, sign_patterns

terms = st.one_of(st.integers(1, 3), st.integers(1, 60), st.integers(1, 2**31 - 1))
fractions = st.lists(terms, min_size=1, max_size=40)
patterns = st.lists(st.sampled_from([-1, 1]), min_size=1, max_size=6)


def value(simple: list[int]) -> Fraction:
    x = Fraction(simple[-1])
    for term in reversed(simple[:-1]):
        x = term + 1 / x
    return x


def rounded(x: Fraction, pattern: list[int], count: int) -> list[int]:
    """The first signed terms of x, straight from the definition."""
    found: list[int] = []
    while len(found) < count:
        sign = pattern[len(found) % len(pattern)]
        found.append(floor(x) if sign > 0 else ceil(x))
        if x == found[-1]:
            break
        x = sign / (x - found[-1])
    return found


def rewritten(simple: list[int], pattern: list[int], count: int, places: int) -> list[int]:
    out = np.full(places + 1, -7)
    done = rewrite(np.array(simple), count, np.array(pattern, np.int8), out[:places])
    assert (out[max(done, 0) :] == -7).all()
    return out[:done].tolist()  # type: ignore[no-any-return]


@given(first=st.integers(0, 5), simple=fractions, beyond=fractions, pattern=patterns)
def test_it_is_what_rounding_up_and_down_gives(
    first: int, simple: list[int], beyond: list[int], pattern: list[int]
) -> None:
    known = [first, *simple]
    found = rewritten(known, pattern, len(known), 200)
    assert found
    # Whatever follows the known terms: the 3s end it, far enough away not to be an integer on the way.
    assert rounded(value([*known, *beyond, 3, 3, 3]), pattern, len(found)) == found


@given(first=st.integers(0, 5), simple=fractions, pattern=patterns)
def test_it_stops_only_where_the_next_term_is_open(first: int, simple: list[int], pattern: list[int]) -> None:
    known = [first, *(min(term, 50) for term in simple)]
    settled = len(rewrite_exact(known, pattern, 10_000))
    continued = (rewrite_exact([*known, tail, 4, 4], pattern, settled + 1) for tail in (1, 5, 9))
    assert len({found[settled] for found in continued}) > 1


@given(simple=fractions, pattern=patterns, places=st.integers(0, 90), data=st.data())
def test_both_ways_of_rewriting_agree(simple: list[int], pattern: list[int], places: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, len(simple)))
    assert rewritten(simple, pattern, count, places) == rewrite_exact(simple[:count], pattern, places)


def test_terms_of_any_size_are_rewritten_exactly() -> None:
    simple = [3, 10**40, 1, 10**50, 7]
    assert rewrite_exact(simple, (1, -1), 9) == [3, 10**40 + 1, 10**50 + 1, 8]
    assert rewrite_exact(simple, (-1,), 60) == [4] + [2] * 59


def test_the_largest_terms_stay_in_range() -> None:
    most = 2**31 - 1
    assert rewritten([1, 1, most, 1, most, 9], [-1], 6, 3) == [2, most + 2, most + 2]
    assert rewritten([most, most, most], [1, -1, -1], 3, 9) == [most, most + 1, 2, 1, most - 1]


def test_a_large_term_becomes_a_run_of_twos_when_all_is_rounded_up() -> None:
    assert rewritten([0, 1000, 1, 1], [-1], 4, 50) == [1] + [2] * 49
    assert rewritten([0, 5, 1, 2, 2], [-1], 5, 50) == [1, 2, 2, 2, 2, 3, 2, 4]


def test_e_less_one_has_the_known_signed_fraction() -> None:
    e_less_1 = [1, *(term for m in range(1, 12) for term in (1, 2 * m, 1))]
    assert rewrite_exact(e_less_1, (-1, 1), 12) == [2, 3, 2, 5, 2, 7, 2, 9, 2, 11, 2, 13]


@pytest.mark.parametrize(("shortest", "longest", "count"), [(1, 3, 10), (1, 4, 22), (1, 6, 106), (2, 2, 4), (1, 1, 2)])
def test_there_are_as_many_patterns_as_the_paper_searches(shortest: int, longest: int, count: int) -> None:
    assert len(sign_patterns(shortest, longest)) == count


@pytest.mark.parametrize(("shortest", "longest"), [(1, 7), (2, 6), (3, 6), (4, 8)])
def test_patterns_come_in_the_papers_order(shortest: int, longest: int) -> None:
    repeated, listed = set(), []
    for length in range(shortest, longest + 1):
        for pattern in product((-1, 1), repeat=length):
            if pattern not in repeated:
                listed.append(pattern)
                repeated |= {pattern * times for times in range(2, longest // length + 1)}
    assert sign_patterns(shortest, longest) == listed


@pytest.mark.parametrize(("shortest", "longest"), [(0, 2), (-1, 3), (3, 2), (1, 17)])
def test_an_impossible_range_of_lengths_is_refused(shortest: int, longest: int) -> None:
    with pytest.raises(ConfigError, match=rf"signs: expected 1 <= shortest <= longest <= 16.*got {shortest} to"):
        sign_patterns(shortest, longest)


def test_a_table_holds_patterns_of_several_lengths() -> None:
    table, lengths = pattern_table([(1,), (-1, 1), (1, 1, -1)])
    assert [row[:length].tolist() for row, length in zip(table, lengths, strict=True)] == [[1], [-1, 1], [1, 1, -1]]
    assert (table.dtype, lengths.dtype) == (np.int8, np.int64)
