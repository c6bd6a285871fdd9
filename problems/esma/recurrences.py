"""Recurrences of any kind: which signed fractions obey one modulo a prime, and their laws over the integers.

A recurrence C of degree L fits a sequence of n terms when Berlekamp and Massey's algorithm ends with length L: 2 L
terms fix it, the others are predicted. It finds sequences that grow exponentially, which no polynomials describe.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from problems.esma.compiled import compiled, read, types, write
from problems.esma.cylinder import evidence
from problems.esma.massey import extend, lift, massey
from problems.esma.patterns import HIT, NONE, SHORT, WEAK
from problems.esma.signs import rewrite

__all__ = ["fit", "original", "restart", "screen_original", "screen_recurrences"]

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
            enough = evidence(work, min(2 * longest, depth - matched), depth, pattern)[1] >= min_bits
            hits[row, i] = HIT if enough else max(hits[row, i], WEAK)
            found += enough
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


def connection_of(terms: Sequence[int], modulus: int, longest: int) -> list[int] | None:
    """The lifted recurrence of all the terms; None when it is longer than `longest`."""
    reduced = np.array([a % modulus for a in terms], np.int64)
    connection = np.empty(longest + 1, np.int64)
    length = massey(reduced, len(reduced), modulus, longest, connection)
    return None if length < 0 else lift(connection[: length + 1], modulus)


def fit(terms: Sequence[int], depth: int, modulus: int, max_order: int, matched: int) -> tuple[int, list[int]] | None:
    """(r, C): the recurrence of the first `depth` terms that holds over the integers from a_r to the last term.

    None when there is none, when its degree exceeds max_order, or fewer than `matched` terms follow from it.
    """
    connection = connection_of(terms[:depth], modulus, (depth - matched) // 2)
    if connection is None or not 2 <= len(connection) <= max_order + 1:
        return None
    order = len(connection) - 1
    first = len(terms)
    while first > order and sum(c * terms[first - 1 - j] for j, c in enumerate(connection)) == 0:
        first -= 1
    return (first - order, connection) if first + matched <= depth else None


def original(terms: Sequence[int], depth: int, modulus: int) -> list[int] | None:
    """The original's recurrence of the first `depth` terms; None when it is not short."""
    connection = connection_of(terms[:depth], modulus, depth)
    return connection if connection and 2 <= len(connection) < depth // 4 else None


def restart(terms: Sequence[int], connection: Sequence[int]) -> bool:
    """The original's regeneration: do all the terms follow from the first deg C of them?"""
    order = len(connection) - 1
    return extend(connection, terms[:order], len(terms)) == list(terms)
