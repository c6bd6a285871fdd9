"""What a search for formulas is asked to do: one checked record that master and workers share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from problems.esma.constant import Constant
from problems.esma.field import check_size
from problems.esma.left_hand_side import MAX_DEGREE, pairs
from problems.esma.massey import check_modulus
from problems.esma.signs import LONGEST, pattern_table, sign_patterns

__all__ = ["METHODS", "SCREENS", "Settings"]

METHODS = ("interlaced", "recurrence", "original")
SCREENS = ("every", "simple_first")

_ODDS = 40.0
"""Bits of evidence beyond those that the number of sequences uses up: one false law in 2**40 searches."""
_LARGEST = 1000
"""Coefficients beyond this make more ranks than can ever be gone through."""
_MOST_RANKS = 1 << 63
"""Ranks are 64-bit numbers."""


@dataclass(frozen=True)
class Settings:
    """See `problems.esma.problem.Esma`, whose arguments these are.

    Raises:
        ConfigError: naming the argument, what was expected, and what to do.
    """

    constant: Constant
    degree: int
    coefficients: int
    sign_periods: tuple[int, int]
    depth: int
    max_order: int
    method: str
    screen: str
    modulus: int
    digits: int
    matched: int

    def __post_init__(self) -> None:
        self._check_box()
        if self.method not in METHODS:
            raise ConfigError(f"method: expected one of {', '.join(METHODS)}, got {self.method!r}")
        if self.screen not in SCREENS:
            raise ConfigError(f"screen: expected one of {', '.join(SCREENS)}, got {self.screen!r}")
        if self.screen == "simple_first" and self.method != "interlaced":
            raise ConfigError(f"screen: simple_first finds interlaced polynomials only, not method: {self.method}")
        _whole("matched", self.matched, 1)
        _whole("digits", self.digits, 1, _MOST_DIGITS)
        self._check_depth()
        _whole("max_order", self.max_order, 1)
        check_modulus(_whole("modulus", self.modulus, None))
        self._check_precision()

    def _check_box(self) -> None:
        if not 1 <= _whole("degree", self.degree, None) <= MAX_DEGREE:
            hint = "; a quotient of constants is rational" if self.degree == 0 else ""
            raise ConfigError(f"degree: expected 1 to {MAX_DEGREE}, got {self.degree}{hint}")
        if not 1 <= _whole("coefficients", self.coefficients, None) <= _LARGEST:
            raise ConfigError(
                f"coefficients: expected a limit of 1 to {_LARGEST} for their absolute values, got {self.coefficients}"
            )
        periods = self.sign_periods
        if not (len(periods) == 2 and all(type(p) is int for p in periods) and 1 <= periods[0] <= periods[1]):
            hint = "; turn them round" if len(periods) == 2 and periods[0] > periods[1] else ""
            raise ConfigError(f"sign_periods: expected [shortest, longest], from 1, got {list(periods)}{hint}")
        if periods[1] > LONGEST:
            raise ConfigError(f"sign_periods: expected periods of at most {LONGEST}, got {list(periods)}")
        if self.ranks >= _MOST_RANKS:
            raise ConfigError(
                f"coefficients: up to {self.coefficients} at degree {self.degree} there are {self.ranks:.1e} pairs of "
                f"polynomials, more than ranks can number; lower one of them"
            )
        if self.constant.minimal_polynomial is not None:
            check_size(self.degree, self.coefficients)

    def _check_depth(self) -> None:
        original = self.method == "original"
        least = 12 if original else self.matched + 2
        if _whole("depth", self.depth, 1, _MOST_TERMS) < least:
            why = "a recurrence has fewer than depth // 4 coefficients" if original else f"matched is {self.matched}"
            raise ConfigError(f"depth: expected at least {least} terms, as {why}, got {self.depth}; raise depth")

    def _check_precision(self) -> None:
        self.constant.powers(self.degree, 0 if self.constant.known_bits is not None else SPARE)
        known = self.constant.certain_bits(self.degree)
        needed = math.ceil(self.digits * math.log2(10)) + SPARE
        if known is not None and known < needed:
            self._refuse_decimal(known)

    def _refuse_decimal(self, known: int) -> None:
        from problems.esma.euclid import expand_exact

        one, value = self.constant.powers(1, max(0, known)) if known > 0 else (1, 0)
        certain = len(expand_exact(value, one, 1, 1, 1 << 30))
        enough = math.floor((known - SPARE) / math.log2(10))
        more = math.ceil((SPARE + (self.constant.known_bits or 0) - known) / math.log2(10)) + 2
        instead = f", or set digits: {enough} or less" if enough > 0 else ""
        raise ConfigError(
            f"constant: {self.constant.short} certifies {certain} terms of its continued fraction and "
            f"{max(0, enough)} digits of a formula, fewer than digits: {self.digits}; write about "
            f"{self.digits + more} decimals{instead}"
        )

    @cached_property
    def patterns(self) -> list[tuple[int, ...]]:
        """All sign patterns, in the order of their numbers."""
        return sign_patterns(*self.sign_periods)

    @cached_property
    def pattern_table(self) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """(np, longest) the patterns padded with zeros, and (np,) their lengths."""
        return pattern_table(self.patterns)

    @property
    def ranks(self) -> int:
        """How many pairs of polynomials there are, canonical or not."""
        return pairs(self.degree, self.coefficients)

    @property
    def most_bits(self) -> int:
        """The precision beyond which no left-hand side is followed, for terms or for digits."""
        return _FURTHEST * max(int(BITS_A_TERM * (2 * self.depth + 2)), math.ceil(self.digits * math.log2(10)) + SPARE)

    @property
    def evidence(self) -> float:
        """Bits that the predicted terms must carry, as so many sequences give chance its share."""
        return _ODDS + math.log2(self.ranks * len(self.patterns))


_MOST_DIGITS, _MOST_TERMS = 100_000, 10_000
"""Of a formula and of a sequence: the search for long laws grows with the square of the terms."""
BITS_A_TERM = 4.0
"""A little more than a term of a random number takes: pi**2 / (6 log(2)**2) = 3.42 (Lochs 1964)."""
_FURTHEST = 64
"""How many times the usual precision a left-hand side may take before it counts as undecided."""
SPARE = 64
"""Bits beyond the digits asked for: the sizes of P and Q, their errors, and the last term."""


def _whole(name: str, value: Any, least: int | None, most: int | None = None) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"{name}: expected a whole number, got {value!r}")
    if least is not None and value < least:
        raise ConfigError(f"{name}: expected at least {least}, got {value}")
    if most is not None and value > most:
        raise ConfigError(f"{name}: expected at most {most:,}, got {value:,}")
    return value
