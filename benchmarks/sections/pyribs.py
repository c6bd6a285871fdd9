"""The whole inline loop beside pyribs, in CPU time per evaluation, from batches of one to thousands.

Both sides search the 20-joint arm with iso+line children (0.1, 0.2) of the elites of a 100 x 100 grid, in blocks that
are told before the next is asked. pyribs: `Scheduler` with one `IsoLineEmitter` and a `GridArchive`, ask and tell. evo:
`evo.search`, everything included from setting up to the closed run file, without a log, with one in memory, and with
one on disk. Both call the same `Arm.evaluate_batch`. The time of that function alone, called on genomes of the same
batch size, is taken off both for the column *loop*; the ratio is of the loops. The sides take turns; the best of
several rounds counts.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import evo
from evo.engine.order import Strict
from operators.real.iso_line import IsoLine
from problems.arm import Arm

from .common import show, verdict

SHAPE = (100, 100)
JOINTS = 20
SIZES = {1: 6_000, 100: 54_000, 540: 108_000, 5_400: 216_000}
"""block -> evaluations of one round"""


def ribs_loop(block: int, evaluations: int) -> None:
    from ribs.archives import GridArchive
    from ribs.emitters import IsoLineEmitter
    from ribs.schedulers import Scheduler

    problem, reach = Arm(JOINTS), float(JOINTS)
    archive = GridArchive(solution_dim=JOINTS, dims=SHAPE, ranges=[(-reach, reach)] * 2)
    emitter = IsoLineEmitter(archive, iso_sigma=0.1, line_sigma=0.2, x0=np.zeros(JOINTS), batch_size=block, seed=1)
    scheduler = Scheduler(archive, [emitter])
    for _ in range(evaluations // block):
        found = problem.evaluate_batch(scheduler.ask())
        scheduler.tell(found.objectives[:, 0], found.measures)


def evo_loop(block: int, evaluations: int, log: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        evo.search(
            Arm(JOINTS),
            evo.MapElites(shape=SHAPE, operator=IsoLine(0.1, 0.2), batch=block),
            evaluations=evaluations,
            seed=1,
            order=Strict(block, 1),
            run_dir=Path(folder) / "run" if log == "disk" else None,
            log=log != "none",
            handle_signals=False,
        )


def evaluation(block: int, evaluations: int) -> None:
    problem = Arm(JOINTS)
    genomes = np.random.default_rng(1).standard_normal((block, JOINTS))
    for _ in range(evaluations // block):
        problem.evaluate_batch(genomes)


def cpu(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def run(quick: bool) -> bool:
    """Print the table; whether evo is ahead everywhere."""
    rows, ahead = [], True
    for block, full in SIZES.items():
        evaluations = full // (6 if quick else 1) // block * block
        sides: dict[str, Callable[[], None]] = {
            "evaluation": lambda b=block, n=evaluations: evaluation(b, n),
            "pyribs": lambda b=block, n=evaluations: ribs_loop(b, n),
            **{
                f"evo, {text}": lambda b=block, n=evaluations, log=log: evo_loop(b, n, log)
                for log, text in (("none", "no log"), ("memory", "log in memory"), ("disk", "log on disk"))
            },
        }
        for side in sides.values():
            side()  # compiled, imported and cached before anything counts
        rounds = np.array([[cpu(side) for side in sides.values()] for _ in range(3 if quick else 5)])
        each = rounds / evaluations * 1e6
        loops = each[:, 1:] - each[:, :1]
        ratios = np.median(loops / loops[:, :1], axis=0)  # of one round's sides: what slows a round slows both
        for place, name in enumerate(list(sides)[1:]):
            peer = name == "pyribs"
            ahead &= peer or ratios[place] < 1
            rows.append(
                (
                    f"{block:,}: {name}",
                    f"{each[:, place + 1].min():.2f}",
                    f"{loops[:, place].min():.2f}",
                    *(("", "", "") if peer else (f"{ratios[place]:.2f}", "< 1", verdict(ratios[place] < 1))),
                )
            )
    show(
        "Inline loop beside pyribs: CPU microseconds per evaluation",
        ("block: side", "total", "loop", "evo / pyribs", "target", ""),
        rows,
        "loop: without the evaluation, which is the same function on both sides",
    )
    return ahead
