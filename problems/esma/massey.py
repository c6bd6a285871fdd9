"""Linear recurrences of any kind: Berlekamp and Massey's shortest recurrence modulo a prime, given up early.

C = 1 + c_1 x + ... + c_L x^L generates a sequence when a_n + c_1 a_{n-1} + ... + c_L a_{n-L} = 0 for all n >= L. The
length L never falls while terms are added, so a sequence is abandoned as soon as L is too long, after about twice that
many terms. Where the sequence starts with terms outside its recurrence, C has a lower degree than L. (Massey, IEEE
Trans. Inf. Theory 15, 1969; Razon et al., ICML 2023, use the prime 199.)
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from problems.esma.compiled import compiled, read, types, write

__all__ = ["check_modulus", "extend", "lift", "massey"]

_SMALLEST, _TOO_LARGE = 101, 2**31
_INT64_MAX = 2**63 - 1


@compiled(types.int64(types.int64, types.int64))
def _inverse(value: int, p: int) -> int:
    large, small, x, y = p, value, 0, 1
    while small > 1:
        quotient = large // small
        large, small = small, large - quotient * small
        x, y = y, x - quotient * y
    return y + p if y < 0 else y


@compiled(types.int64(read(types.int64), types.int64, read(types.int64), types.int64, types.int64))
def _discrepancy(a: NDArray[np.int64], n: int, c: NDArray[np.int64], length: int, p: int) -> int:
    square = p * p
    total = 0
    if length + 1 < _INT64_MAX // square:
        for j in range(length + 1):
            total += c[j] * a[n - j]
    else:
        for j in range(length + 1):
            total += c[j] * a[n - j]
            total -= square if total >= square else 0
    return total % p


@compiled(types.void(write(types.int64), read(types.int64), types.int64, types.int64, types.int64, types.int64))
def _subtract(c: NDArray[np.int64], old: NDArray[np.int64], size: int, shift: int, factor: int, p: int) -> None:
    """c -= factor x^shift old modulo p, for the first ``size`` coefficients of old."""
    # Shoup's product: with both factors below 2**31 the quotient is at most one too small, and nothing leaves 64 bits.
    scaled = (factor << 32) // p
    for j in range(size):
        product = factor * old[j] - ((scaled * old[j]) >> 32) * p
        product -= p if product >= p else 0
        difference = c[j + shift] - product
        c[j + shift] = difference + p if difference < 0 else difference


@compiled(types.int64(read(types.int64), types.int64, types.int64, types.int64, write(types.int64)))
def massey(a: NDArray[np.int64], n: int, p: int, max_length: int, connection: NDArray[np.int64]) -> int:
    """Length L of the shortest recurrence modulo ``p`` of the first ``n`` terms, or -1 where it exceeds ``max_length``.

    Args:
        a: (T,) terms, each in 0 .. p-1.
        n: how many of them count, at most T.
        p: a prime below 2**31.
        max_length: give up beyond this length; n never gives up.
        connection: (max_length + 1,) or longer, receives C, ascending, C_0 = 1; no meaning after -1.

    Raises:
        ValueError: ``connection`` is too short.
    """
    if len(connection) <= max_length:
        raise ValueError("massey: connection needs max_length + 1 places")
    size = max_length + 1
    old, kept = np.zeros(size, np.int64), np.empty(size, np.int64)
    connection[:] = 0
    connection[0] = old[0] = 1
    length, old_size, shift, inverse = 0, 1, 1, 1
    for i in range(n):
        wrong = _discrepancy(a, i, connection, length, p)
        if wrong == 0:
            shift += 1
            continue
        factor = wrong * inverse % p
        if 2 * length > i:
            _subtract(connection, old, old_size, shift, factor, p)
            shift += 1
            continue
        longer = i + 1 - length
        if longer > max_length:
            return -1
        kept[: length + 1] = connection[: length + 1]
        _subtract(connection, old, old_size, shift, factor, p)
        old, kept = kept, old
        old_size, length, shift, inverse = length + 1, longer, 1, _inverse(wrong, p)
    return length


def lift(connection: Sequence[int] | NDArray[np.int64], p: int) -> list[int]:
    """C with coefficients in -(p//2) .. p//2 instead of 0 .. p-1, and without zeros at its end."""
    lifted = [(int(c) + p // 2) % p - p // 2 for c in connection]
    while lifted and lifted[-1] == 0:
        lifted.pop()
    return lifted


def extend(connection: Sequence[int], first_terms: Sequence[int], count: int) -> list[int]:
    """``count`` terms that begin with ``first_terms``, at least deg C of them, and go on by the recurrence over Z.

    Raises:
        ValueError: fewer first terms than deg C.
    """
    order = len(connection) - 1
    if len(first_terms) < order:
        raise ValueError(f"extend: expected at least {order} first terms, got {len(first_terms)}")
    terms = list(first_terms[:count])
    for i in range(len(terms), count):
        terms.append(-sum(connection[j] * terms[i - j] for j in range(1, order + 1)))
    return terms


def check_modulus(p: int) -> None:
    """Refuse a modulus that `massey` cannot or should not take.

    Raises:
        ConfigError: ``p`` is no prime from 101 to 2**31.
    """
    if not _SMALLEST <= p < _TOO_LARGE or p % 2 == 0 or any(p % f == 0 for f in range(3, isqrt(p) + 1, 2)):
        raise ConfigError(f"modulus: expected a prime from {_SMALLEST} to 2**31 (the paper's is 199), got {p}")
