"""The shipped model, its levels and the children of one generation: what both ways of evaluating are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import evo
from evo.algorithms.contest import distinct_children
from evo.records import Genomes
from operators.budget.switch import LevelSwitch
from problems.evopress.evaluator import Divergence
from problems.evopress.problem import EvoPress

__all__ = ["LENGTH", "Scene", "scene"]

LENGTH = 128
"""Tokens in a sequence."""


@dataclass
class Scene:
    """A prepared run, and the evaluator as a worker of it has it."""

    problem: EvoPress
    run: evo.Run
    evaluator: Divergence

    def work(self, rows: int, tokens: int) -> evo.Work:
        """That of measuring so many genomes on one minibatch."""
        needs = self.problem.needs("rung", self.run.artifacts)
        held = {digest: self.run.artifact_path(digest) or self.run.artifact(digest) for digest in needs}
        return evo.Work(1, "rung", np.zeros(rows, np.int64), {"tokens": tokens}, held, [needs] * rows)

    def children(self, count: int, seed: int = 1) -> Genomes:
        """(count, genes) of one parent, which is some generations away from the uniform genome."""
        space, switch, rng = self.problem.space, LevelSwitch(), np.random.default_rng(seed)
        parent = space.stack(list(self.problem.initial()))
        for _ in range(20):
            parent = switch.vary([parent], space, rng)
        return distinct_children(parent, count, switch, space, rng)


def scene(folder: Path) -> Scene:
    """Levels by Wanda around three fifths of zeros, and the dense model's predictions, kept in a folder.

    Args:
        folder: empty.
    """
    problem = EvoPress(
        sparsity=0.6, pruning="wanda", length=LENGTH, calibration_tokens=16_384, full_tokens=512, held_out_tokens=512
    )
    run = evo.search(problem, evo.Random(1), evaluations=1, seed=1, run_dir=folder / "run", handle_signals=False)
    evaluator = problem.evaluator
    assert isinstance(evaluator, Divergence)
    evaluator.warm_up()
    return Scene(problem, run, evaluator)
