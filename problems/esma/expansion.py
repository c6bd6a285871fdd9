"""Terms on demand: simple fractions of left-hand sides at a precision that rises until they suffice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from problems.esma.constant import Constant
from problems.esma.euclid import expand, expand_exact, limbs

__all__ = ["Expander"]

_GROWTH = 1.6


class Expander:
    """Expands |P(c)/Q(c)| for one constant; remembers the constant's powers at the precisions in use.

    Args:
        constant: c.
        degree: the highest power that P and Q have.
        limit: bits beyond which no row is followed; fewer where the constant is not known so far.
    """

    def __init__(self, constant: Constant, degree: int, limit: int) -> None:
        self._constant, self._degree = constant, degree
        certain = constant.certain_bits(degree)
        self.limit = limit if certain is None else min(limit, certain)
        self._signs = np.array([constant.sign**i for i in range(degree + 1)], np.int64)
        self._limbs: dict[int, NDArray[np.uint32]] = {}

    def finer(self, bits: int) -> int:
        """The next precision, at most `limit`."""
        return min(self.limit, int(bits * _GROWTH))

    def terms(
        self, numerators: NDArray[np.int64], denominators: NDArray[np.int64], bits: int, most: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
        """At most `most` certain terms of each row's simple fraction at a precision of `bits`.

        Args:
            numerators: (n, degree + 1) coefficients of P, ascending.
            denominators: the same of Q.
            bits: of the constant's powers, at most `limit`.
            most: terms wanted of each.

        Returns:
            (n, most) terms, (n,) how many of them are certain, (n,) `problems.esma.euclid` status.
        """
        if bits not in self._limbs:
            if len(self._limbs) >= 16:
                del self._limbs[next(iter(self._limbs))]
            self._limbs[bits] = limbs(self._constant.powers(self._degree, bits))
        n = len(numerators)
        found = np.empty((n, most), np.int64), np.empty(n, np.int64), np.empty(n, np.uint8)
        above, below = (np.ascontiguousarray(rows * self._signs) for rows in (numerators, denominators))
        expand(above, below, self._limbs[bits], *found)
        return found

    def exact(self, numerator: NDArray[np.int64], denominator: NDArray[np.int64], bits: int, most: int) -> list[int]:
        """The certain terms of one row, of any size."""
        import flint

        powers = self._constant.powers(self._degree, bits)

        def value(row: NDArray[np.int64]) -> Any:
            return flint.fmpz(abs(sum(int(a) * power for a, power in zip(row * self._signs, powers, strict=True))))

        def error(row: NDArray[np.int64]) -> Any:
            return flint.fmpz(int(np.abs(row).sum()))

        return expand_exact(value(numerator), value(denominator), error(numerator), error(denominator), most)
