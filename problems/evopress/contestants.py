"""What is compared at the end: what a run found, at each size that is reported, and what is had without searching."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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

__all__ = ["Contest", "contestants", "held", "reference_of"]

REPORTED = 9
"""Sizes of a range that are compared."""
_BROKEN = 1e6
"""The divergence that dynamic programming sees where logits are not finite."""
_OWN = ("dense", "uniform", "dp")

_Row = dict[int, tuple[NDArray[np.int64], float]]
"""Place of a size -> genome and divergence."""


@dataclass(frozen=True)
class Contest:
    """The contestants of one size."""

    wanted: int
    """The size that is reported: the budget, or one of those at even distances over a range."""
    size: int
    """What the winner costs, and ``uniform`` and ``dp`` with it; the wanted size where the winner has no part."""
    genomes: Mapping[str, NDArray[np.int64]]
    """Each arm that has a part by its name, at a size of its own; the only one of a run without arms is ``evo``."""
    winner: str = ""
    """Which of them the figures of ``evo`` are of; empty where the winner has no part."""


@dataclass
class _Found:
    """What one arm holds: its elites, of all of its archives."""

    genomes: list[Genomes] = field(default_factory=list)
    kl: list[NDArray[np.float64]] = field(default_factory=list)

    def near(self, problem: EvoPress, wanted: Sequence[int]) -> _Row:
        """Place of a wanted size -> an elite, of those that are nearer to it than to any other wanted size.

        It is the nearest of them, and of equally near ones the one that diverges least.

        Raises:
            SpaceError: an elite misses the budget of a group.
        """
        genomes, kl = problem.space.check(np.concatenate(self.genomes)), np.concatenate(self.kl)
        distance = abs(problem.space.totals(genomes).sum(axis=1)[:, None] - np.asarray(wanted))
        places = distance.argmin(axis=1)
        chosen: _Row = {}
        for row in np.lexsort((kl, distance.min(axis=1))).tolist():
            chosen.setdefault(int(places[row]), (genomes[row], float(kl[row])))
        return chosen


def held(problem: EvoPress, best: Best | None, run: Any) -> list[Contest]:
    """What a run holds at each size that is reported, the smallest first: one size for an exact budget.

    The sizes lie at even distances over a range. An arm has a part in those to which one of its elites is nearer than
    to any other, with the nearest; an arm that holds a single size has a part in one.

    The winner is the arm named ``evo``, else of those not named ``random`` the one that has a part in the most sizes.
    Of several it is the one with the least divergence on the tokens that were searched with, summed over the sizes in
    which all of them have a part.

    Raises:
        SpaceError: an elite misses the budget of a group.
    """
    wanted = spaced(problem.space, REPORTED)
    rows = {name: arm.near(problem, wanted) for name, arm in _arms(best, run).items()}
    winner = _winner(rows)
    contests = []
    for place, size in enumerate(wanted):
        genomes = {name: own[place][0] for name, own in rows.items() if place in own}
        if winner in genomes:
            contests.append(Contest(size, size_of(problem.space, genomes[winner]), genomes, winner))
        else:
            contests.append(Contest(size, size, genomes))
    return contests


def contestants(problem: EvoPress, best: Best | None, run: Any, database: Database | None) -> list[Contest]:
    """What a run holds at each size, and with it what is had without searching: ``uniform`` and ``dp``, of that size.

    Raises:
        SpaceError: as `held`.
    """
    contests = held(problem, best, run)
    prices = _prices(problem, database)
    return [
        replace(
            one,
            genomes={
                "uniform": problem.genes.even(one.size),
                "dp": cheapest_of(problem.space, prices, one.size),
                **one.genomes,
            },
        )
        for one in contests
    ]


def _winner(rows: Mapping[str, _Row]) -> str:
    if "evo" in rows or not rows:
        return "evo" if rows else ""
    able = [name for name in rows if name != "random"] or list(rows)
    most = max(len(rows[name]) for name in able)
    able = [name for name in able if len(rows[name]) == most]
    common = set.intersection(*(set(rows[name]) for name in able))
    return min(able, key=lambda name: sum(rows[name][place][1] for place in sorted(common)))


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
