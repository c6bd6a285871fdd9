"""The evo command as a process of its own, its master, and what they leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

import evo
from evo.engine.rundir import Standing

__all__ = ["CONFIG", "WORLD", "Command", "canonical", "wait_until"]

ROOT = Path(__file__).resolve().parents[2]

WORLD = """
import os, signal, time
from problems.arm import Arm

class Slow(Arm):
    def evaluate_batch(self, genomes):
        time.sleep(float(os.environ.get("NAP", "0")) * len(genomes))
        return super().evaluate_batch(genomes)

class Deadly(Arm):
    def evaluate_batch(self, genomes):
        os.kill(os.getpid(), signal.SIGSEGV)

class Long(Arm):
    def evaluate_batch(self, genomes):
        time.sleep(3600)

class Telling(Slow):
    def report(self, best, run):
        time.sleep(float(os.environ.get("REPORT", "0")))
        return {"told": 1}
"""
"""Problems that take their time (NAP seconds a genome) or their master with them."""

CONFIG = """
problem: {type: 'supervised_world:Slow', joints: 5}
algorithm:
  type: map_elites
  shape: [10, 10]
  operator: {type: iso_line, iso_sigma: 0.1}
  batch: 50
seed: 1
budget: {evaluations: 500}
workers: {message_seconds: 0.05}
log: {snapshot_seconds: 0.2}
"""


def wait_until(found: Callable[[], object], seconds: float = 60.0, what: str = "") -> None:
    """Wait for it; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.02)


class Command:
    """One evo command: the supervisor's process, its master's, and all that they start."""

    def __init__(self, folder: Path, *arguments: object, run: str = "run", **environment: str) -> None:
        self.run = folder / run
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from evo.cli import main; main()", *map(str, arguments)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", "COLUMNS": "200"} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.seen: set[psutil.Process] = set()
        """All processes below, as far as they were looked for."""

    @property
    def below(self) -> list[psutil.Process]:
        """The processes that the supervisor has started, and theirs."""
        try:
            found = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            found = []
        self.seen.update(found)
        return found

    @property
    def master(self) -> psutil.Process:
        """The master that there is now."""
        found: list[psutil.Process] = []

        def look() -> bool:
            try:
                found[:] = psutil.Process(self.process.pid).children()
            except psutil.NoSuchProcess:
                found[:] = []
            return bool(found)

        wait_until(look, what="a master")
        return found[0]

    def told(self, moves: int) -> Command:
        """Wait until so many moves are logged."""
        wait_until(
            lambda: Standing.of(self.run).moves >= moves or self.process.poll() is not None, 120, f"{moves} moves"
        )
        assert self.process.poll() is None, self.process.communicate()
        return self

    def kill_master(self) -> None:
        """SIGKILL, and wait for the next master."""
        _ = self.below
        dead = self.master
        dead.kill()
        wait_until(lambda: not dead.is_running() or dead.status() == psutil.STATUS_ZOMBIE)

    def ended(self, seconds: float = 120.0) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err

    def leftovers(self, seconds: float = 10.0) -> list[str]:
        """Processes of this command that are still there some seconds later."""
        deadline = time.monotonic() + seconds
        while True:
            left = [one for one in self.seen if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
            if not left or time.monotonic() > deadline:
                return [f"{one.pid} {one.name()}" for one in left]
            time.sleep(0.05)

    def close(self) -> None:
        """End all of it, whatever happened."""
        _ = self.below
        for one in [psutil.Process(self.process.pid)] if self.process.poll() is None else []:
            one.send_signal(signal.SIGKILL)
        for one in self.seen:
            if one.is_running():
                one.kill()
        self.process.wait(30)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


def canonical(run: Path, folder: Path) -> bytes:
    """What must be the same in two runs of one specification."""
    return evo.load(run).export("canonical", folder / f"{run.name}.canonical").read_bytes()
