"""The same command line, again and again: it begins, goes on, or says what was found."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from running import canonical

import evo
import evo.store.writer
from evo.cli import main
from evo.cli import run as module
from evo.engine.rundir import LOCK
from evo.store.reader import FILE_NAME
from evo.store.writer import RunWriter

Again = Callable[..., tuple[int, str, str]]


@pytest.fixture
def again(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Again:
    """``evo run small.yaml --auto-resume`` in this process: (exit code, output, errors)."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(module, "OVERLAP", 0.0)

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(["run", "small.yaml", "--auto-resume", "--json", *map(str, arguments)])
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def broken_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes the next run's writer fail, like a full disk, at a tell."""

    def prepare(at: int) -> None:
        tell, count = RunWriter.tell, 0

        def failing(self: RunWriter, *arguments: object) -> None:
            nonlocal count
            count += 1
            if count == at:
                monkeypatch.setattr(RunWriter, "tell", tell)
                raise sqlite3.OperationalError("database or disk is full")
            tell(self, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(RunWriter, "tell", failing)

    return prepare


def test_where_nothing_is_it_begins_in_a_directory_without_a_number(again: Again, folder: Path) -> None:
    code, out, _ = again()
    assert code == 0
    assert json.loads(out)["evaluations"] == 500
    assert [path.name for path in (folder / "runs").iterdir()] == ["small"]


def test_an_unfinished_run_goes_on(
    again: Again, broken_off: Callable[[int], None], folder: Path, expected: bytes
) -> None:
    broken_off(4)
    code, _, said = again("--run-dir", "run")
    assert code == 2
    assert "the run file could not be written" in said
    code, out, _ = again("--run-dir", "run")
    assert code == 0
    assert json.loads(out)["evaluations"] == 500
    assert canonical(folder / "run", folder) == expected


def test_a_finished_run_is_told_and_left_alone(again: Again, folder: Path) -> None:
    first = json.loads(again("--run-dir", "run")[1])
    before = sorted(event["kind"] for event in evo.load(folder / "run").events())
    code, out, _ = again("--run-dir", "run")
    assert code == 0
    assert json.loads(out) == first
    assert sorted(event["kind"] for event in evo.load(folder / "run").events()) == before


def test_a_stopped_run_is_told_and_left_alone(again: Again) -> None:
    assert json.loads(again("stop.target=50")[1])["state"] == "stopped"
    code, out, _ = again("stop.target=50")
    assert code == 0
    assert json.loads(out)["state"] == "stopped"


def test_a_larger_budget_goes_on(again: Again) -> None:
    again()
    code, out, _ = again("budget.evaluations=600")
    assert code == 0
    assert json.loads(out)["evaluations"] == 600


def test_another_search_is_refused_as_by_resume(again: Again) -> None:
    again()
    code, _, said = again("seed=2", "problem.joints=6")
    assert code == 2
    assert "resuming continues the same search" in said
    assert "seed: 1 -> 2" in said
    assert "problem.joints: 5 -> 6" in said
    assert said.count("\n") == 1


def test_a_run_that_another_master_holds_is_refused_with_its_process(again: Again, folder: Path) -> None:
    again("--run-dir", "run")
    holder = os.open(folder / "run" / LOCK, os.O_RDWR)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        code, _, said = again("--run-dir", "run", "budget.evaluations=600")
    finally:
        os.close(holder)
    assert code == 2
    assert f"another master (process {os.getpid()}) is at work" in said


@pytest.mark.parametrize("left", ["nothing", "lock", "empty file", "schema only", "ray.log"])
def test_a_half_made_directory_is_where_it_begins(left: str, again: Again, folder: Path, expected: bytes) -> None:
    run = folder / "run"
    (run / "artifacts").mkdir(parents=True)
    if left == "lock":
        (run / LOCK).write_text("12345")
    elif left == "empty file":
        (run / FILE_NAME).touch()
    elif left == "schema only":
        evo.store.writer.open_file(run / FILE_NAME).close()
    elif left == "ray.log":
        (run / "ray.log").write_text("something")
    assert again("--run-dir", "run")[0] == 0
    assert canonical(run, folder) == expected


def test_a_directory_of_somebody_elses_is_refused(again: Again, folder: Path) -> None:
    (folder / "run").mkdir()
    (folder / "run" / "thesis.tex").touch()
    code, _, said = again("--run-dir", "run")
    assert code == 2
    assert "exists and is not empty" in said
    assert (folder / "run" / "thesis.tex").exists()


def test_bad_input_leaves_no_directory(again: Again, folder: Path) -> None:
    code, _, said = again("problem.joints=-3")
    assert code == 2
    assert said.count("\n") == 1
    assert not list(folder.glob("runs/*"))
