"""Going through a whole space without the engine: screen every left-hand side, then prove what was screened in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from evo.evaluator import Work
from evo.operator import Births
from evo.records import Genomes
from problems.esma.problem import Esma
from problems.esma.proof import Proof

__all__ = ["Sweep", "births", "coefficients", "decimals", "signs", "sweep"]

WORK = Work(0, 0, np.empty(0, np.int64))


@dataclass(frozen=True)
class Sweep:
    """What a space held: the survivors of the screen, the proofs by row, and why the others are no formulas."""

    problem: Esma
    genomes: Genomes
    counters: dict[str, float]
    proofs: dict[int, Proof]
    refused: dict[int, str]

    @property
    def formulas(self) -> list[Proof]:
        return [self.proofs[row] for row in sorted(self.proofs)]

    def screened(self) -> set[tuple[Any, ...]]:
        """(P, Q, signs) of the survivors."""
        return {(*coefficients(genome), signs(genome)) for genome in self.genomes}

    def verified(self) -> set[tuple[Any, ...]]:
        """(P, Q, signs) of the formulas."""
        return {(*coefficients(self.genomes[row]), signs(self.genomes[row])) for row in self.proofs}


def births(problem: Esma, start: int = 0, stop: int | None = None) -> Births:
    """What the screen lets through of these ranks."""
    screen = problem.operators["left_hand_sides"]
    screen.warm_up()
    args = {"start": start, "stop": screen.total if stop is None else stop}
    return screen.make(problem.space.empty(0), args, problem.space, WORK)


def sweep(constant: str, degree: int, limit: int, **options: Any) -> Sweep:
    """Screen and prove all there is."""
    problem = Esma(constant, degree, limit, **options)
    found = births(problem)
    outcomes = dict(problem.evaluator.proofs(found.genomes))
    assert sorted(outcomes) == list(range(len(found.genomes)))
    proofs = {row: one for row, one in outcomes.items() if isinstance(one, Proof)}
    refused = {row: one for row, one in outcomes.items() if isinstance(one, str)}
    assert len(proofs) + len(refused) == len(outcomes)
    return Sweep(problem, found.genomes, dict(found.counters), proofs, refused)


def coefficients(genome: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """P and Q as written, ascending, as wide as the space has them."""
    return tuple(genome["numerator"].tolist()), tuple(genome["denominator"].tolist())


def signs(genome: Any) -> tuple[int, ...]:
    """The period of signs, without what pads it."""
    return tuple(sign for sign in genome["signs"].tolist() if sign)


def decimals(terms: list[int], places: int) -> str:
    """The number between the last two convergents of a simple fraction, cut off; they agree that far."""
    p, q, before_p, before_q = 1, 0, 0, 1
    for a in terms:
        p, before_p, q, before_q = a * p + before_p, p, a * q + before_q, q
    whole = 10**places
    assert p * whole // q == before_p * whole // before_q
    digits = f"{p * whole // q:0{places + 1}d}"
    return f"{digits[:-places]}.{digits[-places:]}"
