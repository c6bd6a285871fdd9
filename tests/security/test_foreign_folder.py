"""A run that names a folder for its problem: looking at it runs nothing that somebody else could have put there."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import evo
from evo.store.reader import FILE_NAME
from problems.arm import Arm

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A folder with a module that leaves a file when it is imported."""
    folder = tmp_path / "planted"
    folder.mkdir(mode=0o755)
    (folder / "planted_world.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w').close()\nfrom problems.arm import Arm\n\nclass World(Arm):\n    pass\n"
    )
    return folder


@pytest.fixture
def run(tmp_path: Path, planted: Path) -> Path:
    """A run whose problem is said to be there."""
    evo.search(Arm(5), evaluations=50, run_dir=tmp_path / "run", handle_signals=False)
    with closing(sqlite3.connect(tmp_path / "run" / FILE_NAME)) as connection, connection:
        header = json.loads(connection.execute("SELECT document FROM header").fetchone()[0])
        header["spec"]["problem"] = {"type": "planted_world:World", "params": {"joints": 5}}
        header["config"] = {"folder": str(planted)}
        connection.execute("UPDATE header SET document = ?", (json.dumps(header),))
    return tmp_path / "run"


def shown(run: Path) -> subprocess.CompletedProcess[str]:
    """``evo show`` in a process and a folder of its own."""
    (run.parent / "elsewhere").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "evo", "show", str(run)],
        cwd=run.parent / "elsewhere",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_folder_of_ones_own_is_searched(run: Path) -> None:
    said = shown(run)
    assert said.returncode == 0, said.stderr
    assert (run.parent / "ran").exists()


@pytest.mark.parametrize("why", ["everybody may write in", "belongs to another user"])
def test_a_folder_that_others_can_fill_is_not(why: str, run: Path, planted: Path) -> None:
    if why == "everybody may write in":
        planted.chmod(0o777)
    elif os.geteuid() == 0:
        os.chown(planted, 12345, -1)
    else:
        pytest.skip("only root can give a folder away")
    said = shown(run)
    assert said.returncode == 0, said.stderr
    assert not (run.parent / "ran").exists()
    found = evo.load(run)
    assert found.problem is None
    assert found.evaluations == 50
    with pytest.raises(evo.RunError, match="so it is not searched") as caught:
        found.show(None)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
