"""A recorded random search beside Optuna on SQLite, wall time: the durable store that Optuna's users reach for first.

Optuna: `RandomSampler`, ten floats, storage ``sqlite:///...``, `study.optimize` in one process. evo: random search on
two Ray workers, messages of 1 and of 50 rows, everything logged in a run file on disk. The objective is a sum of
squares. Start-up is not counted: both sides are timed from a fifth of the evaluations on.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

import evo
from evo.engine.order import Strict

from .common import ray_here, show, verdict
from .evotorch import Clock
from .pinned import PinnedSphere

TARGET = 100.0


def optuna_rate(trials: int) -> float:
    """Optuna's trials a second."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def height(trial: optuna.Trial) -> float:
        return sum(trial.suggest_float(f"x{i}", -5, 5) ** 2 for i in range(10))

    with tempfile.TemporaryDirectory() as folder:
        sampler = optuna.samplers.RandomSampler(seed=1)
        study = optuna.create_study(storage=f"sqlite:///{folder}/study.db", sampler=sampler)
        study.optimize(height, n_trials=trials // 5)
        start = time.perf_counter()
        study.optimize(height, n_trials=trials - trials // 5)
        return (trials - trials // 5) / (time.perf_counter() - start)


def evo_rate(batch: int, evaluations: int) -> float:
    """evo's evaluations a second."""
    clock = Clock(evaluations)
    with tempfile.TemporaryDirectory() as folder:
        evo.search(
            PinnedSphere(batch),
            evo.Random(),
            evaluations=evaluations,
            seed=1,
            workers=2,
            order=Strict(50, 4),
            message_seconds=1e-9 if batch == 1 else 0.1,
            run_dir=Path(folder) / "run",
            monitor=clock,
            handle_signals=False,
        )
    return clock.rate


def run(quick: bool) -> bool:
    """Print the table; whether the targets are met."""
    with ray_here():
        found = np.array(
            [
                (optuna_rate(100 if quick else 300), evo_rate(1, 3_000), evo_rate(50, 100_000))
                for _ in range(2 if quick else 5)
            ]
        )
    ratios = np.median(found / found[:, :1], axis=0)
    rows = [("Optuna, SQLite", f"{np.median(found[:, 0]):,.1f}", "", "", "")]
    for place, name in ((1, "evo, messages of 1"), (2, "evo, messages of 50")):
        rows.append(
            (
                name,
                f"{np.median(found[:, place]):,.0f}",
                f"{ratios[place]:,.0f}",
                f">= {TARGET:g}",
                verdict(ratios[place] >= TARGET),
            )
        )
    show(
        "Recorded random search: evaluations a second of wall time",
        ("side", "evaluations/s", "to Optuna", "target", ""),
        rows,
    )
    return bool((ratios[1:] >= TARGET).all())
