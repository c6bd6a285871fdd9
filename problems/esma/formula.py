"""A formula as found: |P(c)/Q(c)| equal to a signed continued fraction whose every term is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from operator import index
from typing import Any, Protocol

from evo.errors import ConfigError
from problems.esma import latex, notation
from problems.esma.complexity import complexity, recurrence_complexity
from problems.esma.monomial import monomials

__all__ = ["Formula", "Written", "complexity"]

_FIELDS = ("numerator", "denominator", "signs", "preperiod", "connection", "initial")


class Written(Protocol):
    """What a constant must tell to be written: its name as text and in LaTeX, and a ball about its value."""

    @property
    def short(self) -> str:
        """The name as people write it."""

    @property
    def latex(self) -> str:
        """The name in LaTeX."""

    @property
    def known_bits(self) -> int | None:
        """How many bits of it are known; None: any number."""

    def enclosure(self, bits: int) -> Any:
        """A ball of radius below 2**-bits that `float` takes the middle of."""


@dataclass(frozen=True)
class Formula:
    """|P(c)/Q(c)| = a_0 + b_0/(a_1 + b_1/(a_2 + ...)), with signs b_n = signs[n mod J] from the very first term.

    The terms are `preperiod`, then either

    - polynomials in turn, a_{r+k*m+j} = P_j(m) with k rows ``P_j(m) = sum_i newton[j][i] binomial(m, i)``, or
    - `initial`, followed by a_n = -(connection[1] a_{n-1} + connection[2] a_{n-2} + ...), connection[0] = 1.

    Sequences of any integers are taken; they are kept as tuples of Python's, rows cut or filled to one width.

    Args:
        numerator: coefficients of P, ascending: index i multiplies c^i.
        denominator: the same of Q.
        signs: the pattern, each +1 or -1.
        preperiod: the terms before the law holds, r of them.
        newton: one row of Newton coefficients for each of the k polynomials; empty for a recurrence.
        connection: the recurrence's coefficients, the first 1; empty for polynomials.
        initial: as many terms as the recurrence looks back.

    Raises:
        ConfigError: no sign or another than +1 and -1, P or Q zero, polynomials and a recurrence both or neither, or
            too few or too many initial terms.
    """

    numerator: tuple[int, ...]
    denominator: tuple[int, ...]
    signs: tuple[int, ...]
    preperiod: tuple[int, ...] = ()
    newton: tuple[tuple[int, ...], ...] = ()
    connection: tuple[int, ...] = ()
    initial: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for field in _FIELDS:
            object.__setattr__(self, field, tuple(map(index, getattr(self, field))))
        object.__setattr__(self, "newton", _even(self.newton))
        if not self.signs or any(sign not in (1, -1) for sign in self.signs):
            raise ConfigError(f"formula: expected signs of +1 and -1, at least one, got {list(self.signs)}")
        if not any(self.numerator) or not any(self.denominator):
            raise ConfigError("formula: expected a numerator and a denominator other than 0")
        if bool(self.newton) == bool(self.connection):
            raise ConfigError("formula: expected either polynomials or a recurrence")
        if self.connection and (self.connection[0] != 1 or len(self.initial) != len(self.connection) - 1):
            raise ConfigError(
                "formula: expected a connection polynomial that begins with 1 and as many initial terms as it has "
                f"further coefficients, got {list(self.connection)} and {len(self.initial)} terms"
            )
        if self.initial and not self.connection:
            raise ConfigError("formula: initial terms belong to a recurrence; expected none beside polynomials")

    @property
    def period(self) -> int:
        """How many polynomials take turns, k; 0 for a recurrence."""
        return len(self.newton)

    @property
    def degree(self) -> int:
        """The highest degree among the polynomials; 0 for a recurrence."""
        return len(self.newton[0]) - 1 if self.newton else 0

    @property
    def order(self) -> int:
        """Length of the linear recurrence that the terms obey after the preperiod: k (degree + 1)."""
        return self.period * (self.degree + 1) if self.newton else len(self.initial)

    @property
    def complexity(self) -> float:
        """Bits a person has to remember, see `problems.esma.complexity`."""
        if self.newton:
            return complexity(self.numerator, self.denominator, self.signs, self.preperiod, self.newton)
        given = self.preperiod + self.initial
        return recurrence_complexity(self.numerator, self.denominator, self.signs, given, self.connection)

    def polynomial(self, j: int) -> tuple[Fraction, ...]:
        """The j-th polynomial's coefficients in powers of m, ascending; the last is not zero unless it stands alone."""
        coefficients, divisor = monomials(self.newton[j])
        return tuple(Fraction(f, divisor) for f in coefficients) or (Fraction(0),)

    def terms(self, count: int) -> list[int]:
        """The first `count` terms a_0, a_1, ..., exact."""
        if not self.newton:
            return self._recurring(count)
        found = list(self.preperiod[:count])
        rounds = -(-max(0, count - len(found)) // self.period)
        for values in zip(*(_values(row, rounds) for row in self.newton), strict=True):
            found.extend(values)
        return found[:count]

    def _recurring(self, count: int) -> list[int]:
        found = [*self.preperiod, *self.initial]
        back = self.connection[1:]
        while len(found) < count:
            found.append(-sum(c * a for c, a in zip(back, reversed(found), strict=False)))
        return found[:count]

    def convergent(self, count: int) -> tuple[int, int]:
        """Integers (p, q): the continued fraction broken off after its first `count` terms is p/q, exactly.

        By p_n = a_n p_{n-1} + b_{n-1} p_{n-2} and the same for q, in Python's integers: slow, but it shares no code
        with the search, and so is a second opinion on what that found.

        Raises:
            ConfigError: count below 1.
        """
        if count < 1:
            raise ConfigError(f"count: expected at least 1 term, got {count}")
        p, q, before_p, before_q = 1, 0, 0, 1
        for n, a in enumerate(self.terms(count)):
            b = self.signs[(n - 1) % len(self.signs)] if n else 1
            p, before_p = a * p + b * before_p, p
            q, before_q = a * q + b * before_q, q
        return p, q

    def text(self, constant: Written) -> str:
        """One line: ``(e+1)/(e-1) = [(2+4m)]  b = +``."""
        left = notation.left_hand_side_text(self.numerator, self.denominator, constant.short, _value(constant))
        return f"{left} = {self.right_hand_side_text()}  b = {notation.signs_text(self.signs)}"

    def right_hand_side_text(self) -> str:
        """``[2; (1, 2+2m, 1)]``, or ``[2, 3; a_n = 3 a_{n-1} - a_{n-2}]`` for a recurrence."""
        if self.newton:
            return notation.interlaced_text(self.preperiod, self.newton)
        return notation.recurrence_text(self.preperiod + self.initial, self.connection)

    def latex(self, constant: Written, levels: int = 5) -> str:
        """The equation in LaTeX for math mode, the continued fraction unrolled for `levels` terms."""
        left = notation.left_hand_side_latex(
            self.numerator, self.denominator, constant.short, constant.latex, _value(constant)
        )
        return f"{left} = {latex.continued_fraction(self.terms(levels), self.signs)}"

    def statements(self) -> tuple[str, ...]:
        """What every term and every sign is, in pieces of LaTeX for math mode: ``a_{3m+1} = 1``, ..."""
        if self.newton:
            return latex.interlacing(self.preperiod, self.newton, self.signs)
        return latex.recurrence(self.preperiod + self.initial, self.connection, self.signs)

    def as_json(self) -> dict[str, list[Any]]:
        """Lists of integers by field, those of the law that is not used left out; `from_json` takes them."""
        left_out = ("connection", "initial") if self.newton else ()
        fields: dict[str, list[Any]] = {name: list(getattr(self, name)) for name in _FIELDS if name not in left_out}
        return fields | {"newton": [list(row) for row in self.newton]} if self.newton else fields

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Formula:
        """The formula that `as_json` wrote.

        Raises:
            ConfigError: a field is unknown, missing or not made of integers, or they make no formula.
        """
        known = {*_FIELDS, "newton"}
        if not isinstance(data, Mapping) or not {"numerator", "denominator", "signs"} <= set(data) <= known:
            raise ConfigError(f"formula: expected the fields {', '.join(sorted(known))}, got {data!r}")
        for field, values in data.items():
            rows = values if field == "newton" else [values]
            if not isinstance(rows, list) or not all(isinstance(row, list) and _integers(row) for row in rows):
                raise ConfigError(f"formula: expected lists of integers as {field}, got {values!r}")
        return cls(**data)


def _even(rows: Iterable[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    # A fit comes as wide as the degree that was tried; the width is to say the degree, so that equal laws are equal.
    plain = [tuple(map(index, row)) for row in rows]
    width = max(map(len, plain), default=1)
    while width > 1 and not any(row[width - 1 : width] not in ((), (0,)) for row in plain):
        width -= 1
    width = max(width, 1)
    return tuple(row if len(row) == width else (row + (0,) * width)[:width] for row in plain)


def _values(newton: Sequence[int], count: int) -> list[int]:
    values = [newton[-1]] * count
    for first in reversed(newton[:-1]):
        values = list(accumulate(values, initial=first))[:count]
    return values


def _integers(row: Iterable[Any]) -> bool:
    return all(isinstance(x, int) and not isinstance(x, bool) for x in row)


def _value(constant: Written) -> float:
    known = constant.known_bits
    return float(constant.enclosure(53 if known is None else min(53, known)))
