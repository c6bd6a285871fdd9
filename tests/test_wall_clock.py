"""No wait of ours hangs on the wall clock: runs whose clock jumps by days, backwards too, are the same runs."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine.worlds import Masks, canonical
from wall_clock import sitecustomize as jumping

import evo
from workers.simulated import Faults, Simulated

FOLDER = Path(jumping.__file__).parent
PATIENCE = 600.0
"""Seconds for a command; far less than any jump."""
CONFIG = """
version: 1
problem: {type: arm, joints: 4}
algorithm: {type: map_elites, shape: [8, 8], batch: 40}
seed: 3
budget: {evaluations: 400, seconds: 3000}
order: {type: strict, lag: 2}
"""


class Sleepy(Masks):
    """Some candidates sleep past their deadline."""

    def __init__(self):
        self.deadline = 0.5

    def evaluate(self, genome):
        if genome[:4].all():
            time.sleep(30.0)
        return super().evaluate(genome)


def search(problem=None, **options):
    options = {"evaluations": 200, "seed": 5, **options}
    return evo.search(problem or Masks(), evo.MapElites((6, 6), batch=20), **options)


def sane(run, began):
    """Whether the run has ended as it should, and counts the seconds that were really spent."""
    assert run.state == "finished", run.totals["reason"]
    assert 0.0 <= run.totals["elapsed"] <= time.monotonic() - began + 0.1
    times = [point["elapsed"] for point in run.curve()]
    assert times == sorted(times)
    return True


@pytest.fixture
def jumps(monkeypatch):
    """The wall clock of this process jumps at every look."""
    asked = jumping._state["asked"]
    monkeypatch.setattr(time, "time", jumping.now)
    monkeypatch.setattr(time, "time_ns", jumping._nanoseconds)
    yield
    time.time()
    assert jumping._state["asked"] > asked


@pytest.fixture
def dates_jump(monkeypatch):
    """As do dates."""
    monkeypatch.setattr("datetime.datetime", jumping.Jumping)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return canonical(search(), tmp_path_factory.mktemp("expected"))


def test_the_clock_of_these_tests_does_jump():
    looks = [jumping.now() for _ in range(20)]
    assert looks != sorted(looks)
    assert max(looks) - min(looks) > 86_400


def test_a_run_in_this_process_does_not_look_at_the_wall_clock(jumps, dates_jump, expected, tmp_path):
    began = time.monotonic()
    run = search(run_dir=tmp_path / "run", snapshot_seconds=0.0)
    assert sane(run, began)
    assert canonical(run, tmp_path) == expected


def test_deadlines_in_this_process_are_kept(jumps):
    began = time.monotonic()
    run = search(Sleepy(), evaluations=30)
    assert sane(run, began)
    assert run.totals["failures"]["timeout"] > 0
    assert time.monotonic() - began < 30.0


@pytest.mark.slow
def test_a_simulated_run_has_only_its_own_clock(jumps, expected, tmp_path):
    faults = Faults(crash=0.05, hang=0.05, late=0.1)
    run = search(workers=Simulated(0.05, 0.5, count=3, seed=1, faults=faults))
    assert run.state == "finished"
    if not run.totals["failures"].keys() & {"timeout", "crashed"}:
        assert canonical(run, tmp_path) == expected


def test_a_run_that_is_stopped_and_resumed_counts_the_seconds_of_both(jumps, expected, tmp_path):
    began = time.monotonic()
    search(run_dir=tmp_path / "run", evaluations=100)
    run = evo.resume(tmp_path / "run", problem=Masks(), evaluations=200)
    assert sane(run, began)


@pytest.mark.ray
def test_a_run_on_ray_does_not_look_at_the_wall_clock(ray_session, jumps, expected, tmp_path):
    began = time.monotonic()
    run = search(workers=2)
    assert sane(run, began)
    assert canonical(run, tmp_path) == expected


def command(folder, *arguments, backend, jumping_clock):
    """The totals of a run by the command line, in processes of its own."""
    (folder / "run.yaml").write_text(CONFIG + f"workers: {{backend: {backend}}}\n")
    path = [str(FOLDER)] * jumping_clock + [entry for entry in sys.path if entry and Path(entry) != FOLDER.parent]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "RAY_USAGE_STATS_ENABLED": "0", "COLUMNS": "100"}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", "from evo.cli import main; main()", "run", "run.yaml", "--run-dir", "out", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    run = evo.load(folder / "out")
    assert sane(run, began)
    return canonical(run, folder)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What the command makes of the configuration where time goes by as usual."""
    found = command(tmp_path_factory.mktemp("plain"), backend="inline", jumping_clock=False)
    assert json.loads(found.splitlines()[0])["seed"] == 3
    return found


@pytest.mark.slow
@pytest.mark.timeout(2 * PATIENCE)
def test_the_command_with_its_panel_does_not_look_at_the_wall_clock(undisturbed, tmp_path):
    assert command(tmp_path, backend="inline", jumping_clock=True) == undisturbed


@pytest.mark.slow
@pytest.mark.timeout(2 * PATIENCE)
def test_the_command_on_a_ray_of_its_own_does_not_look_at_the_wall_clock(undisturbed, tmp_path):
    assert command(tmp_path, backend="ray, count: 2", jumping_clock=True) == undisturbed
