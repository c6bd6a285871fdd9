"""The enumeration: shards of left-hand sides, from which those survive whose terms look like a law under some signs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.evaluator import Work
from evo.operator import Births, Enumerator
from evo.records import Genomes
from evo.space import Space
from problems.esma.cylinder import log_length_exact
from problems.esma.euclid import OK, WIDE
from problems.esma.expansion import Expander
from problems.esma.field import simplest
from problems.esma.interlaced import detect_exact
from problems.esma.left_hand_side import canonical
from problems.esma.patterns import FAINT, HIT, NONE, SHORT, WEAK, screen_rows
from problems.esma.recurrences import fit, original, screen_original, screen_recurrences
from problems.esma.settings import BITS_A_TERM, Settings
from problems.esma.signs import pattern_table, rewrite_exact

__all__ = ["Screen", "Screening"]

_ROWS = 512
"""Rows expanded at a time: their terms stay in the cache."""
_PROMISING = (HIT, FAINT)


@dataclass(frozen=True)
class _Look:
    """One way of looking at rows: under which patterns, at how many terms, for laws up to which order."""

    patterns: Sequence[tuple[int, ...]]
    simple_terms: int
    """Terms of the simple fraction that are needed."""
    max_order: int

    @cached_property
    def table(self) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        return pattern_table(self.patterns)


class Screening:
    """Looks at many left-hand sides under all sign patterns.

    A look under all patterns takes as many terms of the simple fraction as give ``depth`` signed terms under any signs:
    a sign -1 before a term 1 uses up two. With ``screen: simple_first`` only those left-hand sides get it whose simple
    fraction itself shows a law among its first ``depth`` terms: if any signed fraction of a number is interlaced, so is
    its simple one, with a period of at most 2 lcm(k, J) (dossier fact F3).
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        most = 2 * settings.depth + 2
        self._full = _Look(settings.patterns, most, settings.max_order)
        self._glance = _Look([(1,)], settings.depth, settings.depth - settings.matched)
        # The precision that sufficed for most rows before: where to begin changes the time, never what is found.
        self._bits_a_term = BITS_A_TERM
        self._expander = Expander(settings.constant, settings.degree, settings.most_bits)

    def hits(self, above: NDArray[np.int64], below: NDArray[np.int64]) -> tuple[NDArray[np.uint8], int]:
        """What was found for each row under each pattern, as in `problems.esma.patterns`; how many rows are undecided.

        Args:
            above: (n, degree + 1) coefficients of P, ascending.
            below: the same of Q.

        Returns:
            (n, np) outcomes, and the number of rows for which the precision did not suffice.
        """
        found = np.zeros((len(above), len(self._settings.patterns)), np.uint8)
        undecided = 0
        for start in range(0, len(above), _ROWS):
            rows = np.arange(start, min(start + _ROWS, len(above)))
            if self._settings.screen == "simple_first":
                laws = np.zeros((len(rows), 1), np.uint8)
                undecided += self._look(self._glance, above[rows], below[rows], laws)
                rows = rows[np.isin(laws[:, 0], _PROMISING)]
            outcomes = np.zeros((len(rows), found.shape[1]), np.uint8)
            undecided += self._look(self._full, above[rows], below[rows], outcomes)
            found[rows] = outcomes
        return found, undecided

    def _look(self, look: _Look, above: NDArray[np.int64], below: NDArray[np.int64], found: NDArray[np.uint8]) -> int:
        """Expand each row as far as the look needs and take it; how many rows are undecided."""
        expander, most = self._expander, look.simple_terms
        left = np.arange(len(above))
        bits = min(expander.limit, int(self._bits_a_term * most) + 64)
        while len(left):
            last = bits >= expander.limit
            terms, counts, status = expander.terms(above[left], below[left], bits, most)
            done = np.flatnonzero(status != WIDE if last else status == OK)  # at last, what is certain has to do
            outcomes = np.zeros((len(done), found.shape[1]), np.uint8)
            self._compiled(look, terms[done], counts[done], outcomes)
            found[left[done]] = outcomes
            short = [
                row
                for row, state in zip(left, status, strict=True)
                if state != OK
                and not (state == WIDE and self._exact(look, above[row], below[row], bits, last, found[row]))
            ]
            if last:
                return int((found == SHORT).any(axis=1).sum())
            bits = expander.finer(bits)
            if len(short) > len(done):
                self._bits_a_term = max(self._bits_a_term, (bits - 64) / most)
            left = np.array(short, np.int64)
        return 0

    def _compiled(
        self, look: _Look, terms: NDArray[np.int64], counts: NDArray[np.int64], found: NDArray[np.uint8]
    ) -> None:
        s = self._settings
        if s.method == "original":
            screen_original(terms, counts, *look.table, s.depth, s.modulus, found)
            return
        limits = s.depth, look.max_order, s.matched
        screen_rows(terms, counts, *look.table, *limits, s.evidence, found)
        if s.method == "recurrence":
            screen_recurrences(terms, counts, *look.table, *limits, s.modulus, s.evidence, found)

    def _exact(self, look: _Look, above: Any, below: Any, bits: int, last: bool, found: NDArray[np.uint8]) -> bool:
        """The same for one row with terms beyond 31 bits, in integers of any size; False when more bits are needed."""
        depth = self._settings.depth
        simple = self._expander.exact(above, below, bits, look.simple_terms)
        signed = [rewrite_exact(simple, pattern, depth) for pattern in look.patterns]
        if not last and any(len(terms) < depth for terms in signed):
            return False
        found[:] = [self._law(look, *pair) for pair in zip(signed, look.patterns, strict=True)]
        return True

    def _law(self, look: _Look, terms: list[int], pattern: tuple[int, ...]) -> int:
        s = self._settings
        if len(terms) < s.depth:
            return SHORT
        if s.method == "original":
            return HIT if 0 not in terms and original(terms, s.depth, s.modulus) else NONE
        k, d, r = detect_exact(terms, look.max_order, s.matched)
        given = r + k * (d + 1)
        if not k and s.method == "recurrence":
            law = fit(terms, s.depth, s.modulus, look.max_order, s.matched)
            given = law[0] + 2 * len(law[1]) if law else 0
        if not given:
            return NONE
        bits = log_length_exact(terms[:given], pattern) - log_length_exact(terms, pattern)
        if bits >= s.evidence:
            return HIT
        return WEAK if (k, d, terms[-1], max(pattern)) == (1, 0, 2, -1) or not k else FAINT


class Screen(Enumerator):
    """Goes through the pairs of polynomials by rank; what survives is a left-hand side with a sign pattern.

    Args:
        settings: of the search.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def total(self) -> int:
        """All pairs of polynomials, canonical or not."""
        return self.settings.ranks

    @property
    def survivors(self) -> int:
        """A left-hand side may have a formula under every pattern."""
        return len(self.settings.patterns)

    def warm_up(self) -> None:
        """See `Operator.warm_up`."""
        self._screening = Screening(self.settings)

    def make(self, parents: Genomes, args: Mapping[str, Any], space: Space, work: Work) -> Births:
        """The left-hand sides and signs among these ranks that look like formulas, and what was gone through."""
        s = self.settings
        minimal = s.constant.minimal_polynomial
        box = int(args["start"]), int(args["stop"]), s.degree, s.coefficients
        above, below = canonical(*box) if minimal is None else simplest(*box, minimal)
        found, undecided = self._screening.hits(above, below)
        rows, patterns = np.nonzero(np.isin(found, _PROMISING))
        genomes = space.empty(len(rows))
        genomes["numerator"], genomes["denominator"] = above[rows], below[rows]
        genomes["signs"] = s.pattern_table[0][patterns]
        counters = {
            "left_hand_sides": len(above),
            "sequences": len(above) * len(s.patterns),
            "candidates_screened_in": len(rows),
            "too_little_evidence": int((found == WEAK).sum()),
            "undecided": undecided,
        }
        return Births(genomes, {name: float(count) for name, count in counters.items()})
