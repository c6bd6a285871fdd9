"""Formulas as people write them: left-hand sides as text and as LaTeX, right-hand sides as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from math import gcd

from problems.esma.monomial import monomials

__all__ = [
    "interlaced_text",
    "left_hand_side_latex",
    "left_hand_side_text",
    "polynomial_text",
    "recurrence_text",
    "signs_text",
]

_UNDECIDED = 1e-9  # a polynomial below this part of the sum of its terms' sizes has no sign that a float could tell

_BRACED = r"\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}"
_LATEX_QUOTIENT = re.compile(rf"\\frac{_BRACED}{_BRACED}")


class Binding(IntEnum):
    """How tightly an expression holds together where others are written beside it."""

    SUM = 0
    QUOTIENT = 1
    PRODUCT = 2
    POWER = 3
    ATOM = 4


@dataclass(frozen=True)
class _Name:
    """A constant's name in one of the two styles, and how tightly it binds."""

    text: str
    binding: Binding
    latex: bool

    def group(self, inner: str) -> str:
        return rf"\left({inner}\right)" if self.latex else f"({inner})"

    def over(self, top: tuple[str, Binding], bottom: tuple[str, Binding]) -> str:
        if self.latex:
            return rf"\frac{{{top[0]}}}{{{bottom[0]}}}"
        above = self.group(top[0]) if top[1] <= Binding.QUOTIENT else top[0]
        return f"{above}/{self.group(bottom[0]) if bottom[1] <= Binding.PRODUCT else bottom[0]}"

    def power(self, k: int) -> tuple[str, Binding]:
        if k == 1:
            return self.text, self.binding
        base = self.text if self.binding == Binding.ATOM else self.group(self.text)
        if self.binding == Binding.POWER and (parts := re.fullmatch(r"(\\?\w+)\^\{?(\d+)\}?", self.text)):
            base, k = parts[1], k * int(parts[2])
        return f"{base}^{{{k}}}" if self.latex else f"{base}^{k}", Binding.POWER

    def term(self, size: int, k: int) -> tuple[str, Binding]:
        """`size` times the k-th power, `size` > 0."""
        if k == 0:
            return str(size), Binding.ATOM
        text, binding = self.power(k)
        if size == 1:
            return text, binding
        return f"{size}{self.group(text) if binding <= Binding.PRODUCT else text}", Binding.PRODUCT


@dataclass(frozen=True)
class _Quotient:
    """A name A/B whose parts are written as such: the k-th power, times B^degree, is A^k B^(degree-k)."""

    above: _Name
    below: _Name
    degree: int

    @property
    def latex(self) -> bool:
        return self.above.latex

    def group(self, inner: str) -> str:
        return self.above.group(inner)

    def over(self, top: tuple[str, Binding], bottom: tuple[str, Binding]) -> str:
        return self.above.over(top, bottom)

    def term(self, size: int, k: int) -> tuple[str, Binding]:
        """`size` times A^k B^(degree-k), `size` > 0."""
        pairs = [(name, power) for name, power in ((self.above, k), (self.below, self.degree - k)) if power]
        if len(pairs) > 0 and self.above.text == "1":  # powers of 1/B
            pairs = [(name, power) for name, power in pairs if name is self.below]
        if not pairs:
            return str(size), Binding.ATOM
        if len(pairs) == 1:
            return pairs[0][0].term(size, pairs[0][1])
        text = (" " if self.latex else "*").join(name.power(power)[0] for name, power in pairs)
        return f"{size}{text}" if size > 1 else text, Binding.PRODUCT


def left_hand_side_text(numerator: Sequence[int], denominator: Sequence[int], name: str, value: float) -> str:
    """|P(c)/Q(c)| as people write it: ``e``, ``1/(e-1)``, ``(e+1)/(2(e-1))``, ``3-e``.

    Common factors of integers are pulled out, and signs chosen so that what is written is positive without bars; bars
    stay where `value` does not tell the sign of P or Q. A name is put in parentheses where it needs them.

    Args:
        numerator: coefficients of P, ascending, not all 0.
        denominator: the same of Q.
        name: the constant as text, such as ``e``, ``e^2`` or ``I1(2)/I0(2)``.
        value: the constant.
    """
    parts = _halves(name)
    if parts:
        above, below = (_Name(part, _binding(part), False) for part in parts)
        return _fraction(numerator, denominator, _Quotient(above, below, _height(numerator, denominator)), value)
    return _fraction(numerator, denominator, _Name(name, _binding(name), False), value)


def left_hand_side_latex(
    numerator: Sequence[int], denominator: Sequence[int], name: str, latex: str, value: float
) -> str:
    """The same in LaTeX for math mode; `latex` is the constant's name there, and binds as `name` does."""
    parts = _halves(name)
    shown = _LATEX_QUOTIENT.fullmatch(latex)
    if parts and shown:
        above, below = (_Name(shown[i + 1], _binding(part), True) for i, part in enumerate(parts))
        return _fraction(numerator, denominator, _Quotient(above, below, _height(numerator, denominator)), value)
    return _fraction(numerator, denominator, _Name(latex, _binding(name), True), value)


def signs_text(signs: Sequence[int]) -> str:
    """A sign pattern as ``+``, ``-+``, ``++-``."""
    return "".join("+" if sign > 0 else "-" for sign in signs)


def interlaced_text(preperiod: Sequence[int], newton: Sequence[Sequence[int]]) -> str:
    """``[2; (1, 2+2m, 1)]``: the preperiod, then the polynomials that take turns, m = 0, 1, 2, ..."""
    before = ", ".join(map(str, preperiod))
    return f"[{before}{'; ' if before else ''}({', '.join(map(polynomial_text, map(tuple, newton)))})]"


def recurrence_text(given: Sequence[int], connection: Sequence[int]) -> str:
    """``[2, 3; a_n = 3 a_{n-1} - a_{n-2}]``: the given terms, then what each further one is. It is LaTeX, too."""
    pieces = [
        f"{'-' if c > 0 else '+'} {'' if abs(c) == 1 else f'{abs(c)} '}a_{{n-{i}}}"
        for i, c in enumerate(connection)
        if i and c
    ]
    law = " ".join(pieces) or "0"
    law = law.removeprefix("+ ") if law[0] == "+" else law.replace("- ", "-", 1)
    return f"[{', '.join(map(str, given))}; a_n = {law}]"


@lru_cache(1 << 16)
def polynomial_text(newton: tuple[int, ...], latex: bool = False) -> str:
    """A polynomial in m given by Newton coefficients: ``2+4m``, ``(m+m^2)/2``; powers ascending."""
    coefficients, divisor = monomials(newton)
    top = _sum(list(enumerate(coefficients)), _Name("m", Binding.ATOM, latex))
    if divisor == 1:
        return top[0]
    return _Name("m", Binding.ATOM, latex).over(top, (str(divisor), Binding.ATOM))


def _binding(name: str) -> Binding:
    """The loosest operator outside parentheses; a digit in front makes it a product at best, as 2 times 3 is not 23."""
    depth, found = 0, Binding.ATOM
    for place, letter in enumerate(name):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0 and letter in "+-":
            return Binding.SUM
        if depth == 0 and letter in "*/":
            found = min(found, Binding.QUOTIENT)
        elif depth == 0 and letter == "^":
            found = min(found, Binding.POWER)
        elif letter.isspace() or (place == 0 and letter.isdigit()):
            found = min(found, Binding.PRODUCT)
    return found


def _halves(name: str) -> list[str] | None:
    """The parts of a name A/B that reads better taken apart: A/(B-A) rather than (A/B)/(1-A/B)."""
    halves = name.split("/")
    plain = len(halves) == 2 and all(half == "1" or _binding(half) > Binding.PRODUCT for half in halves)
    return halves if plain and halves[1] != "1" else None


def _height(numerator: Sequence[int], denominator: Sequence[int]) -> int:
    """The higher degree of the two."""
    return max(i for coefficients in (numerator, denominator) for i, c in enumerate(coefficients) if c)


def _fraction(numerator: Sequence[int], denominator: Sequence[int], name: _Name | _Quotient, value: float) -> str:
    signs = _sign(numerator, value), _sign(denominator, value)
    top = _factored([c * (signs[0] or 1) for c in numerator], name)
    bottom = _factored([c * (signs[1] or 1) for c in denominator], name)
    text = top[0] if bottom[0] == "1" else name.over(top, bottom)
    if all(signs):
        return text
    return rf"\left|{text}\right|" if name.latex else f"|{text}|"


def _sign(coefficients: Sequence[int], value: float) -> int:
    terms = [c * value**i for i, c in enumerate(coefficients)]
    total = sum(terms)
    return 0 if abs(total) <= _UNDECIDED * sum(map(abs, terms)) else 1 if total > 0 else -1


def _factored(coefficients: Sequence[int], name: _Name | _Quotient) -> tuple[str, Binding]:
    """A polynomial, highest power first, with the integers' common factor before it."""
    content = gcd(*coefficients)
    terms = [(i, c) for i, c in reversed(list(enumerate(coefficients))) if c]
    if len(terms) == 1 or content == 1:
        return _sum(terms, name)
    inner, _ = _sum([(i, c // content) for i, c in terms], name)
    return f"{content}{name.group(inner)}", Binding.PRODUCT


def _sum(terms: Sequence[tuple[int, int]], name: _Name | _Quotient) -> tuple[str, Binding]:
    """Terms (power, coefficient) in this order, or another where this one would begin with a minus."""
    terms = [term for term in terms if term[1]]
    if not terms:
        return "0", Binding.ATOM
    if terms[0][1] < 0 < terms[-1][1]:
        terms.reverse()
    elif terms[0][1] < 0:
        terms.sort(key=lambda term: term[1] < 0)
    text, binding = "", Binding.ATOM
    for power, coefficient in terms:
        piece, binding = name.term(abs(coefficient), power)
        if binding == Binding.SUM and (len(terms) > 1 or coefficient < 0):
            piece = name.group(piece)
        text += ("-" if coefficient < 0 else "+" if text else "") + piece
    return text, Binding.SUM if len(terms) > 1 or terms[0][1] < 0 else binding
