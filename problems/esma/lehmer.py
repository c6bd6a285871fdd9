"""Lehmer's Euclid on 32-bit limbs, compiled: the certain terms of many simple continued fractions at once.

State. With r_0 = P, r_1 = Q and r_n = a_n r_(n+1) + r_(n+2), the terms a_0..a_n leave (r_(n+1), r_(n+2)), and
P = p_n r_(n+1) + p_(n-1) r_(n+2) with the convergents p_n / q_n; the same for Q with q. So p_n r_(n+1) <= P and
q_n r_(n+1) <= Q.

Certificate. The true values are P + alpha and Q + beta with |alpha|, |beta| < e, the larger of the two sums of absolute
coefficients (each power is short by less than 1). Carried through the same steps they leave remainders that differ from
r_(n+1) and r_(n+2) by less than e (p_n + q_n) <= e (P + Q) / r_(n+1) each. As long as they keep the order
r_(n+1) > r_(n+2) > 0 the tail of the true fraction is above 1, so a_0..a_n are its terms. Therefore
    r_(n+1) * min(r_(n+2), r_(n+1) - r_(n+2)) > 2 e (P + Q)
is enough. It is a matter of sizes alone, speaks for all terms up to a_n, and fails for all later n once it fails.

Words. Let x > y be the leading 64 bits of the remainders, each short by less than 1 in the last place, and y' > z' what
some steps leave of them, with cofactors V <= V'. The quotients are those of the long remainders if z' >= V' and
y' - z' >= V + V' (Collins 1980; Jebelean 1993). Since V' y' <= x < 2**64, it suffices that z' >= 2**33 and
y' - z' >= 2**33; this makes V' < 2**31, and no cofactor has to be looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from problems.esma.compiled import compiled, numba, read, types, write

__all__ = ["ENDED", "MORE", "OK", "WIDE", "expand"]

OK, MORE, WIDE, ENDED = 0, 1, 2, 3

Ints = NDArray[np.int64]
_F = TypeVar("_F", bound=Callable[..., Any])

_TERM = 1 << 31  # terms, cofactors and sums of coefficients stay below: two products of a limb and a carry fit 64 bits
_LIMB = 0xFFFFFFFF
_ZERO, _ONE, _HALF = np.uint64(0), np.uint64(1), np.uint64(32)
_FLOOR = np.uint64(1 << 33)
_NOTHING = -1e300  # the logarithm of zero, finite so that sums of it are ordered
_MARGIN = 1e-6  # bits: far above the rounding of every logarithm and product here, far below what costs a term


def _inner(function: _F) -> _F:
    kernel: _F = numba.njit(error_model="numpy")(function)  # no zero is divided by, so no check for it is compiled
    return kernel


def _intrinsic(function: Callable[..., Any]) -> Any:
    return numba.extending.intrinsic(function)


@_intrinsic
def _leading_zeros(typingctx: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], context.get_constant(types.boolean, False))

    return types.uint64(types.uint64), generate


@_intrinsic
def _pointer(typingctx: Any, array: Any) -> Any:
    # Counting references to arrays handed from helper to helper took half of the time. Whoever calls keeps the array.
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), generate


@_inner
def _combine(coefficients: Any, first: int, width: int, powers: Any, length: int, out: Any) -> int:
    """|sum of coefficients times powers| into `out`; returns the sum of the absolute coefficients."""
    size = 0
    for j in range(first, first + width):
        size += min(abs(max(coefficients[j], -_TERM)), _TERM)
    if size >= _TERM:
        raise ValueError("coefficients: the absolute values in one polynomial must add up to less than 2**31")
    carry = np.int64(0)
    for i in range(length):
        for j in range(width):
            carry += coefficients[first + j] * np.int64(powers[j * length + i])
        out[i] = carry & _LIMB
        carry >>= 32
    out[length] = carry & _LIMB
    if carry < 0:
        carry = np.int64(1)
        for i in range(length + 1):
            carry += out[i] ^ _LIMB
            out[i] = carry & _LIMB
            carry >>= 32
    return size


@_inner
def _length(limbs: Any, at_most: int) -> int:
    while at_most > 0 and limbs[at_most - 1] == 0:
        at_most -= 1
    return at_most


@_inner
def _word(limbs: Any, length: int, shift: Any) -> Any:
    """The leading 64 bits of the limbs below `length`, once they are moved up by `shift` < 32."""
    high = np.uint64(limbs[length - 1]) << _HALF
    low = _ZERO
    if length > 1:
        high |= np.uint64(limbs[length - 2])
    if length > 2:
        low = np.uint64(limbs[length - 3])
    return (high << shift) | (low >> (_HALF - shift))


@_inner
def _log2(limbs: Any, at_most: int) -> Any:
    length = _length(limbs, at_most)
    if length == 0:
        return _NOTHING
    return math.log2(np.float64(_word(limbs, length, _ZERO))) + 32 * (length - 2)


@_inner
def _log2_sum(p: Any, q: Any, length: int) -> float:
    """The logarithm of p + q, not below it; one of them fills all `length` limbs."""
    leading = np.float64(_word(p, length, _ZERO)) + np.float64(_word(q, length, _ZERO))
    return math.log2(leading + 2.0) + 32 * (length - 2)


@_inner
def _apply(p: Any, q: Any, length: int, a: Any, b: Any, c: Any, d: Any) -> None:
    """(p, q) becomes (a p + b q, c p + d q), both non-negative; opposite signs keep each sum within 64 bits."""
    left = np.int64(0)
    right = np.int64(0)
    for i in range(length):
        u = p[i]
        v = q[i]
        left += a * u + b * v
        right += c * u + d * v
        p[i] = left & _LIMB
        q[i] = right & _LIMB
        left >>= 32
        right >>= 32


@_inner
def _below(p: Any, q: Any, length: int) -> Any:
    for i in range(length - 1, -1, -1):
        if p[i] != q[i]:
            return p[i] < q[i]
    return False


@_inner
def _divide(p: Any, q: Any, length: int, x: Any, y: Any) -> Any:
    """One exact step: (p, q) becomes (q, p mod q); returns the quotient, or -1 where it is 2**31 or more."""
    if y < _ONE << _HALF:
        return -1
    quotient = np.int64(max(x // y, _ONE + _ONE) - _ONE)  # too small by three at most, as y >= 2**32
    if quotient >= _TERM:
        return -1
    _apply(p, q, length, 1, -quotient, 0, 1)
    while not _below(p, q, length):
        _apply(p, q, length, 1, -1, 0, 1)
        quotient += 1
    _apply(p, q, length, 0, 1, 1, 0)
    return quotient if quotient < _TERM else -1


@_inner
def _walk(x: Any, y: Any, terms: Any, at: int, end: int, certain: int, bound: float) -> Any:
    """Word steps that the long remainders take too: where the terms end then, how many are certain, and the cofactors.

    With a positive `bound` it ends after the first term that the words do not show to be certain.
    """
    a, b, c, d = _ONE, _ZERO, _ZERO, _ONE
    while at < end and y >= _FLOOR:
        quotient = x // y
        z = x - quotient * y
        if z < _FLOOR or y - z < _FLOOR:
            break
        terms[at] = np.int64(quotient)
        at += 1
        lag = d
        a, b, c, d = c, d, a + quotient * c, b + quotient * d
        x, y = y, z
        if bound > 0.0 and np.float64(x - lag) * np.float64(min(y - d, x - y - d - lag)) <= bound:
            break
        certain = at
    return at, certain, a, b, c, d


@_inner
def _expand_row(p: Any, q: Any, limbs: int, error: int, terms: Any, first: int, end: int) -> tuple[int, int]:
    """The certain terms of p / q, both known to less than `error`: where they end, and the status. Destroys p and q."""
    length = max(_length(p, limbs), _length(q, limbs))
    if (_length(p, length) <= 1 and p[0] <= error) or (_length(q, length) <= 1 and q[0] <= error):
        return first, ENDED
    needed = 1.0 + math.log2(error) + _log2_sum(p, q, length) + _MARGIN
    edge = math.ceil(needed) - 65  # the product after a word step is above 2**(2 shift + 65)
    at = certain = first
    if first < end and _below(p, q, length):
        _apply(p, q, length, 0, 1, 1, 0)
        terms[first] = 0
        at += 1
    stuck = False
    while True:
        length = _length(p, length)
        up = _leading_zeros(np.uint64(p[length - 1])) - _HALF
        shift = 32 * length - np.int64(up) - 64
        x, y = _word(p, length, up), _word(q, length, up)
        start = at
        if 2 * shift >= edge and not stuck:
            bound = 0.0
        else:
            log_x, log_y = math.log2(np.float64(x)) + shift, _log2(q, length)
            gap = math.log2(np.float64(x - y - _ONE)) + shift if x - y > _ONE else _NOTHING
            if log_x + min(log_y, gap) > needed:
                certain = at
            if certain == end:
                return certain, OK
            if log_x + log_y <= needed + _MARGIN:
                return certain, ENDED if 2 * log_x > needed + 32 else MORE
            if at == end:
                return certain, MORE
            if stuck:
                term = _divide(p, q, length, x, y)
                if term < 0:
                    return certain, WIDE if certain == at else MORE
                terms[at] = term
                at += 1
                stuck = False
                continue
            bound = 2.0 ** (needed - 2 * shift)
        at, certain, a, b, c, d = _walk(x, y, terms, at, end, certain, bound)
        if certain == end:
            return end, OK
        stuck = at == start
        if not stuck:
            sign = 1 - 2 * ((at - start) & 1)
            _apply(p, q, length, sign * np.int64(a), -sign * np.int64(b), -sign * np.int64(c), sign * np.int64(d))


@_inner
def _expand_rows(
    numerators: Ints, denominators: Ints, powers: Any, terms: Ints, counts: Any, status: Any, p: Any, q: Any
) -> None:
    width, limbs = powers.shape
    wanted = terms.shape[1]
    above, below, known, out = _pointer(numerators), _pointer(denominators), _pointer(powers), _pointer(terms)
    left, right = _pointer(p), _pointer(q)
    for row in range(len(counts)):
        size = _combine(above, row * width, width, known, limbs, left)
        error = max(size, _combine(below, row * width, width, known, limbs, right))
        first = row * wanted
        end, state = _expand_row(left, right, limbs + 1, error, out, first, first + wanted)
        counts[row], status[row] = end - first, state


@compiled(
    types.void(
        read(types.int64, 2),
        read(types.int64, 2),
        read(types.uint32, 2),
        write(types.int64, 2),
        write(types.int64, 1),
        write(types.uint8, 1),
    )
)
def expand(
    numerators: Ints,
    denominators: Ints,
    powers: NDArray[np.uint32],
    terms: Ints,
    counts: Ints,
    status: NDArray[np.uint8],
) -> None:
    """Write the certain terms of the simple continued fraction of |P(c) / Q(c)|, one row for each pair P, Q.

    `numerators` and `denominators`, int64 of shape (n, w), hold coefficients of either sign; column i belongs to
    `powers[i]`, the 32-bit limbs of 2**B times a real of at least 0, rounded down (shape (w, L), see `euclid.limbs`).
    `terms` (n, T), `counts` (n,) and `status` (n,) are written. The first counts[r] terms of row r are those of the
    true value, whatever the rounding cut off; what `terms` holds beyond them means nothing. The status is

        OK      all T terms are there;
        MORE    fewer are certain at this precision;
        WIDE    the next term is 2**31 or more as far as this precision tells: a case for exact integers;
        ENDED   P or Q cannot be told from zero, or what is left of them cannot, though a term of 32 bits could still be
                told: a rational value, all but its last term certain, or a term wider than this precision.

    A row is the same in any batch. ValueError where shapes differ, or where the absolute values of the coefficients of
    one polynomial add up to 2**31 or more.
    """
    rows, width = numerators.shape
    if denominators.shape != numerators.shape or powers.shape[0] != width:
        raise ValueError("expand: numerators and denominators have the shape (n, w) and powers (w, L)")
    if terms.shape[0] != rows or counts.shape[0] != rows or status.shape[0] != rows:
        raise ValueError("expand: terms, counts and status have a row for each row of numerators")
    p, q = np.empty(powers.shape[1] + 1, np.int64), np.empty(powers.shape[1] + 1, np.int64)
    _expand_rows(numerators, denominators, powers, terms, counts, status, p, q)
