"""What a supervisor makes of a master's end: which children are its own, which figures are progress, who is away."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from running import ROOT, wait_until

import evo as library
from evo.cli import _code
from evo.engine.patience import Away
from evo.engine.processes import children, end_children
from evo.engine.rundir import Standing
from evo.engine.supervisor import Supervisor
from evo.errors import ClusterLost, ClusterRefused, ConfigError, WorkerError
from evo.store.reader import FILE_NAME
from problems.arm import Arm


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor(restarts=3, patience=600.0, hang=600.0)


# Children -------------------------------------------------------------------------------------------------------------


def test_children_that_were_there_before_are_left_alone() -> None:
    script = (
        "import subprocess, sys\n"
        "from evo.engine.processes import adopt, end_children\n"
        "begin = lambda: subprocess.Popen(['sleep', '60'])\n"
        "helper = begin()\n"
        "before = adopt()\n"
        "own = begin()\n"
        "end_children(before)\n"
        "print(helper.poll(), own.poll() is not None)\n"
        "helper.kill()\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=60
    )
    assert said.stdout.split() == [b"None", b"True"], said.stderr


def test_a_process_that_has_the_id_of_an_earlier_child_is_another() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        (found,) = [one for one in children() if one[0] == child.pid]
        earlier = (found[0], found[1] - 1)
        end_children(frozenset(one for one in children() if one != found) | {earlier})
        wait_until(lambda: not psutil.pid_exists(child.pid), 10)
    finally:
        child.kill()
        child.wait(10)


# Progress -------------------------------------------------------------------------------------------------------------


def test_a_run_file_that_cannot_be_read_is_no_step_back(tmp_path: Path) -> None:
    before = Standing("running", 7, 3)
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 100)
    assert Standing.of(tmp_path, before) == before
    assert Standing.of(tmp_path) == Standing()
    assert Standing.of(tmp_path / "elsewhere", before) == Standing()


def test_totals_that_are_damaged_are_no_step_back(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        connection.executescript(
            "CREATE TABLE moves (seq); CREATE TABLE results (id); CREATE TABLE totals (document); "
            "INSERT INTO totals VALUES ('{')"
        )
    before = Standing("running", 7, 3)
    assert Standing.of(tmp_path, before) == before


# The cluster ----------------------------------------------------------------------------------------------------------


def test_a_master_that_dies_while_the_cluster_listens_has_lost_no_cluster(
    supervisor: Supervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        supervisor._away = Away(address, patience=600.0, _since=time.monotonic() - 700)  # it was away, long ago
        supervisor._wait(address, "killed by SIGKILL", lost=False)
        assert supervisor._away is None
    assert capsys.readouterr().err == ""


def test_a_cluster_that_was_lost_keeps_its_clock_while_it_only_listens(supervisor: Supervisor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        supervisor._away = Away(address, patience=600.0, _since=time.monotonic() - 700)
        with pytest.raises(SystemExit) as caught:
            supervisor._wait(address, "cluster lost", lost=True)
    assert caught.value.code == 75


@pytest.mark.parametrize("kept", [True, False])
def test_a_run_that_its_master_took_back_has_not_begun(
    kept: bool, supervisor: Supervisor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    if kept:
        library.search(Arm(5), evaluations=50, run_dir=run, handle_signals=False)
    else:
        (run / "artifacts").mkdir(parents=True)
    supervisor._tether.announce(run=str(run), backend="ray", address="127.0.0.1:1")
    supervisor._tether.begin()
    supervisor._tether.close(75)
    assert supervisor._why(0, "") == "cluster lost"
    with pytest.raises(SystemExit):
        supervisor._end(75, "the Ray cluster did not come back")
    assert ("continue with: evo resume" in capsys.readouterr().err) == kept
    assert run.exists() == kept
    assert supervisor._begun == kept  # else a wrong token would be taken for a cluster that is away


def test_bad_input_is_told_from_a_lost_cluster_by_its_type() -> None:
    assert _code(ClusterLost("away"), again=True) == 75
    assert _code(WorkerError("no node has so much"), again=True) == 75
    assert _code(WorkerError("no node has so much"), again=False) == 2
    assert _code(ClusterRefused("a wrong token"), again=True) == 2
    assert _code(ConfigError("a wrong key"), again=True) == 2
