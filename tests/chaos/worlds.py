"""A problem whose candidates do to their worker what a test has armed them for; without arms it is harmless."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import evo

__all__ = ["Armed", "arm", "canonical_lines", "canonical_of", "check_accounts", "meetings"]

HANG = 3600.0


class Armed(evo.Problem):
    """A bowl. Before it measures request n it looks for ``folder/n``, which names what to do, and whether always."""

    space = evo.Box(-1.0, 1.0, size=3)
    objectives = (evo.Minimize("height"),)
    measures = (evo.Measure("x", -1.0, 1.0), evo.Measure("y", -1.0, 1.0))

    def __init__(self, folder: str, deadline: float = 30.0) -> None:
        self.folder, self.deadline = folder, deadline

    def warm_up(self) -> None:
        """Also as armed: for ``start``."""
        self._strike("start")

    def evaluate(self, x: Any, work: evo.Work) -> evo.Evaluation:
        """As armed for this request, then the bowl, after 2 ms."""
        self._strike(str(int(work.draws[0])))
        time.sleep(0.002)
        return evo.Evaluation([float((x**2).sum())], x[:2])

    def _strike(self, name: str) -> None:
        file = Path(self.folder) / name
        try:
            kind, times = file.read_text().split()
        except FileNotFoundError:
            return
        with file.with_name("met").open("a") as met:
            met.write(f"{name}\n")
        if times == "once":
            file.unlink()
        DEEDS[kind]()


def _raise() -> None:
    raise ZeroDivisionError("armed")


def _hog() -> None:
    """More memory than this process may have, as where a container has a limit."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + (256 << 20), limits[1]))
    try:
        bytearray(4 << 30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def _eat() -> None:
    """1 GiB, which only a limit from outside forbids."""
    np.ones(1 << 27).sum()


DEEDS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "sys.exit": lambda: sys.exit(3),
    "raise": _raise,
    "hang": lambda: time.sleep(HANG),
    "hog": _hog,
    "eat": _eat,
}


def arm(folder: Path, kind: str, *requests: object, times: str = "always") -> None:
    """Have these requests' evaluations do `kind`, each time or ``once``."""
    for request in requests:
        (folder / str(request)).write_text(f"{kind} {times}")


def meetings(folder: Path) -> Counter[str]:
    """How often each armed candidate was begun."""
    met = folder / "met"
    return Counter(met.read_text().split() if met.exists() else ())


def canonical_of(run: evo.Run) -> bytes:
    """The canonical export."""
    assert run.dir is not None
    return run.export("canonical", run.dir.with_name(f"{run.dir.name}.canonical")).read_bytes()


def canonical_lines(run: evo.Run, without: set[int]) -> list[bytes]:
    """The lines of the canonical export about requests, but for some requests' results."""
    mine = [f'"id":{request},"kind":"result"'.encode() for request in without]
    lines = canonical_of(run).splitlines()
    kept = [line for line in lines if b'"kind":"result"' in line and not any(one in line for one in mine)]
    assert len(kept) == sum(b'"kind":"result"' in line for line in lines) - len(without)
    return kept


def check_accounts(run: evo.Run) -> None:
    """Every request was told, and has exactly one result."""
    ids = np.concatenate([outcomes.ids for outcomes in run.reader.outcomes()])
    asked = np.concatenate([batch.ids for batch in run.reader.requests()])
    assert sorted(ids.tolist()) == asked.tolist() == run.reader.told().tolist()
