"""Orbits under GL2(Q): left-hand sides that fractional-linear maps turn into one another, grouped and ranked.

If alpha has interlaced polynomials for its terms, so has (a alpha + b)/(c alpha + d) (Hurwitz 1896, fact F4), so one
formula of an orbit brings all others: of each it is worth showing the simplest, and a few more that converge well.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, lcm

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError

__all__ = ["Key", "best_variants", "by_rate", "by_simplicity", "orbit_key", "orbits", "primitives"]

Key = tuple[tuple[int, ...], ...]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_Row = list[Fraction]

_NARROW = 2**31  # below this size the 2x2 minors of coefficients fit in 64 bits


def orbit_key(
    numerator: Sequence[int], denominator: Sequence[int], minimal_polynomial: Sequence[int] | None = None
) -> Key:
    """A name of the orbit of P(c)/Q(c) under alpha -> (a alpha + b)/(c alpha + d), ad != bc, rationals a to d.

    Two numbers P/Q and (aP + bQ)/(cP + dQ) span the same plane of polynomials, so the key is the reduced basis of the
    span of P and Q over Q, coprime, each row scaled to coprime integers and cut after its last one. For transcendental
    c this is exact: keys are equal if and only if the orbits are. For algebraic c the polynomials are first reduced
    modulo the minimal polynomial. The quadratic irrationals of one field make one orbit, and so do the cubic ones
    (1, x, y and xy are four numbers in three dimensions, so some a x + b = y (c x + d)): there the key is the basis
    of that field. Values of algebraic degree 4 and more get the key of the plane as it is written: equal keys mean
    equal orbits, but the same number written with another P and Q may get another key.

    Args:
        numerator: coefficients of P, ascending, of any length.
        denominator: the same of Q.
        minimal_polynomial: of c, ascending; None if c is transcendental.

    Raises:
        ConfigError: P(c)/Q(c) is rational, or Q(c) is 0.
    """
    p, q = _fractions(numerator), _fractions(denominator)
    if minimal_polynomial is None:
        return _plane(*_coprime(p, q))
    modulus = _fractions(minimal_polynomial)
    p, q = _divided(p, modulus)[1], _divided(q, modulus)[1]
    plane = _plane(p, q)
    for degree in (2, 3):
        field = _field(p, q, modulus, degree)
        if field:
            return field
    return plane


def orbits(
    numerators: Ints, denominators: Ints, minimal_polynomial: Sequence[int] | None = None
) -> tuple[NDArray[np.intp], list[Key]]:
    """Which orbit each of n left-hand sides belongs to, and the orbits' keys.

    Args:
        numerators: (n, degree + 1) coefficients of P, ascending, each below 2**31 in size.
        denominators: the same of Q.
        minimal_polynomial: of c, ascending; None if c is transcendental.

    Returns:
        (n,) indices into the list of keys, which is in order of first appearance.

    Raises:
        ConfigError: a value is rational, a coefficient too large, or the shapes differ.
    """
    if numerators.ndim != 2 or numerators.shape != denominators.shape:
        raise ConfigError(f"left-hand sides: expected equal (n, width), got {numerators.shape}, {denominators.shape}")
    for coefficients in (numerators, denominators):
        if coefficients.size and max(-int(coefficients.min()), int(coefficients.max())) >= _NARROW:
            raise ConfigError(
                "left-hand sides: expected coefficients below 2**31 in size; use orbit_key for longer ones"
            )
    _, first, group = np.unique(_minors(numerators, denominators), axis=0, return_index=True, return_inverse=True)
    appearance = np.argsort(first)
    keys: dict[Key, int] = {}
    index = np.empty(len(first), dtype=np.intp)
    for plane in appearance:
        row = first[plane]
        key = orbit_key(numerators[row].tolist(), denominators[row].tolist(), minimal_polynomial)
        index[plane] = keys.setdefault(key, len(keys))
    return index[group.reshape(-1)], list(keys)


def by_simplicity(complexity: Floats, rate: Floats, numerators: Ints, denominators: Ints) -> NDArray[np.intp]:
    """(n,) row numbers, simplest first; among equals the faster, then the smaller coefficients of P, then of Q.

    Args:
        complexity: (n,) bits.
        rate: (n,) digits per term.
        numerators: (n, degree + 1) coefficients, compared from the constant one on.
        denominators: the same of Q.
    """
    return _ranked(complexity, -rate, numerators, denominators)


def by_rate(complexity: Floats, rate: Floats, numerators: Ints, denominators: Ints) -> NDArray[np.intp]:
    """(n,) row numbers, most digits per term first; among equals the simpler, then as in `by_simplicity`."""
    return _ranked(-rate, complexity, numerators, denominators)


def primitives(orbit: NDArray[np.intp], order: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first row of each orbit in `order`, in that order.

    Args:
        orbit: (n,) orbit of each row, from `orbits`.
        order: row numbers, from a ranking; rows left out of it are passed over.
    """
    return best_variants(orbit, order, 1)


def best_variants(orbit: NDArray[np.intp], order: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """The first `most` rows of each orbit in `order`, in that order."""
    found = orbit[order]
    grouped = np.argsort(found, kind="stable")
    starts = np.flatnonzero(np.diff(found[grouped], prepend=-1))
    place = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    chosen: NDArray[np.intp] = order[np.sort(grouped[place < most])]
    return chosen


def _ranked(first: Floats, second: Floats, numerators: Ints, denominators: Ints) -> NDArray[np.intp]:
    columns = [*numerators.T, *denominators.T]
    order: NDArray[np.intp] = np.lexsort([*columns[::-1], second, first])
    return order


def _minors(numerators: Ints, denominators: Ints) -> Ints:
    """Coprime 2x2 minors, the first that is not 0 positive: equal exactly for pairs that span the same plane."""
    width = numerators.shape[1]
    i, j = np.triu_indices(width, 1)
    minors = numerators[:, i] * denominators[:, j] - numerators[:, j] * denominators[:, i]
    if not minors.any(axis=1).all():
        raise _rational()
    common = np.gcd.reduce(minors, axis=1)
    leading = minors[np.arange(len(minors)), (minors != 0).argmax(axis=1)]
    coprime: Ints = minors // (common * np.sign(leading))[:, None]
    return coprime


def _rational() -> ConfigError:
    return ConfigError("left-hand side: expected P and Q whose quotient is not rational, nor Q(c) = 0")


def _plane(p: _Row, q: _Row) -> Key:
    basis = _reduced([p, q])
    if len(basis) < 2:
        raise _rational()
    return tuple(map(_primitive, basis))


def _field(p: _Row, q: _Row, modulus: _Row, degree: int) -> Key | None:
    """The basis of the field of P(c)/Q(c) if its degree is this; it is when the forms of that degree span no more."""
    powers: list[_Row] = [[Fraction(1)]]
    for _ in range(degree):
        powers = [_times(form, q, modulus) for form in powers] + [_times(powers[-1], p, modulus)]
    if len(_reduced(powers)) > degree:
        return None
    # Q^(degree-1) times the field is spanned by the forms one degree lower, so a quotient of two of them suffices.
    inverse = _inverse(q, modulus)
    alpha, power, basis = _times(p, inverse, modulus), [Fraction(1)], []
    for _ in range(degree):
        basis.append(power)
        power = _times(power, alpha, modulus)
    return tuple(map(_primitive, _reduced(basis)))


def _reduced(rows: Sequence[_Row]) -> list[_Row]:
    """The reduced row echelon form, zero rows left out."""
    width = max(map(len, rows))
    left = [row + [Fraction(0)] * (width - len(row)) for row in rows]
    done: list[_Row] = []
    for column in range(width):
        pivot = next((row for row in left if row[column]), None)
        if pivot is None:
            continue
        left.remove(pivot)
        pivot = [x / pivot[column] for x in pivot]
        left, done = ([_without(row, pivot, column) for row in rows] for rows in (left, done))
        done.append(pivot)
    return done


def _without(row: _Row, pivot: _Row, column: int) -> _Row:
    factor = row[column]
    return [x - factor * y for x, y in zip(row, pivot, strict=True)] if factor else row


def _primitive(row: _Row) -> tuple[int, ...]:
    row = _cut(row)
    scale = lcm(*(x.denominator for x in row))
    integers = [int(x * scale) for x in row]
    common = gcd(*integers)
    return tuple(x // common for x in integers)


def _fractions(coefficients: Sequence[int]) -> _Row:
    return _cut([Fraction(int(c)) for c in coefficients])


def _cut(row: _Row) -> _Row:
    length = len(row)
    while length and not row[length - 1]:
        length -= 1
    return row[:length]


def _coprime(p: _Row, q: _Row) -> tuple[_Row, _Row]:
    common, rest = p, q
    while rest:
        common, rest = rest, _divided(common, rest)[1]
    if len(common) <= 1:
        return p, q
    return _divided(p, common)[0], _divided(q, common)[0]


def _divided(p: _Row, q: _Row) -> tuple[_Row, _Row]:
    """Quotient and remainder of polynomials, q not 0."""
    rest, quotient = list(p), [Fraction(0)] * max(0, len(p) - len(q) + 1)
    for i in range(len(quotient) - 1, -1, -1):
        factor = quotient[i] = rest[i + len(q) - 1] / q[-1]
        for j, y in enumerate(q):
            rest[i + j] -= factor * y
    return quotient, _cut(rest)


def _times(p: _Row, q: _Row, modulus: _Row) -> _Row:
    product = [Fraction(0)] * max(0, len(p) + len(q) - 1)
    for i, x in enumerate(p):
        for j, y in enumerate(q):
            product[i + j] += x * y
    return _divided(_cut(product), modulus)[1]


def _inverse(q: _Row, modulus: _Row) -> _Row:
    """The polynomial u with u q = 1 modulo an irreducible polynomial, by Euclid."""
    old: tuple[_Row, _Row] = (modulus, q)
    new: tuple[_Row, _Row] = ([], [Fraction(1)])
    while len(old[1]) > 1:
        quotient, rest = _divided(old[0], old[1])
        product = _times(quotient, new[1], modulus)
        width = max(len(new[0]), len(product))
        filled = [x + [Fraction(0)] * (width - len(x)) for x in (new[0], product)]
        old, new = (old[1], rest), (new[1], _cut([x - y for x, y in zip(*filled, strict=True)]))
    return [x / old[1][0] for x in new[1]]
