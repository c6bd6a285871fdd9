"""Left-hand sides: every rational function P/Q of a constant with small integer coefficients, once each, by rank.

Canonical form (absolute values are meant, so the quotient's sign does not matter): the highest coefficient of P and of
Q is positive, the coefficients of both together have greatest common divisor 1, P and Q have no common factor over the
rationals, and not both are constants. For a transcendental constant no two of these share a value, and up to degree 2
they are all irrational values |P(c)/Q(c)| of the box; beyond, a quotient is left out whose lowest terms lie outside it,
such as (x^3-x^2-x+1)/(x+1) = (x-1)^2. For an algebraic constant several share a value: see `problems.esma.field`.

A polynomial with positive highest coefficient is a positive integer written in balanced digits: in base 2 L + 1 with
digits -L to L, 1 is the constant 1, and the last of its ((2 L + 1)**(degree + 1) - 1) / 2 polynomials has all
coefficients L. The rank of a pair is (number of P - 1) * count + (number of Q - 1), so ranks may be cut anywhere.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from problems.esma.compiled import compiled, read, types, write

__all__ = ["MAX_DEGREE", "canonical", "pairs", "polynomials"]

MAX_DEGREE = 8
"""Beyond it the primes below do not reach every resultant of the largest coefficients."""

_PRIMES = np.array([2147483647, 2147483629, 2147483587, 2147483579, 2147483563, 2147483549, 2147483543, 2147483497])
"""The eight largest below 2**31: products of residues fit 64 bits."""

_i = types.int64


def polynomials(degree: int, limit: int) -> int:
    """How many polynomials have coefficients from -limit to limit and a positive highest one."""
    return int((2 * limit + 1) ** (degree + 1) - 1) // 2


def pairs(degree: int, limit: int) -> int:
    """How many ranks the box has: pairs of such polynomials, canonical or not."""
    return polynomials(degree, limit) ** 2


def canonical(start: int, stop: int, degree: int, limit: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The canonical pairs with ranks from start up to but not including stop, in order of rank.

    Returns:
        (n, degree + 1) coefficients of P and of Q, ascending.
    """
    count = polynomials(degree, limit)
    stop = min(stop, count * count)
    numerators = np.empty((max(0, stop - start), degree + 1), np.int64)
    denominators = np.empty_like(numerators)
    found = _enumerate(start, stop, count, limit, _primes_for(degree, limit), numerators, denominators)
    return numerators[:found], denominators[:found]


def _primes_for(degree: int, limit: int) -> NDArray[np.int64]:
    """Primes whose product exceeds every resultant in the box: one that vanishes modulo all of them is zero."""
    bound = 2 * degree * math.log2(limit * math.sqrt(degree + 1)) + 1  # Hadamard
    return _PRIMES[: max(1, math.ceil(bound / 30.9))]


@compiled(types.void(_i, _i, write(_i)))
def _digits(number: int, limit: int, out: NDArray[np.int64]) -> None:
    """The balanced digits of a positive number, lowest first."""
    base = 2 * limit + 1
    for i in range(len(out)):
        digit = number % base
        number //= base
        if digit > limit:
            digit -= base
            number += 1
        out[i] = digit


@compiled(types.void(_i, write(_i)))
def _advance(limit: int, digits: NDArray[np.int64]) -> None:
    """Add one."""
    for i in range(len(digits)):
        if digits[i] < limit:
            digits[i] += 1
            break
        digits[i] = -limit


@compiled(_i(_i, read(_i)))
def _content(found: int, p: NDArray[np.int64]) -> int:
    """The greatest common divisor of a number and of all coefficients."""
    for i in range(len(p)):
        if found == 1:
            break
        a = abs(p[i])
        while a:
            found, a = a, found % a
    return found


@compiled(_i(read(_i)))
def _degree(p: NDArray[np.int64]) -> int:
    for i in range(len(p) - 1, 0, -1):
        if p[i]:
            return i
    return 0


@compiled(types.boolean(read(_i), read(_i), _i, write(_i), write(_i)))
def _coprime_modulo(
    p: NDArray[np.int64], q: NDArray[np.int64], prime: int, a: NDArray[np.int64], b: NDArray[np.int64]
) -> bool:
    """Whether two polynomials have no common factor modulo a prime that divides no highest coefficient: Euclid."""
    for i in range(len(p)):
        a[i], b[i] = p[i] % prime, q[i] % prime
    m, n = _degree(p), _degree(q)
    while n > 0:
        while m >= n and m > 0:  # a becomes b[n] a - a[m] x**(m - n) b: no inverse is needed
            high = a[m]
            for i in range(m):
                a[i] = (a[i] * b[n] - (high * b[i - m + n] if i >= m - n else 0)) % prime
            a[m] = 0
            m -= 1
            while m > 0 and a[m] == 0:
                m -= 1
        if m == 0 and a[0] == 0:
            return False
        for i in range(len(p)):
            a[i], b[i] = b[i], a[i]
        m, n = n, m
    return bool(b[0] != 0)


@compiled(_i(_i, _i, _i, _i, read(_i), write(_i, 2), write(_i, 2)))
def _enumerate(
    start: int,
    stop: int,
    count: int,
    limit: int,
    primes: NDArray[np.int64],
    numerators: NDArray[np.int64],
    denominators: NDArray[np.int64],
) -> int:
    if start >= stop:
        return 0
    width = numerators.shape[1]
    p, q = np.empty(width, np.int64), np.empty(width, np.int64)
    a, b = np.empty(width, np.int64), np.empty(width, np.int64)
    _digits(start // count + 1, limit, p)
    _digits(start % count + 1, limit, q)
    content = _content(0, p)
    place = start % count
    found = 0
    for _ in range(start, stop):
        if _content(content, q) == 1:
            if width == 2:  # the resultant itself, zero also for two constants
                good = p[1] * q[0] != p[0] * q[1]
            else:
                good = False
                if _degree(p) > 0 or _degree(q) > 0:
                    for i in range(len(primes)):
                        good = good or _coprime_modulo(p, q, primes[i], a, b)
            if good:
                for i in range(width):
                    numerators[found, i], denominators[found, i] = p[i], q[i]
                found += 1
        place += 1
        if place < count:
            _advance(limit, q)
        else:
            place = 0
            _digits(1, limit, q)
            _advance(limit, p)
            content = _content(0, p)
    return found
