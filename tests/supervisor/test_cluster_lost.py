"""Ray's head, its raylet, a whole cluster, a master that hangs: the run goes on by itself, the same to the byte."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from running import Command, canonical, wait_until

from evo.engine.rundir import Standing

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Start = Callable[..., Command]


def run(start: Start, *arguments: object, **environment: str) -> Command:
    return start("run", "small.yaml", "--run-dir", "run", "--json", *arguments, **environment)


def assert_whole(command: Command, folder: Path, expected: bytes, restarts: list[str]) -> str:
    code, out, err = command.ended(110)
    assert code == 0, err
    document = json.loads(out)
    assert (document["state"], document["evaluations"], document["restarts"]) == ("finished", 500, restarts)
    assert canonical(folder / "run", folder) == expected
    assert command.leftovers() == []
    return err


def kill(command: Command, name: str) -> None:
    for one in command.below:
        if one.name() == name:
            one.kill()
            return
    raise AssertionError(f"no {name} among {[one.name() for one in command.below]}")


def test_a_killed_master_leaves_no_ray_and_the_next_goes_on(start: Start, folder: Path, expected: bytes) -> None:
    command = run(start, "--workers", "2", NAP="0.02").told(3)
    command.kill_master()
    assert_whole(command, folder, expected, ["killed by SIGKILL"])


def test_a_master_killed_while_ray_starts(start: Start, folder: Path, expected: bytes) -> None:
    command = run(start, "--workers", "2")
    wait_until(lambda: "gcs_server" in {one.name() for one in command.below})
    command.kill_master()
    assert_whole(command, folder, expected, ["killed by SIGKILL"])


def test_a_local_ray_whose_head_is_killed_is_replaced(start: Start, folder: Path, expected: bytes) -> None:
    command = run(start, "--workers", "2", NAP="0.15", RAY_gcs_rpc_server_reconnect_timeout_s="5").told(3)
    kill(command, "gcs_server")
    assert_whole(command, folder, expected, ["head lost"])


def test_a_local_ray_whose_raylet_is_killed_is_replaced(start: Start, folder: Path, expected: bytes) -> None:
    command = run(start, "--workers", "2", NAP="0.15").told(3)
    kill(command, "raylet")
    assert_whole(command, folder, expected, ["head lost"])


def test_a_master_that_hangs_is_killed_and_resumed(start: Start, folder: Path, expected: bytes) -> None:
    command = run(start, "--workers", "2", "--hang", "3", NAP="0.02").told(3)
    assert command.below
    command.master.suspend()
    assert_whole(command, folder, expected, ["said nothing for 3 s"])


# A cluster of somebody else's -----------------------------------------------------------------------------------------


class Head:
    """``ray start --head`` as processes of its own, always at the same address."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
        self._folder = folder
        self._began: list[psutil.Process] = []
        self._log = (folder / "head.log").open("ab")

    def start(self) -> None:
        """Begin, and return when somebody listens."""
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={self.port}"),
                *("--include-dashboard=false", "--disable-usage-stats", "--num-cpus=2"),
                *("--object-store-memory=100000000", f"--temp-dir={self._folder}/ray", "--node-ip-address=127.0.0.1"),
            ],
            env={**os.environ, **self.variables},
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        self._began.append(psutil.Process(process.pid))
        wait_until(lambda: self._listens() or process.poll() is not None, 90, "a head")
        assert process.poll() is None, (self._folder / "head.log").read_text()

    def _listens(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """SIGKILL for every process of it."""
        for root in self._began:
            below = root.children(recursive=True) if root.is_running() else []
            for one in [root, *below]:
                if one.is_running():
                    one.kill()
        psutil.wait_procs(self._began, 10)
        self._began.clear()

    def close(self) -> None:
        """End it."""
        self.kill()
        self._log.close()


@pytest.fixture
def head(folder: Path) -> Iterator[Head]:
    """A cluster of one node."""
    found = Head(folder)
    try:
        found.start()
        yield found
    finally:
        found.close()


def test_a_cluster_that_goes_and_comes_back_is_waited_for(
    start: Start, folder: Path, expected: bytes, head: Head
) -> None:
    # long enough to be caught in the middle: what workers hold, they finish without a head
    variables = {"NAP": "0.2", "RAY_gcs_rpc_server_reconnect_timeout_s": "5", **head.variables}
    command = run(start, "--workers", "2", "--address", head.address, **variables).told(2)
    before = Standing.of(command.run)
    head.kill()
    lost = command.master
    wait_until(lambda: not lost.is_running() or lost.status() == psutil.STATUS_ZOMBIE, 60, "the master's end")
    time.sleep(3)
    head.start()
    err = assert_whole(command, folder, expected, ["head lost"])
    assert before.moves < Standing.of(command.run).moves
    assert f"the Ray cluster at {head.address} is away (head lost); trying again in 1 s" in err


def test_a_cluster_that_stays_away_ends_the_wait(start: Start, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = run(start, "--workers", "2", "--address", f"127.0.0.1:{port}", "--patience", "4")
    code, out, err = command.ended(110)
    assert (code, out) == (75, "")
    assert "did not come back within 4 s" in err.splitlines()[-1]
    assert not (folder / "run").exists()


def test_a_wait_for_a_cluster_can_be_interrupted(start: Start, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = run(start, "--workers", "2", "--address", f"127.0.0.1:{port}")
    wait_until(lambda: (folder / "run").exists())
    lost = command.master
    wait_until(lambda: not lost.is_running(), 90, "the master's end")
    command.process.send_signal(signal.SIGINT)
    assert command.ended(15)[0] == 130


def test_a_supervisor_that_is_killed_leaves_no_ray(start: Start, folder: Path, expected: bytes) -> None:
    command = run(start, "--workers", "2", NAP="0.02").told(3)
    assert "raylet" in {one.name() for one in command.below}
    command.process.kill()
    assert command.ended()[0] == -signal.SIGKILL
    assert command.leftovers(30) == []
    assert Standing.of(command.run).state == "interrupted"
    again = start("resume", "run", "--json", "--backend", "inline")
    assert again.ended()[0] == 0
    assert canonical(folder / "run", folder) == expected
