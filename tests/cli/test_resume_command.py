"""`evo resume`: what goes on, what may change, and what may not."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from calling import CONFIG, Evo

import evo as library
from evo.cli import main
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
