"""The Ray that workers run on: joined where there is one, else started, and only ended if it was started here."""

from __future__ import annotations

import json
import logging
import math
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
import ray._private.worker
from ray._private import ray_constants
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from evo.cluster.layout import PACKAGES, root
from evo.errors import ClusterLost, WorkerError
from evo.evaluator import Resources
from evo.redact import redact
from workers.ray_reach import reach

__all__ = ["Session"]

_OBJECT_STORE = 200_000_000
"""bytes; ample for messages, where Ray's own default takes a third of the machine."""

_SOCKET_PATH = 107 - 65
"""Unix sockets have paths of 107 characters at most; Ray puts 65 below its folder."""


_DESKTOP = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""What Ray looks at to decide between the loopback and the network's address; processes that it starts read it too."""


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
    alone: bool = field(default=False, init=False)
    """Whether this Ray was started here, for these workers and with room for all of them."""
    _ours: bool = field(default=False, init=False)
    _handler: logging.Handler | None = field(default=None, init=False)
    _printed: Any = field(default=None, init=False)

    def open(self, shapes: Sequence[Resources], count: int, kit_bytes: int) -> None:
        """Connect.

        Raises:
            WorkerError: Ray could not be started here, or a cluster does not let us in.
            ClusterLost: there is no cluster at the address now.
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
                self.alone = True
            else:
                with tempfile.TemporaryDirectory(prefix="evo-") as empty:
                    ray.init(address=reach(address or ""), runtime_env=_packages(empty), **_quiet())
        except (ConnectionError, OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            self.close()
            if self.local:
                raise WorkerError(f"Ray could not be started on this machine: {error}") from error
            raise ClusterLost(f"the cluster at {address} could not be joined: {error}") from error
        except WorkerError:
            self.close()
            raise
        self._ours = True

    def _start(self, shapes: Sequence[Resources], count: int, kit_bytes: int) -> None:
        _own_token()
        # Four workers on two cores are the user's right, and nobody else uses this Ray: it counts what it is asked.
        asked = max(sum(shape.cpus for shape in shapes), count * max((shape.cpus for shape in shapes), default=1.0))
        with _loopback():
            ray.init(
                address="local",
                num_cpus=max(os.cpu_count() or 1, math.ceil(asked)),
                resources=dict(self.resources),
                include_dashboard=False,
                object_store_memory=max(_OBJECT_STORE, 3 * kit_bytes),
                _temp_dir=_short_folder(),
                **_quiet(),
            )

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
        self._handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(self._handler)
        # Ray offers no door for these lines; where a later Ray has moved the function, they are printed as before.
        self._printed = getattr(ray._private.worker, "print_to_stdstream", None)
        if self._printed is not None:
            ray._private.worker.print_to_stdstream = _logged


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


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


@contextmanager
def _loopback() -> Iterator[None]:
    """A Ray that is started here listens on the loopback address alone, as Ray does by itself on a desktop.

    Given that address as its node's, Ray on Linux replaces it by the network's, and listens on all of them.
    """
    before, switched = os.environ.get(_DESKTOP), ray_constants.ENABLE_RAY_CLUSTER
    os.environ[_DESKTOP], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = switched
        os.environ.pop(_DESKTOP)
        if before is not None:
            os.environ[_DESKTOP] = before


def _own_token() -> None:
    """A token for a Ray that is started here, where the user has none: else Ray writes one into the home directory."""
    if "RAY_AUTH_MODE" not in os.environ and not AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
        Config.initialize("")  # it has read the environment before
        AuthenticationTokenLoader.instance().reset_cache()


def _short_folder() -> str | None:
    """A folder for Ray where its own choice would make socket paths too long; None for its own choice."""
    base = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    if len(f"{base}/ray") <= _SOCKET_PATH:
        return None
    return f"/tmp/evo-ray-{os.getuid()}"
