"""An integer-valued polynomial as people read it: from the Newton basis to powers over one denominator."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

__all__ = ["monomials"]


def monomials(newton: Sequence[int]) -> tuple[tuple[int, ...], int]:
    """Integers f and the least D > 0 with sum_i newton[i] binomial(m, i) = (f[0] + f[1] m + f[2] m^2 + ...) / D.

    The last of f is not zero; the zero polynomial is ``((), 1)``.
    """
    row = [int(c) for c in newton]
    while row and not row[-1]:
        row.pop()
    if len(row) <= 2:
        return tuple(row), 1
    # Horner in the Newton basis, p_i = c_i + (m - i)/(i + 1) p_{i+1}, over the denominators collected so far.
    powers, scale = [row[-1]], 1
    for i in range(len(row) - 2, -1, -1):
        scale *= i + 1
        shifted = [0, *powers]
        for power, coefficient in enumerate(powers):
            shifted[power] -= i * coefficient
        shifted[0] += row[i] * scale
        powers = shifted
    common = gcd(scale, *powers)
    return tuple(f // common for f in powers), scale // common
