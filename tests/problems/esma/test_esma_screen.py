"""The screen: what it finds hangs on nothing but the left-hand side and the signs."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sweeping import births, sweep

from problems.esma.left_hand_side import canonical
from problems.esma.patterns import FAINT, HIT, NONE, SHORT, WEAK
from problems.esma.problem import Esma
from problems.esma.screen import Screening

swept = cache(sweep)
SPACES: dict[str, dict[str, Any]] = {
    "e": {},
    "pi": {},
    "phi": {},
    "tan(1/2)": {},
    "e+10^-300": {"depth": 300},  # a term far beyond 31 bits: exact integers
}
BY_METHOD = [("interlaced", "every"), ("interlaced", "simple_first"), ("recurrence", "every"), ("original", "every")]


def esma(constant: str, limit: int = 2, **options: Any) -> Esma:
    return Esma(constant, 1, limit, **options)


def rows(limit: int = 2) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return canonical(0, 10**9, 1, limit)


# Purity ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("constant", SPACES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_where_the_ranks_are_cut_makes_no_difference(constant: str, data: st.DataObject) -> None:
    problem = esma(constant, **SPACES[constant])
    total = problem.settings.ranks
    cuts = sorted(data.draw(st.lists(st.integers(0, total), max_size=5)))
    whole = births(problem)
    parts = [births(problem, a, b) for a, b in itertools.pairwise([0, *cuts, total])]
    assert np.concatenate([part.genomes for part in parts]).tobytes() == whole.genomes.tobytes()
    for name, count in whole.counters.items():
        assert sum(part.counters[name] for part in parts) == count
    assert len(whole.genomes) > 0 or constant == "pi"


@pytest.mark.parametrize("constant", SPACES)
@pytest.mark.parametrize(("method", "screen"), BY_METHOD)
def test_a_row_is_the_same_alone_and_among_others(constant: str, method: str, screen: str) -> None:
    s = esma(constant, **SPACES[constant], method=method, screen=screen).settings
    above, below = rows()
    together, undecided = Screening(s).hits(above, below)
    assert undecided == 0
    assert len(together) == 112
    assert together.shape == (112, 10)
    for row in range(0, 112, 9):
        alone, _ = Screening(s).hits(above[row : row + 1], below[row : row + 1])
        assert alone[0].tolist() == together[row].tolist()
    backwards, _ = Screening(s).hits(above[::-1].copy(), below[::-1].copy())
    assert backwards[::-1].tolist() == together.tolist()


@pytest.mark.parametrize("constant", SPACES)
def test_what_was_looked_at_before_makes_no_difference(constant: str) -> None:
    s = esma(constant, **SPACES[constant]).settings
    above, below = rows()
    fresh, _ = Screening(s).hits(above, below)
    used = Screening(s)
    before = used._bits_a_term
    greedy = np.array([[1, 1]] * 40), np.array([[-1, 1]] * 40)  # for e, terms that take far more bits than others
    used.hits(*greedy)
    used._bits_a_term *= 3.7  # as if it had seen rows that take more still
    found, _ = used.hits(above, below)
    assert found.tolist() == fresh.tolist()
    assert used._bits_a_term != before


def test_the_precision_that_it_begins_with_adapts_to_what_it_sees() -> None:
    used = Screening(esma("e").settings)
    before = used._bits_a_term
    used.hits(np.array([[1, 1]] * 40), np.array([[-1, 1]] * 40))
    assert used._bits_a_term > before


def test_more_rows_than_are_expanded_at_a_time_are_all_looked_at() -> None:
    s = esma("e", 3).settings
    above, below = rows(3)
    once, _ = Screening(s).hits(above, below)
    twice, _ = Screening(s).hits(np.concatenate([above, above]), np.concatenate([below, below]))
    assert len(twice) == 1008  # 512 are expanded at a time
    assert twice[:504].tolist() == twice[504:].tolist() == once.tolist()
    assert (once == HIT).sum() == 2150


def test_nothing_looked_at_is_nothing_found() -> None:
    none = np.empty((0, 2), np.int64)
    found, undecided = Screening(esma("e").settings).hits(none, none)
    assert (found.shape, undecided) == ((0, 10), 0)


# What it counts -------------------------------------------------------------------------------------------------------


def test_it_counts_what_it_went_through() -> None:
    problem = esma("e")
    found = births(problem)
    outcomes, _ = Screening(problem.settings).hits(*rows())
    assert dict(found.counters) == {
        "left_hand_sides": 112,
        "sequences": 1120,
        "candidates_screened_in": np.isin(outcomes, (HIT, FAINT)).sum(),
        "too_little_evidence": (outcomes == WEAK).sum(),
        "undecided": 0,
    }
    assert len(found.genomes) == found.counters["candidates_screened_in"] > 700
    assert SHORT not in outcomes
    assert NONE in outcomes


def test_survivors_lie_in_the_space_in_order_of_rank_and_then_of_the_signs() -> None:
    problem = esma("e")
    genomes = births(problem).genomes
    problem.space.check(genomes)
    places = [
        (problem.settings.patterns.index(tuple(s for s in one["signs"].tolist() if s)), i)
        for i, one in enumerate(genomes)
    ]
    sides = [(one["numerator"].tolist(), one["denominator"].tolist()) for one in genomes]
    for (before, _), (after, i) in itertools.pairwise(places):
        assert after > before or sides[i] != sides[i - 1]
    assert len({str(one) for one in sides}) == 88  # left-hand sides with a formula


def test_rows_for_which_the_decimals_do_not_suffice_are_undecided() -> None:
    e = "2.7182818284590452353602874713526624977572470936999595749669676277240766303535475945713821785251664274"
    undecided = births(esma(e, depth=100, digits=60)).counters
    decided = births(esma(e, depth=30, matched=12, digits=60)).counters
    assert undecided["undecided"] > 50
    assert decided["undecided"] < undecided["undecided"]
    assert decided["candidates_screened_in"] > 0


# The screen by the simple fraction ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("constant", "limit"), [("e", 3), ("tan(1)", 2), ("sqrt(e)", 2), ("phi", 2)])
def test_looking_at_the_simple_fraction_first_loses_nothing_here(constant: str, limit: int) -> None:
    every, first = (swept(constant, 1, limit, screen=screen) for screen in ("every", "simple_first"))
    assert first.verified() == every.verified() != set()
    assert first.genomes.tobytes() == every.genomes.tobytes()
    assert first.counters["sequences"] == every.counters["sequences"]


def test_looking_at_the_simple_fraction_first_finds_nothing_more() -> None:
    for constant in ("pi", "e^2", "e^(1/3)"):
        every, first = (swept(constant, 1, 2, screen=screen) for screen in ("every", "simple_first"))
        assert first.screened() <= every.screened()


# Recurrences ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("constant", ["e", "tan(1)", "phi"])
def test_every_sequence_of_polynomials_obeys_a_recurrence(constant: str) -> None:
    interlaced, recurrence = (swept(constant, 1, 2, method=method) for method in ("interlaced", "recurrence"))
    assert interlaced.screened() <= recurrence.screened()
    assert interlaced.verified() <= recurrence.verified()
    laws = {key: proof.formula.newton for key, proof in pairs_of(interlaced)}
    assert laws.items() <= {key: proof.formula.newton for key, proof in pairs_of(recurrence)}.items()


def pairs_of(result: Any) -> list[tuple[str, Any]]:
    return [(str(result.genomes[row]), proof) for row, proof in result.proofs.items()]
