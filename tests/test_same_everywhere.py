"""One run, to the byte: killed at any moment and taken up again, on any number of workers."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine.breaking import StopHere, raising
from engine.worlds import Masks, canonical

import evo
from evo.store.reader import FILE_NAME
from operators.discrete import Flip
from problems.arm import Arm

SCRIPT = Path(__file__).parent / "engine" / "scripts" / "endless.py"


def search(folder=None, evaluations=300, **options):
    return evo.search(
        Masks(), evo.MapElites((6, 6), batch=30), evaluations=evaluations, seed=11, run_dir=folder, **options
    )


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The canonical export of the whole run, in memory."""
    return canonical(search(), tmp_path_factory.mktemp("expected"))


# Killed ---------------------------------------------------------------------------------------------------------------


def killed(folder, seconds):
    """Start or go on with the script's run, and kill it that long after it began; whether it was still at it."""
    process = subprocess.Popen([sys.executable, SCRIPT, folder], stdout=subprocess.PIPE)
    process.stdout.readline()  # it has imported what it needs
    time.sleep(seconds)
    alive = process.poll() is None
    process.kill()
    process.wait()
    process.stdout.close()
    return alive


def check_kills(tmp_path, kills, seed):
    from engine.scripts import endless

    rng = random.Random(seed)
    folder = tmp_path / "run"
    for _ in range(kills):
        killed(folder, rng.uniform(0.0, 0.3))
    if (folder / FILE_NAME).exists():
        evo.load(folder)
    run = endless.go(folder)
    whole = endless.go(tmp_path / "whole")
    assert run.state == "finished"
    assert canonical(run, tmp_path) == canonical(whole, tmp_path)


def test_a_killed_run_goes_on_as_if_nothing_had_been(tmp_path):
    check_kills(tmp_path, 3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_run_killed_again_and_again_goes_on_as_if_nothing_had_been(seed, tmp_path):
    check_kills(tmp_path, 20, seed=100 + seed)


@pytest.mark.parametrize("moment", ["artifacts", "lock", "file", "schema"])
def test_a_run_killed_before_it_began_can_be_started_again(moment, tmp_path, expected):
    from evo.store.writer import open_file

    folder = tmp_path / "run"
    (folder / "artifacts").mkdir(parents=True)
    if moment != "artifacts":
        (folder / "lock").write_text("1")
    if moment == "file":
        (folder / FILE_NAME).touch()
    if moment == "schema":
        open_file(folder / FILE_NAME).close()
    assert canonical(search(folder), tmp_path) == expected


# On Ray ---------------------------------------------------------------------------------------------------------------


@pytest.mark.ray
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow), 4])
def test_ray_workers_give_the_run_that_this_process_gives(workers, tmp_path, expected, ray_session):
    run = search(tmp_path / "run", workers=workers, message_seconds=0.001)
    assert canonical(run, tmp_path) == expected


@pytest.mark.ray
def test_a_run_moves_between_this_process_and_ray(tmp_path, expected, ray_session):
    with pytest.raises(StopHere):
        search(tmp_path / "run", workers=2, on_elite=raising(StopHere, 20))
    assert canonical(evo.resume(tmp_path / "run", backend="inline"), tmp_path) == expected


@pytest.mark.ray
def test_the_arm_is_the_same_on_ray(tmp_path, ray_session):
    def go(**options):
        algorithm = evo.MapElites((20, 20), batch=200)
        return canonical(evo.search(Arm(8), algorithm, evaluations=4000, seed=5, **options), tmp_path)

    assert go(workers=2) == go()


@pytest.mark.ray
def test_arrival_order_on_ray_is_replayed_from_its_log(tmp_path, ray_session):
    algorithm = evo.MapElites((6, 6), batch=30, operator=Flip(0.2))
    run = evo.search(
        Masks(), algorithm, evaluations=300, seed=1, order="arrival", workers=2, run_dir=tmp_path / "run"
    )  # fmt: skip
    before = run.archive
    again = evo.resume(tmp_path / "run", backend="inline", snapshot=False)
    assert again.archive.candidate.tolist() == before.candidate.tolist()
