"""`evo submit`: what travels, what is asked for, and a real job that is followed, interrupted and taken up again."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path

import pytest
from nodes import ROOT, Cluster, cluster, evo, free_port, until

from evo.cluster.jobs import Job, Jobs, exit_code
from evo.cluster.packing import LARGEST, pack
from evo.errors import ConfigError, WorkerError

LONG = 200.0


# What travels ---------------------------------------------------------------------------------------------------------


def test_the_users_folder_travels_without_runs_environments_and_hidden_files(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for name in ("slow.yaml", "more/world.py", "runs/old/run.sqlite", ".env", ".git/config", "env/pyvenv.cfg", "env/x"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("content")
    target.mkdir()
    packed = pack(source, target)
    assert (packed.files, packed.size) == (2, 2 * len("content"))
    assert {path.name for path in target.iterdir()} == {
        "slow.yaml", "more", "evo", "problems", "operators", "workers"
    }  # fmt: skip
    assert (target / "evo" / "store" / "schema.sql").is_file()
    assert not list(target.rglob("__pycache__"))


def test_too_much_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with (tmp_path / "source" / "data.bin").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(ConfigError, match=r"more than 100 MB or 10,000 files .*data\.bin"):
        pack(tmp_path / "source", tmp_path / "target")


def test_a_folder_with_the_name_of_one_of_our_packages_is_refused(tmp_path: Path) -> None:
    (tmp_path / "problems").mkdir()
    with pytest.raises(ConfigError, match="problems is in the way"):
        pack(tmp_path, tmp_path / "target")


def test_the_exit_code_is_that_of_the_search() -> None:
    assert exit_code(Job("a", "SUCCEEDED", 0)) == 0
    assert exit_code(Job("a", "FAILED", 2)) == 2
    assert exit_code(Job("a", "FAILED", None)) == 75
    assert exit_code(Job("a", "FAILED", -9)) == 75


def test_an_address_that_is_no_dashboard_is_refused() -> None:
    with pytest.raises(WorkerError, match="expected the cluster's dashboard, such as http://HEAD:8265"):
        Jobs("10.0.0.1:6379")


# A real job -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what Ray's job client and dashboard need, installed where it does not change any other test."""
    folder = tmp_path_factory.mktemp("default")
    if find_spec("aiohttp_cors") is None:
        needs = [need.partition(";")[0].strip() for need in requires("ray") or () if "extra == 'default'" in need
                 or 'extra == "default"' in need]  # fmt: skip
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", folder]
        got = subprocess.run([*pip, "-c", ROOT / "constraints.txt", *needs], timeout=400, check=False)
        if got.returncode != 0:
            pytest.skip("needs ray[default], and no package index is at hand")
    return folder


@pytest.fixture(scope="module")
def head(client: Path) -> Iterator[Cluster]:
    with cluster(client) as made:
        made.dashboard = free_port()
        made.join("--num-cpus", "2")
        yield made


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_job_is_followed_interrupted_taken_up_and_repeated(head: Cluster, client: Path, tmp_path: Path) -> None:
    world = """
        import sys, time
        import evo

        class Slow(evo.Problem):
            space = evo.Box(-1.0, 1.0, size=3)
            objectives = [evo.Minimize("value")]

            def evaluate(self, x):
                if "ray" in sys.modules:
                    time.sleep(0.05)
                return evo.Evaluation(objectives=[float((x**2).sum())])
        """
    (tmp_path / "world.py").write_text(textwrap.dedent(world))
    (tmp_path / "slow.yaml").write_text(
        "problem: 'world:Slow'\nalgorithm: random\nseed: 3\nbudget: {evaluations: 800}\norder: {block: 32}\n"
    )
    folder = tmp_path / "outliving" / "run"

    def submit(*more: str, access: dict[str, str] = head.access) -> subprocess.Popen[str]:
        address = f"http://127.0.0.1:{head.dashboard}"
        return evo(
            "submit", "slow.yaml", "--address", address, "--run-dir", folder, *more,
            access=access, path=f"{ROOT}:{client}", cwd=tmp_path,
        )  # fmt: skip

    def ended(process: subprocess.Popen[str], code: int) -> str:
        try:
            out, err = process.communicate(timeout=LONG)
        finally:
            process.kill()
        assert process.returncode == code, out + err
        return out + err

    wrong = ended(submit(access={"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 32}), 2)
    assert "does not let us in" in wrong
    assert wrong.count("\n") == 1
    following = submit()
    until(lambda: (folder / "run.sqlite").exists() or following.poll() is not None, LONG, "the run")
    following.send_signal(signal.SIGINT)
    assert "goes on without us" in ended(following, 0)
    assert "is at work" in ended(submit("--no-follow"), 0)
    assert "stopped" in ended(submit("--stop"), 0)
    said = ended(submit(), 0)
    assert "-2 goes on with the run" in said
    assert "finished: budget spent" in said
    done = evo("run", "slow.yaml", "--run-dir", "inline", access={}, cwd=tmp_path)
    ended(done, 0)
    for run, name in ((folder, "job.jsonl"), (tmp_path / "inline", "inline.jsonl")):
        ended(evo("export", run, "--format", "canonical", "--output", tmp_path / name, access={}, cwd=tmp_path), 0)
    assert (tmp_path / "job.jsonl").read_bytes() == (tmp_path / "inline.jsonl").read_bytes()
