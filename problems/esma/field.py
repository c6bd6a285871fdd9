"""Left-hand sides over an algebraic constant, where many quotients share a value: the simplest of each, exactly.

With m the constant's minimal polynomial, of degree n, every value P(c)/Q(c) is one vector of n rational numbers: P
times the inverse of Q modulo m. Values are compared by these vectors up to sign, as absolute values are meant. A
quotient whose vector is rational, or whose P or Q vanishes, is left out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from evo.store.extras import need
from problems.esma.left_hand_side import pairs, polynomials

__all__ = ["check_size", "representatives", "simplest"]

LARGEST = 500_000
"""Pairs that are compared with each other at most."""


def simplest(
    start: int, stop: int, degree: int, limit: int, minimal: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The simplest pair of each value, as far as its rank lies from start up to but not including stop.

    Args:
        start, stop, degree, limit: as in `left_hand_side.canonical`.
        minimal: the constant's minimal polynomial, ascending, of degree 2 or more.

    Returns:
        (n, degree + 1) coefficients of P and of Q, ascending, in order of rank.

    Raises:
        ConfigError: the box is too large.
    """
    ranks = representatives(degree, limit, minimal)
    ranks = ranks[np.searchsorted(ranks, start) : np.searchsorted(ranks, stop)]
    every = _polynomials(degree, limit)
    return every[ranks // len(every)], every[ranks % len(every)]


def check_size(degree: int, limit: int) -> None:
    """Refuse a box of which not all pairs can be compared with each other.

    Raises:
        ConfigError: it holds too many.
    """
    if pairs(degree, limit) > LARGEST:
        raise ConfigError(
            f"coefficients: over an algebraic constant at most {LARGEST:,} pairs of polynomials can be compared, got "
            f"{pairs(degree, limit):,} for degree {degree} and coefficients up to {limit}; lower one of them"
        )


@lru_cache(maxsize=4)
def representatives(degree: int, limit: int, minimal: tuple[int, ...]) -> NDArray[np.int64]:
    """Ranks, ascending, of the simplest pair of each irrational value in the box.

    Simplest is the smallest sum of absolute coefficients, then of degrees, then of rank.
    """
    check_size(degree, limit)
    count = polynomials(degree, limit)
    every = _polynomials(degree, limit)
    reduced = every @ _reduction(degree, limit, minimal)
    values = np.concatenate([_values(reduced, denominator, minimal) for denominator in reduced])
    rank = (np.arange(count)[None, :] * count + np.arange(count)[:, None]).ravel()  # values run over Q, then over P
    size = np.abs(every).sum(axis=1)
    high = np.array([np.flatnonzero(row)[-1] for row in every])
    order = np.lexsort((rank, (high[:, None] + high[None, :]).ravel(), (size[:, None] + size[None, :]).ravel()))
    irrational = np.flatnonzero(values[order, 1:-1].any(axis=1))
    order = order[irrational]
    _, first = np.unique(values[order], axis=0, return_index=True)
    return np.sort(rank[order[first]])


def _polynomials(degree: int, limit: int) -> NDArray[np.int64]:
    """(count, degree + 1) all polynomials of the box, by number: balanced digits of 1, 2, 3, ..."""
    numbers = np.arange(1, polynomials(degree, limit) + 1)
    columns = []
    for _ in range(degree + 1):
        digit = (numbers + limit) % (2 * limit + 1) - limit
        columns.append(digit)
        numbers = (numbers - digit) // (2 * limit + 1)
    return np.stack(columns, axis=1)


def _reduction(degree: int, limit: int, minimal: tuple[int, ...]) -> NDArray[np.int64]:
    """(degree + 1, n) powers of the constant modulo its minimal polynomial, times one common factor."""
    n, lead = len(minimal) - 1, minimal[-1]
    powers = [[int(i == j) for j in range(n)] for i in range(min(n, degree + 1))]
    scale = [1] * len(powers)
    while len(powers) <= degree:
        last = powers[-1]
        shifted = [0, *last[:-1]]
        powers.append([lead * a - last[-1] * b for a, b in zip(shifted, minimal[:-1], strict=True)])
        scale.append(scale[-1] * lead)
    rows = [[a * scale[-1] // own for a in row] for row, own in zip(powers, scale, strict=True)]
    _check_words(max(abs(a) for row in rows for a in row) * limit * (degree + 1))
    return np.array(rows, np.int64)


def _check_words(largest: int) -> None:
    if largest >= 1 << 62:
        raise ConfigError("coefficients: values over this algebraic constant exceed 64 bits; lower them or the degree")


def _values(numerators: NDArray[np.int64], denominator: NDArray[np.int64], minimal: tuple[int, ...]) -> Any:
    """(count, n + 1) each numerator over one denominator: n integers and their common denominator, in lowest terms.

    Zeros where the denominator vanishes.
    """
    n = len(minimal) - 1
    flint = need("flint", "esma", "algebraic constants")
    modulus, poly = flint.fmpq_poly(list(minimal)), flint.fmpq_poly([int(a) for a in denominator])
    if poly == 0:
        return np.zeros((len(numerators), n + 1), np.int64)
    _, inverse, _ = poly.xgcd(modulus)  # the minimal polynomial is irreducible: the divisor is 1
    rows = [inverse * flint.fmpq_poly([0] * i + [1]) % modulus for i in range(n)]
    common = 1
    for row in rows:
        common = int(flint.fmpz(common).lcm(row.denom()))
    matrix = np.array([[int(row[j] * common) for j in range(n)] for row in rows], dtype=object)
    largest = int(np.abs(numerators).max()) * int(np.abs(matrix).max()) * n
    _check_words(max(largest, common))
    found = np.concatenate([numerators @ matrix.astype(np.int64), np.full((len(numerators), 1), common)], axis=1)
    found //= np.gcd.reduce(found, axis=1)[:, None]
    first = found[np.arange(len(found)), (found != 0).argmax(axis=1)]
    found[:, :-1] *= np.where(first < 0, -1, 1)[:, None]
    return found
