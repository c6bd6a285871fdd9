"""How much the first terms of a signed continued fraction say about the number: digits pinned down, and the rate.

The numbers whose signed fraction begins with a_0..a_i are (p_i x + b_i p_{i-1})/(q_i x + b_i q_{i-1}) for all tails
x > 1, an interval from p_i/q_i (x infinite) to x = 1. Its length is 1/(q_i u_i) with u_i = q_i + b_i q_{i-1}. Both are
computed without a subtraction: q_i = (a_i - 1) q_{i-1} + u_{i-1} and u_i = (a_i + b_i - 1) q_{i-1} + u_{i-1}, where no
factor is negative for i >= 1, since a_i >= 1, and a_i >= 2 where b_i = -1. So runs of 2 under -1, where q_i - q_{i-1}
stays small, lose nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from problems.esma.compiled import compiled, read, types, write

__all__ = ["digits", "evidence", "log_length_exact", "log_lengths", "rate"]

_SLACK = 2.0**-50
"""A step makes q and u each at most two roundings of 2**-53 worse, so i steps make log2(q u) wrong by at most
5.8 i 2**-53, less than i of these slacks; the logarithms and their sum are right to 2**-51 of their size."""

_LOG10_2 = math.log10(2.0) * (1 - 2.0**-51)  # rounded down
_HUGE, _TINY, _SHIFT = 2.0**400, 2.0**-400, 400.0
_TAIL = 200  # terms after the last convergent that `rate` looks at

_state = types.UniTuple(types.float64, 3)


@compiled(_state(read(types.int64), types.int64, types.int64, read(types.int8), _state))
def _advance(
    a: NDArray[np.int64], start: int, stop: int, pattern: NDArray[np.int8], state: tuple[float, float, float]
) -> tuple[float, float, float]:
    """From q, u and the power of two taken out of both, after ``start`` terms, to those after ``stop``."""
    q, u, taken_out = state
    phase = start % len(pattern)
    for i in range(start, stop):
        below = a[i] - 1.0
        q, u = below * q + u, (below + pattern[phase]) * q + u
        phase = phase + 1 if phase + 1 < len(pattern) else 0
        if q > _HUGE:
            q, u, taken_out = q * _TINY, u * _TINY, taken_out + _SHIFT
    return q, u, taken_out


@compiled(types.float64(_state, types.int64))
def _log_length(state: tuple[float, float, float], terms: int) -> float:
    q, u, taken_out = state
    bits = math.log2(q) + math.log2(u) + 2.0 * taken_out
    return (terms + bits) * _SLACK - bits


@compiled(types.void(read(types.int64), types.int64, read(types.int8), write(types.float64)))
def log_lengths(a: NDArray[np.int64], n: int, pattern: NDArray[np.int8], out: NDArray[np.float64]) -> None:
    """log2 of the length of the set of numbers that begin with a_0..a_i, rounded up, to ``out[i]`` for i < ``n``.

    Args:
        a: (T,) signed terms as `signs.rewrite` makes them; a_0 is free.
        n: how many of them count, at most T.
        pattern: (J,) the period of signs, +1 or -1.
        out: (n,) or longer.
    """
    state = (0.0, 1.0, 0.0)
    for i in range(n):
        state = _advance(a, i, i + 1, pattern, state)
        out[i] = _log_length(state, i + 1)


@compiled(types.UniTuple(types.float64, 2)(read(types.int64), types.int64, types.int64, read(types.int8)))
def evidence(a: NDArray[np.int64], given: int, n: int, pattern: NDArray[np.int8]) -> tuple[float, float]:
    """Bits pinned down by the first ``given`` >= 1 terms, and bits that the terms from there to ``n`` add.

    The second number is the surprise when a law fixed by the first terms predicts the others: a random number of the
    first interval lies in the second with a chance of 2**-bits.
    """
    state = _advance(a, 0, given, pattern, (0.0, 1.0, 0.0))
    first = -_log_length(state, given)
    return first, -_log_length(_advance(a, given, n, pattern, state), n) - first


@compiled(types.float64(read(types.int64), types.int64, read(types.int8)))
def digits(a: NDArray[np.int64], n: int, pattern: NDArray[np.int8]) -> float:
    """Decimal digits after the point that the first ``n`` terms pin down: -log10 of the length, never too many."""
    if n < 1:
        return 0.0
    return max(0.0, -_log_length(_advance(a, 0, n, pattern, (0.0, 1.0, 0.0)), n)) * _LOG10_2


@compiled(types.float64(read(types.int64), types.int64, types.int64, read(types.int8)))
def _tail_above_one(a: NDArray[np.int64], start: int, stop: int, pattern: NDArray[np.int8]) -> float:
    """y of the tail 1 + y that begins with a[start]; what follows a[stop - 1] is taken to be 2."""
    y = 1.0
    for i in range(stop - 1, start - 1, -1):
        # a + b/(1 + y) - 1, where a - 1/(1 + y) is written so that nothing cancels.
        y = a[i] - 1.0 + 1.0 / (1.0 + y) if pattern[i % len(pattern)] > 0 else a[i] - 2.0 + y / (1.0 + y)
    return y


@compiled(types.float64(read(types.int64), types.int64, types.int64, read(types.int8)))
def rate(a: NDArray[np.int64], used: int, available: int, pattern: NDArray[np.int8]) -> float:
    """Digits a term: how log10 |alpha - p_i/q_i| falls over the second half of the first ``used`` convergents.

    As in Razon et al.'s code, the difference of the errors at i = used // 2 and i = used - 1, divided by used / 2. It
    depends on ``used`` where the terms grow: their tables have 100.

    Args:
        a: (T,) signed terms.
        used: convergents counted; cut to ``available``.
        available: terms that are known, at most T; those after ``used`` give the exact error of the last convergent.
        pattern: (J,) the period of signs.
    """
    used = min(used, available)
    if used < 2:
        return 0.0
    # The error is 1/(q_i (q_i x + b_i q_{i-1})), which is 1/(q_i (q_i y + u_i)) for the tail x = 1 + y.
    stop = min(available, used + _TAIL)
    state = _advance(a, 0, used // 2 + 1, pattern, (0.0, 1.0, 0.0))
    q, u, taken_out = state
    y = _tail_above_one(a, used // 2 + 1, stop, pattern)
    earlier = math.log2(q) + math.log2(q * y + u) + 2.0 * taken_out
    q, u, taken_out = _advance(a, used // 2 + 1, used, pattern, state)
    y = _tail_above_one(a, used, stop, pattern)
    later = math.log2(q) + math.log2(q * y + u) + 2.0 * taken_out
    return (later - earlier) * 2.0 / used * _LOG10_2


def log_length_exact(a: Sequence[int], pattern: Sequence[int]) -> int:
    """The least whole number not below log2 of the length for all of ``a``, in Python integers of any size."""
    q, u = 0, 1
    for i, term in enumerate(a):
        q, u = (term - 1) * q + u, (term + pattern[i % len(pattern)] - 1) * q + u
    return 1 - (q * u).bit_length()
