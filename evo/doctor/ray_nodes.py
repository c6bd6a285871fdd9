"""In a process of its own: join a cluster and have a task look around on each of its nodes."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any

import ray
import ray.cloudpickle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import evo
from evo.doctor import ray_nodes
from evo.doctor.finding import Finding, no, ok
from evo.doctor.node import of_node
from evo.doctor.ray_child import said

__all__ = ["look_around", "start", "visit"]

_PATIENCE = 25.0
"""Seconds for a node's answer; starting a worker process takes some."""


def visit(address: str, nonce_file: str, nonce: str) -> None:
    """Say what each node of a cluster is like.

    Args:
        address: of the cluster.
        nonce_file: a file in the run directory, which a node that shares the file system sees.
        nonce: what is in it.
    """
    from evo.errors import EvoError
    from workers.ray_reach import reach

    try:
        found = reach(address)
        ray.init(address=found, log_to_driver=False, logging_level=logging.ERROR)
    except (EvoError, ConnectionError, OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        said(no("cluster", str(error).splitlines()[0], "start it, or give another --address"))
        return
    try:
        nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        total = ray.cluster_resources()  # type: ignore[no-untyped-call]
        size = f"{total.get('CPU', 0):g} cpus, {total.get('GPU', 0):g} gpus"
        said(ok("cluster", f"{len(nodes)} node{'s' * (len(nodes) > 1)} at {found}: {size}"))
        ray.cloudpickle.register_pickle_by_value(ray_nodes)  # type: ignore[no-untyped-call]
        task = ray.remote(look_around)
        asked = [_on(node, task, nonce_file) for node in nodes]
        ray.wait(asked, num_returns=len(asked), timeout=_PATIENCE)
        for node, answer in zip(nodes, asked, strict=True):
            name = f"{node['NodeManagerHostname']}/{node['NodeID'][:6]}"
            for finding in _answered(name, node, answer, task, nonce_file, nonce):
                said(finding)
    finally:
        ray.shutdown()


def start() -> None:
    """Say whether a Ray of one's own starts on this machine."""
    began = time.monotonic()
    ray.cloudpickle.register_pickle_by_value(ray_nodes)  # type: ignore[no-untyped-call]
    folder = tempfile.mkdtemp(prefix="evo-", dir="/tmp")  # below it lie sockets, whose paths must be short
    try:
        ray.init(
            address="local",
            num_cpus=1,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=100_000_000,
            _temp_dir=folder,
            _node_ip_address="127.0.0.1",
        )
        answer = ray.get(ray.remote(_process).remote(), timeout=60)
        text = f"started, ran a task (process {answer}) in {time.monotonic() - began:.1f} s"
        said(ok("ray start", text))
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        remedy = "look at /dev/shm, memory and open files above, and at the ports that other programs hold"
        said(no("ray start", f"{type(error).__name__}: {str(error).splitlines()[0]}", remedy))
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _process() -> int:
    return os.getpid()


def look_around(nonce_file: str) -> dict[str, Any]:
    """On a node: what is here. It travels by value, so it runs where evo is not installed."""
    import glob
    import importlib.metadata
    import importlib.util
    import os
    import platform
    import socket
    import sys
    import time

    def version(name: str) -> str | None:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    try:
        with open(nonce_file) as file:
            nonce = file.read(100)
    except OSError:
        nonce = ""
    shm = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
    path = os.environ.get("RAY_AUTH_TOKEN_PATH") or os.path.expanduser("~/.ray/auth_token")
    return {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "ray": version("ray"),
        "evo": version("evo") if importlib.util.find_spec("evo") else None,
        "missing": [name for name in ("numpy", "cloudpickle") if importlib.util.find_spec(name) is None],
        "time": time.time(),
        "nonce": nonce,
        "mode": os.environ.get("RAY_AUTH_MODE", ""),
        "token": bool(os.environ.get("RAY_AUTH_TOKEN")) or os.path.exists(path),
        "shm": (shm.f_blocks * shm.f_frsize, shm.f_bavail * shm.f_frsize) if shm else None,
        "shm_writable": os.access("/dev/shm", os.W_OK),
        "devices": len(glob.glob("/dev/nvidia[0-9]*")),
    }


def _on(node: Mapping[str, Any], task: Any, nonce_file: str) -> Any:
    where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    return task.options(num_cpus=0, max_retries=0, scheduling_strategy=where).remote(nonce_file)


def _answered(
    name: str, node: Mapping[str, Any], first: Any, task: Any, nonce_file: str, nonce: str
) -> Iterator[Finding]:
    """What is to be said of a node whose first answer is there, or is late."""
    what = f"node {name}"
    try:
        ray.get(first, timeout=0.1)
        began = time.time()  # again, now that a worker is there: the clocks are compared within milliseconds
        found = ray.get(_on(node, task, nonce_file), timeout=_PATIENCE)
        ended = time.time()
    except ray.exceptions.GetTimeoutError:
        yield no(what, f"no answer within {_PATIENCE:g} s", "look at its load, and whether its ports are open")
        return
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        yield no(what, f"cannot run a task: {lines[-1]}", "look into its logs (/tmp/ray/session_latest)")
        return
    off = found["time"] - (began + ended) / 2
    here = {"python": platform.python_version(), "ray": ray.__version__, "evo": evo.__version__}
    yield from of_node(name, found, here, nonce, off if abs(off) > ended - began else 0.0)
