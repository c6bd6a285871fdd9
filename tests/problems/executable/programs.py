"""Small programs to evaluate, and one evaluation of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evo.evaluator import Evaluation, Work
from problems.executable import Executable, Parameters

__all__ = ["Make", "X", "evaluated", "python", "shell", "work"]

X = Parameters({"x": [-10.0, 10.0]})

Make = Callable[..., Executable]


def shell(folder: Path, body: str, name: str = "program") -> Path:
    """A shell script."""
    return _script(folder / name, f"#!/bin/sh\n{body}\n")


def python(folder: Path, body: str, name: str = "program") -> Path:
    """A Python program without libraries, which starts quickly."""
    return _script(folder / name, f"#!{sys.executable} -IS\nimport json, os, sys, time\n{body}\n")


def work(seed: int = 0, draw: int = 0) -> Work:
    return Work(seed, "full", np.array([draw], dtype=np.int64))


def evaluated(executable: Executable, genome: Any = None, *, seed: int = 0, draw: int = 0) -> Evaluation:
    """One evaluation, of x = 0.5 where no genome is given."""
    (one,) = executable._space.stack([{"x": 0.5} if genome is None else genome])
    executable.warm_up()
    return executable.evaluate(one, work(seed, draw))


def _script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path
