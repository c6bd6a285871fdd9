"""The repertoire of a planar arm: for every place the hand can reach, the smoothest way of reaching it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evo.errors import ConfigError
from evo.evaluator import Evaluations
from evo.problem import Maximize, Measure, Problem
from evo.records import Genomes
from evo.spaces.box import Box

__all__ = ["Arm"]


class Arm(Problem):
    """A chain of unit links in the plane; each genome holds the joint angles.

    The objective ``smoothness`` is 100 (1 - variance of the angles), 100 for equal angles. The measures are the hand's
    x and y, in links. The i-th link points in the direction of the sum of the first i angles; with all angles zero the
    arm is stretched along x. Genomes are unbounded and start there. About 80 % of a square grid can be reached.

    Source: Vassiliades and Mouret, GECCO 2018 (with the joint limits removed, as in Fontaine and Nikolaidis,
    "Differentiable Quality Diversity", NeurIPS 2021).

    Args:
        joints: number of joints and links.

    Raises:
        ConfigError: fewer than one joint.
    """

    def __init__(self, joints: int = 20) -> None:
        if joints < 1:
            raise ConfigError(f"Arm: expected joints >= 1, got {joints}")
        self.joints = joints
        self.space = Box(-np.inf, np.inf, size=joints)
        self.objectives = [Maximize("smoothness", worst=0.0)]
        self.measures = [Measure("x", -float(joints), float(joints)), Measure("y", -float(joints), float(joints))]

    def initial(self) -> Sequence[Any]:
        """The stretched arm."""
        return [np.zeros(self.joints)]

    def evaluate_batch(self, genomes: Genomes) -> Evaluations:
        """Smoothness (n, 1) and hand (n, 2) of joint angles (n, joints) in radians.

        Every reduction runs along the contiguous axis of a row, so a row's bits do not depend on its batch.
        """
        angles = np.ascontiguousarray(genomes)
        objectives, measures = np.empty((len(angles), 1)), np.empty((len(angles), 2))
        deviation = angles - np.add.reduce(angles, axis=1, keepdims=True) / self.joints
        np.multiply(deviation, deviation, out=deviation)
        variance = np.add.reduce(deviation, axis=1) / self.joints
        np.multiply(1.0 - variance, 100.0, out=objectives[:, 0])
        heading = np.add.accumulate(angles, axis=1)
        np.add.reduce(np.cos(heading), axis=1, out=measures[:, 0])
        np.add.reduce(np.sin(heading, out=heading), axis=1, out=measures[:, 1])
        return Evaluations(objectives, measures)

    def show(self, genome: Any) -> str:
        """Where the hand is, how smooth the arm, and the angles in degrees."""
        found = self.evaluate_batch(np.asarray(genome, dtype=np.float64)[None])
        assert found.measures is not None
        (x, y), smoothness = found.measures[0], found.objectives[0, 0]
        degrees = " ".join(f"{angle:+.0f}" for angle in np.degrees(genome))
        return f"hand at ({x:+.2f}, {y:+.2f}), smoothness {smoothness:.2f}, joints {degrees} degrees"
