"""How many candidates a second of CPU a grid archive takes: evo, with and without numba, beside pyribs.

The contestants take turns in one process, so that a busy machine slows all of them; the best of several rounds counts.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from evo.archives import Grid, insert
from evo.problem import Maximize, Measure
from evo.spaces.box import Box

SHAPE = (100, 100)
CELLS = math.prod(SHAPE)
ROWS = {1: 2_000, 100: 10_000, 10_000: 10_000, 100_000: 100_000}
"""batch -> rows offered in one round"""

Batches = list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]
Round = Callable[[Batches], float]


def batches(batch: int, dim: int, objective: float, rng: np.random.Generator) -> Batches:
    n = max(batch, min(ROWS[batch], 200_000_000 // (8 * dim)) // batch * batch)
    genomes = rng.random((n, dim))
    objectives = objective + rng.standard_normal((n, 1))
    measures = rng.uniform(-1, 1, (n, 2))
    return [
        (genomes[i : i + batch], objectives[i : i + batch], measures[i : i + batch], np.arange(i, i + batch))
        for i in range(0, n, batch)
    ]


def every_cell(dim: int, rng: np.random.Generator) -> Batches:
    """Elites for all cells, so good that of the candidates about one in a thousand is better."""
    centres = (np.stack(np.unravel_index(np.arange(CELLS), SHAPE), axis=1) + 0.5) / SHAPE * 2 - 1
    return [(rng.random((CELLS, dim)), np.full((CELLS, 1), 3.0), centres, np.arange(CELLS))]


def evo_round(rule: insert.Rule, dim: int, full: Batches | None) -> Round:
    def run(work: Batches) -> float:
        archive = Grid(SHAPE)
        archive.setup(Box(0, 1, size=dim), [Maximize("f")], [Measure("a", -1, 1), Measure("b", -1, 1)])
        with insert.forced(rule):
            for columns in full or ():
                archive.add(*columns)
            start = time.process_time()
            for columns in work:
                archive.add(*columns)
            return time.process_time() - start

    return run


def ribs_round(dim: int, full: Batches | None) -> Round:
    from ribs.archives import GridArchive

    def run(work: Batches) -> float:
        archive = GridArchive(solution_dim=dim, dims=SHAPE, ranges=[(-1, 1), (-1, 1)])
        for genomes, objectives, measures, _ in full or ():
            archive.add(genomes, objectives[:, 0], measures)
        start = time.process_time()
        for genomes, objectives, measures, _ in work:
            archive.add(genomes, objectives[:, 0], measures)
        return time.process_time() - start

    return run


def contestants(dim: int, full: Batches | None) -> dict[str, Round]:
    """The rounds that can be had here, by name."""
    found: dict[str, Round] = {}
    try:
        found["pyribs"] = ribs_round(dim, full)
    except ImportError:
        print("(pyribs is not installed: no ratios)")
    found["numpy"] = evo_round(insert.NUMPY, dim, full)
    if insert.rule() is not insert.NUMPY:
        found["numba"] = evo_round(insert.rule(), dim, full)
    return found


def measure(batch: int, dim: int, regime: str, rounds: int) -> dict[str, float]:
    """Candidates per CPU second, by contestant."""
    rng = np.random.default_rng(1)
    full = every_cell(dim, rng) if regime == "steady" else None
    work = batches(batch, dim, 0.0, rng)
    n = sum(len(columns[0]) for columns in work)
    racing = contestants(dim, full)
    best: dict[str, float] = dict.fromkeys(racing, math.inf)
    for _ in range(rounds):
        for name, run in racing.items():
            best[name] = min(best[name], run(work))
    return {name: n / max(seconds, 1e-9) for name, seconds in best.items()}


def row(batch: Any, dim: Any, regime: str, cells: list[str]) -> str:
    return f"{batch:>7} {dim:>5}  {regime:<6}" + "".join(f"{cell:>11}" for cell in cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="batches to 10,000 and two genome sizes; under a minute")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sizes = [1, 100, 10_000] if options.quick else list(ROWS)
    dims = [10, 1000] if options.quick else [10, 100, 1000]
    print(f"grid of {SHAPE[0]} x {SHAPE[1]} cells, candidates per CPU second, best of {options.rounds} rounds")
    print(row("batch", "dim", "regime", ["pyribs", "numpy", "numba", "numpy/ribs", "numba/ribs"]))
    for batch in sizes:
        for dim in dims:
            for regime in ("steady", "fill"):
                rates = measure(batch, dim, regime, options.rounds)
                rated = [f"{rates[name]:,.0f}" if name in rates else "-" for name in ("pyribs", "numpy", "numba")]
                ratios = [
                    f"{rates[name] / rates['pyribs']:.1f}x" if {name, "pyribs"} <= rates.keys() else "-"
                    for name in ("numpy", "numba")
                ]
                print(row(batch, dim, regime, rated + ratios), flush=True)


if __name__ == "__main__":
    main()
