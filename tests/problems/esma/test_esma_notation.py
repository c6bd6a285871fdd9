"""Formulas in writing: true as they stand, short where they can be, and LaTeX that holds together."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from known_formulas import KNOWN, Known

from problems.esma.formula import Formula
from problems.esma.latex import Entry, Section, continued_fraction, escape, latex_document
from problems.esma.notation import left_hand_side_latex, left_hand_side_text, polynomial_text, recurrence_text

VALUES = {
    "e": math.e,
    "e^2": math.e**2,
    "sqrt(e)": math.sqrt(math.e),
    "e^(1/3)": math.e ** (1 / 3),
    "tan(1)": math.tan(1),
    "tan(1/2)": math.tan(0.5),
    "phi": (1 + math.sqrt(5)) / 2,
    "sqrt(2)": math.sqrt(2),
    "I1(2)/I0(2)": 0.6977746579640079,
    "I1(1)/I0(1)": 0.4463899658965345,
    "J1(2)/J0(2)": 2.575920321232475,
    "J1(1)/J0(1)": 0.5750807013893857,
}
coefficients = st.lists(st.integers(-12, 12), min_size=1, max_size=4).filter(any)


@dataclass
class Stated:
    """A constant as far as writing asks for it."""

    short: str
    latex: str
    known_bits: int | None = None

    def enclosure(self, bits: int) -> Any:
        assert bits <= (self.known_bits or 53)
        return VALUES[self.short]


E = Stated("e", "e")


def meaning(text: str, **names: float) -> float:
    """The value of a text, with what stands side by side multiplied."""
    inner = re.fullmatch(r"\|(.*)\|", text)
    text = inner[1] if inner else text
    text = re.sub(r"(?<=[\d)])(?=[a-z(])", "*", text).replace("^", "**")
    value = float(eval(text, {"__builtins__": {}}, names))
    return abs(value) if inner else value


@pytest.mark.parametrize("known", KNOWN, ids=str)
def test_known_left_hand_sides_read_as_in_the_table(known: Known) -> None:
    value = VALUES[known.constant]
    assert left_hand_side_text(known.numerator, known.denominator, known.constant, value) == known.left


@pytest.mark.parametrize(
    ("numerator", "denominator", "name", "value", "text"),
    [
        ((-3, 1), (1,), "e", math.e, "3-e"),
        ((-6, 2), (1,), "e", math.e, "2(3-e)"),
        ((3, -1), (0, 2), "e", math.e, "(3-e)/(2e)"),
        ((1,), (0, 0, 1), "e", math.e, "1/e^2"),
        ((-1, 1, 1), (1, -9, 1), "e", math.e, "(e^2+e-1)/(9e-e^2-1)"),
        ((5, 1, -1), (7,), "pi", 2.0, "(5+pi-pi^2)/7"),
        ((1, 0, 1), (-1, 0, 1), "e^2", math.e**2, "(e^4+1)/(e^4-1)"),
        ((0, 0, 1), (1,), "e^(1/3)", math.e ** (1 / 3), "(e^(1/3))^2"),
        ((1, 2), (1,), "e+pi", 5.8, "2(e+pi)+1"),
        ((0, 1), (1,), "e+pi", 5.8, "e+pi"),
        ((1,), (0, 1), "2pi", 6.28, "1/(2pi)"),
        ((0, 3), (1,), "2pi", 6.28, "3(2pi)"),
        ((0, 1, 1), (1,), "3.14", 3.14, "(3.14)^2+3.14"),
        ((0, 1), (2,), "I1(2)/I0(2)", 0.7, "I1(2)/(2I0(2))"),
        ((3,), (0, 2), "I1(2)/I0(2)", 0.7, "3I0(2)/(2I1(2))"),
        ((1, 1), (0, 1), "I1(2)/I0(2)", 0.7, "(I1(2)+I0(2))/I1(2)"),
        ((0, 1), (-1, 1), "I1(2)/I0(2)", 0.7, "I1(2)/(I0(2)-I1(2))"),
        ((0, 1, 1), (1,), "J1(1)/J0(1)", 0.6, "(J1(1)^2+J1(1)*J0(1))/J0(1)^2"),
        ((1,), (0, 1), "a/b", -0.7, "b/(-a)"),
        ((0, 1), (1,), "x", -2.0, "-x"),
        ((0, 1), (2,), "e-5", -2.3, "(-(e-5))/2"),
        ((1,), (0, 1), "tan(1/2)", 0.5, "1/tan(1/2)"),
        ((1,), (0, 1), "2/e", 0.7, "1/(2/e)"),
        ((0, 1), (1, -1), "1/e", 0.37, "1/(e-1)"),
        ((2, 3), (1,), "1/e", 0.37, "(3+2e)/e"),
        ((-1, 0, 1), (0, 1), "one", 1.0, "|(one^2-1)/one|"),
    ],
)
def test_left_hand_sides_are_written_as_people_write_them(
    numerator: tuple[int, ...], denominator: tuple[int, ...], name: str, value: float, text: str
) -> None:
    assert left_hand_side_text(numerator, denominator, name, value) == text


@given(numerator=coefficients, denominator=coefficients, value=st.floats(-5, 5).filter(lambda x: abs(x) > 0.01))
def test_what_is_written_is_a_true_equation(numerator: list[int], denominator: list[int], value: float) -> None:
    p, q = (sum(c * value**i for i, c in enumerate(side)) for side in (numerator, denominator))
    assume(abs(p) > 1e-4)
    assume(abs(q) > 1e-4)
    text = left_hand_side_text(numerator, denominator, "c", value)
    assert meaning(text, c=value) == pytest.approx(abs(p / q), rel=1e-6)
    assert "--" not in text
    assert "+-" not in text


@pytest.mark.parametrize(
    ("newton", "text"),
    [
        ((2, 4), "2+4m"),
        ((1, 1), "1+m"),
        ((0, 3), "3m"),
        ((7, 0, 0), "7"),
        ((0,), "0"),
        ((0, 0, 1), "(m^2-m)/2"),
        ((0, 1, 1), "(m+m^2)/2"),
        ((0, 0, 2), "m^2-m"),
        ((1, 1, 2), "1+m^2"),
        ((0, 2, 3), "(m+3m^2)/2"),
        ((0, 1, 6, 6), "m^3"),
        ((0, 0, 0, 0), "0"),
        ((-3, 2), "2m-3"),
    ],
)
def test_polynomials_are_written_as_people_write_them(newton: tuple[int, ...], text: str) -> None:
    assert polynomial_text(newton) == text


@pytest.mark.parametrize(
    ("connection", "law"),
    [
        ((1, -3, 1), "3 a_{n-1} - a_{n-2}"),
        ((1, 3, -1), "-3 a_{n-1} + a_{n-2}"),
        ((1, 0, -2, 0, 1), "2 a_{n-2} - a_{n-4}"),
        ((1,), "0"),
    ],
)
def test_recurrences_are_written_as_people_write_them(connection: tuple[int, ...], law: str) -> None:
    assert recurrence_text((2, 3), connection) == f"[2, 3; a_n = {law}]"


def test_a_formula_is_one_line_of_text() -> None:
    assert Formula((1, 1), (-1, 1), (1,), (), ((2, 4),)).text(E) == "(e+1)/(e-1) = [(2+4m)]  b = +"
    assert Formula((-1, 1), (1,), (-1, 1), (), ((2,), (3, 2))).text(E) == "e-1 = [(2, 3+2m)]  b = -+"
    assert Formula((0, 1), (1,), (1,), (2,), ((1,), (2, 2), (1,))).text(E) == "e = [2; (1, 2+2m, 1)]  b = +"
    recurring = Formula((0, 1), (1,), (1, 1, -1), connection=(1, -3, 1), initial=(2, 3))
    assert recurring.text(E) == "e = [2, 3; a_n = 3 a_{n-1} - a_{n-2}]  b = ++-"


def test_a_constant_known_to_few_bits_is_asked_for_no_more() -> None:
    assert Formula((0, 1), (1,), (1,), (2,), ((1,),)).text(Stated("e", "e", known_bits=20)).startswith("e = ")


@pytest.mark.parametrize(
    ("numerator", "denominator", "name", "latex", "value", "written"),
    [
        ((1, 1), (-1, 1), "e", "e", math.e, r"\frac{e+1}{e-1}"),
        ((1, 1), (-2, 2), "e", "e", math.e, r"\frac{e+1}{2\left(e-1\right)}"),
        ((-3, 1), (1,), "e", "e", math.e, "3-e"),
        ((0, 0, 2), (1,), "e^2", "e^{2}", math.e**2, "2e^{4}"),
        ((0, 0, 0, 1), (5,), "phi", r"\varphi", 1.618, r"\frac{\varphi^{3}}{5}"),
        ((0, 1), (0, 0, 2), "sqrt(2)", r"\sqrt{2}", 1.414, r"\frac{\sqrt{2}}{2\sqrt{2}^{2}}"),
        ((1,), (0, 1), "I1(2)/I0(2)", r"\frac{I_{1}(2)}{I_{0}(2)}", 0.7, r"\frac{I_{0}(2)}{I_{1}(2)}"),
        ((3,), (0, 2), "I1(2)/I0(2)", r"\frac{I_{1}(2)}{I_{0}(2)}", 0.7, r"\frac{3I_{0}(2)}{2I_{1}(2)}"),
        ((1,), (0, 1), "I1(2)/I0(2)", r"I_1(2) / I_0(2)", 0.7, r"\frac{1}{I_1(2) / I_0(2)}"),
        ((-1, 1), (1,), "one", "o", 1.0, r"\left|o-1\right|"),
    ],
)
def test_left_hand_sides_in_latex(
    numerator: tuple[int, ...], denominator: tuple[int, ...], name: str, latex: str, value: float, written: str
) -> None:
    assert left_hand_side_latex(numerator, denominator, name, latex, value) == written


def test_continued_fractions_are_unrolled_with_their_signs() -> None:
    assert continued_fraction([2], [-1]) == r"2 - \ddots"
    assert continued_fraction([2, 3, 4], [-1, 1]) == r"2 - \cfrac{1}{3 + \cfrac{1}{4 - \ddots}}"
    formula = Formula((0, 1), (1,), (1,), (2,), ((1,), (2, 2), (1,)))
    nested = r"2 + \cfrac{1}{1 + \cfrac{1}{2 + \cfrac{1}{1 + \cfrac{1}{1 + \ddots}}}}"
    assert formula.latex(E) == f"e = {nested}"


def test_the_law_of_the_terms_is_stated() -> None:
    interlaced = Formula((1, 2), (1, 1), (-1, 1), (2, 3), ((2,), (0, 1, 1)))
    assert interlaced.statements() == (
        "a_{0} = 2",
        "a_{1} = 3",
        "a_{2m+2} = 2",
        r"a_{2m+3} = \frac{m+m^{2}}{2}",
        "b_{2m} = -1",
        "b_{2m+1} = 1",
        r"m = 0, 1, 2, \dots",
    )
    recurring = Formula((0, 1), (1,), (-1,), (5,), connection=(1, -3, 1), initial=(2, 3))
    assert recurring.statements() == (
        "a_{0} = 5",
        "a_{1} = 2",
        "a_{2} = 3",
        "a_n = 3 a_{n-1} - a_{n-2}",
        r"n \ge 3",
        "b_n = -1",
    )
    assert Formula((0, 1), (1,), (1,), (), ((2, 4),)).statements() == ("a_{m} = 2+4m", r"m = 0, 1, 2, \dots")


def balanced(text: str) -> bool:
    """Whether groups, environments and math shifts open and close in order."""
    text = text.replace(r"\\", "")
    open_: list[str] = []
    for begin, end, mark in re.findall(r"\\begin\{(\w+)\}|\\end\{(\w+)\}|((?<!\\)[{}$])", text):
        if begin or mark == "{" or (mark == "$" and "$" not in open_):
            open_.append(begin or mark)
        elif not open_ or open_.pop() != (end or {"}": "{", "$": "$"}[mark]):
            return False
    return not open_


def test_a_document_lists_formulas_and_holds_together() -> None:
    entries = tuple(
        Entry(known.formula().latex(Stated(known.constant, known.constant)), known.formula().statements(), 1000.0, 2.5)
        for known in KNOWN
    )
    hostile = r"50% of {a_1} & $b^2 \ #1 ~ <\pi> |π|" + '"'
    text = latex_document([Section("Orbit of e", entries[:18]), Section(hostile, entries[18:])], title=hostile)
    assert balanced(text)
    assert text.isascii()
    assert text.startswith(r"\documentclass{article}")
    assert text.endswith("\\end{document}\n")
    assert text.count(r"\begin{longtable}") == text.count(r"\end{longtable}") == 2
    assert text.count("& 1000 & 2.50") == len(KNOWN)
    assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0


def test_plain_text_is_escaped() -> None:
    assert escape(r"a_b^c & 5%") == r"a\_b\textasciicircum{}c \& 5\%"
    assert escape("\\{π}") == r"\textbackslash{}\{\&\#960;\}"
    assert not balanced(r"\frac{1}{2")
