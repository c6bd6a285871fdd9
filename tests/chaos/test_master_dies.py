"""The master is killed -9 at every kind of moment; whoever takes the run up again gets the run that would have been."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from engine.scripts import endless

import evo
from chaos.worlds import canonical_of, check_accounts

SCRIPTS = Path(__file__).parent / "scripts"


def dying(moment: str, at: int, folder: Path) -> subprocess.CompletedProcess[str]:
    """The script's run, or what comes after, up to that moment."""
    command = [sys.executable, str(SCRIPTS / "dying.py"), moment, str(at), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


@cache
def times(moment: str, folder: Path) -> int:
    """How often a moment comes in an undisturbed run."""
    done = dying(moment, 0, folder / moment)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    return folder, canonical_of(endless.go(folder / "run"))


def check_resumed(folder: Path, expected: bytes) -> None:
    run = endless.go(folder)
    assert run.state == "finished"
    check_accounts(run)
    assert canonical_of(run) == expected


def check_killed(moment: str, share: float, whole: tuple[Path, bytes], tmp_path: Path) -> None:
    folder, expected = whole
    at = max(1, round(share * times(moment, folder)))
    done = dying(moment, at, tmp_path / "run")
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    assert not (tmp_path / "exported").exists()
    check_resumed(tmp_path / "run", expected)


SHARES = [0.001, 0.02, 0.2, 0.35, 0.65, 0.9, 0.99]


@pytest.mark.slow
def test_killed_half_way_it_goes_on_as_if_nothing_had_been(whole, tmp_path):
    check_killed("statement", 0.5, whole, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("share", SHARES)
def test_killed_at_any_statement_it_goes_on_as_if_nothing_had_been(share, whole, tmp_path):
    check_killed("statement", share, whole, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 2, 3, 5, 8])
def test_killed_while_its_file_is_made_it_can_be_started_again(at, whole, tmp_path):
    assert dying("statement", at, tmp_path / "run").returncode == -signal.SIGKILL
    check_resumed(tmp_path / "run", whole[1])


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "share"), [("snapshot", 0.01), ("snapshot", 0.4), ("fold", 1.0)])
def test_killed_at_a_snapshot_or_at_the_end_it_goes_on_as_if_nothing_had_been(moment, share, whole, tmp_path):
    check_killed(moment, share, whole, tmp_path)


@pytest.mark.slow
def test_killed_while_it_exports_it_leaves_no_export_and_the_next_one_is_whole(whole, tmp_path):
    check_killed("export", 0.5, whole, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again_also_while_it_repeats_its_log(seed, whole, tmp_path):
    rng = random.Random(seed)
    most = times("statement", whole[0])
    deaths = 0
    for _ in range(12):  # most of these come while the log is being repeated, or soon after
        done = dying("statement", int(most ** rng.uniform(0.25, 0.75)), tmp_path / "run")
        deaths += done.returncode == -signal.SIGKILL
        if done.returncode == 0:
            break
    assert deaths >= 5
    (tmp_path / "exported").unlink(missing_ok=True)
    check_resumed(tmp_path / "run", whole[1])


@pytest.mark.slow
def test_of_two_masters_on_one_run_the_second_is_refused_and_the_first_is_not_disturbed(whole, tmp_path):
    command = [sys.executable, str(Path(endless.__file__)), str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        try:
            refused = 0
            while first.poll() is None:
                try:
                    evo.resume(tmp_path / "run")
                except evo.RunError as error:
                    refused += f"another master (process {first.pid})" in str(error)
                else:
                    break  # it has ended meanwhile
            assert first.wait(60) == 0
        finally:
            first.kill()
    assert refused > 0
    check_resumed(tmp_path / "run", whole[1])
