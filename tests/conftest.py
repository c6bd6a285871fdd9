"""What all tests share: one Ray for the whole session, because starting one takes seconds."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator

import pytest


def pytest_configure() -> None:
    """Ctrl-C and a closing terminal mean what they usually do, also in a process in the background of a shell."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the tests, a file stays whole (for its fixtures) and one process has the Ray."""
    for item in items:
        needs_ray = item.get_closest_marker("ray") or "ray_session" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("ray" if needs_ray else str(item.path)))


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """Ray on this machine with four cores to give away; workers opened meanwhile use it and leave it running."""
    ray = pytest.importorskip("ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    folder = tempfile.mkdtemp(prefix="evo-", dir="/tmp")  # below it lie sockets, whose paths must be short
    ray.init(
        address="local",
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=100_000_000,
        _temp_dir=folder,
    )
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)
