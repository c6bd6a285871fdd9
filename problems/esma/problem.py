"""Formulas for mathematical constants: the problem that puts the pieces together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evo.errors import ConfigError
from evo.evaluator import Evaluator
from evo.operator import Operator
from evo.problem import Best, Measure, Minimize, Problem
from evo.spaces import Integers, Mixed
from problems.esma import report
from problems.esma.constant import Constant
from problems.esma.proof import Proof
from problems.esma.screen import Screen
from problems.esma.settings import Settings
from problems.esma.verify import Verifier

__all__ = ["Esma"]

_SHOWN = 12
"""Terms written out of one formula."""


class Esma(Problem):
    """Continued fractions with periodic signs for rational functions of a constant, found by going through them all.

    A genome is a left-hand side |P(c)/Q(c)| and a pattern of signs; together they have exactly one continued fraction
    a_0 + b_0/(a_1 + b_1/(a_2 + ...)). It is a formula when its terms a_n are, after finitely many, integer polynomials
    in turn (`method: interlaced`) or obey any linear recurrence (`method: recurrence`). Search it with `enumeration`.

    The objective is the formula's length in ``bits``, to be small; the measures are the same length as ``complexity``
    (`problems.esma.complexity`) and ``digits_per_term``, the decimals that each further term adds.

    Source: Razon, Harris, Gottlieb, Carmon, David and Kaminer, "Automated Search for Conjectures on Mathematical
    Constants using Analysis of Integer Sequences", ICML 2023. `method: original` is their search, with its parameters.

    Args:
        constant: c, as an expression (``e``, ``tan(1/2)``, ``I1(2)/I0(2)``, ``sqrt(2)``, ``zeta(3)``) or a decimal.
        degree: the highest power of c in P and Q.
        coefficients: the largest absolute value of their coefficients.
        sign_periods: shortest and longest period of the signs.
        depth: terms of each sequence that are looked at; more find formulas with longer periods and beginnings.
        max_order: the longest linear recurrence of the terms, k (d + 1) for k polynomials of degree d; by default
            depth // 4 - 2, the original's bound.
        method: ``interlaced``, ``recurrence``, or ``original``: a recurrence modulo `modulus` of fewer than depth // 4
            coefficients, restarted from its first terms, so that no formula has terms before its law.
        screen: ``every`` sign pattern of each left-hand side, or ``simple_first``: only of those whose simple continued
            fraction shows a law of any order among its first `depth` terms. Many times faster where there are many
            patterns, and complete for laws that show so early.
        modulus: the prime of the recurrences.
        digits: decimals to which a formula must agree, for certain; the original compared 100.
        matched: terms that must follow a law beyond those that fix it.
        constant_digits: decimals that count of a decimal constant; by default all that are written.

    Raises:
        ConfigError: an argument is not as expected, the constant is unknown or rational, or has too few digits.
    """

    def __init__(
        self,
        constant: str = "e",
        degree: int = 1,
        coefficients: int = 3,
        *,
        sign_periods: Sequence[int] = (1, 3),
        depth: int = 100,
        max_order: int | None = None,
        method: str = "interlaced",
        screen: str = "every",
        modulus: int = 2147483647,
        digits: int = 1000,
        matched: int = 20,
        constant_digits: int | None = None,
    ) -> None:
        self.settings = s = Settings(
            Constant(constant, constant_digits),
            degree,
            coefficients,
            _pair(sign_periods),
            depth,
            _order(depth) if max_order is None else max_order,
            method,
            screen,
            modulus,
            digits,
            matched,
        )
        self.space = Mixed(
            numerator=Integers(-s.coefficients, s.coefficients, size=s.degree + 1),
            denominator=Integers(-s.coefficients, s.coefficients, size=s.degree + 1),
            signs=Integers(-1, 1, size=s.sign_periods[1]),
        )
        self.objectives = [Minimize("bits")]
        self.measures = [Measure("complexity", 0.0, 200.0), Measure("digits_per_term", 0.0, 8.0)]

    @property
    def evaluator(self) -> Evaluator:
        """The verifier."""
        return Verifier(self.settings)

    @property
    def operators(self) -> Mapping[str, Operator]:
        """The enumeration of left-hand sides, with its screen."""
        return {"left_hand_sides": Screen(self.settings)}

    def report(self, best: Best | None, run: Any) -> Mapping[str, Any]:
        """Counts, and the simplest and the fastest formulas as people write them."""
        return report.summary(self.settings, run)

    def exports(self) -> Mapping[str, Callable[[Any, Path], None]]:
        """``latex``: an article of the formulas, grouped by orbit."""
        return {"latex": lambda run, path: report.write_latex(self.settings, run, path)}

    def show(self, genome: Any) -> str:
        """The formula, how far it is proved, and its first terms; or why it is none."""
        batch = np.array([genome], dtype=self.space.dtype)
        _, found = next(iter(Verifier(self.settings).proofs(batch)))
        if not isinstance(found, Proof):
            return f"no formula: {found}"
        terms = ", ".join(map(str, found.formula.terms(_SHOWN)))
        return (
            f"{found.formula.text(self.settings.constant)}\n"
            f"{int(found.digits)} digits verified, {found.rate:.3f} digits a term\na_n = {terms}, ..."
        )


def _order(depth: Any) -> int:
    # What is no number is refused where depths are checked.
    return max(1, depth // 4 - 2) if isinstance(depth, int) else 1


def _pair(periods: Any) -> tuple[int, int]:
    if not isinstance(periods, Sequence) or isinstance(periods, str) or len(periods) != 2:
        raise ConfigError(f"sign_periods: expected [shortest, longest], such as [1, 3], got {periods!r}")
    return periods[0], periods[1]
