"""Run directories that cannot be used, changed or filled: a clear error, and nothing is lost."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from engine.worlds import Bowl, Masks, canonical

import evo
from evo.store.reader import FILE_NAME

SCRIPTS = Path(__file__).parent / "engine" / "scripts"


def tree(folder):
    """Every file below a folder, with its bytes; but for SQLite's index in shared memory, which readers touch too."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith("-shm")]
    return {path: path.read_bytes() for path in files}


# Run directories ------------------------------------------------------------------------------------------------------


def finished(folder, **options):
    return evo.search(Masks(), evo.MapElites((6, 6), batch=20), evaluations=100, seed=1, run_dir=folder, **options)


def test_an_existing_run_is_left_alone(tmp_path):
    finished(tmp_path / "run")
    before = tree(tmp_path)
    with pytest.raises(evo.RunError, match="a run is here already; take it up with evo resume"):
        finished(tmp_path / "run")
    assert tree(tmp_path) == before


def test_a_directory_with_other_things_in_it_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(evo.RunError, match="not empty"):
        finished(tmp_path)
    assert tree(tmp_path) == {tmp_path / "notes.txt": b"mine"}


@pytest.mark.parametrize("inside", ["", "run"])
def test_a_file_where_the_directory_should_be_is_an_error_that_names_it(inside, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(evo.RunError, match="cannot be created"):
        finished(tmp_path / "file" / inside)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind the superuser")
def test_a_directory_that_cannot_be_written_is_an_error_that_says_so(tmp_path):
    finished(tmp_path / "run")
    for path in (tmp_path / "run", tmp_path):
        path.chmod(0o555)
    try:
        with pytest.raises(evo.RunError, match="writable"):
            finished(tmp_path / "other")
        with pytest.raises(evo.RunError, match=r"read-only|cannot be written|writable"):
            evo.resume(tmp_path / "run")
        assert evo.load(tmp_path / "run").evaluations == 100
    finally:
        for path in (tmp_path, tmp_path / "run"):
            path.chmod(0o755)


def test_there_is_nothing_to_resume_in_an_empty_directory(tmp_path):
    with pytest.raises(evo.RunError, match="no run here"):
        evo.resume(tmp_path)
    with pytest.raises(evo.RunError, match="no run here"):
        evo.resume(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_a_newer_evo_is_left_alone(tmp_path):
    finished(tmp_path / "run")
    connection = sqlite3.connect(tmp_path / "run" / FILE_NAME)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    before = tree(tmp_path)
    for call in (evo.load, evo.resume):
        with pytest.raises(evo.RunError, match="newer evo"):
            call(tmp_path / "run")
    assert tree(tmp_path) == before


def test_two_masters_on_one_run_are_refused_by_the_holders_number(tmp_path):
    finished(tmp_path / "run")
    command = [sys.executable, SCRIPTS / "holder.py", tmp_path / "run"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(evo.RunError, match=rf"another master \(process {holder.pid}\) is at work"):
            evo.resume(tmp_path / "run")
        assert evo.load(tmp_path / "run").evaluations == 100  # it may still be read
        holder.stdin.close()
    assert evo.resume(tmp_path / "run").state == "finished"


# Resuming what has changed --------------------------------------------------------------------------------------------


class Moved(Bowl):
    """Starts elsewhere than it did."""

    measures = (evo.Measure("x", -1.0, 1.0),)
    start = 0.0

    def evaluate(self, genome):
        return evo.Evaluation([float((genome**2).sum())], [genome[0]])

    def initial(self):
        return [np.full(3, self.start)]


def test_a_problem_that_has_changed_is_refused_by_the_first_request_that_differs(tmp_path):
    evo.search(Moved(), evo.MapElites((10,), batch=20), evaluations=100, seed=1, run_dir=tmp_path / "run")
    before = evo.load(tmp_path / "run", Moved()).frame()
    changed = Moved()
    changed.start = 0.25
    with pytest.raises(
        evo.ReplayMismatch, match="from request 0 on: the problem, the algorithm or evo itself has changed"
    ):
        evo.resume(tmp_path / "run", changed, evaluations=200, snapshot=False)
    assert evo.load(tmp_path / "run", Moved()).frame().equals(before)
    assert evo.resume(tmp_path / "run", Moved(), evaluations=200).evaluations == 200


def test_another_evaluator_is_a_warning_and_old_results_stand(tmp_path):
    finished(tmp_path / "run")

    class Masks2(Masks):
        def evaluate(self, genome):
            return evo.Evaluation([0.0], [0.0, 0.0])

    Masks2.__qualname__ = Masks.__qualname__  # the same class, edited
    with pytest.warns(UserWarning, match="evaluator has changed"):
        run = evo.resume(tmp_path / "run", Masks2(), evaluations=150)
    assert run.best.objectives["ones"] > 0
    assert (run.frame().query("request > 160")["ones"].dropna() == 0).any()


def test_a_larger_budget_is_allowed_and_noted(tmp_path):
    finished(tmp_path / "run")
    run = evo.resume(tmp_path / "run", evaluations=140)
    assert run.evaluations == 140
    (event,) = run.events("resume")
    assert event["changed"] == {"evaluations": 140}
    assert run.header["spec"]["budget"]["evaluations"] == 140


# A full disk ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def endless_run(tmp_path_factory):
    """The canonical export of the script's run on a disk with room."""
    from engine.scripts import endless

    folder = tmp_path_factory.mktemp("endless")
    return canonical(endless.go(folder / "whole"), folder)


@pytest.mark.parametrize("size", [2_000, 400_000, 700_000])
def test_a_full_disk_is_a_clear_error_and_nothing_is_lost(size, tmp_path, endless_run):
    from engine.scripts import endless

    command = [sys.executable, SCRIPTS / "full_disk.py", tmp_path / "run", str(size)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("RunError: "), done.stdout + done.stderr
    assert str(tmp_path) in done.stdout or "free some space" in done.stdout
    if size > 2_000:
        kept = evo.load(tmp_path / "run").reader.told()
        assert len(kept) == 0 or kept.tolist() == list(range(len(kept)))
    run = endless.go(tmp_path / "run")
    assert run.state == "finished"
    assert canonical(run, tmp_path) == endless_run
