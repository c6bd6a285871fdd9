"""Whole populations a second beside EvoTorch with two actors, vectorised objective, wall time.

EvoTorch: SNES on the sphere of ten numbers, `num_actors=2`, the population cut in two; no seed, for a seeded parallel
problem cannot be built in 0.6.1. It keeps no record. evo: two Ray workers, the log on disk, the population as block:
a genetic algorithm (one generation in flight, the same barrier) and random search with two blocks in flight. Start-up
is not counted on either side: both are timed from a fifth of the evaluations on. The sides take turns.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import evo
from evo.engine.order import Strict
from evo.evaluator import Evaluations

from .common import ray_here, show, verdict

POPULATIONS = (1_000, 10_000)


class Bowl(evo.Problem):
    """The sphere of ten numbers, vectorised."""

    space = evo.Box(-5.0, 5.0, size=10)
    objectives = (evo.Minimize("height"),)

    def evaluate_batch(self, genomes: np.ndarray) -> Evaluations:
        """Sums of squares."""
        return Evaluations(np.add.reduce(genomes * genomes, axis=1)[:, None])


class Clock:
    """An evo monitor: evaluations a second between the first look after a fifth of the run and the last."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.points: list[tuple[float, float]] = []

    def start(self, header: Mapping[str, Any]) -> None:
        """Nothing to do."""

    def update(self, totals: Mapping[str, Any]) -> None:
        """Note the time."""
        if totals["evaluations"] >= self.budget / 5:
            self.points.append((time.perf_counter(), totals["evaluations"]))

    def finish(self, run: Any) -> None:
        """Nothing to do."""

    @property
    def rate(self) -> float:
        """Evaluations a second."""
        (start, low), (end, high) = self.points[0], self.points[-1]
        return (high - low) / (end - start)


def torch_rate(population: int, evaluations: int) -> float:
    """EvoTorch's evaluations a second."""
    import torch
    from evotorch import Problem
    from evotorch.algorithms import SNES
    from evotorch.decorators import vectorized

    torch.set_num_threads(1)
    logging.disable(logging.INFO)  # it announces each problem

    @vectorized
    def height(x: torch.Tensor) -> torch.Tensor:
        return torch.sum(x**2, dim=-1)

    problem = Problem("min", height, solution_length=10, initial_bounds=(-5, 5), num_actors=2)
    search = SNES(problem, popsize=population, stdev_init=1.0)
    generations = evaluations // population
    for _ in range(generations // 5):
        search.step()
    start = time.perf_counter()
    for _ in range(generations - generations // 5):
        search.step()
    rate = (generations - generations // 5) * population / (time.perf_counter() - start)
    problem.kill_actors()
    return rate


def evo_rate(algorithm: evo.Algorithm, population: int, lag: int, evaluations: int) -> float:
    """evo's evaluations a second."""
    clock = Clock(evaluations)
    with tempfile.TemporaryDirectory() as folder:
        evo.search(
            Bowl(),
            algorithm,
            evaluations=evaluations,
            seed=1,
            workers=2,
            order=Strict(population, lag),
            run_dir=Path(folder) / "run",
            monitor=clock,
            handle_signals=False,
        )
    return clock.rate


def run(quick: bool) -> bool:
    """Print the table; whether the targets are met."""
    rows, good = [], True
    with ray_here():
        for population in POPULATIONS:
            evaluations = population * (600 if population == 1_000 else 200) // (2 if quick else 1)
            sides: dict[str, Callable[[], float]] = {
                "EvoTorch SNES": lambda p=population, n=evaluations: torch_rate(p, n),
                "evo genetic, one block": lambda p=population, n=evaluations: evo_rate(evo.Genetic(p), p, 1, n),
                "evo random, two blocks": lambda p=population, n=evaluations: evo_rate(evo.Random(p), p, 2, n),
            }
            found = np.array([[side() for side in sides.values()] for _ in range(2 if quick else 5)])
            ratios = np.median(found / found[:, :1], axis=0)
            for place, name in enumerate(sides):
                judged = place > 0
                good &= not judged or ratios[place] >= 1
                rows.append(
                    (
                        f"{population:,}: {name}",
                        f"{np.median(found[:, place]):,.0f}",
                        f"{ratios[place]:.2f}" if judged else "",
                        ">= 1" if judged else "",
                        verdict(ratios[place] >= 1) if judged else "",
                    )
                )
    show(
        "Vectorised populations on two Ray workers: evaluations a second of wall time",
        ("population: side", "evaluations/s", "to EvoTorch", "target", ""),
        rows,
        "evo's figures include its log on disk",
    )
    return good
