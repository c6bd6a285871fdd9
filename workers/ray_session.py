"""The Ray that workers run on: joined where there is one, else started, and only ended if it was started here."""

from __future__ import annotations

import json
import logging
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
import ray._private.worker

from evo.cluster.layout import PACKAGES, root
from evo.errors import WorkerError
from evo.evaluator import Resources

__all__ = ["Session"]

_OBJECT_STORE = 200_000_000
"""bytes; ample for messages, where Ray's own default takes a third of the machine."""

_SOCKET_PATH = 107 - 65
"""Unix sockets have paths of 107 characters at most; Ray puts 65 below its folder."""


@dataclass
class Session:
    """A connection to Ray.

    Args:
        address: of a running cluster; None starts Ray on this machine (or joins the cluster of ``RAY_ADDRESS``). Where
            Ray is already initialised in this process, that one is used and left alone.
        log: where what Ray has to say goes, instead of the terminal.
        resources: custom resources of this machine, where Ray is started here.
    """

    address: str | None = None
    log: Path | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    local: bool = field(default=True, init=False)
    """Whether the workers may be taken to see this machine's files."""
    _ours: bool = field(default=False, init=False)
    _handler: logging.Handler | None = field(default=None, init=False)
    _printed: Any = field(default=None, init=False)

    def open(self, shapes: Sequence[Resources], count: int, kit_bytes: int) -> None:
        """Connect.

        Raises:
            WorkerError: Ray could not be started or reached.
        """
        self._redirect()
        if ray.is_initialized():
            return
        address = self.address or os.environ.get("RAY_ADDRESS")
        self.local = address is None or address == "local"
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            if self.local:
                self._start(shapes, count, kit_bytes)
            else:
                with tempfile.TemporaryDirectory(prefix="evo-") as empty:
                    ray.init(address=address, runtime_env=_packages(empty), **_quiet())
        except (ConnectionError, OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            self.close()
            where = "on this machine" if self.local else f"at {address}"
            raise WorkerError(f"Ray could not be {'started' if self.local else 'reached'} {where}: {error}") from error
        self._ours = True

    def _start(self, shapes: Sequence[Resources], count: int, kit_bytes: int) -> None:
        # Four workers on two cores are the user's right, and nobody else uses this Ray: it counts what it is asked.
        asked = max((shape.cpus for shape in shapes), default=1.0) * max(count, len(shapes))
        ray.init(
            address="local",
            num_cpus=max(os.cpu_count() or 1, math.ceil(asked)),
            resources=dict(self.resources),
            include_dashboard=False,
            object_store_memory=max(_OBJECT_STORE, 3 * kit_bytes),
            _temp_dir=_short_folder(),
            **_quiet(),
        )

    def check(self, shapes: Sequence[Resources]) -> None:
        """Refuse a shape that no node can ever hold: Ray itself would wait for one without a word.

        Raises:
            WorkerError: says what was asked and what the largest node has.
        """
        nodes = [node["Resources"] for node in _nodes()]
        for place, shape in enumerate(shapes):
            if shape not in shapes[:place]:
                _check(demand(shape), nodes)

    def lost(self, node: str | None) -> bool:
        """Whether a node is gone, and its workers with it."""
        return node is not None and all(known["NodeID"] != node for known in _nodes())

    def close(self) -> None:
        """Disconnect, and end Ray where it was started here."""
        if self._ours:
            ray.shutdown()
            self._ours = False
        if self._handler is not None:
            logging.getLogger("ray").removeHandler(self._handler)
            self._handler.close()
            self._handler = None
        if self._printed is not None:
            ray._private.worker.print_to_stdstream = self._printed
            self._printed = None

    def _redirect(self) -> None:
        """Send what Ray logs, and what it prints on standard output at each worker's death, to the log."""
        if self.log is None:
            return
        logger = logging.getLogger("ray")
        logger.handlers.clear()
        self._handler = logging.FileHandler(self.log, delay=True)
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(self._handler)
        # Ray offers no door for these lines; where a later Ray has moved the function, they are printed as before.
        self._printed = getattr(ray._private.worker, "print_to_stdstream", None)
        if self._printed is not None:
            ray._private.worker.print_to_stdstream = _logged


def _check(asked: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> None:
    def fitting(node: Mapping[str, float]) -> tuple[int, float]:
        return sum(node.get(name, 0) >= amount for name, amount in asked.items()), node.get("CPU", 0)

    largest = max(nodes, key=fitting)
    if fitting(largest)[0] < len(asked):
        raise WorkerError(
            f"a worker was asked to have {_text(asked)}, but the largest node has "
            f"{_text({name: largest.get(name, 0) for name in asked})}: ask for less in the evaluator's resources, or "
            "give the address of a cluster that has it"
        )


def demand(shape: Resources) -> dict[str, float]:
    """The shape under Ray's names of resources."""
    asked = {"CPU": shape.cpus, "GPU": shape.gpus, "memory": float(shape.memory), **shape.custom}
    return {name: amount for name, amount in asked.items() if amount > 0}


def _nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _quiet() -> dict[str, Any]:
    return {"log_to_driver": False, "logging_level": logging.WARNING}


def _logged(data: Mapping[str, Any], ignore_prefix: bool) -> None:
    for line in data["lines"]:
        logging.getLogger("ray").warning("%s: %s", data.get("pid"), line)


def _packages(empty: str) -> dict[str, Any]:
    """What ships our four packages to the nodes of a cluster, and gives workers an empty folder to start in.

    A job's own settings (``ray job submit --working-dir``) stay: Ray refuses to have them set twice.
    """
    ours = {"py_modules": [str(root() / name) for name in PACKAGES], "working_dir": empty}
    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")).get("runtime_env", {})
    return {name: value for name, value in ours.items() if name not in job}


def _short_folder() -> str | None:
    """A folder for Ray where its own choice would make socket paths too long; None for its own choice."""
    base = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    if len(f"{base}/ray") <= _SOCKET_PATH:
        return None
    return f"/tmp/evo-ray-{os.getuid()}"


def _text(amounts: Mapping[str, float]) -> str:
    words = {"CPU": "cpus", "GPU": "gpus"}
    parts = []
    for name, amount in amounts.items():
        shown = f"{amount / 2**30:.1f} GiB" if name == "memory" else f"{amount:g}"
        parts.append(f"{words.get(name, name)}={shown}")
    return ", ".join(parts)
