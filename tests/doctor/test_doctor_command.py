"""`evo doctor` as a process, and with real Ray clusters."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

EVO = [sys.executable, "-c", "from evo.cli import main; main()", "doctor"]
LEVELS = {"ok", "warn", "no"}


def doctor(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.run(
        [*EVO, *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_the_doctor_says_a_line_for_each_thing(tmp_path: Path) -> None:
    said = doctor(tmp_path)
    lines = said.stdout.splitlines()
    assert {line.split()[0] for line in lines} <= LEVELS
    assert all("; remedy: " in line for line in lines if not line.startswith("ok"))
    assert said.returncode == int(any(line.startswith("no") for line in lines))
    for what in (
        *("python", "packages", "shadowed packages", "file system", "locks and log", "/dev/shm", "memory monitor"),
        *("open files", "cores", "compiler cc", "gpus", "sandbox", "ray token"),
    ):
        assert any(line[6:].startswith(what) for line in lines), what
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_no_check_is_refused(tmp_path: Path) -> None:
    said = doctor(tmp_path, "pyton")
    assert said.returncode == 2
    assert "'pyton' is no check; did you mean 'python'?" in said.stderr


def test_a_no_is_exit_code_one_and_machines_read_json(tmp_path: Path) -> None:
    said = doctor(tmp_path, "--json", "--run-dir", "/proc/sys/runs", "run directory", "python")
    found = json.loads(said.stdout)
    assert said.returncode == 1
    assert all(set(one) == {"level", "what", "text", "remedy"} and one["level"] in LEVELS for one in found)
    (folder,) = [one for one in found if one["what"] == "run directory"]
    assert (folder["level"], folder["remedy"]) == ("no", "choose another: --run-dir")


@pytest.mark.slow
def test_a_ray_of_ones_own_starts_and_ends(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    (found,) = json.loads(doctor(tmp_path, "--json", "--start", "ray start").stdout)
    assert found["level"] == "ok", found
    assert "ran a task" in found["text"]


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_told_within_a_minute(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    began = time.monotonic()
    (cluster,) = json.loads(doctor(tmp_path, "--json", "--address", "127.0.0.1:22999", "cluster").stdout)
    assert time.monotonic() - began < 90
    assert cluster["level"] == "no"
    assert "127.0.0.1:22999" in cluster["text"]


PORT = 22100


class Cluster:
    """A head and a worker node, as separate processes with a token."""

    def __init__(self, token: str) -> None:
        self.address = f"127.0.0.1:{PORT}"
        self.token = token
        self._folder = tempfile.mkdtemp(prefix="evo-", dir="/tmp")
        self._nodes: list[subprocess.Popen[bytes]] = []

    def add(self, *arguments: str, first_port: int) -> None:
        ports = [f"--min-worker-port={first_port}", f"--max-worker-port={first_port + 99}", "--num-cpus=1"]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token, "RAY_USAGE_STATS_ENABLED": "0"}
        self._nodes.append(
            subprocess.Popen(
                [*command, *ports, "--object-store-memory=80000000", *arguments],
                env={**os.environ, **variables},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        )

    def begin(self) -> None:
        self.add(
            "--head", f"--port={PORT}", "--include-dashboard=false", f"--temp-dir={self._folder}",
            "--node-ip-address=127.0.0.1", first_port=PORT + 100,
        )  # fmt: skip
        self.add(f"--address={self.address}", "--node-ip-address=127.0.0.1", first_port=PORT + 200)

    def end(self) -> None:
        for node in reversed(self._nodes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(node.pid, signal.SIGTERM)
        for node in reversed(self._nodes):
            with contextlib.suppress(subprocess.TimeoutExpired):
                node.wait(3)
            for process in [*_below(node.pid), node.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            node.wait(20)
        shutil.rmtree(self._folder, ignore_errors=True)


def _below(pid: int) -> list[int]:
    """All processes that a process has started, and those that these have."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    pytest.importorskip("ray")
    found = Cluster(secrets.token_hex(16))
    try:
        found.begin()
        yield found
    finally:
        found.end()


def findings(folder: Path, cluster: Cluster, **variables: str) -> list[dict[str, Any]]:
    """Of the cluster, and of the token that is to be shown to it."""
    said = doctor(folder, "--json", "--address", cluster.address, "ray token", "cluster", **variables)
    assert cluster.token not in said.stdout + said.stderr
    token, *found = json.loads(said.stdout)
    assert token["what"] == "ray token"
    return list(found)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_node_of_a_cluster_is_looked_at(cluster: Cluster, tmp_path: Path) -> None:
    until = time.monotonic() + 240
    found: list[dict[str, Any]] = []
    while time.monotonic() < until and len(found) < 3:  # until both nodes have joined
        found = findings(tmp_path, cluster, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=cluster.token)
    assert found[0]["text"].startswith(f"2 nodes at {cluster.address}: 2 cpus")
    nodes = found[1:]
    assert len({one["what"] for one in nodes}) == 2
    assert [one["level"] for one in nodes] == ["ok", "ok"], nodes
    assert all("token found" in one["text"] for one in nodes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_that_asks_for_another_token_is_told(cluster: Cluster, tmp_path: Path) -> None:
    (wrong,) = findings(tmp_path, cluster, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(16))
    assert wrong["level"] == "no"
    assert "does not accept the token of RAY_AUTH_TOKEN" in wrong["text"]
    (missing,) = findings(tmp_path, cluster, RAY_AUTH_MODE="disabled")
    assert missing["level"] == "no"
    assert "asks for a token" in missing["text"]
