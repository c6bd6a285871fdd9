"""Clusters of separate `ray start` processes with a token, whose Python has Ray and numpy, but not evo."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

__all__ = ["ROOT", "SITE", "Cluster", "cluster", "evo", "free_port", "until"]

ROOT = Path(__file__).parents[2]
START_SECONDS = 180.0
SITE = sysconfig.get_paths()["purelib"]


def until(true, seconds, what):
    """Wait for something to become true, for so long at most."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.2)
    return found


@dataclass
class Node:
    """One `ray start --block`."""

    process: subprocess.Popen[bytes]
    log: Path

    def kill_raylet(self) -> None:
        """As when the machine breaks: nobody says goodbye."""
        for child in psutil.Process(self.process.pid).children():
            if child.name() == "raylet":
                child.send_signal(signal.SIGKILL)

    def end(self) -> None:
        """Kill it and everything that it started."""
        try:
            family = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        self.process.kill()
        self.process.wait(timeout=30)
        for one in family:
            try:
                one.kill()
            except psutil.NoSuchProcess:
                continue


@dataclass
class Cluster:
    """A head and what joined it."""

    folder: Path
    python: Path
    path: str = SITE
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    port: int = 0
    dashboard: int = 0
    """Its port; 0 for none."""
    nodes: list[Node] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def access(self) -> dict[str, str]:
        """What a process needs to be let in."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}

    def join(self, *options: str, before: Sequence[str] = ()) -> Node:
        """Start a node (the first is the head) and wait until it is up."""
        where = ["--address", self.address] if self.port else ["--head", "--port", str(self._head())]
        log = self.folder / f"node{len(self.nodes)}.log"
        command = [*before, str(self.python), "-m", "ray.scripts.scripts", "start", *where, "--block", *options]
        command += ["--object-store-memory", "80000000"]
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            **self.access,
            "PYTHONPATH": self.path,
            "PATH": f"{self.python.parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_raylet_start_wait_time_s": "150",
        }
        if len(self.nodes) == 0:
            dashboard = ["--dashboard-host", "127.0.0.1", "--dashboard-port", str(self.dashboard)]
            dashboard = ["--include-dashboard", "true", *dashboard] if self.dashboard else ["--include-dashboard=false"]
            command += ["--temp-dir", str(self.folder / "ray"), *dashboard]
        with log.open("wb") as said:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=said, stderr=said, start_new_session=True
            )
        node = Node(process, log)
        self.nodes.append(node)
        until(lambda: b"Ray runtime started" in log.read_bytes() or process.poll() is not None, START_SECONDS, "a node")
        assert process.poll() is None, log.read_text()
        return node

    def _head(self) -> int:
        self.port = free_port()
        return self.port

    def end(self) -> None:
        for node in reversed(self.nodes):
            node.end()


@contextmanager
def cluster(more: Path | None = None) -> Iterator[Cluster]:
    """A cluster without any node yet, whose Python also sees `more`; every process of it is gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="evo-", dir="/tmp"))  # below it lie sockets, whose paths must be short
    venv.create(folder / "bare", with_pip=False)
    made = Cluster(folder, folder / "bare" / "bin" / "python", f"{more}:{SITE}" if more else SITE)
    try:
        yield made
    finally:
        made.end()
        shutil.rmtree(folder, ignore_errors=True)


def evo(*arguments: object, access: Mapping[str, str], path: object = ROOT, cwd: Path) -> subprocess.Popen[str]:
    """The command `evo` with the packages that lie in `path`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"PYTHONPATH": f"{path}:{SITE}", "RAY_USAGE_STATS_ENABLED": "0", **access}
    return subprocess.Popen(
        [sys.executable, "-m", "evo", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
