"""Whether the best choice of what to leave out is found, where all choices were measured.

Every configuration is measured once, by the evaluator's own means, as divergence in nats a token on 1024 calibration
tokens. The searches run on that table, 100 seeds each, for 10 generations of 16 children: (1+lambda) from one random
start, which has a target where whole blocks are left out, as it was published; and the surrogate-assisted search, which
has one where attention and MLP are left out apart. Random search is given the mean number of evaluations of those that
found the optimum: n of N configurations hold it with probability n / N.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import evo
from evo.records import Genomes
from problems.evopress.divergence import NotFinite, Reference, build_reference
from problems.evopress.prefix import Prefix
from problems.evopress.problem import EvoPress
from problems.evopress.scoring import score_many
from problems.evopress.tokens import Tokens

from .common import show, verdict

TOKENS, LENGTH = 1024, 128
CHILDREN, GENERATIONS, SEEDS, FOUND = 16, 10, 100, 0.95
SEARCHES: dict[str, Callable[[], evo.Algorithm]] = {
    f"(1+{CHILDREN})": partial(evo.OnePlusLambda, CHILDREN, initial=1),
    "surrogate": partial(evo.SurrogateAssisted, CHILDREN, initial=CHILDREN),
}
TOGETHER = 64
"""Configurations measured in one go: neighbours in the order of the blocks, which share their beginnings."""


class Table(evo.Problem):
    """Configurations with their measured divergence.

    Args:
        space: of the configurations.
        rows: (n, genes) all of them.
        kl: (n,) of each.
    """

    def __init__(self, space: evo.Levels, rows: Genomes, kl: NDArray[np.float64]) -> None:
        self.space = space
        self.objectives = [evo.Minimize("kl")]
        self._kl = dict(zip(map(tuple, rows.tolist()), kl.tolist(), strict=True))
        self.seen: list[float] = []

    def evaluate_batch(self, genomes: Genomes) -> evo.Evaluations:
        """Looked up, and noted."""
        found = [self._kl[tuple(genome)] for genome in genomes.tolist()]
        self.seen += found
        return evo.Evaluations(np.array(found)[:, None])


def everything(problem: EvoPress, drop: int) -> Genomes:
    """(n, genes) all configurations, those alike in their first blocks beside each other."""
    groups = list(problem.space.groups.values())
    chosen = [list(itertools.combinations(group.genes.tolist(), drop)) for group in groups]
    rows = np.zeros((int(np.prod([len(each) for each in chosen])), len(problem.space.costs)), np.int64)
    for row, parts in zip(rows, itertools.product(*chosen), strict=True):
        row[list(itertools.chain(*parts))] = 1
    return rows[np.lexsort(rows.T[::-1])]


def measured(problem: EvoPress, rows: Genomes) -> NDArray[np.float64]:
    """(n,) divergence of each on the first calibration tokens."""
    model, prefix = problem.dense, Prefix(problem.dense)
    found: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reference.npy"
        build_reference(path, model, Tokens(problem.calibration.rows))
        reference = Reference(path)
        batch = reference.tokens.everything()
        for start in range(0, len(rows), TOGETHER):
            put = [problem.genes.putter(model, None, genome) for genome in rows[start : start + TOGETHER]]
            for one in score_many(model, put, reference, batch, prefix=prefix):
                if isinstance(one, NotFinite):
                    raise one
                found.append(one.kl)
    return np.array(found)


def depth(quick: bool) -> bool:
    """Measure all, then search on the table."""
    import torch

    torch.set_num_threads(1)
    table, good = [], True
    tried = (("4 of 12 blocks", 4, True), ("2 attention, 2 MLP", 2, False))
    for name, drop, whole in tried[: 1 if quick else 2]:
        sizes = {"length": LENGTH, "calibration_tokens": TOKENS, "full_tokens": TOKENS}
        problem = EvoPress(method="depth", drop=drop, whole_blocks=whole, **sizes)  # type: ignore[arg-type]
        rows = everything(problem, drop)
        kl = measured(problem, rows)
        spread = f"{kl.min():.3f} / {np.median(kl):.3f} / {kl.max():.3f}"
        for search, make in SEARCHES.items():
            spent = [searched(make(), Table(problem.space, rows, kl), float(kl.min()), seed) for seed in range(SEEDS)]
            found = [evaluations for evaluations in spent if evaluations]
            share, mean = len(found) / SEEDS, float(np.mean(found)) if found else float("nan")
            aimed = whole == (search == "(1+16)")
            good &= share >= FOUND or not aimed
            figures = f"{share:.0%}", f"{mean:.0f}", f"{mean / len(rows):.0%}"
            table.append((name, f"{len(rows):,}", spread, search, *figures, verdict(share >= FOUND) if aimed else ""))
    columns = (
        "left out",
        "configurations",
        "KL best / median / worst",
        "search",
        "optimum",
        "evaluations",
        "random",
        "",
    )
    note = f"target: the optimum within {GENERATIONS} generations of {CHILDREN} in {FOUND:.0%} of {SEEDS} seeds"
    show("Depth: the best of all configurations", columns, table, note)
    return good


def searched(algorithm: evo.Algorithm, problem: Table, optimum: float, seed: int) -> int:
    """Evaluations until the optimum; 0 where it was not found."""
    evo.search(
        problem,
        algorithm,
        evaluations=1 + GENERATIONS * CHILDREN,
        seed=seed,
        target=optimum,
        order=evo.Strict(lag=1),
        log=False,
        handle_signals=False,
    )
    return problem.seen.index(optimum) + 1 if optimum in problem.seen else 0
