"""Interlaced polynomials: which sequences they are, which polynomials, and when they make a convergent fraction.

A sequence is interlaced when a_{r+km+j} = P_j(m) for j = 0..k-1 and all m >= 0: a preperiod of r terms, then k
polynomials of degree at most d, taken in turn. That is so exactly when (1 - B^k)^(d+1) annihilates it from r on, B
being the step back by one: d+1 earlier terms predict each one, a_i = C(d+1,1) a_{i-k} - C(d+1,2) a_{i-2k} + ... The
order k(d+1) is how many terms must be given before the first predicted one. Polynomials are kept in Newton's basis,
P_j(m) = sum_i c[j,i] C(m,i), where all c are integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import comb, gcd

import numpy as np
from numpy.typing import NDArray

from problems.esma.compiled import compiled, read, types, write

__all__ = [
    "MAX_DEGREE",
    "detect",
    "detect_exact",
    "newton",
    "newton_exact",
    "predicted_until",
    "stays_regular",
]

MAX_DEGREE = 30
"""Higher degrees are not looked for. A residue is a sum of terms below 2**32 with binomial weights of total 2**(d+1),
so up to this degree it stays below 2**63 and is exact in 64 bits."""

_FURTHEST = 10_000
"""Values per residue class that `stays_regular` looks at before it gives up."""

_WEIGHTS = np.array([[(-1) ** j * comb(d + 1, j) for j in range(MAX_DEGREE + 3)] for d in range(MAX_DEGREE + 1)])


@compiled(types.int64(read(types.int64), types.int64, types.int64, types.int64))
def _residue(a: NDArray[np.int64], i: int, k: int, d: int) -> int:
    # The row's final zero ends the loop, which keeps it from being vectorized: most rows are far too short for that.
    total, j = 0, 0
    weight = _WEIGHTS[d, 0]
    while weight != 0:
        total += weight * a[i]
        i -= k
        j += 1
        weight = _WEIGHTS[d, j]
    return total


@compiled(types.int64(read(types.int64), types.int64, types.int64, types.int64))
def _first_predicted(a: NDArray[np.int64], n: int, k: int, d: int) -> int:
    first = n
    while first > k * (d + 1) and _residue(a, first - 1, k, d) == 0:
        first -= 1
    return first


@compiled(types.UniTuple(types.int64, 3)(read(types.int64), types.int64, types.int64, types.int64))
def detect(a: NDArray[np.int64], n: int, max_order: int, matched: int) -> tuple[int, int, int]:
    """The interlaced law that the first ``n`` terms end with: period k, degree d, preperiod length r.

    Of all (k, d) of order at most ``max_order`` that predict at least the last ``matched`` terms, r being as small as
    it can be for each, the one with the smallest r + order wins, then the smallest order, then the smallest k. So a
    tail of equal terms does not hide a law that explains more. Degrees above 30 are not looked for.

    Args:
        a: (T,) terms, each below 2**32 in size.
        n: how many of them count, at most T.
        max_order: the largest k(d+1).
        matched: predicted terms asked for, at least 1.

    Returns:
        (k, d, r), or (0, 0, 0) where there is no such law.
    """
    matched = max(matched, 1)
    longest = min(max_order, n - matched)
    best, best_order = n - matched, max_order + 1
    found = (0, 0, 0)
    degrees = longest
    for k in range(1, longest + 1):
        while degrees * k > longest:  # longest // k, without a division, which would take most of the time here
            degrees -= 1
        # A law of degree d whose last `matched` residues vanish has a vanishing last residue at degree `top` too, since
        # that is a sum of residues of degree d no further back than k(top - d) < matched.
        low, tried = 0, min(degrees, MAX_DEGREE + 1)
        while low < tried:
            top = tried - 1 if k * (tried - 1 - low) < matched else low + (matched - 1) // k
            if _residue(a, n - 1, k, top) == 0:
                for d in range(low, top + 1):
                    order = k * (d + 1)
                    if order > best:
                        break
                    if _residue(a, best, k, d) != 0:  # it starts later than the best: most laws of a run of one number
                        continue
                    first = _first_predicted(a, n, k, d)
                    if first < best or (first == best and order < best_order):
                        best, best_order, found = first, order, (k, d, first - order)
            low = top + 1
    return found


@compiled(types.void(read(types.int64), types.int64, types.int64, types.int64, write(types.int64, 2)))
def newton(a: NDArray[np.int64], k: int, d: int, r: int, out: NDArray[np.int64]) -> None:
    """Fit the law (k, d, r) to a_r .. a_{r+k(d+1)-1}: writes c[j, i], which multiply C(m, i), to ``out`` (k, d+1)."""
    for j in range(k):
        for m in range(d + 1):
            out[j, m] = a[r + j + k * m]
        for level in range(1, d + 1):
            for m in range(d, level - 1, -1):
                out[j, m] -= out[j, m - 1]


@compiled(types.int64(read(types.int64), types.int64, types.int64, types.int64, types.int64))
def predicted_until(a: NDArray[np.int64], n: int, k: int, d: int, r: int) -> int:
    """The first of the first ``n`` terms that the law (k, d, r), d <= 30, gets wrong; ``n`` when there is none."""
    for i in range(r + k * (d + 1), n):
        if _residue(a, i, k, d) != 0:
            return i
    return n


def detect_exact(a: Sequence[int], max_order: int, matched: int) -> tuple[int, int, int]:
    """The same as `detect` on all of ``a``, in Python integers of any size."""
    n, matched = len(a), max(matched, 1)
    longest = min(max_order, n - matched)
    best = (n - matched, max_order + 1, 0, 0)
    for k in range(1, longest + 1):
        residues = list(a)
        for d in range(min(longest // k, MAX_DEGREE + 1)):
            residues = [later - earlier for later, earlier in zip(residues[k:], residues, strict=False)]
            order = k * (d + 1)
            first = n
            while first > order and residues[first - 1 - order] == 0:
                first -= 1
            best = min(best, (first, order, k, d))
    first, order, k, d = best
    return (k, d, first - order) if k else (0, 0, 0)


def newton_exact(a: Sequence[int], k: int, d: int, r: int) -> list[list[int]]:
    """The same as `newton`, in Python integers of any size: k rows of d+1 coefficients."""
    rows = []
    for j in range(k):
        values, row = [a[r + j + k * m] for m in range(d + 1)], []
        while values:
            row.append(values[0])
            values = [later - earlier for earlier, later in pairwise(values)]
        rows.append(row)
    return rows


def stays_regular(coefficients: Sequence[Sequence[int]], signs: Sequence[int], r: int) -> bool:
    """Whether the interlaced law makes a convergent fraction of irrational value, for certain and for all time.

    Tietze's theorem (1911; Perron 1913) asks for a_n >= 1, a_n >= 2 where b_n = -1, and a_n + b_n >= 2 again and again;
    a_0 is free. False also when no certificate was found, which takes a polynomial that falls for 10,000 values.

    Args:
        coefficients: k rows, row j in Newton's basis for the terms r + j, r + j + k, ...
        signs: the period of b, from b_0.
        r: length of the preperiod, whose terms the caller checks.
    """
    k = len(coefficients)
    if min(map(min, coefficients)) >= 0 and min(row[0] for row in coefficients) >= (1 if min(signs) > 0 else 2):
        return max(signs) > 0 or any(any(row[1:]) or row[0] > 2 for row in coefficients)  # rising: most laws
    falls_to_twos = all(sign < 0 for sign in signs)
    for j, row in enumerate(coefficients):
        if not _stays_above(
            row, [1 if signs[(r + j + k * m) % len(signs)] > 0 else 2 for m in _cycle(k, signs)], r + j
        ):
            return False
        falls_to_twos = falls_to_twos and row[0] == 2 and not any(row[1:])
    return not falls_to_twos


def _cycle(k: int, signs: Sequence[int]) -> range:
    """The m after which the signs at r + j + k m repeat."""
    return range(len(signs) // gcd(k, len(signs)))


def _stays_above(row: Sequence[int], bounds: Sequence[int], first: int) -> bool:
    """P(m) >= bounds[m mod len] for all m >= 0, but for m = 0 where ``first``, its index in the sequence, is 0."""
    values = list(row)
    for m in range(_FURTHEST):
        # With no negative difference the values cannot fall any more.
        if values[0] >= max(bounds) and all(difference >= 0 for difference in values[1:]):
            return True
        if values[0] < bounds[m % len(bounds)] and first + m > 0:
            return False
        values = [value + difference for value, difference in zip(values, [*values[1:], 0], strict=True)]
    return False
