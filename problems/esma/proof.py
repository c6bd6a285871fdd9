"""What the verifier hands out: a formula with what is proved of it; and the proof in integers of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from problems.esma import recurrences
from problems.esma.cylinder import log_length_exact, rate
from problems.esma.formula import Formula
from problems.esma.interlaced import detect_exact, newton_exact, stays_regular
from problems.esma.recurrences import fit, original, restart
from problems.esma.settings import Settings
from problems.esma.signs import rewrite_exact

__all__ = ["NOT_REGULAR", "Proof", "Unsettled", "no_law", "prove_exactly"]

NOT_REGULAR = "the law is not certain to keep to terms that converge to an irrational number"
_RATE_TERMS, _NARROW = 100, 1 << 31


@dataclass(frozen=True)
class Proof:
    """A formula, and how far it is known to hold."""

    FIGURES: ClassVar[tuple[str, ...]] = ("order", "period", "degree", "preperiod", "digits", "terms", "evidence")

    formula: Formula
    digits: float
    """Decimals to which both sides are certain to agree."""
    rate: float
    """Digits a term, over the second half of the first 100 convergents."""
    evidence: float
    """Bits: a random number that begins with the terms that fix the law follows it so far with chance 2**-evidence."""
    terms: int
    """Signed terms that were compared."""

    def figures(self) -> dict[str, float]:
        """The numbers that a run keeps of it, by the names in FIGURES."""
        f = self.formula
        preperiod = len(f.preperiod)
        # whole numbers and rounded ones: the last bits of sums of logarithms are nobody's result
        return {
            "order": f.order,
            "period": f.period,
            "degree": f.degree,
            "preperiod": preperiod,
            "digits": math.floor(self.digits),
            "terms": self.terms,
            "evidence": math.floor(self.evidence),
        }


@dataclass(frozen=True)
class Unsettled:
    """More terms are needed than this precision gives."""

    terms: int
    digits: float

    def __str__(self) -> str:
        return f"undecided: {self.terms} terms, {math.floor(self.digits)} digits at the highest precision"


def prove_exactly(
    settings: Settings,
    numerator: tuple[int, ...],
    denominator: tuple[int, ...],
    signs: tuple[int, ...],
    simple: Sequence[int],
) -> Proof | str | Unsettled:
    """The law of a signed fraction and its proof, from certain terms of the simple one; or why there is none."""
    s = settings
    terms = rewrite_exact(list(simple), signs, 2 * len(simple) + 1)
    digits = _digits(terms, signs)
    law = _law(s, terms) if len(terms) >= s.depth else None
    if law is None:
        return no_law(s) if len(terms) >= s.depth else Unsettled(len(terms), digits)
    evidence = (digits - _digits(terms[: law.given], signs)) * math.log2(10)
    predicted = len(terms) - law.given
    if s.method != "original" and not _regular(law, terms, signs):
        return NOT_REGULAR
    if digits < s.digits or (s.method != "original" and (predicted < s.matched or evidence < s.evidence)):
        return Unsettled(len(terms), digits)
    formula = Formula(numerator, denominator, signs, law.preperiod, law.newton, law.connection, law.initial)
    return Proof(formula, digits, _rate(terms, signs), evidence, len(terms))


def no_law(settings: Settings) -> str:
    """Why a sequence is rejected that looked like a formula at first."""
    return f"no law of order up to {settings.max_order} that shows within {settings.depth} terms holds for all terms"


@dataclass(frozen=True)
class _Law:
    given: int
    """Terms that fix it."""
    preperiod: tuple[int, ...] = ()
    newton: tuple[tuple[int, ...], ...] = ()
    connection: tuple[int, ...] = ()
    initial: tuple[int, ...] = ()


def _regular(law: _Law, terms: Sequence[int], signs: tuple[int, ...]) -> bool:
    if law.newton:
        return stays_regular(law.newton, signs, len(law.preperiod))
    return recurrences.stays_regular(law.connection, terms, signs)


def _law(s: Settings, terms: list[int]) -> _Law | None:
    if s.method == "original":
        short = original(terms, s.depth, s.modulus)
        if short is None or not restart(terms, short):
            return None
        order = len(short) - 1
        return _Law(2 * order, connection=tuple(short), initial=tuple(terms[:order]))
    k, d, r = detect_exact(terms, s.max_order, len(terms) - s.depth + s.matched)
    if k:
        rows = newton_exact(terms, k, d, r)
        return _Law(r + k * (d + 1), tuple(terms[:r]), tuple(map(tuple, rows)))
    fitted = fit(terms, s.depth, s.modulus, s.max_order, s.matched) if s.method == "recurrence" else None
    if fitted is None:
        return None
    first, connection = fitted
    order = len(connection) - 1
    initial = tuple(terms[first : first + order])
    return _Law(first + 2 * order, tuple(terms[:first]), connection=tuple(connection), initial=initial)


def _digits(terms: Sequence[int], signs: tuple[int, ...]) -> float:
    return -log_length_exact(terms, signs) * math.log10(2) if terms else 0.0


def _rate(terms: Sequence[int], signs: tuple[int, ...]) -> float:
    """As `cylinder.rate`; where terms exceed its range, of the intervals rather than of the convergents."""
    known = terms[: 2 * _RATE_TERMS]
    if max(known) < _NARROW:
        return float(rate(np.array(known, np.int64), _RATE_TERMS, len(known), np.array(signs, np.int8)))
    used = min(_RATE_TERMS, len(terms))
    half = used // 2
    return (_digits(terms[:used], signs) - _digits(terms[:half], signs)) / max(1, used - half)
