"""The verifier: a formula stands when its law holds as far as ``digits`` decimals of the constant reach, for certain.

Two numbers whose signed fractions begin with the same terms lie in one interval, whose length those terms give. The
terms of the left-hand side are certain (`problems.esma.euclid`), the formula's are exact; so when they agree up to
where the interval is shorter than 10**-digits, so do the two values. The formula's own fraction has to converge to an
irrational number with those very terms: `problems.esma.interlaced.stays_regular` certifies it for all terms to come.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evo.evaluator import Evaluations, Evaluator, Work
from evo.records import Genomes
from problems.esma.euclid import WIDE
from problems.esma.expansion import Expander
from problems.esma.formula import Formula
from problems.esma.interlaced import stays_regular
from problems.esma.patterns import HIT, NONE, SHORT, verify_patterns
from problems.esma.proof import NOT_REGULAR, Proof, Unsettled, no_law, prove_exactly
from problems.esma.settings import SPARE, Settings
from problems.esma.signs import pattern_table, rewrite

__all__ = ["Verifier"]

VERSION = 1
"""Raise it whenever the same genome could get another result."""

_GROUPS = 64
"""Left-hand sides expanded at a time: their terms stay in the cache."""
_BITS_A_TERM = 2 * math.log2((1 + math.sqrt(5)) / 2)
"""No term carries less, on average: those of the golden ratio."""
_Sides: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
_Verdict: TypeAlias = Proof | str | Unsettled


class Verifier(Evaluator):
    """Fits a law to a left-hand side's signed fraction and proves it to the digits asked for, or says no.

    Args:
        settings: of the search.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._expander: Expander | None = None

    def version(self) -> str:
        """See `Evaluator.version`: the verifier's own number and what it was asked to do."""
        return f"esma-{VERSION}:{self.settings}"

    @property
    def expander(self) -> Expander:
        """Made on first use, on the worker."""
        if self._expander is None:
            s = self.settings
            self._expander = Expander(s.constant, s.degree, s.most_bits)
        return self._expander

    @property
    def _least_bits(self) -> int:
        return math.ceil(self.settings.digits * math.log2(10)) + SPARE

    def evaluate_batch(self, genomes: Genomes, work: Work) -> Evaluations:
        """Complexity and rate of the formulas that stand; others are rejected, or failed where precision ran out."""
        n = len(genomes)
        objectives, measures = np.full((n, 1), np.nan), np.full((n, 2), np.nan)
        rejected: dict[int, str] = {}
        undecided: dict[int, str] = {}
        metrics: dict[str, NDArray[Any]] = {name: np.full(n, np.nan) for name in Proof.FIGURES}
        metrics["formula"] = np.full(n, "", dtype=object)
        for row, found in self.proofs(genomes):
            if not isinstance(found, Proof):
                (rejected if isinstance(found, str) else undecided)[row] = str(found)
                continue
            complexity = found.formula.complexity
            objectives[row], measures[row] = complexity, (complexity, found.rate)
            for name, value in found.figures().items():
                metrics[name][row] = value
            metrics["formula"][row] = found.formula.right_hand_side_text()
        return Evaluations(objectives, measures, metrics, failures=undecided, rejected=rejected)

    def proofs(self, genomes: Genomes) -> Iterator[tuple[int, Proof | str | Unsettled]]:
        """(row, its proof, or why there is none, or that the highest precision did not settle it), in no order.

        One left-hand side is expanded once for all its rows.
        """
        left = _Pending(genomes)
        for row, reason in left.unsound():
            yield row, reason
        expander = self.expander
        bits = min(expander.limit, self._least_bits)
        while left.groups:
            groups, left.groups = left.groups, []
            last = bits >= expander.limit
            for start in range(0, len(groups), _GROUPS):
                for rows, found in self._expanded(genomes, groups[start : start + _GROUPS], bits):
                    unsettled = []
                    for row, proof in zip(rows, found, strict=True):
                        if isinstance(proof, Unsettled) and not last:
                            unsettled.append(row)
                        else:
                            yield row, proof
                    if unsettled:
                        left.groups.append(unsettled)
            bits = expander.finer(bits)

    def _expanded(
        self, genomes: Genomes, groups: Sequence[list[int]], bits: int
    ) -> Iterator[tuple[list[int], list[_Verdict]]]:
        """The verdicts on some left-hand sides with all their rows, at one precision."""
        heads = genomes[[rows[0] for rows in groups]]
        most = int(bits / _BITS_A_TERM) + 8
        above, below = heads["numerator"], heads["denominator"]
        terms, counts, status = self.expander.terms(above, below, bits, most)
        work = np.empty(2 * most, np.int64)  # signs can make a fraction slower than the golden ratio's
        for i, rows in enumerate(groups):
            patterns = [_signs(genomes[row]) for row in rows]
            sides = tuple(above[i].tolist()), tuple(below[i].tolist())
            if status[i] == WIDE or self.settings.method == "original":
                simple = self.expander.exact(above[i], below[i], bits, most)
                yield rows, [prove_exactly(self.settings, *sides, pattern, simple) for pattern in patterns]
            else:
                yield rows, self._prove(sides, patterns, terms[i, : counts[i]], work)

    def _prove(
        self, sides: _Sides, patterns: list[tuple[int, ...]], simple: NDArray[np.int64], work: NDArray[np.int64]
    ) -> list[_Verdict]:
        """The verdicts on one left-hand side under some patterns, from certain terms of its simple fraction."""
        s = self.settings
        table, lengths = pattern_table(patterns)
        results = np.empty((len(patterns), 8), np.int64)
        figures = np.empty((len(patterns), 3))
        newton = np.empty((len(patterns), s.max_order), np.int64)
        limits = s.depth, s.max_order, s.matched, s.evidence
        verify_patterns(simple, len(simple), table, lengths, *limits, work, results, figures, newton)
        found: list[_Verdict] = []
        for i, pattern in enumerate(patterns):
            status, k, d, r, n, predicted = results[i, :6].tolist()
            digits, evidence, rate = figures[i].tolist()
            rows = tuple(map(tuple, newton[i, : k * (d + 1)].reshape(k, d + 1).tolist()))
            if status == NONE:
                exact = s.method == "recurrence"
                found.append(prove_exactly(s, *sides, pattern, simple.tolist()) if exact else no_law(s))
            elif status != SHORT and not stays_regular(rows, pattern, r):
                found.append(NOT_REGULAR)
            elif status != HIT or digits < s.digits or predicted < s.matched:
                found.append(Unsettled(n, digits))
            else:
                rewrite(simple, len(simple), table[i, : lengths[i]], work[:r])
                formula = Formula(*sides, pattern, tuple(work[:r].tolist()), rows)
                found.append(Proof(formula, digits, rate, evidence, n))
        return found


class _Pending:
    """Rows of a batch in groups of one left-hand side each."""

    def __init__(self, genomes: Genomes) -> None:
        self._genomes = genomes
        self._good = np.array([bool(_signs(genome)) for genome in genomes], dtype=bool) & _irrational(genomes)
        rows = np.flatnonzero(self._good)
        sides = np.concatenate([genomes["numerator"][rows], genomes["denominator"][rows]], axis=1)
        starts = np.flatnonzero((sides[1:] != sides[:-1]).any(axis=1)) + 1
        self.groups: list[list[int]] = [group.tolist() for group in np.split(rows, starts) if len(group)]

    def unsound(self) -> Iterator[tuple[int, str]]:
        """Rows that are no left-hand sides with signs."""
        for row in np.flatnonzero(~self._good):
            signs = bool(_signs(self._genomes[row]))
            yield int(row), "the left-hand side is rational" if signs else "signs: expected +1 and -1, then zeros only"


def _irrational(genomes: Genomes) -> NDArray[np.bool_]:
    above, below = genomes["numerator"], genomes["denominator"]
    i, j = np.triu_indices(above.shape[1], 1)
    minors = above[:, i] * below[:, j] - above[:, j] * below[:, i]
    found: NDArray[np.bool_] = minors.any(axis=1)
    return found


def _signs(genome: Any) -> tuple[int, ...]:
    """The pattern without the zeros that pad it; empty when there is a zero inside it."""
    signs = genome["signs"].tolist()
    length = signs.index(0) if 0 in signs else len(signs)
    return () if any(signs[length:]) else tuple(signs[:length])
