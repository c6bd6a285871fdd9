"""Formulas: their terms and values against constants computed elsewhere, their cost, and what they are written as."""

from __future__ import annotations

from fractions import Fraction
from itertools import cycle
from math import comb
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_formulas import KNOWN, Known

from evo.errors import ConfigError
from evo.json_text import read_json, write_json
from problems.esma.complexity import complexity
from problems.esma.formula import Formula
from problems.esma.monomial import monomials

DIGITS = 1450
integers = st.integers(-(10**20), 10**20)
small = st.integers(-9, 9)
rows = st.lists(small, min_size=1, max_size=4)
signs = st.lists(st.sampled_from([1, -1]), min_size=1, max_size=4)
sides = st.lists(small, min_size=1, max_size=3).filter(any)
E = Formula((0, 1), (1,), (1,), (2,), ((1,), (2, 2), (1,)))


@st.composite
def formulas(draw: st.DrawFn) -> Formula:
    left = (draw(sides), draw(sides), draw(signs), draw(st.lists(integers, max_size=3)))
    if draw(st.booleans()):
        return Formula(*left, newton=draw(st.lists(rows, min_size=1, max_size=4)))
    connection = [1, *draw(st.lists(small, max_size=3))]
    length = len(connection) - 1
    return Formula(*left, connection=connection, initial=draw(st.lists(small, min_size=length, max_size=length)))


def constant(name: str) -> Any:
    with mpmath.workdps(DIGITS):
        if name[0] in "IJ":
            kind, x = (mpmath.besseli if name[0] == "I" else mpmath.besselj), int(name[3])
            return kind(1, x) / kind(0, x)
        return {
            "e": lambda: +mpmath.e,
            "e^2": lambda: mpmath.exp(2),
            "sqrt(e)": lambda: mpmath.sqrt(mpmath.e),
            "e^(1/3)": lambda: mpmath.cbrt(mpmath.e),
            "tan(1)": lambda: mpmath.tan(1),
            "tan(1/2)": lambda: mpmath.tan(mpmath.mpf(1) / 2),
            "phi": lambda: +mpmath.phi,
            "sqrt(2)": lambda: mpmath.sqrt(2),
        }[name]()


@pytest.mark.parametrize("known", KNOWN, ids=str)
def test_seven_hundred_terms_give_the_known_digits_of_the_constant(known: Known) -> None:
    p, q = known.formula().convergent(700)
    with mpmath.workdps(DIGITS):
        c = constant(known.constant)
        left = abs(mpmath.polyval(known.numerator[::-1], c) / mpmath.polyval(known.denominator[::-1], c))
        assert abs(left - mpmath.mpf(p) / q) < mpmath.mpf(10) ** (0.1 - known.digits)


@pytest.mark.parametrize("known", KNOWN, ids=str)
def test_a_known_formula_has_its_order_and_reads_as_in_the_table(known: Known) -> None:
    formula = known.formula()
    before = ", ".join(map(str, known.preperiod))
    assert formula.order == known.order == formula.period * (formula.degree + 1)
    assert formula.right_hand_side_text() == f"[{before + '; ' if before else ''}{known.written}]"


def test_the_list_of_known_formulas_has_forty_different_ones() -> None:
    assert len({known.formula() for known in KNOWN}) == len(KNOWN) == 40


@given(formula=formulas(), count=st.integers(0, 30))
def test_terms_are_those_of_the_definition(formula: Formula, count: int) -> None:
    found, r = formula.terms(count), len(formula.preperiod)
    assert len(found) == count
    for n, a in enumerate(found):
        if n < r:
            assert a == formula.preperiod[n]
        elif formula.newton:
            m, j = divmod(n - r, formula.period)
            assert a == sum(c * comb(m, i) for i, c in enumerate(formula.newton[j]))
            assert a == sum(f * m**i for i, f in enumerate(formula.polynomial(j)))
        elif n < r + formula.order:
            assert a == formula.initial[n - r]
        else:
            assert sum(c * found[n - i] for i, c in enumerate(formula.connection)) == 0


@given(terms=st.lists(st.integers(2, 50), min_size=1, max_size=12), pattern=signs)
def test_a_convergent_is_the_fraction_worked_out_from_its_end(terms: list[int], pattern: list[int]) -> None:
    formula = Formula((1,), (0, 1), pattern, terms, [[1]])
    value = Fraction(terms[-1])
    levels = list(zip(terms[:-1], cycle(pattern), strict=False))
    for a, b in reversed(levels):
        value = a + Fraction(b) / value
    p, q = formula.convergent(len(terms))
    assert Fraction(p, q) == value


def test_a_recurrence_gives_its_terms() -> None:
    formula = Formula((0, 1), (1,), (1,), (7,), connection=(1, -3, 1), initial=(2, 3))
    assert formula.terms(6) == [7, 2, 3, 7, 18, 47]
    assert (formula.order, formula.period, formula.degree) == (2, 0, 0)


@given(formula=formulas())
def test_json_brings_a_formula_back(formula: Formula) -> None:
    assert Formula.from_json(read_json(write_json(formula.as_json()))) == formula


def test_numpy_integers_and_wide_rows_make_the_same_formula() -> None:
    wide = np.array([[1, 0, 0], [2, 2, 0], [1, 0, 0]])
    again = Formula(np.array([0, 1]), np.array([1]), np.array([1], np.int8), np.array([2]), wide)  # type: ignore[arg-type]
    assert again == E
    assert hash(again) == hash(E)
    assert write_json(again.as_json()) == write_json(E.as_json())


@given(row=st.lists(integers, max_size=6), m=st.integers(0, 40))
def test_powers_over_one_denominator_are_the_same_polynomial(row: list[int], m: int) -> None:
    coefficients, divisor = monomials(row)
    assert divisor >= 1
    assert not coefficients or coefficients[-1]
    assert Fraction(sum(f * m**i for i, f in enumerate(coefficients)), divisor) == sum(
        c * comb(m, i) for i, c in enumerate(row)
    )


def test_simple_formulas_cost_less() -> None:
    cost = {(known.left, known.signs): known.formula().complexity for known in KNOWN}
    assert cost["(e+1)/(e-1)", (1,)] < cost["e", (1,)] < cost["2e", (1,)]
    assert cost["(e^2+1)/(e^2-1)", (1,)] < cost["e^2", (1,)]
    assert cost["1/tan(1)", (-1,)] < cost["tan(1)", (1,)]
    assert cost["(2e+1)/(e+1)", (1,)] < cost["(2e+1)/(e+1)", (-1, 1)]
    assert min((c, left) for (left, _), c in cost.items() if "e" in left.replace("sqrt(e)", "e"))[1] != "2e"


def test_the_cost_of_e_is_the_sum_of_what_it_is_made_of() -> None:
    two = 1 + 2 * 101 / 64  # 64 log2(3) = 101.4...
    assert E.complexity == (1 + 3) + 3 + 1 + two + 3 + 2 * two + 3


@given(formula=formulas(), zeros=st.integers(0, 3))
def test_the_cost_does_not_depend_on_padding_or_on_signs_of_coefficients(formula: Formula, zeros: int) -> None:
    data = formula.as_json()
    data["numerator"] = [-c for c in data["numerator"]] + [0] * zeros
    data["denominator"] += [0] * zeros
    assert Formula.from_json(data).complexity == formula.complexity


@given(left=st.lists(small, min_size=2, max_size=2), pre=st.lists(integers, max_size=4), more=integers)
def test_more_to_remember_costs_more(left: list[int], pre: list[int], more: int) -> None:
    plain = complexity(left, [1], (1,), pre, [(1, 2)])
    assert complexity(left, [1], (1,), [*pre, more], [(1, 2)]) > plain
    assert complexity(left, [1], (1,), pre, [(1, 2), (more,)]) > plain
    assert complexity(left, [1], (-1,), pre, [(1, 2)]) > plain
    assert complexity(left, [1], (1,), pre, [(1, 2, 1)]) > plain


@given(x=st.integers(1, 10**400))
def test_the_cost_of_an_integer_is_twice_its_logarithm(x: int) -> None:
    cost = complexity([x], [1], (1,), [], [(1,)]) - complexity([0, 1], [1], (1,), [], [(1,)]) + 4
    with mpmath.workdps(30):
        assert -1e-12 <= 1 + 2 * mpmath.log(1 + x, 2) - cost < 2 / 64 + 1e-12


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"signs": ()}, "signs of"),
        ({"signs": (1, 0)}, "signs of"),
        ({"numerator": (0, 0)}, "other than 0"),
        ({"denominator": ()}, "other than 0"),
        ({"newton": ()}, "either polynomials or a recurrence"),
        ({"connection": (1, 1), "initial": (1,)}, "either polynomials or a recurrence"),
        ({"initial": (1,)}, "belong to a recurrence"),
        ({"newton": (), "connection": (2, 1), "initial": (1,)}, "begins with 1"),
        ({"newton": (), "connection": (1, 1), "initial": ()}, "as many initial terms"),
    ],
)
def test_what_makes_no_formula_is_refused(fields: dict[str, Any], message: str) -> None:
    whole: dict[str, Any] = {"numerator": (0, 1), "denominator": (1,), "signs": (1,), "newton": ((1,),)} | fields
    with pytest.raises(ConfigError, match=message):
        Formula(**whole)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"numerator": [1], "denominator": [1]},
        E.as_json() | {"colour": [1]},
        E.as_json() | {"signs": 1},
        E.as_json() | {"preperiod": ["2"]},
        E.as_json() | {"preperiod": [True]},
        E.as_json() | {"newton": [1, 2]},
        E.as_json() | {"newton": [[1.5]]},
        [1],
    ],
)
def test_json_of_something_else_is_refused(data: Any) -> None:
    with pytest.raises(ConfigError, match="formula: expected"):
        Formula.from_json(data)


def test_a_convergent_has_terms() -> None:
    with pytest.raises(ConfigError, match="at least 1 term"):
        E.convergent(0)
