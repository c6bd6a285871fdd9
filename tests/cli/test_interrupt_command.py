"""Ctrl-C, from outside: the evo process itself, a real signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from calling import Evo

from evo.store.reader import FILE_NAME

ROOT = Path(__file__).resolve().parents[2]

SLOW = """
import time
from problems.arm import Arm

class Slow(Arm):
    def evaluate_batch(self, genomes):
        time.sleep(0.004 * len(genomes))
        return super().evaluate_batch(genomes)
"""


@pytest.mark.slow
def test_an_interrupted_run_exits_130_and_resumes_to_what_it_would_have_been(evo: Evo, config: Path) -> None:
    (config.parent / "slow_problem.py").write_text(SLOW)
    slow = "problem={type: 'slow_problem:Slow', joints: 5}"
    process = subprocess.Popen(
        [sys.executable, "-c", "from evo.cli import main; main()", "run", str(config), slow, "--run-dir", "cut"],
        cwd=config.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    began = time.monotonic()
    while not (config.parent / "cut" / FILE_NAME).exists() and time.monotonic() - began < 30:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "continue with: evo resume cut" in said
    cut = evo("show", "cut", "--json").json
    assert cut["state"] == "interrupted"
    assert cut["evaluations"] < 500
    resumed = evo("resume", "cut", "--json")
    assert resumed.code == 0, resumed.err
    whole = evo("run", config, slow, "--json").json
    assert resumed.json["stats"] == whole["stats"]
    assert resumed.json["best"] == whole["best"]
