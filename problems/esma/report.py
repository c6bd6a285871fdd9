"""What a search found, for people: counts, ranked formulas, and an article in LaTeX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.records import Genomes
from problems.esma.latex import Entry, Section, latex_document
from problems.esma.notation import signs_text
from problems.esma.orbit import best_variants, by_rate, by_simplicity, orbits, primitives
from problems.esma.proof import Proof
from problems.esma.settings import Settings
from problems.esma.verify import Verifier

__all__ = ["summary", "write_latex"]

_SIMPLEST, _FASTEST, _PRIMITIVES, _PRINTED = 20, 10, 20, 100
"""Rows of the tables, and formulas of each orbit in the article."""


@dataclass(frozen=True)
class _Found:
    """All formulas of a run, in columns."""

    genomes: Genomes
    complexity: NDArray[np.float64]
    rate: NDArray[np.float64]
    orbit: NDArray[np.intp]
    orbits: int

    @classmethod
    def of(cls, settings: Settings, run: Any) -> _Found:
        """Of the log; without one, of the archive."""
        source = run.candidates() if run.logged else run.archive
        genomes = source.genomes
        above, below = genomes["numerator"], genomes["denominator"]
        orbit, keys = orbits(above, below, settings.constant.minimal_polynomial)
        return cls(genomes, source.objectives[:, 0], source.measures[:, 1], orbit, len(keys))

    def ranked(self, ranking: Any) -> NDArray[np.intp]:
        """Row numbers by `problems.esma.orbit` ranking."""
        order: NDArray[np.intp] = ranking(
            self.complexity, self.rate, self.genomes["numerator"], self.genomes["denominator"]
        )
        return order


def summary(settings: Settings, run: Any) -> Mapping[str, Any]:
    """The counts of a run, and tables of its formulas: the simplest, the fastest, and the simplest of each orbit."""
    found = _Found.of(settings, run)
    counters = run.counters
    figures: dict[str, Any] = {
        name: int(counters.get(name, 0)) for name in ("left_hand_sides", "sequences", "candidates_screened_in")
    }
    figures["formulas_verified"] = len(found.genomes)
    figures["primitives"] = found.orbits
    figures["cpu_seconds"] = round(float(run.totals.get("cpu_seconds", 0.0)), 3)
    simple = found.ranked(by_simplicity)
    tables = {
        "simplest": simple[:_SIMPLEST],
        "fastest": found.ranked(by_rate)[:_FASTEST],
        "one_of_each_orbit": primitives(found.orbit, simple)[:_PRIMITIVES],
    }
    if found.orbits < 2:  # the table would be the first row of the simplest
        del tables["one_of_each_orbit"]
    return figures | {name: _table(settings, found, rows) for name, rows in tables.items() if len(rows)}


def _table(settings: Settings, found: _Found, rows: NDArray[np.intp]) -> list[dict[str, Any]]:
    table = []
    for proof in _proofs(settings, found.genomes[rows]):
        formula = proof.formula
        left, _, right = formula.text(settings.constant).partition(" = ")
        table.append(
            {
                "left-hand side": left,
                "a_n": right.rpartition("  b = ")[0],
                "b_n": signs_text(formula.signs),
                "digits": int(proof.digits),
                "digits/term": round(proof.rate, 3),
                "bits": round(formula.complexity, 1),
            }
        )
    return table


def _proofs(settings: Settings, genomes: Genomes) -> list[Proof]:
    """Proved again, from the left-hand side and the signs alone."""
    found = dict(Verifier(settings).proofs(genomes))
    return [proof for _, proof in sorted(found.items()) if isinstance(proof, Proof)]


def write_latex(settings: Settings, run: Any, path: Path) -> None:
    """An article of the simplest formulas of each orbit, simplest orbit first."""
    found = _Found.of(settings, run)
    order = best_variants(found.orbit, found.ranked(by_simplicity), _PRINTED)
    sections = []
    for orbit in dict.fromkeys(found.orbit[order].tolist()):
        rows = order[found.orbit[order] == orbit]
        count = int((found.orbit == orbit).sum())
        title = f"{count:,} formulas" if count == len(rows) else f"The simplest {len(rows)} of {count:,} formulas"
        entries = [_entry(settings, proof) for proof in _proofs(settings, found.genomes[rows])]
        sections.append(Section(title, tuple(entries)))
    path.write_text(latex_document(sections, f"Formulas for {settings.constant.short}"), encoding="utf-8")


def _entry(settings: Settings, proof: Proof) -> Entry:
    formula = proof.formula
    return Entry(formula.latex(settings.constant), formula.statements(), int(proof.digits), proof.rate)
