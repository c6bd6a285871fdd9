"""Nodes that are processes of their own, with a token and without evo: they join, break and go, the run is the same."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes import ROOT, SITE, Cluster, cluster, evo, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LONG = 300.0

WORLD = """
import sys, time
import evo
import helping_hand

class Slow(evo.Problem):
    space = evo.Box(-1.0, 1.0, size=3)
    objectives = [evo.Minimize("value")]
    measures = [evo.Measure("x0", -1.0, 1.0)]
    deadline = 60.0

    def __init__(self, seconds: float = 0.05):
        self.seconds = seconds

    def evaluate(self, x):
        if "ray" in sys.modules:
            time.sleep(self.seconds)
        return evo.Evaluation(objectives=[helping_hand.bowl(x)], measures=x[:1])

class Producing(Slow):
    def evaluate(self, x):
        found = super().evaluate(x)
        return evo.Evaluation(found.objectives, found.measures, artifacts={"big": bytes(2 << 20)})

class Needing(Slow):
    def prepare(self, work=None):
        return []

    def needs(self, fidelity, known):
        return ()
"""


@pytest.fixture(scope="module")
def two() -> Iterator[Cluster]:
    """A head and a node, one core each."""
    with cluster() as made:
        made.join("--num-cpus", "1")
        made.join("--num-cpus", "1")
        yield made


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A user's folder: a run file, a problem, and a module that the problem needs."""
    (tmp_path / "world.py").write_text(WORLD)
    (tmp_path / "helping_hand.py").write_text("def bowl(x):\n    return float((x**2).sum())\n")
    run = """
        problem: {type: "world:Slow"}
        algorithm: {type: map_elites, shape: [8], batch: 32}
        seed: 3
        budget: {evaluations: 800}
        workers: {min: 1, max: 8}
        """
    (tmp_path / "slow.yaml").write_text(textwrap.dedent(run))
    return tmp_path


def search(on: Cluster, here: Path, *more: object, path: Path = ROOT) -> subprocess.Popen[str]:
    return evo(
        "run", "slow.yaml", "--address", on.address, "--run-dir", "run", *more, access=on.access, path=path, cwd=here
    )


def done(process: subprocess.Popen[str], code: int = 0) -> str:
    """What it said on standard error, once it has ended as it should."""
    try:
        out, err = process.communicate(timeout=LONG)
    finally:
        process.kill()
    assert process.returncode == code, out + err
    return err


def canonical(here: Path, run: str) -> bytes:
    made = evo("export", run, "--format", "canonical", "--output", here / f"{run}.jsonl", access={}, cwd=here)
    done(made)
    return (here / f"{run}.jsonl").read_bytes()


def inline(here: Path, *more: object) -> bytes:
    said = ["workers.min=null", "workers.max=null", "workers.backend=inline"]
    done(evo("run", "slow.yaml", *said, "--run-dir", "inline", *more, access={}, cwd=here))
    return canonical(here, "inline")


def asked(here: Path, question: str) -> list[tuple[object, ...]]:
    """Rows of the run file, none while it is not there."""
    file = here / "run" / "run.sqlite"
    if not file.exists():
        return []
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return connection.execute(question).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()


def workers(here: Path) -> set[object]:
    """Those that have delivered something."""
    return {worker for (worker,) in asked(here, "SELECT DISTINCT worker FROM attempts WHERE delivered > 0")}


def test_nodes_break_and_join_in_mid_run_and_the_run_is_the_same(two: Cluster, here: Path) -> None:
    process = search(two, here, "budget.evaluations=4000")
    try:
        until(lambda: len(workers(here)) >= 2, LONG, "two workers")
        two.nodes[1].kill_raylet()
        until(lambda: asked(here, "SELECT 1 FROM attempts WHERE outcome = 'lost'"), LONG, "the loss of a node")
        before = workers(here)
        two.join("--num-cpus", "2")
        until(lambda: workers(here) - before, LONG, "a worker on the new node")
    finally:
        process.send_signal(signal.SIGINT)
    done(process, code=130)
    done(evo("resume", "run", "--backend", "inline", access={}, cwd=here))  # nobody sleeps there
    assert canonical(here, "run") == inline(here, "budget.evaluations=4000")
    assert asked(here, "SELECT count(*) FROM attempts WHERE outcome IN ('crash', 'timeout')") == [(0,)]


def test_an_installed_wheel_ships_itself_to_nodes_without_evo(two: Cluster, here: Path, wheel: Path) -> None:
    done(search(two, here, "budget.evaluations=100", path=wheel))
    assert canonical(here, "run") == inline(here, "budget.evaluations=100")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """evo as a user installs it, from a wheel built here."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("evo", "problems", "operators", "workers"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source)], check=True, timeout=200
    )
    (built,) = folder.glob("*.whl")
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--target", str(folder / "site"), str(built)],
        check=True,
        timeout=200,
    )
    return folder / "site"


def test_groups_share_the_work_and_one_that_no_node_can_hold_may_wait(two: Cluster, here: Path) -> None:
    groups = "workers.groups=[{count: 1, cpus: 1}, {min: 0, max: 2, cpus: 1, custom: {rare: 1}}]"
    said = ["workers.min=null", "workers.max=null", "budget.evaluations=100", groups]
    done(search(two, here, *said))
    assert canonical(here, "run") == inline(here, "budget.evaluations=100")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["workers.gpus=1000"], "asked to have cpus=1, gpus=1000, but the largest node has"),
        (["workers.cpus=0.5"], "workers: fidelity 'full' needs cpus=1, the workers have cpus=0.5"),
    ],
)
def test_what_no_node_can_hold_is_refused_at_the_start(two: Cluster, here: Path, more: list[str], told: str) -> None:
    assert told in done(search(two, here, "workers.cpus=1", *more), code=2)


@pytest.mark.parametrize(
    ("access", "told"),
    [
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 32}, "does not accept the token of RAY_AUTH_TOKEN"),
        ({}, "RAY_AUTH_MODE is not set here: set RAY_AUTH_MODE=token"),
        ({"RAY_AUTH_MODE": "token", "HOME": "/nowhere"}, "set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"),
    ],
)
def test_a_wrong_or_missing_token_is_one_line_with_the_fix(
    two: Cluster, here: Path, access: dict[str, str], told: str
) -> None:
    process = evo("run", "slow.yaml", "--address", two.address, access=access, cwd=here)
    said = done(process, code=2)
    assert told in said
    assert said.count("\n") == 1


def test_a_cluster_that_is_not_there_may_be_tried_again(here: Path) -> None:
    process = evo("run", "slow.yaml", "--address", "127.0.0.1:1", "--patience", "0", access={}, cwd=here)
    said = done(process, code=75)
    assert "no Ray cluster can be reached at 127.0.0.1:1 (Connection refused)" in said


# A node with other files ----------------------------------------------------------------------------------------------


@pytest.fixture
def blind(here: Path) -> Iterator[Cluster]:
    """A head that cannot hold a worker, and a node that sees other files where the run's folder is."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0:
        pytest.skip("needs a mount namespace")
    with cluster() as made:
        made.join("--num-cpus", "0")
        (here / "run").mkdir()
        hide = f'mount -t tmpfs none "{here}" && exec "$@"'
        made.join("--num-cpus", "1", before=["unshare", "-m", "sh", "-c", hide, "sh"])
        yield made


def test_large_artifacts_travel_from_nodes_that_do_not_see_the_run(blind: Cluster, here: Path) -> None:
    done(search(blind, here, "problem.type=world:Producing", "budget.evaluations=40"))
    (large,) = [file for file in (here / "run" / "artifacts").iterdir() if file.is_file()]
    assert large.stat().st_size == 2 << 20


def test_a_problem_that_needs_its_artifacts_everywhere_is_refused_where_a_node_does_not_see_them(
    blind: Cluster, here: Path
) -> None:
    said = done(search(blind, here, "problem.type=world:Needing"), code=2)
    assert "which not every node of the cluster sees" in said
    assert "put the run directory (--run-dir) on a file system that all nodes share" in said


def test_the_helper_has_no_evo() -> None:
    """What the others rely on: an interpreter that only sees these site-packages does not find the checkout."""
    found = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.append({SITE!r}); import evo"],
        cwd="/",
        env={},
        capture_output=True,
        check=False,
    )
    assert b"No module named 'evo'" in found.stderr
