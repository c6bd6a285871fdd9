"""`evo resume`: what goes on, what may change, and what may not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from calling import CONFIG, Evo

import evo as library
from evo.cli import main
from evo.cli.resume import changes
from evo.engine.crew import Crew, Group
from evo.evaluator import Resources
from evo.monitor import report
from evo.store.reader import FILE_NAME
from problems.arm import Arm


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run at the end of its budget of 500; to be looked at only."""
    place = tmp_path_factory.mktemp("first")
    (place / "small.yaml").write_text(CONFIG)
    with pytest.raises(SystemExit) as caught:
        main(["run", str(place / "small.yaml"), "--run-dir", str(place / "first"), "--json"])
    assert not caught.value.code
    return place / "first"


@pytest.fixture
def finished(evo: Evo, first: Path) -> Path:
    """A copy of it, to be taken up again."""
    return shutil.copytree(first, Path("first"))


def test_a_larger_budget_goes_on(evo: Evo, finished: Path) -> None:
    said = evo("resume", finished, "budget.evaluations=800", "--json")
    assert said.code == 0, said.err
    assert said.json["evaluations"] == 800


def test_a_finished_run_is_finished(evo: Evo, finished: Path) -> None:
    said = evo("resume", finished, "--json")
    assert said.code == 0, said.err
    assert said.json["evaluations"] == 500


def test_later_changes_build_on_earlier_ones(evo: Evo, finished: Path) -> None:
    evo("resume", finished, "budget.evaluations=800", "--json")
    assert evo("resume", finished, "stop.failures=7", "--json").json["evaluations"] == 800


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("seed=2", "seed: 1 -> 2"),
        ("algorithm.operator.iso_sigma=0.2", "algorithm.operator.iso_sigma: 0.1 -> 0.2"),
        ("problem.joints=6", "problem.joints: 5 -> 6"),
        ("order=arrival", "order.type: strict -> arrival"),
    ],
)
def test_what_the_search_is_cannot_change(evo: Evo, finished: Path, override: str, told: str) -> None:
    said = evo("resume", finished, override, "budget.evaluations=800")
    assert said.code == 2
    assert told in said.err
    assert "start a new run" in said.err
    assert said.err.count("\n") == 1


def test_saying_what_is_stored_changes_nothing(evo: Evo, finished: Path) -> None:
    assert evo("resume", finished, "seed=1", "problem.joints=5", "--json").code == 0


def test_a_wrong_key_is_told_the_nearest_one(evo: Evo, finished: Path) -> None:
    said = evo("resume", finished, "budget.evaluation=800")
    assert said.code == 2
    assert "did you mean 'evaluations'" in said.err


def test_a_limit_can_be_moved_not_lifted(evo: Evo, finished: Path) -> None:
    said = evo("resume", finished, "budget.evaluations=null")
    assert said.code == 2
    assert "can be moved on resuming, not lifted" in said.err


def test_a_folder_without_a_run_is_refused(evo: Evo, config: Path) -> None:
    said = evo("resume", config.parent)
    assert said.code == 2
    assert "no run here" in said.err


def test_a_newer_run_file_is_refused(evo: Evo, finished: Path) -> None:
    connection = sqlite3.connect(finished / FILE_NAME)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    said = evo("resume", finished)
    assert said.code == 2
    assert "newer evo (schema 99" in said.err


def test_a_run_started_in_python_can_be_resumed_here(evo: Evo, tmp_path: Path) -> None:
    library.search(Arm(5), evaluations=200, run_dir=tmp_path / "python", handle_signals=False)
    assert evo("resume", "python", "budget.evaluations=300", "--json").json["evaluations"] == 300


# Workers --------------------------------------------------------------------------------------------------------------


def changed(run: Path, *overrides: str) -> dict[str, object]:
    """The arguments of `evo.resume` that the overrides become."""
    return changes(run, library.load(run).header, overrides)


@pytest.fixture
def of_kinds(tmp_path: Path) -> Path:
    """A run whose header says two kinds of workers."""
    groups = [Group(1, 1, Resources(cpus=1)), Group(0, 2, Resources(cpus=1, gpus=1))]
    return headed(tmp_path / "kinds", workers=groups)


def headed(run: Path, **crew: object) -> Path:
    """A short run, described as if it had such workers."""
    library.search(Arm(5), evaluations=100, run_dir=run, handle_signals=False)
    with closing(sqlite3.connect(run / FILE_NAME)) as connection, connection:
        header = json.loads(connection.execute("SELECT document FROM header").fetchone()[0])
        header["spec"]["workers"] = Crew.of(crew.pop("workers"), None, **crew).describe()  # type: ignore[arg-type]
        connection.execute("UPDATE header SET document = ?", (json.dumps(header),))
    return run


def test_a_patience_without_a_number_of_workers_is_refused_in_one_line(evo: Evo, finished: Path) -> None:
    said = evo("resume", finished, "workers.patience=30", "budget.evaluations=600")
    assert said.code == 2
    assert "workers.patience: 300.0 -> 30.0: it is of a given number of workers" in said.err
    assert said.err.count("\n") == 1


def test_a_patience_of_a_number_of_workers_can_change(finished: Path) -> None:
    assert changed(finished, "workers.patience=30", "workers.count=2")["workers"] == (Group(2, 2, None, 30.0),)


def test_a_run_file_with_a_patience_and_no_number_goes_on(evo: Evo, config: Path) -> None:
    config.write_text(CONFIG + "workers: {patience: 30}\n")
    again = ("run", config, "--auto-resume", "--run-dir", "run", "--json")
    assert evo(*again).code == 0
    said = evo(*again, "budget.evaluations=600")
    assert said.code == 0, said.err
    assert said.json["evaluations"] == 600


def test_what_a_worker_has_is_said_in_each_group(evo: Evo, of_kinds: Path) -> None:
    said = evo("resume", of_kinds, "workers.cpus=2", "budget.evaluations=200")
    assert said.code == 2
    assert "workers.cpus: this run has workers of 2 kinds; say what each kind has in workers.groups" in said.err
    assert said.err.count("\n") == 1


def test_groups_cannot_be_lifted_only_replaced(evo: Evo, of_kinds: Path) -> None:
    said = evo("resume", of_kinds, "workers.groups=[]", "budget.evaluations=200")
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert changed(of_kinds, "workers.groups=[]", "workers.count=3")["workers"] == (Group(3, 3),)


def test_the_shape_of_the_only_group_can_change(tmp_path: Path) -> None:
    run = headed(tmp_path / "one", workers=Group(2, 2, Resources(cpus=1)))
    found = changed(run, "workers.cpus=2", "workers.custom={slot: 1}")
    assert found["shape"] == Resources(cpus=2, custom={"slot": 1.0})
    assert found["workers"] == (Group(2, 2),)  # without a shape of its own, which would go before


# The end --------------------------------------------------------------------------------------------------------------


def test_an_interrupted_report_ends_with_the_runs_own_code(
    evo: Evo, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)

    monkeypatch.setattr(report, "print_report", interrupted)
    monkeypatch.setattr(report, "as_json", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background process has none
    try:
        assert evo("resume", finished).code == 0
        said = evo("resume", finished, "--json")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (said.code, said.out) == (130, "")  # no half a document with a code of 0
    assert "continue with: evo resume first" in said.err
