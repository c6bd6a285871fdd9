"""A key in the environment is searched for, byte by byte, in all that evo wrote and printed.

The problem lets it slip wherever users' code can: in exceptions, refusals, what is returned as a failure, a warm-up, a
report, a picture of a genome, a parameter. What an evaluator prints itself goes where its process prints (this
terminal, or Ray's own logs); what it returns as metrics or artifacts is the user's data. Neither is evo's to change.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = "SENTINEL_API_KEY"
KEY = "sk-5ent1ne1-0f-the-te5t"

LEAKY = """
import os
import sys
import evo

KEY = os.environ["SENTINEL_API_KEY"]

class Leaky(evo.Problem):
    space = evo.Box(-1.0, 1.0, size=2)
    objectives = [evo.Minimize("height")]
    measures = [evo.Measure("x", -1.0, 1.0), evo.Measure("y", -1.0, 1.0)]

    def __init__(self, login: str = "", cold: bool = False, loud: bool = False) -> None:
        self.login, self.cold, self.loud = login, cold, loud
        self.found = KEY

    def warm_up(self):
        if self.cold:
            raise RuntimeError(f"cannot warm up with {KEY}")

    def evaluate(self, x):
        if self.loud:
            print(KEY)
            print(KEY, file=sys.stderr, flush=True)
        if x[0] < -0.5:
            raise RuntimeError(f"cannot log in with {self.login} or {KEY!r}")
        if x[0] < 0.0:
            raise evo.Rejected(f"{KEY} is not what is searched")
        if x[0] < 0.2:
            return evo.Evaluation([float("nan")], [0.0, KEY])
        return evo.Evaluation([float((x**2).sum())], x)

    def report(self, best, run):
        raise RuntimeError(f"no report with {KEY}")

    def show(self, genome):
        raise RuntimeError(f"no picture with {KEY}")
"""

CONFIG = """
problem: {type: 'leaky:Leaky', login: '${SENTINEL_API_KEY}'}
algorithm: {type: map_elites, shape: [5, 5], batch: 20}
budget: {evaluations: 200}
log: {snapshot_seconds: 0.01}
"""

READING = (
    ("show", "run"),
    ("show", "run", "--best", "3"),
    ("show", "run", "--json"),
    ("runs", "."),
    ("export", "run", "-f", "csv", "-o", "out.csv"),
    ("export", "run", "-f", "jsonl", "-o", "out.jsonl"),
    ("export", "run", "-f", "parquet", "-o", "out.parquet"),
    ("export", "run", "-f", "canonical", "-o", "out.canonical"),
    ("plot", "run", "-o", "out.html"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "leaky.py").write_text(LEAKY)
    (tmp_path / "leaky.yaml").write_text(CONFIG)
    return tmp_path


def called(folder: Path, *arguments: str, code: int = 0) -> str:
    """What an evo command says, in a process of its own with the key in its environment."""
    done = subprocess.run(
        [sys.executable, "-c", "from evo.cli import main; main()", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), NAME: KEY, "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        timeout=100,
        check=False,
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == code, said
    assert KEY not in said
    return said


def check_files(folder: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "run.sqlite" for path in files)
    for path in files:
        assert KEY.encode() not in path.read_bytes(), path
        if path.suffix == ".parquet":  # compressed
            assert KEY not in str(parquet.read_table(path).to_pylist())


@pytest.mark.slow
def test_a_key_is_nowhere_in_a_run_its_exports_and_what_the_commands_say(folder: Path) -> None:
    said = called(folder, "run", "leaky.yaml", "--run-dir", "run")
    assert f"no report with [{NAME}]" in said
    for arguments in READING:
        said = called(folder, *arguments)
        if arguments[0] == "show" and "--json" not in arguments:
            assert f"[{NAME}]" in said
    called(folder, "resume", "run", "budget.evaluations=300")
    assert f"cannot log in with [{NAME}] or '[{NAME}]'" in (folder / "out.canonical").read_text()
    check_files(folder)


@pytest.mark.slow
def test_a_key_does_not_come_out_of_commands_that_fail(folder: Path) -> None:
    said = called(folder, "run", "leaky.yaml", "problem.cold=true", "--run-dir", "cold", code=1)
    assert f"RuntimeError: cannot warm up with [{NAME}]" in said  # a traceback, as inline
    called(folder, "check", "leaky.yaml")
    called(folder, "run", "leaky.yaml", f"seed={KEY}", code=2)
    called(folder, "run", "leaky.yaml", f"problem.loud={KEY}", code=2)
    said = called(folder, "run", "leaky.yaml", f"problem.login=a{KEY}", code=2)
    assert f"holds the value of the environment variable {NAME}" in said
    check_files(folder)


@pytest.mark.slow
def test_a_key_does_not_come_back_from_ray(folder: Path) -> None:
    called(folder, "run", "leaky.yaml", "problem.loud=true", "workers.count=2", "--run-dir", "run")
    said = called(folder, "run", "leaky.yaml", "problem.cold=true", "workers.count=1", "--run-dir", "cold", code=2)
    assert f"cannot warm up with [{NAME}]" in said
    for arguments in READING:
        called(folder, *arguments)
    check_files(folder)
