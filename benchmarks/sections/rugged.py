"""A problem for runs under attack: an evaluation takes as long as the environment says."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

import evo

__all__ = ["Rugged"]


class Rugged(evo.Problem):
    """The lowest point of rugged ground. Waits ``RUGGED_PAUSE`` seconds for each candidate (default: not at all)."""

    space = evo.Box(-1.0, 1.0, size=4)
    objectives = (evo.Minimize("height"),)
    measures = (evo.Measure("x", -1.0, 1.0), evo.Measure("y", -1.0, 1.0))
    deadline = 20.0

    def evaluate_batch(self, x: Any) -> evo.Evaluations:
        """Wait for all, then measure all."""
        time.sleep(len(x) * float(os.environ.get("RUGGED_PAUSE", "0")))
        return evo.Evaluations((x**2 - 0.1 * np.cos(20 * x)).sum(axis=1, keepdims=True), x[:, :2])
