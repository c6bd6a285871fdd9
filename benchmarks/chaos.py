"""What is lost when everything dies: a search on a standing Ray cluster of two nodes, disturbed and undisturbed.

While the disturbed search goes on, a worker process is killed every few seconds, the master is killed -9 again
and again (half of the times soon after it was resumed, while it starts or repeats its log), and a node is removed and
another added. Afterwards every request must have exactly one result, and the canonical export must be that of the
undisturbed search, to the byte.

    python benchmarks/chaos.py            # 200,000 evaluations, 20 deaths of the master: about a quarter of an hour
    python benchmarks/chaos.py --quick    # 20,000 and 3, beside an inline search: as in the tests

Exits with 1 when anything is lost, counted twice or different.
"""

from __future__ import annotations

import argparse
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from sections.common import show, verdict

import evo
from evo.errors import RunError
from evo.store.reader import RunReader

HERE = Path(__file__).resolve().parent
WORKERS = 4
PAUSE = 0.002
"""Seconds that an evaluation waits."""
PATIENCE = 3600.0
"""Seconds after which a search is given up."""

CONFIG = """
problem: 'sections.rugged:Rugged'
algorithm: {{type: map_elites, shape: [40, 40], batch: 256}}
seed: 7
budget: {{evaluations: {evaluations}}}
log: {{snapshot_seconds: 5}}
"""


class Standing:
    """A Ray cluster of a head without workers and two nodes, in processes of its own, joined by token."""

    def __init__(self, folder: Path) -> None:
        os.environ |= {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": str(folder),  # where the cluster leaves its address, for nobody else to find
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_memory_monitor_refresh_ms": "0",
            "RUGGED_PAUSE": str(PAUSE),  # workers have the environment of their node
        }
        (folder / "ray").mkdir()
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False, "temp_dir": str(folder), "object_store_memory": 100_000_000}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.add() for _ in range(2)]

    @property
    def address(self) -> str:
        """Where masters find it."""
        return str(self._cluster.address)

    def add(self) -> Any:
        """One more node, with room for half of the workers."""
        return self._cluster.add_node(num_cpus=WORKERS // 2, object_store_memory=100_000_000)

    def remove(self, node: Any) -> None:
        """End a node's processes without a word to anyone."""
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def workers(self) -> list[psutil.Process]:
        """Processes that evaluate, or wait for work; those that still start are not counted."""
        found = []
        for node in self.nodes:
            for entry in node.all_processes.get("raylet", ()):
                try:
                    for child in psutil.Process(entry.process.pid).children(recursive=True):
                        title = " ".join(child.cmdline())
                        if title.startswith("ray::RayBench") and "warm" not in title and "__init__" not in title:
                            found.append(child)
                except psutil.NoSuchProcess:
                    continue
        return found

    def close(self) -> None:
        """End all of it."""
        self._cluster.shutdown()


@dataclass
class Clock:
    """CPU seconds of all that this process started, those that died included; looks a few times a second."""

    spent: dict[tuple[int, float], float] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.3):
            self.look()

    def look(self) -> float:
        """CPU seconds so far."""
        for process in psutil.Process().children(recursive=True):
            try:
                times = process.cpu_times()
                self.spent[process.pid, process.create_time()] = times.user + times.system
            except psutil.NoSuchProcess:
                continue
        return sum(self.spent.values())

    def close(self) -> None:
        """Stop looking."""
        self._over.set()
        self._thread.join()


@dataclass
class Chaos:
    """What is done to a search, and when; all of it follows from a seed."""

    standing: Standing
    evaluations: int
    deaths: int
    """Of the master."""
    worker_seconds: float
    """Between two deaths of workers."""
    seed: int = 1
    workers_killed: int = 0
    masters_killed: int = 0
    nodes: list[str] = field(default_factory=list)
    """What happened to nodes."""

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        # Half of the deaths come when the search has got so far, each of the others soon after one of these.
        self._marks = sorted(self._rng.uniform(0.03, 0.9) * self.evaluations for _ in range(-(-self.deaths // 2)))
        self._soon: float | None = None
        self._next_worker = time.monotonic() + self.worker_seconds

    def strike(self, done: float) -> bool:
        """Do what is due now that so many evaluations are done; whether the master is to die."""
        now = time.monotonic()
        if now >= self._next_worker:
            self._next_worker = now + self.worker_seconds * self._rng.uniform(0.5, 1.5)
            workers = self.standing.workers()
            if workers:
                self._rng.choice(workers).kill()
                self.workers_killed += 1
        if done > 0.35 * self.evaluations and not self.nodes:
            self.standing.remove(self.standing.nodes[0])
            self.nodes.append("removed")
        if done > 0.55 * self.evaluations and self.nodes == ["removed"]:
            self.standing.nodes.append(self.standing.add())
            self.nodes.append("added")
        if self._soon is not None and now >= self._soon:
            self._soon = None
            return True
        if self._marks and done >= self._marks[0]:
            self._marks.pop(0)
            if self.masters_killed + 2 + len(self._marks) <= self.deaths:
                self._soon = now + self._rng.uniform(0.0, 12.0)  # while it starts, or repeats its log, or goes on
            return True
        return False

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End the master without a word: the process itself, or the one that it supervises."""
        above = psutil.Process(process.pid)
        masters = [child.pid for child in above.children() if child.cmdline() == above.cmdline()]  # it is a fork
        victim = masters[0] if masters else process.pid
        os.kill(victim, signal.SIGKILL)
        self.masters_killed += 1


@dataclass
class Side:
    """One search, and what it took."""

    run_dir: Path
    wall: float
    cpu: float
    lost: int
    doubled: int
    canonical: bytes
    totals: dict[str, Any]
    sittings: int


def search(config: Path, run_dir: Path, address: str | None, clock: Clock, chaos: Chaos | None) -> Side:
    """A search by the command line, on the cluster or inline, taken up again until it is over."""
    began, before = time.monotonic(), clock.look()
    options = [] if address is None else ["--address", address, "--workers", WORKERS]
    pause = PAUSE if address is not None else 0.0  # inline, waiting would show nothing
    process = evo_command("run", config, "--run-dir", run_dir, *options, pause=pause)
    sittings = 1
    try:
        while True:
            if time.monotonic() - began > PATIENCE:
                raise TimeoutError(f"the search was not over after {PATIENCE:g} s")
            code = process.poll()
            if code == 0:
                break
            if code is not None:
                assert chaos is not None, f"the undisturbed search ended with {code}"
                begun = progress(run_dir) >= 0
                again = ["resume", run_dir] if begun else ["run", config, "--run-dir", fresh(run_dir), *options]
                process = evo_command(*again)
                sittings += 1
            if chaos is not None and chaos.strike(progress(run_dir)) and process.poll() is None:
                chaos.kill(process)
            time.sleep(0.1)
    finally:
        if process.poll() is None:
            end(process)
    wall, cpu = time.monotonic() - began, clock.look() - before
    return judged(run_dir, wall, cpu, sittings)


def evo_command(*arguments: object, pause: float = PAUSE) -> subprocess.Popen[bytes]:
    """An evo command on its way."""
    log = (Path(tempfile.gettempdir()) / "chaos.log").open("ab")
    return subprocess.Popen(
        [sys.executable, "-c", "from evo.cli import main; main()", *map(str, arguments)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)]),
            "RUGGED_PAUSE": str(pause),
        },
        stdout=log,
        stderr=log,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """A command and what it started."""
    for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        one.kill()
    process.wait(10)


def fresh(run_dir: Path) -> Path:
    """The directory, without what a master left that died before it wrote anything."""
    for left in run_dir.glob("*"):
        if left.is_file():
            left.unlink()
        else:
            left.rmdir()
    return run_dir


def progress(run_dir: Path) -> float:
    """Evaluations logged; -1 where there is no run yet."""
    try:
        reader = RunReader.open(run_dir)
    except RunError:
        return -1.0
    try:
        reader.header()
        return float(reader.totals().get("evaluations", 0.0))
    except RunError:
        return -1.0
    finally:
        reader.connection.close()


def judged(run_dir: Path, wall: float, cpu: float, sittings: int) -> Side:
    """What the run file says: requests without a result, and results beyond the first."""
    run = evo.load(run_dir)
    ids = np.concatenate([outcomes.ids for outcomes in run.reader.outcomes()])
    asked = np.concatenate([batch.ids for batch in run.reader.requests()])
    path = run_dir / "canonical"
    run.export("canonical", path)
    return Side(
        run_dir,
        wall,
        cpu,
        lost=len(np.setdiff1d(asked, ids)) + len(np.setdiff1d(asked, run.reader.told())),
        doubled=len(ids) - len(np.unique(ids)),
        canonical=path.read_bytes(),
        totals=run.totals,
        sittings=sittings,
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20,000 evaluations and 3 deaths of the master")
    parser.add_argument("--evaluations", type=int, help="instead")
    parser.add_argument("--deaths", type=int, help="of the master, instead")
    parser.add_argument("--seconds", type=float, default=5.0, help="between two deaths of workers")
    options = parser.parse_args()
    evaluations, deaths = (20_000, 3) if options.quick else (200_000, 20)
    evaluations, deaths = options.evaluations or evaluations, options.deaths or deaths
    good = compare(evaluations, deaths, options.seconds, calm_inline=options.quick)
    raise SystemExit(0 if good else 1)


def compare(evaluations: int, deaths: int, worker_seconds: float, *, calm_inline: bool = False) -> bool:
    """Both searches, the undisturbed one on the same cluster or inline; whether nothing was lost, counted twice or
    different."""
    with tempfile.TemporaryDirectory(prefix="evo-", dir="/tmp") as folder:
        config = Path(folder) / "chaos.yaml"
        config.write_text(CONFIG.format(evaluations=evaluations))
        sys.path.insert(0, str(HERE))
        standing, clock = Standing(Path(folder)), Clock()
        try:
            calm = search(config, Path(folder) / "calm", None if calm_inline else standing.address, clock, None)
            chaos = Chaos(standing, evaluations, deaths, worker_seconds)
            torn = search(config, Path(folder) / "torn", standing.address, clock, chaos)
        finally:
            clock.close()
            standing.close()
        return tell(calm, torn, chaos, calm_inline)


def tell(calm: Side, torn: Side, chaos: Chaos, calm_inline: bool) -> bool:
    """Print what was found; whether it is well."""
    rows = []
    for name, side in (("undisturbed, inline" if calm_inline else "undisturbed", calm), ("disturbed", torn)):
        totals = side.totals
        failures = sum(totals["failures"].values())
        figures = (totals["evaluations"], totals["performed"], totals["attempts"], totals["workers"]["lost"], failures)
        rows.append((name, f"{side.wall:.1f}", f"{side.cpu:.1f}", *(f"{n:,.0f}" for n in figures), side.sittings))
    overhead = f"{torn.wall / calm.wall - 1:.0%} of wall time, {torn.cpu / calm.cpu - 1:.0%} of CPU"
    show(
        f"{chaos.evaluations:,} evaluations of {1000 * PAUSE:g} ms on {WORKERS} workers",
        ("search", "wall s", "CPU s", "evaluations", "performed", "attempts", "workers lost", "failures", "commands"),
        rows,
        f"killed: {chaos.workers_killed} workers, {chaos.masters_killed} masters; a node: {', '.join(chaos.nodes)}; "
        f"overhead: {'not comparable' if calm_inline else overhead}. "
        f"Load average {os.getloadavg()[0]:.1f}",
    )
    checks = {
        "lost": (calm.lost + torn.lost, calm.lost + torn.lost == 0),
        "counted twice": (calm.doubled + torn.doubled, calm.doubled + torn.doubled == 0),
        "canonical export": (
            "equal" if calm.canonical == torn.canonical else "differs",
            calm.canonical == torn.canonical,
        ),
        "deaths of the master": (chaos.masters_killed, chaos.masters_killed >= chaos.deaths),
        "deaths of workers": (chaos.workers_killed, chaos.workers_killed > 0),
        "node": (", ".join(chaos.nodes), chaos.nodes == ["removed", "added"]),
    }
    show("what must hold", ("", "", ""), [(name, said, verdict(good)) for name, (said, good) in checks.items()])
    return all(good for _, good in checks.values())


if __name__ == "__main__":
    main()
