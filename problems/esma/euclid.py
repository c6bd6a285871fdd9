"""Certified simple continued fractions: the fast path for many at once, and exact integers for any size of term.

Neither ever gives a term that could be wrong: it is shared by every number that the errors allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from problems.esma.lehmer import ENDED, MORE, OK, WIDE, expand

__all__ = ["ENDED", "MORE", "OK", "WIDE", "expand", "expand_exact", "limbs"]


def limbs(values: Sequence[int]) -> NDArray[np.uint32]:
    """Non-negative integers as rows of 32-bit limbs, least significant first, padded with zeros to one length."""
    numbers = [int(value) for value in values]
    if any(number < 0 for number in numbers):
        raise ConfigError("limbs: values are at least 0, got a negative one; take absolute values first")
    length = max(1, -(-max((number.bit_length() for number in numbers), default=0) // 32))
    raw = b"".join(number.to_bytes(4 * length, "little") for number in numbers)
    return np.frombuffer(raw, dtype="<u4").astype(np.uint32).reshape(len(numbers), length)


def expand_exact(p: Any, q: Any, error_p: Any, error_q: Any, terms: int) -> list[int]:
    """At most `terms` terms of the simple continued fraction that all x = p' / q' share.

    Here p' is any number within `error_p` of p and q' any within `error_q` of q; Python integers or flint's, errors at
    least 0. Interval Euclid: both ends of the interval are expanded, and it stops where they part or where one of them
    ends. Where p' may be negative or q' zero nothing is certain, and the list empty. Without errors it is the whole
    expansion of p / q.
    """
    found: list[int] = []
    if p < error_p or q <= error_q:
        return found
    low, low_under, high, high_under = p - error_p, q + error_q, p + error_p, q - error_q
    while len(found) < terms and low_under and high_under:
        term, rest = divmod(low, low_under)
        other, other_rest = divmod(high, high_under)
        if term != other:
            break
        found.append(int(term))
        low, low_under, high, high_under = high_under, other_rest, low_under, rest
    return found
