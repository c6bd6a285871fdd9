"""How well MAP-Elites fills its map, beside the same algorithm in pyribs.

One side is `evo.search` on the 20-joint arm and the 20-dimensional sphere by linear projection: iso+line children (arm:
iso 0.1, line 0.2; sphere: iso 0.5, line 0.2) of a 100 x 100 grid's elites, started from the origin, inline, in blocks
of 540 each told before the next is asked (`Strict(block=540, lag=1)`).

The other side are the figures of pyribs 0.12 with one `IsoLineEmitter` of batch 540, the same domains, parameters,
starting point and budgets, mean and standard deviation over its seeds. They are recorded here, not run: neither depends
on the machine. A difference counts only beyond what seeds explain: a mean may not lie below the reference by more than
max(2 sd sqrt(1/5 + 1/n), 0.5) points, with the reference's sd and n seeds.

`--lag L --block B` run with another order instead; `--lags` prints what unanswered blocks cost.
"""

from __future__ import annotations

import argparse
import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sections.common import show, verdict

import evo
from evo.engine.order import Strict
from operators.real.iso_line import IsoLine
from problems.arm import Arm
from problems.projection import Sphere

SHAPE = (100, 100)
BUDGETS = (54_000, 108_000)
ORDERS = ((540, 1), (540, 4), (256, 2), (128, 4), (64, 8))
"""(block, lag) for --lags"""
TOLERANCE = 0.5


@dataclass(frozen=True)
class Reference:
    """What pyribs reached: mean and sd, in per cent."""

    coverage: tuple[float, float]
    score: tuple[float, float]
    seeds: int


REFERENCES = {
    ("arm", 54_000): Reference((71.0, 0.3), (67.80, 0.25), 5),
    ("arm", 108_000): Reference((74.4, 0.2), (71.77, 0.20), 5),
    ("sphere", 54_000): Reference((48.1, 0.4), (39.32, 0.20), 3),
    ("sphere", 108_000): Reference((58.4, 0.4), (47.16, 0.31), 3),
}


def fill(domain: str, block: int, lag: int, budgets: tuple[int, ...], seed: int) -> list[tuple[float, float]]:
    """(coverage, normalised QD score) in per cent at each budget, of one seed."""
    problem, iso = (Arm(20), 0.1) if domain == "arm" else (Sphere(20), 0.5)
    found = []
    for budget in budgets:  # each budget is a search of its own: the shorter one is the longer one's beginning
        archive = evo.archives.Grid(SHAPE)
        evo.search(
            problem,
            evo.MapElites(operator=IsoLine(iso, 0.2), batch=block, archive=archive),
            evaluations=budget,
            seed=seed,
            order=Strict(block, lag),
            log=False,
            handle_signals=False,
        )
        stats = archive.stats()
        found.append((100 * stats["coverage"], stats["norm_qd_score"]))
    return found


def seeds(domain: str, block: int, lag: int, budgets: tuple[int, ...], count: int) -> NDArray[np.float64]:
    """(seeds, budgets, 2)"""
    with ProcessPoolExecutor(2) as pool:
        return np.array(list(pool.map(partial(fill, domain, block, lag, budgets), range(1, count + 1))))


def spread(values: NDArray[np.float64]) -> str:
    return f"{values.mean():.2f} ± {values.std(ddof=1):.2f}"


def allowance(sd: float, ours: int, theirs: int) -> float:
    return max(2 * sd * math.sqrt(1 / ours + 1 / theirs), TOLERANCE)


def compare(block: int, lag: int, budgets: tuple[int, ...], count: int) -> bool:
    """The table beside the references; whether all are met."""
    rows, all_met = [], True
    for domain in ("arm", "sphere"):
        found = seeds(domain, block, lag, budgets, count)
        for place, budget in enumerate(budgets):
            reference = REFERENCES[domain, budget]
            for name, column, (mean, sd) in (
                ("coverage %", 0, reference.coverage),
                ("QD score", 1, reference.score),
            ):
                values = found[:, place, column]
                allowed = allowance(sd, count, reference.seeds)
                met = values.mean() >= mean - allowed
                all_met &= bool(met)
                rows.append(
                    (
                        f"{domain}-20, {budget:,}, {name}",
                        spread(values),
                        f"{mean:.2f} ± {sd:.2f} (n={reference.seeds})",
                        f"{values.mean() - mean:+.2f}",
                        f">= -{allowed:.2f}",
                        verdict(met),
                    )
                )
    show(
        f"evo beside pyribs: iso+line, 100 x 100 grid, {count} seeds, Strict(block={block}, lag={lag})",
        ("domain, evaluations, figure", "evo", "pyribs", "difference", "target", ""),
        rows,
        "QD score: mean over all cells of the elites' objectives, 100 at most",
    )
    return all_met


def lags(budget: int, count: int) -> None:
    """What blocks in flight cost."""
    rows = []
    for domain in ("arm", "sphere"):
        base: NDArray[np.float64] | None = None
        for block, lag in ORDERS:
            found = seeds(domain, block, lag, (budget,), count)[:, 0]
            base = found.mean(axis=0) if base is None else base
            less = found.mean(axis=0) - base
            in_flight = f"{block * lag:,}"
            rows.append(
                (
                    f"{domain}-20, Strict({block}, {lag})",
                    in_flight,
                    spread(found[:, 0]),
                    spread(found[:, 1]),
                    f"{less[0]:+.2f} / {less[1]:+.2f}",
                )
            )
    show(
        f"What lag costs at {budget:,} evaluations, {count} seeds",
        ("domain, order", "in flight", "coverage %", "QD score", "less than lag 1"),
        rows,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="54,000 evaluations only; under a minute")
    parser.add_argument("--block", type=int, default=540, help="another block")
    parser.add_argument("--lag", type=int, default=1, help="another lag")
    parser.add_argument("--lags", action="store_true", help="what other orders cost, instead")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    if options.lags:
        lags(54_000, options.seeds)
        return
    budgets = (54_000,) if options.quick else BUDGETS
    raise SystemExit(0 if compare(options.block, options.lag, budgets, options.seeds) else 1)


if __name__ == "__main__":
    main()
