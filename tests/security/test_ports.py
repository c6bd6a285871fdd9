"""Which ports a search opens: none of evo's own, and Ray's only with a token."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]

CONFIG = """
problem: {type: 'slow_world:Slow', joints: 5}
algorithm: {type: map_elites, shape: [5, 5], batch: 20}
budget: {evaluations: 100000}
"""

SLOW = """
import time
from problems.arm import Arm

class Slow(Arm):
    def evaluate_batch(self, genomes):
        time.sleep(0.01 * len(genomes))
        return super().evaluate_batch(genomes)
"""

RAYS = ("gcs_server", "raylet", "dashboard", "ray::", "runtime_env", "log_monitor", "autoscaler", "default_worker")


def listening(processes: list[psutil.Process]) -> list[tuple[psutil.Process, str, int]]:
    """(process, address, port) of every port on which they take connections."""
    found = []
    for process in processes:
        try:
            found += [
                (process, one.laddr.ip, one.laddr.port)
                for one in process.net_connections("inet")
                if one.status == psutil.CONN_LISTEN
            ]
        except psutil.NoSuchProcess:
            continue
    return found


def on_loopback(ip: str) -> bool:
    found = ipaddress.ip_address(ip)
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


class Going:
    """An evo run that goes on until the test has looked."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        (folder / "slow_world.py").write_text(SLOW)
        (folder / "run.yaml").write_text(CONFIG)
        self.folder = folder
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from evo.cli import main; main()",
                "run",
                "run.yaml",
                "--run-dir",
                "run",
                *arguments,
            ],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Going:
        from evo.engine.rundir import Standing

        end = time.monotonic() + 100
        while not Standing.of(self.folder / "run").results:
            assert self.process.poll() is None, "it ended by itself"
            assert time.monotonic() < end, "no result for 100 s"
            time.sleep(0.2)
        return self

    def processes(self) -> list[psutil.Process]:
        """It and all that it started."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def __exit__(self, *error: object) -> None:
        started = self.processes()
        self.process.terminate()
        try:
            self.process.wait(60)
        finally:
            for one in started:
                if one.is_running():
                    one.kill()


@pytest.mark.slow
def test_an_inline_search_opens_no_port(tmp_path: Path) -> None:
    with Going(tmp_path) as search:
        assert listening(search.processes()) == []


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_with_ray_evo_opens_no_port_and_those_of_ray_ask_for_a_token(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with Going(tmp_path, "--workers", "1") as search:
        ports = listening(search.processes())
        masters = {search.process.pid, *(child.pid for child in psutil.Process(search.process.pid).children())}
        open_to_all = {}
        address = ""
        for process, ip, port in ports:
            title = " ".join(process.cmdline())
            if process.pid in masters and not any(name in title for name in RAYS):
                title = "the driver's part of Ray"  # every driver serves its objects
            if not on_loopback(ip):
                open_to_all.setdefault(title.split()[0].rpartition("/")[2], []).append(f"{ip}:{port}")
            if "gcs_server" in title:
                address = f"127.0.0.1:{port}"
        assert ports, "nothing was looked at"
        assert open_to_all == {}
        assert address, "Ray's control server was not found"
        env = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64, "PYTHONPATH": str(ROOT)}
        code = f"from workers.ray_reach import reach; reach({address!r})"
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode != 0
        assert "token" in done.stderr.splitlines()[-1], done.stderr[-2000:]
