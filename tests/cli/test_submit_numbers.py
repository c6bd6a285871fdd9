"""`evo submit`'s numbers: no job of a run directory has the number of an earlier one, however the cluster answers."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from evo.cluster.jobs import Job, Jobs, last
from evo.errors import ClusterLost, ClusterRefused

pytest.importorskip("ray")


class Answering:
    """What Ray's job client gives."""

    def __init__(self, *numbers: int) -> None:
        self.name = Jobs._name("/shared/run")
        self.known = [self._info(f"{self.name}-{number}") for number in numbers]
        self.error: Exception | None = None

    def _info(self, name: str) -> Any:
        return SimpleNamespace(submission_id=name, status=SimpleNamespace(value="RUNNING"), driver_exit_code=None)

    def list_jobs(self) -> list[Any]:
        return self.known

    def get_job_info(self, job: str) -> Any:
        return self._info(job)

    def submit_job(self, **_: Any) -> None:
        if self.error is not None:
            raise self.error


@pytest.fixture
def jobs() -> Jobs:
    found = Jobs.__new__(Jobs)
    found.address, found._client = "http://head:8265", Answering(10, 9, 3)
    return found


def test_the_last_job_is_the_one_with_the_largest_number(jobs: Jobs) -> None:
    job = last(jobs.of("/shared/run"))
    assert job is not None
    assert job.number == 10  # and the next is 11, though the cluster has forgotten seven of them


def test_a_job_that_somebody_else_has_just_begun_is_theirs_and_ours(jobs: Jobs) -> None:
    name = f"{jobs._client.name}-11"
    jobs._client.error = RuntimeError(
        f"Request failed with status code 500: Job with submission_id {name} already exists."
    )
    assert jobs.submit("/shared/run", "true", Path("folder"), 11) == Job(name, "RUNNING", None)


def test_whatever_else_the_head_refuses_is_told(jobs: Jobs) -> None:
    jobs._client.error = RuntimeError("Request failed with status code 500: no space")
    with pytest.raises(ClusterLost, match="no space"):
        jobs.submit("/shared/run", "true", Path("folder"), 11)


@pytest.fixture
def broken_off(monkeypatch: pytest.MonkeyPatch) -> type[Exception]:
    """What is raised when the head goes while its log is read."""
    try:
        aiohttp = import_module("aiohttp")
    except ModuleNotFoundError:
        aiohttp = ModuleType("aiohttp")
        common = type("ClientError", (Exception,), {})  # no OSError, as in aiohttp's client_exceptions.py
        vars(aiohttp).update(ClientError=common, ServerDisconnectedError=type("ServerDisconnectedError", (common,), {}))
        monkeypatch.setitem(sys.modules, "aiohttp", aiohttp)
    found: type[Exception] = aiohttp.ServerDisconnectedError
    return found


def test_a_log_that_breaks_off_is_a_cluster_that_does_not_answer(jobs: Jobs, broken_off: type[Exception]) -> None:
    assert not issubclass(broken_off, OSError)
    with pytest.raises(ClusterLost, match="does not answer"), jobs._talking():
        raise broken_off


def test_a_cluster_that_does_not_let_us_in_is_no_lost_one(jobs: Jobs) -> None:
    from ray.exceptions import AuthenticationError

    with pytest.raises(ClusterRefused, match="does not let us in"), jobs._talking():
        raise AuthenticationError("no token")
