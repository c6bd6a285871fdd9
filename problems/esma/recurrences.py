"""Recurrences of any kind: which signed fractions obey one modulo a prime, and their laws over the integers.

A recurrence C of degree L fits a sequence of n terms when Berlekamp and Massey's algorithm ends with length L: 2 L
terms fix it, the others are predicted. It finds sequences that grow exponentially, which no polynomials describe.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import gcd

import numpy as np
from numpy.typing import NDArray

from problems.esma.compiled import compiled, read, types, write
from problems.esma.cylinder import evidence
from problems.esma.massey import extend, lift, massey
from problems.esma.patterns import HIT, NONE, SHORT, WEAK
from problems.esma.signs import rewrite

__all__ = ["fit", "original", "restart", "screen_original", "screen_recurrences", "stays_regular"]

_i, _f = types.int64, types.float64


@compiled(_i(read(_i), _i, _i, _i, write(_i), write(_i)))
def _length(
    a: NDArray[np.int64], n: int, p: int, longest: int, reduced: NDArray[np.int64], connection: NDArray[np.int64]
) -> int:
    """The length of the recurrence of n terms modulo p; -1 beyond the longest."""
    for i in range(n):
        reduced[i] = a[i] % p
    return massey(reduced, n, p, longest, connection)


@compiled(_i(read(_i, 2), read(_i), read(types.int8, 2), read(_i), _i, _i, _i, _i, _f, write(types.uint8, 2)))
def screen_recurrences(
    terms: NDArray[np.int64],
    counts: NDArray[np.int64],
    patterns: NDArray[np.int8],
    lengths: NDArray[np.int64],
    depth: int,
    max_order: int,
    matched: int,
    modulus: int,
    min_bits: float,
    hits: NDArray[np.uint8],
) -> int:
    """As `patterns.screen_rows`, for recurrences of degree up to max_order that `matched` terms obey beyond 2 L.

    Patterns that are hits already are passed over.
    """
    longest = (depth - matched) // 2
    work, reduced = np.empty(depth, np.int64), np.empty(depth, np.int64)
    connection = np.empty(longest + 1, np.int64)
    found = 0
    for row in range(len(terms)):
        for i in range(len(lengths)):
            if hits[row, i] == HIT:
                continue
            pattern = patterns[i, : lengths[i]]
            if rewrite(terms[row], counts[row], pattern, work) < depth:
                hits[row, i] = SHORT
                continue
            length = _length(work, depth, modulus, longest, reduced, connection)
            if length < 1:
                continue
            while connection[length] == 0:
                length -= 1
            if length > max_order:
                continue
            if evidence(work, min(2 * longest, depth - matched), depth, pattern)[1] >= min_bits:
                hits[row, i] = HIT
                found += 1
            elif hits[row, i] == NONE:
                hits[row, i] = WEAK
    return found


@compiled(_i(read(_i, 2), read(_i), read(types.int8, 2), read(_i), _i, _i, write(types.uint8, 2)))
def screen_original(
    terms: NDArray[np.int64],
    counts: NDArray[np.int64],
    patterns: NDArray[np.int8],
    lengths: NDArray[np.int64],
    depth: int,
    modulus: int,
    hits: NDArray[np.uint8],
) -> int:
    """The original's screen: no term is 0, and the recurrence has fewer than depth // 4 coefficients."""
    work, reduced = np.empty(depth, np.int64), np.empty(depth, np.int64)
    connection = np.empty(depth + 1, np.int64)
    found = 0
    for row in range(len(terms)):
        for i in range(len(lengths)):
            hits[row, i] = NONE
            if rewrite(terms[row], counts[row], patterns[i, : lengths[i]], work) < depth:
                hits[row, i] = SHORT
                continue
            if work.min() == 0:
                continue
            size = _length(work, depth, modulus, depth, reduced, connection)
            while size > 0 and connection[size] == 0:
                size -= 1
            if size + 1 < depth // 4:
                hits[row, i] = HIT
                found += 1
    return found


def _connection_of(terms: Sequence[int], modulus: int, longest: int) -> list[int] | None:
    """The lifted recurrence of all the terms; None when it is longer than `longest`."""
    reduced = np.array([a % modulus for a in terms], np.int64)
    connection = np.empty(longest + 1, np.int64)
    length = massey(reduced, len(reduced), modulus, longest, connection)
    return None if length < 0 else lift(connection[: length + 1], modulus)


def fit(terms: Sequence[int], depth: int, modulus: int, max_order: int, matched: int) -> tuple[int, list[int]] | None:
    """(r, C): the recurrence of the first `depth` terms that holds over the integers from a_r to the last term.

    None when there is none, when its degree exceeds max_order, or fewer than `matched` terms follow from it.
    """
    connection = _connection_of(terms[:depth], modulus, (depth - matched) // 2)
    if connection is None or not 2 <= len(connection) <= max_order + 1:
        return None
    order = len(connection) - 1
    first = len(terms)
    while first > order and sum(c * terms[first - 1 - j] for j, c in enumerate(connection)) == 0:
        first -= 1
    return (first - order, connection) if first + matched <= depth else None


def stays_regular(connection: Sequence[int], terms: Sequence[int], signs: Sequence[int]) -> bool:
    """Whether a recurrence that made the last terms makes a convergent fraction of irrational value for all time.

    A certificate, so False where none is found. A recurrence that only looks back by multiples of g is one for each of
    g sequences in turn; none of them may fall below 1, or 2 where it meets the sign -1.

    Args:
        connection: C, ascending, C_0 = 1: a_n = -(C_1 a_{n-1} + C_2 a_{n-2} + ...).
        terms: regular ones; the last obey the recurrence.
        signs: the period of b.
    """
    gap = gcd(*(j for j, c in enumerate(connection) if j and c))
    factors = [-c for c in connection[gap::gap]] if gap else []
    start = len(terms) - gap * (len(factors) + 1)
    if not factors or start < 0:
        return False
    for first in range(start, start + gap):
        last = terms[first::gap]
        meets = [signs[(first + gap * m) % len(signs)] for m in range(len(signs))]
        if min(last) < (1 if min(meets) > 0 else 2) or not _keeps_up(factors, last):
            return False
    return max(signs) > 0 or max(terms[start:]) > 2


def _keeps_up(factors: Sequence[int], last: Sequence[int]) -> bool:
    """Whether a_n = c_1 a_{n-1} + ... + c_L a_{n-L} never falls below the least of the last L + 1 terms, for certain.

    None of these is negative. Either no c_j is, or some ratio t >= 1 is kept: a_{n-1} >= t a_{n-2} >= ... gives
    a_n >= f a_{n-1} with f = c_1 - sum of |c_j| t^(1-j) over the negative c_j, so t is kept for ever where f is t or
    more. Or the recurrence has a root t, a whole number, and the shorter one of a_n - t a_{n-1} never gets negative.
    """
    if min(last) < 0:
        return False
    if min(factors) >= 0:
        return sum(factors) >= 1
    for root in range(1, min(factors[0], 64) + 1):
        quotient = _divided(factors, root)
        differences = [later - root * earlier for earlier, later in pairwise(last)]
        if quotient and _keeps_up(quotient, differences):
            return True
    tried = [Fraction(i, 8) for i in range(8, 8 * max(1, min(factors[0], 64)) + 1)]
    kept = (t for t in tried if all(later >= t * earlier for earlier, later in pairwise(last)))
    return any(factors[0] + sum(min(0, c) / t**j for j, c in enumerate(factors[1:], 1)) >= t for t in kept)


def _divided(factors: Sequence[int], root: int) -> list[int]:
    """The factors of a_n - root a_{n-1}; none where the recurrence has not this root, or only this one."""
    shorter = [1]
    for factor in factors:
        shorter.append(shorter[-1] * root - factor)
    return [] if shorter[-1] else [-c for c in shorter[1:-1]]


def original(terms: Sequence[int], depth: int, modulus: int) -> list[int] | None:
    """The original's recurrence of the first `depth` terms; None when it is not short."""
    connection = _connection_of(terms[:depth], modulus, depth)
    return connection if connection and 2 <= len(connection) < depth // 4 else None


def restart(terms: Sequence[int], connection: Sequence[int]) -> bool:
    """The original's regeneration: do all the terms follow from the first deg C of them?"""
    order = len(connection) - 1
    return extend(connection, terms[:order], len(terms)) == list(terms)
