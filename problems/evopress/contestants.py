"""What is compared at the end: what a run found, at each size that is reported, and what is had without searching."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evo.problem import Best
from evo.records import Genomes
from problems.evopress.database import Database
from problems.evopress.divergence import Reference, build_reference
from problems.evopress.genes import Sparsity
from problems.evopress.model import NotFinite
from problems.evopress.scoring import score
from problems.evopress.sizes import cheapest_of, size_of, spaced
from problems.evopress.tokens import Tokens

if TYPE_CHECKING:
    from problems.evopress.problem import EvoPress

__all__ = ["Contest", "contestants", "reference_of"]

REPORTED = 9
"""Sizes of a range that are compared."""
_BROKEN = 1e6
"""The divergence that dynamic programming sees where logits are not finite."""
_OWN = ("dense", "uniform", "dp")


@dataclass(frozen=True)
class Contest:
    """The contestants of one size."""

    size: int
    """What the winner costs, and ``uniform`` and ``dp`` with it."""
    genomes: Mapping[str, NDArray[np.int64]]
    """``uniform``, ``dp`` and each arm by its name; ``evo`` is the only one of a run without arms."""
    winner: str = ""
    """Which of them the figures of ``evo`` are of; empty where nothing was measured."""


@dataclass
class _Found:
    """What one arm holds: its elites, of all of its archives."""

    genomes: list[Genomes] = field(default_factory=list)
    kl: list[NDArray[np.float64]] = field(default_factory=list)

    def nearest(self, problem: EvoPress, size: int) -> tuple[NDArray[np.int64], float]:
        """Of the elites nearest to a size the one that diverges least, and by how much."""
        genomes, kl = np.concatenate(self.genomes), np.concatenate(self.kl)
        distance = abs(problem.space.totals(genomes).sum(axis=1) - size)
        row = int(np.lexsort((kl, distance))[0])
        return genomes[row], float(kl[row])


def contestants(problem: EvoPress, best: Best | None, run: Any, database: Database | None) -> list[Contest]:
    """The contestants at each size that is reported, the smallest first: one for an exact budget.

    The sizes lie at even distances over a range. At each, the elite nearest to it is compared with what is had without
    searching at exactly the elite's size.

    ``evo`` is the arm of this name, else of those not named ``random`` the one with the least divergence on the tokens
    that were searched with, summed over the sizes.
    """
    arms = _arms(best, run)
    prices = _prices(problem, database)
    sizes = spaced(problem.space, REPORTED)
    rows = {name: [found.nearest(problem, size) for size in sizes] for name, found in arms.items()}
    winner = ""
    if rows:
        able = [name for name in rows if name != "random"] or list(rows)
        winner = "evo" if "evo" in rows else min(able, key=lambda name: sum(kl for _, kl in rows[name]))
        sizes = [size_of(problem.space, genome) for genome, _ in rows[winner]]
    contests: dict[int, Contest] = {}
    for place, size in enumerate(sizes):
        genomes = {"uniform": problem.genes.even(size), "dp": cheapest_of(problem.space, prices, size)}
        genomes |= {name: found[place][0] for name, found in rows.items()}
        contests.setdefault(size, Contest(size, genomes, winner))
    return [contests[size] for size in sorted(contests)]


def _arms(best: Best | None, run: Any) -> dict[str, _Found]:
    """Arm -> what it holds; ``evo`` of a run without arms. Arms that have measured nothing are left out."""
    found: dict[str, _Found] = {}
    for name, archive in run.archives.items():
        kind, *path = name.split("/")
        arm = path[0] if kind == "arm" and path else ""
        if len(archive.candidate):
            one = found.setdefault(f"arm/{arm}" if arm in _OWN else arm, _Found())
            one.genomes.append(np.asarray(archive.genomes))
            one.kl.append(archive.objectives[:, 0])
    whole = found.pop("", _Found())
    if found:
        return found
    if best is not None:
        whole.genomes.append(np.asarray(best.genome)[None])
        whole.kl.append(np.array([best.objectives["kl"]]))
    return {"evo": whole} if whole.genomes else {}


def _prices(problem: EvoPress, database: Database | None) -> Sequence[Sequence[float]]:
    """Per gene and level, the damage that it does alone: what dynamic programming adds up."""
    if isinstance(problem.genes, Sparsity):
        assert database is not None
        return problem.genes.errors(database)
    return [[0.0, kl] for kl in _alone(problem)]


def _alone(problem: EvoPress) -> list[float]:
    """Divergence with one sub-block (or block) left out, on the calibration tokens."""
    model = problem.dense
    with tempfile.TemporaryDirectory() as folder:
        model.restore()
        rows = problem.calibration.rows[: max(1, problem.full_tokens // problem.length)]
        reference = reference_of(problem, rows, Path(folder))
        batch = reference.tokens.everything()
        found = []
        for gene in range(len(problem.space.costs)):
            genome = np.zeros(len(problem.space.costs), np.int64)
            genome[gene] = 1
            problem.genes.putter(model, None, genome)()
            try:
                found.append(score(model, reference, batch).kl)
            except NotFinite:
                found.append(_BROKEN)
        model.restore()
    return found


def reference_of(problem: EvoPress, rows: NDArray[Any], folder: Path) -> Reference:
    """What the dense model predicts on rows of tokens, in a file of the folder."""
    path = folder / "reference.npy"
    build_reference(path, problem.dense, Tokens(rows), problem.top)
    return Reference(path)
