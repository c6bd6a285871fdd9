"""A master that is killed, at every kind of moment: the next one goes on, and the run is the same to the byte."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from running import Command, canonical, wait_until

import evo
from evo.engine.rundir import SUPERVISOR_LOG, Standing, held
from evo.store.reader import FILE_NAME

pytestmark = pytest.mark.slow

Start = Callable[..., Command]


def run(start: Start, *arguments: object, **environment: str) -> Command:
    return start("run", "small.yaml", "--run-dir", "run", "--json", *arguments, **environment)


def assert_whole(command: Command, folder: Path, expected: bytes, restarts: list[str] | None = None) -> None:
    code, out, err = command.ended()
    assert code == 0, err
    document = json.loads(out)
    assert (document["state"], document["evaluations"]) == ("finished", 500)
    if restarts is not None:
        assert document["restarts"] == restarts
    assert canonical(folder / "run", folder) == expected
    assert command.leftovers() == []


MOMENTS: dict[str, Callable[[Command], bool]] = {
    "as soon as it is there": lambda command: True,
    "with its directory": lambda command: command.run.exists(),
    "with a run file": lambda command: (command.run / FILE_NAME).exists(),
    "with its first results": lambda command: Standing.of(command.run).results > 0,
    "in the middle": lambda command: Standing.of(command.run).moves > 10,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_whenever_an_inline_master_is_killed_the_run_is_the_same(
    moment: str, start: Start, folder: Path, expected: bytes
) -> None:
    command = run(start, NAP="0.002")
    assert command.master
    wait_until(lambda: MOMENTS[moment](command), 60, moment)
    command.kill_master()
    assert_whole(command, folder, expected)
    assert not list(folder.glob("runs/*"))


def test_an_inline_master_killed_again_and_again_loses_and_doubles_nothing(
    start: Start, folder: Path, expected: bytes
) -> None:
    rng = random.Random(1)
    command = run(start, NAP="0.004")
    for _ in range(4):  # more than restarts without progress: there is progress in between
        before = Standing.of(command.run)
        wait_until(lambda before=before: Standing.of(command.run).results > before.results + 2)  # type: ignore[misc]
        time.sleep(rng.random() * 0.2)
        command.kill_master()
    assert_whole(command, folder, expected, ["killed by SIGKILL"] * 4)
    stored = evo.load(folder / "run")
    assert len(stored.reader.told()) == 500
    assert [event["kind"] for event in stored.events("restart")] == ["restart"] * 4


def test_a_master_killed_during_its_report_reports_again(start: Start, folder: Path) -> None:
    command = run(start, "problem={type: 'supervised_world:Telling', joints: 5}", REPORT="2")
    wait_until(lambda: Standing.of(command.run).state == "finished")
    time.sleep(0.5)
    command.kill_master()
    code, out, err = command.ended()
    assert code == 0, err
    document = json.loads(out)
    assert (document["state"], document["summary"], document["restarts"]) == (
        "finished",
        {"told": 1},
        ["killed by SIGKILL"],
    )


def test_an_evaluation_that_takes_its_master_with_it_each_time_ends_the_run(start: Start, folder: Path) -> None:
    command = run(start, "problem={type: 'supervised_world:Deadly', joints: 5}", "--restarts", "2")
    code, out, err = command.ended()
    assert (code, out) == (1, "")
    last = err.splitlines()[-1]
    assert "gave up after 2 restarts without progress (killed by SIGSEGV 3 times)" in last
    assert "log: run/supervisor.log" in last
    assert "--sandbox or --backend ray" in last
    assert "continue with: evo resume run" in last
    assert err.count("Fatal Python error") == 1
    assert (folder / "run" / SUPERVISOR_LOG).read_text().count("killed by SIGSEGV") == 3


def test_resume_has_a_supervisor_too(start: Start, folder: Path, expected: bytes) -> None:
    command = run(start, "budget.evaluations=300", NAP="0.002")
    assert command.ended()[0] == 0
    again = start("resume", "run", "budget.evaluations=500", "--json", NAP="0.01")
    moves = Standing.of(again.run).moves
    again.told(moves + 1)
    again.kill_master()
    code, out, err = again.ended()
    assert code == 0, err
    assert json.loads(out)["evaluations"] == 500
    assert json.loads(out)["restarts"] == ["killed by SIGKILL"]


def test_without_restarts_there_is_no_supervisor(start: Start, folder: Path) -> None:
    command = run(start, "--restarts", "0", NAP="0.01")
    command.told(3)
    assert command.below == []
    command.process.kill()
    assert command.ended()[0] == -signal.SIGKILL
    assert not held(folder / "run")


def test_between_two_masters_the_run_is_said_to_go_on(start: Start, folder: Path) -> None:
    from evo.cli.standing import ABANDONED, BETWEEN, standing

    command = run(start, "problem={type: 'supervised_world:Deadly', joints: 5}", "--restarts", "4")
    seen = set()

    def between() -> bool:
        seen.add(standing(command.run, Standing.of(command.run).state))
        return BETWEEN in seen

    wait_until(between)  # it pauses before the third master
    assert command.ended()[0] == 1
    assert standing(command.run, Standing.of(command.run).state) == ABANDONED


def test_two_masters_on_one_run_are_one_too_many(start: Start, folder: Path, expected: bytes) -> None:
    command = run(start, NAP="0.01").told(2)
    pid = int((folder / "run" / "lock").read_text())
    assert pid == command.master.pid
    for second in (start("resume", "run"), start("run", "small.yaml", "--run-dir", "run")):
        code, _, err = second.ended()
        assert code == 2
        assert err.count("\n") == 1
    assert f"another master (process {pid}) is at work" in start("resume", "run").ended()[2]
    assert_whole(command, folder, expected, [])
