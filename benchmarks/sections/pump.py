"""What evo adds to Ray: CPU per evaluation beside a bare actor pump, the same batch on both sides.

Bare: two actors, two calls each under way, a call carries 50 genomes of 10 numbers (made by the driver's generator) and
returns objectives and measures as numpy arrays; the driver waits, gets and sends again. It keeps nothing.
evo: `evo.search` on two Ray workers, messages of 50 (`Strict(block=50, lag=8)` and a group of 50 rows), random search
with a grid archive; everything is logged in a run file on disk. MAP-Elites, which also varies elites, stands beside it.

CPU is that of the driver, the workers, raylet and the control server, between two looks in the steady state; what the
looks cost is taken off. Both sides share one Ray and take turns; the ratio is the median over rounds.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import evo
from evo.engine.order import Strict
from operators.real.gaussian import Gaussian

from .common import Meter, ray_here, show, verdict
from .pinned import PinnedSphere

BATCH = 50
TARGET = 1.5


def bare(evaluations: int, batch: int = BATCH) -> dict[str, float]:
    """The pump; CPU microseconds per evaluation by kind of process."""
    import ray

    class Bare:
        def __init__(self) -> None:
            self.problem = PinnedSphere()

        def run(self, genomes: np.ndarray) -> Any:
            found = self.problem.evaluate_batch(genomes)
            return found.objectives, found.measures

    remote = ray.remote(Bare)
    actors = [remote.options(num_cpus=1).remote() for _ in range(2)]
    rng = np.random.default_rng(1)
    ray.get([actor.run.remote(rng.standard_normal((batch, 10))) for actor in actors])
    flying = {actor.run.remote(rng.standard_normal((batch, 10))): actor for actor in actors * 2}
    meter, done, step = Meter(), 0, max(1, evaluations // batch // 5)
    for call in range(evaluations // batch):
        if call % step == 0 and call:
            meter.look(done)
        ready, _ = ray.wait(list(flying), num_returns=1)
        actor = flying.pop(ready[0])
        ray.get(ready[0])
        done += batch
        flying[actor.run.remote(rng.standard_normal((batch, 10)))] = actor
    meter.look(done)
    for actor in actors:
        ray.kill(actor)
    return meter.per_evaluation()


def ours(evaluations: int, algorithm: evo.Algorithm, batch: int = BATCH) -> dict[str, float]:
    """The search; CPU microseconds per evaluation by kind of process."""
    meter = Meter(budget=evaluations)
    with tempfile.TemporaryDirectory() as folder:
        evo.search(
            PinnedSphere(batch),
            algorithm,
            evaluations=evaluations,
            seed=1,
            workers=2,
            order=Strict(batch, max(4, 400 // batch)),
            message_seconds=1e-9 if batch == 1 else 0.1,
            run_dir=Path(folder) / "run",
            monitor=meter,
            handle_signals=False,
        )
    return meter.per_evaluation()


def run(quick: bool) -> bool:
    """Print the table; whether the target is met."""
    evaluations, rounds = (60_000, 2) if quick else (200_000, 5)
    grid = {"shape": (100, 100)}
    sides = {
        "bare pump": lambda: bare(evaluations),
        "evo, random search": lambda: ours(evaluations, evo.Random(BATCH, archive=evo.archives.Grid(**grid))),
        "evo, MAP-Elites": lambda: ours(evaluations, evo.MapElites(operator=Gaussian(0.5), batch=BATCH, **grid)),
    }
    with ray_here():
        found = [{name: side() for name, side in sides.items()} for _ in range(rounds)]
    rows, good = [], True
    for name in sides:
        parts = {kind: float(np.median([one[name][kind] for one in found])) for kind in found[0][name]}
        ratio = float(np.median([one[name]["total"] / one["bare pump"]["total"] for one in found]))
        judged = name == "evo, random search"
        good &= not judged or ratio <= TARGET
        rows.append(
            (
                name,
                *(f"{parts[kind]:.2f}" for kind in ("driver", "workers", "ray", "total")),
                f"{ratio:.2f}",
                f"<= {TARGET}" if judged else "",
                verdict(ratio <= TARGET) if judged else "",
            )
        )
    show(
        f"Ray, two workers, messages of {BATCH}: CPU microseconds per evaluation",
        ("side", "driver", "workers", "ray", "total", "to bare", "target", ""),
        rows,
        "ray: raylet and control server. evo's figures include its log on disk",
    )
    return good
