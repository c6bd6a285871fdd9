"""What calling the command line gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["CONFIG", "Evo", "Said"]

CONFIG = """
problem: {type: arm, joints: 5}
algorithm:
  type: map_elites
  shape: [10, 10]
  operator: {type: iso_line, iso_sigma: 0.1}
  batch: 50
seed: 1
budget: {evaluations: 500}
"""
"""A run file that takes no time."""


@dataclass
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)


Evo = Callable[..., Said]
