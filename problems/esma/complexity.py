"""How much there is to remember in a formula: a description length in bits, the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from problems.esma.monomial import monomials

__all__ = ["complexity", "recurrence_complexity"]

_STEPS = 64  # logarithms are rounded down to a 64th of a bit
_CACHE = 1 << 16


def complexity(
    numerator: Sequence[int],
    denominator: Sequence[int],
    signs: tuple[int, ...],
    preperiod: Sequence[int],
    rows: Sequence[tuple[int, ...]],
) -> float:
    """Bits to remember |P(c)/Q(c)| = [preperiod; interlaced polynomials] with this sign pattern.

    An integer x costs 1 + 2 log2(1 + |x|) bits (0: 1, 1: 3, 2: about 4.2). All integers a person has to know are
    charged: the coefficients of P and of Q from the constant one up to the last that is not zero, the terms of the
    preperiod, and for each polynomial its coefficients in powers of m up to its degree, over the common denominator,
    which is charged when it is not 1. The signs cost one bit for a simple continued fraction, and one bit more than
    their number otherwise. The logarithms are whole 64ths of a bit found with integers alone, so sums are exact.

    Args:
        numerator: coefficients of P, ascending, plain integers.
        denominator: the same of Q.
        signs: the pattern b_0, b_1, ... of +1 and -1.
        preperiod: the terms before the polynomials.
        rows: Newton coefficients of each polynomial, as tuples of plain integers.
    """
    bits = _left(tuple(numerator)) + _left(tuple(denominator)) + _signs(signs)
    return sum(map(_integer, preperiod), sum(map(_row, rows), bits))


def recurrence_complexity(
    numerator: Sequence[int],
    denominator: Sequence[int],
    signs: tuple[int, ...],
    given: Sequence[int],
    connection: Sequence[int],
) -> float:
    """The same for terms that obey a linear recurrence: its coefficients after the leading 1, and all terms `given`."""
    bits = _left(tuple(numerator)) + _left(tuple(denominator)) + _signs(signs)
    return bits + sum(map(_integer, connection[1:])) + sum(map(_integer, given))


@lru_cache(_CACHE)
def _integer(x: int) -> float:
    size = 1 + abs(int(x))
    beyond = max(0, size.bit_length() - 64)
    power: int = (size >> beyond) ** _STEPS
    return 1.0 + 2.0 * (beyond + (power.bit_length() - 1) / _STEPS)


@lru_cache(_CACHE)
def _left(coefficients: tuple[int, ...]) -> float:
    length = len(coefficients)
    while length and not coefficients[length - 1]:
        length -= 1
    return sum(map(_integer, coefficients[:length]))


@lru_cache(_CACHE)
def _row(newton: tuple[int, ...]) -> float:
    coefficients, divisor = monomials(newton)
    bits = sum(map(_integer, coefficients or (0,)), 0.0)
    return bits + (_integer(divisor) if divisor > 1 else 0.0)


@lru_cache(_CACHE)
def _signs(signs: tuple[int, ...]) -> float:
    return 1.0 if signs == (1,) else 1.0 + len(signs)
