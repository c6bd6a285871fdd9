"""Known formulas are found again, as many as there are, and where there is none nothing is claimed."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import mpmath
import pytest
from known_formulas import KNOWN, Known
from sweeping import Sweep, coefficients, signs, sweep

from problems.esma.problem import Esma
from problems.esma.proof import Proof

swept = cache(sweep)

CONSTANTS = tuple(dict.fromkeys(known.constant for known in KNOWN))
ALGEBRAIC = ("phi", "sqrt(2)")


def padded(p: tuple[int, ...]) -> tuple[int, ...]:
    return p + (0,) * (2 - len(p))


def lying_in_the_space() -> list[Known]:
    found = [known for known in KNOWN if max(map(abs, known.numerator + known.denominator)) <= 2]
    assert len(found) == len(KNOWN)  # today all forty do
    return found


def value(constant: str, numerator: tuple[int, ...], denominator: tuple[int, ...]) -> Any:
    c = {"phi": mpmath.phi, "sqrt(2)": mpmath.sqrt(2)}[constant]
    above, below = (sum(a * c**i for i, a in enumerate(row)) for row in (numerator, denominator))
    return mpmath.nstr(abs(above / below), 12)


def found_again(known: Known) -> Proof:
    """The proof for the known left-hand side, or one of equal value over an algebraic constant, and its signs."""
    result = swept(known.constant, 1, 2)

    def same(p: tuple[int, ...], q: tuple[int, ...]) -> bool:
        if known.constant in ALGEBRAIC:
            return bool(value(known.constant, p, q) == value(known.constant, known.numerator, known.denominator))
        return (p, q) == (padded(known.numerator), padded(known.denominator))

    rows = [row for row, one in enumerate(result.genomes) if same(*coefficients(one)) and signs(one) == known.signs]
    assert len(rows) == 1, f"{known} is there {len(rows)} times"
    return result.proofs[rows[0]]


@pytest.mark.parametrize("known", lying_in_the_space(), ids=str)
def test_a_known_formula_is_found_with_exactly_its_terms(known: Known) -> None:
    proof = found_again(known)
    expected = known.formula()
    assert proof.formula.preperiod == expected.preperiod
    assert proof.formula.newton == expected.newton
    assert proof.formula.order == known.order
    assert proof.digits >= 1000
    assert proof.evidence >= swept(known.constant, 1, 2).problem.settings.evidence
    assert proof.rate == pytest.approx(known.rate, abs=0.006)


def test_e_itself_is_found_which_has_a_term_before_its_law() -> None:
    by_text = {proof.formula.text(swept("e", 1, 2).problem.settings.constant) for proof in swept("e", 1, 2).formulas}
    assert "e = [2; (1, 2+2m, 1)]  b = +" in by_text
    assert "(e+1)/(e-1) = [(2+4m)]  b = +" in by_text


COUNTS = [
    ("e", 1, (2, 2), 36),
    ("e", 2, (2, 2), 252),
    ("e", 2, (1, 3), 762),
    ("e", 3, (1, 3), 2150),
    ("e^2", 2, (1, 3), 405),
    ("tan(1)", 2, (1, 3), 688),
    ("sqrt(e)", 2, (1, 3), 792),
]


@pytest.mark.parametrize(("constant", "limit", "periods", "count"), COUNTS)
def test_no_fewer_formulas_are_proved_than_there_are_known_to_be(
    constant: str, limit: int, periods: tuple[int, int], count: int
) -> None:
    result = swept(constant, 1, limit, sign_periods=periods)
    assert len(result.proofs) >= count
    assert len(result.verified()) == len(result.proofs)
    assert result.counters["candidates_screened_in"] == len(result.genomes)
    assert result.counters["undecided"] == 0
    assert {proof.formula.order <= 23 and proof.digits >= 1000 for proof in result.formulas} == {True}


def test_a_larger_box_holds_the_formulas_of_a_smaller_one() -> None:
    assert swept("e", 1, 2).verified() < swept("e", 1, 3).verified()
    assert swept("e", 1, 2, sign_periods=(2, 2)).verified() != set()


def test_every_value_over_a_quadratic_number_has_a_formula_of_constants() -> None:
    for constant, values in (("phi", 50), ("sqrt(2)", 70)):
        result = swept(constant, 1, 2)
        assert result.counters["left_hand_sides"] == values
        assert len(result.proofs) == 10 * values
        assert {proof.formula.degree for proof in result.formulas} == {0}


@pytest.mark.parametrize(
    "constant", ["pi", "zeta(3)", "log(2)", "2^(1/3)", "gamma", "e+pi", "catalan", "exp(pi)", "log(3)/log(2)"]
)
def test_where_no_formula_is_known_none_is_claimed(constant: str) -> None:
    result = swept(constant, 1, 2)
    assert result.counters["sequences"] == 1120
    assert result.counters["undecided"] == 0
    assert result.proofs == {}


# A number that is nearly one of many formulas -------------------------------------------------------------------------


def test_formulas_for_e_are_screened_in_for_a_number_300_digits_close_to_it_and_all_of_them_are_refused() -> None:
    result = swept("e+10^-300", 1, 2)
    assert len(result.genomes) > 700
    assert result.screened() <= swept("e", 1, 2).screened()
    assert result.proofs == {}
    for reason in result.refused.values():
        assert reason.startswith("no law of order up to 23 that shows within ")


def test_a_number_closer_than_the_digits_asked_for_passes_as_it_should() -> None:
    itself = (0, 1), (1, 0), (1,)
    near = swept("e+10^-300", 1, 1, digits=250)
    assert itself in near.verified() < swept("e", 1, 1, digits=250).verified()
    # a hundred terms 2, 6, 10, ... reach beyond 300 digits
    assert ((1, 1), (-1, 1), (1,)) in swept("e", 1, 1, digits=250).verified() - near.screened()
    assert swept("e+10^-300", 1, 1, digits=320).proofs == {}


# Parity with the original ---------------------------------------------------------------------------------------------

THE_ORIGINALS = {  # as printed by its code at depth 105
    ((2, 0), (-1, 1)), ((1, 0), (-1, 1)), ((1, 0), (-2, 1)), ((1, 1), (-1, 1)), ((1, 1), (-2, 2)), ((1, 1), (2, 0)),
    ((-2, 2), (0, 1)), ((1, 1), (0, 1)), ((0, 1), (-1, 1)), ((0, 1), (-2, 1)), ((2, 2), (-1, 1)), ((-1, 1), (-2, 1)),
    ((-1, 1), (1, 0)),
}  # fmt: skip


def the_original() -> Sweep:
    return swept("e", 1, 2, sign_periods=(2, 2), method="original", depth=105, modulus=199, digits=100)


def test_the_originals_method_finds_exactly_what_the_original_found() -> None:
    assert len(THE_ORIGINALS) == 13
    result = the_original()
    assert {(p, q) for p, q, _ in result.verified()} == THE_ORIGINALS
    assert len(result.proofs) == 14
    assert len(result.genomes) > 150
    assert all(proof.formula.preperiod == () and proof.formula.newton == () for proof in result.formulas)


def test_what_the_originals_method_finds_is_found_as_polynomials_too() -> None:
    interlaced = swept("e", 1, 2, sign_periods=(2, 2), depth=105)
    assert the_original().verified() < interlaced.verified()
    terms = {(*coefficients(interlaced.genomes[row]), signs(interlaced.genomes[row])): proof.formula.terms(300)
             for row, proof in interlaced.proofs.items()}  # fmt: skip
    for row, proof in the_original().proofs.items():
        genome = the_original().genomes[row]
        assert proof.formula.terms(300) == terms[(*coefficients(genome), signs(genome))]


@pytest.mark.parametrize(
    ("left", "pattern", "law"),
    [
        (((0, 1), (-1, 1)), (1, -1), (1, 0, -2, 0, 1)),
        (((-1, 1), (1, 0)), (-1, 1), (1, 0, -2, 0, 1)),
        (((0, 1), (-2, 1)), (1, 1), (1, 0, 0, -1, 0, 0, -1, 0, 0, 1)),
    ],
)
def test_the_recurrences_are_those_that_the_original_printed(left: Any, pattern: Any, law: tuple[int, ...]) -> None:
    laws = {(*coefficients(the_original().genomes[row]), signs(the_original().genomes[row])): proof.formula.connection
            for row, proof in the_original().proofs.items()}  # fmt: skip
    assert laws[(*left, pattern)] == law


# Depth and order ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [100, 120, 400])
def test_fast_growing_terms_are_found_at_any_depth(depth: int) -> None:
    result = swept("e", 1, 1, depth=depth, sign_periods=(1, 1))
    found = {
        (p, q, s): result.proofs[row].formula
        for row, (p, q, s) in enumerate(map(key, result.genomes))
        if row in result.proofs
    }
    formula = found[(1, 1), (-1, 1), (1,)]
    assert formula.newton == ((2, 4),)
    assert formula.terms(5) == [2, 6, 10, 14, 18]


def key(genome: Any) -> tuple[Any, ...]:
    return (*coefficients(genome), signs(genome))


@pytest.mark.parametrize("depth", [45, 60, 100])
def test_twice_the_depth_loses_no_formula(depth: int) -> None:
    shallow, deep = (swept("e", 1, 2, depth=one, max_order=23) for one in (depth, 2 * depth))
    assert shallow.verified() <= deep.verified()
    assert len(shallow.verified()) > 300
    assert len(deep.verified()) > len(shallow.verified()) or depth > 45  # where all are in sight already


def quadratic(period: list[int]) -> str:
    """The number with the purely periodic simple fraction, as an expression: it solves x = (p x + p') / (q x + q')."""
    p, before_p, q, before_q = 1, 0, 0, 1
    for a in period:
        p, before_p, q, before_q = a * p + before_p, p, a * q + before_q, q
    under = (p - before_q) ** 2 + 4 * q * before_p
    return f"({p - before_q}+sqrt({under}))/{2 * q}"


PERIOD = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4]


@pytest.mark.parametrize("length", [1, 2, 7, 22, 23])
def test_a_period_as_long_as_the_order_allows_is_found_and_a_longer_one_is_not(length: int) -> None:
    constant = quadratic(PERIOD[:length])
    itself = (0, 1), (1, 0), (1,)
    enough = swept(constant, 1, 1, max_order=length)
    formula = {key(enough.genomes[row]): proof.formula for row, proof in enough.proofs.items()}[itself]
    assert formula.newton == tuple((a,) for a in PERIOD[:length])
    assert (formula.order, formula.preperiod) == (length, ())
    if length > 1:
        assert itself not in swept(constant, 1, 1, max_order=length - 1).screened()


def test_the_default_order_ends_at_twenty_three() -> None:
    itself = (0, 1), (1, 0), (1,)
    assert itself in swept(quadratic(PERIOD[:23]), 1, 1).verified()
    assert itself not in swept(quadratic(PERIOD[:24]), 1, 1).screened()


# A second opinion -----------------------------------------------------------------------------------------------------

NUMBERS = {
    "e": lambda: mpmath.e,
    "e^2": lambda: mpmath.e**2,
    "tan(1)": lambda: mpmath.tan(1),
    "sqrt(e)": lambda: mpmath.sqrt(mpmath.e),
    "I1(2)/I0(2)": lambda: mpmath.besseli(1, 2) / mpmath.besseli(0, 2),
    "J1(1)/J0(1)": lambda: mpmath.besselj(1, 1) / mpmath.besselj(0, 1),
    "sqrt(2)": lambda: mpmath.sqrt(2),
}


@pytest.mark.parametrize("constant", NUMBERS)
def test_formulas_agree_with_the_number_of_another_library_to_the_digits_that_are_claimed(constant: str) -> None:
    result = swept(constant, 1, 2)
    step = max(1, len(result.formulas) // (60 if constant == "e" else 8))
    sample = list(itertools.islice(result.formulas, 0, None, step))
    assert len(sample) >= 8
    with mpmath.workdps(int(max(proof.digits for proof in sample)) + 60):
        c = +NUMBERS[constant]()
        for proof in sample:
            f = proof.formula
            above, below = (sum(a * c**i for i, a in enumerate(row)) for row in (f.numerator, f.denominator))
            p, q = f.convergent(proof.terms)
            wrong = abs(abs(above / below) - mpmath.mpf(p) / q)
            assert proof.digits >= 1000
            assert wrong < mpmath.mpf(10) ** -proof.digits, str(f)
            assert wrong > mpmath.mpf(10) ** -(proof.digits + 50), str(f)  # it is that formula's error, not nothing


def test_the_formulas_terms_alone_go_on_to_agree_far_beyond_what_was_proved() -> None:
    with mpmath.workdps(3000):
        for proof in swept("e", 1, 2).formulas[::50]:
            f = proof.formula
            above, below = (a[0] + a[1] * mpmath.e for a in (f.numerator, f.denominator))
            p, q = f.convergent(3 * proof.terms)
            assert abs(abs(above / below) - mpmath.mpf(p) / q) < mpmath.mpf(10) ** -2500


def test_a_problem_is_what_it_was_asked_to_be() -> None:
    assert isinstance(swept("e", 1, 2).problem, Esma)
    assert len(swept("e", 1, 2).problem.settings.patterns) == 10
