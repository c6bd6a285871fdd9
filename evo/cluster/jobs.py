"""Searches as jobs of a Ray cluster: one job a run directory, attached to while it runs, begun again once it is over.

A job is named after its run directory, so the same command finds it again from anywhere; what it was begun with is in
the run itself, where `evo run --auto-resume` goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evo.errors import ClusterLost, ClusterRefused, WorkerError

__all__ = ["Job", "Jobs", "exit_code", "last"]

_OVER = ("SUCCEEDED", "FAILED", "STOPPED")
_END_SECONDS = 60.0
"""For the cluster to know how a job ended whose log has ended."""
_LOST = 75


@dataclass(frozen=True)
class Job:
    """One job, at one moment."""

    id: str
    status: str
    code: int | None
    """Its exit code, once it is known."""

    @property
    def number(self) -> int:
        """The how manieth of its run directory it is, from 1."""
        return int(self.id.rpartition("-")[2])

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.status in _OVER


class Jobs:
    """The jobs of the cluster whose dashboard is at an address.

    Args:
        address: ``http://host:8265``.

    Raises:
        WorkerError: `ray[default]` is not installed here.
        ClusterRefused: the cluster does not let us in.
        ClusterLost: there is no cluster at the address now.
    """

    def __init__(self, address: str) -> None:
        if not address.startswith(("http://", "https://")):
            raise WorkerError(f"--address {address}: expected the cluster's dashboard, such as http://HEAD:8265")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            from ray.job_submission import JobSubmissionClient
        except ModuleNotFoundError as error:
            raise WorkerError("evo submit needs Ray with its job client: pip install 'evo[cluster]'") from error
        for name in ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk", "_private.runtime_env.packaging"):
            logging.getLogger(f"ray.{name}").setLevel(logging.WARNING)
        self.address = address
        with self._talking():
            self._client: Any = JobSubmissionClient(address)

    def of(self, run_dir: str) -> list[Job]:
        """The jobs that worked on a run directory, oldest first."""
        prefix = self._name(run_dir)
        with self._talking():
            found = [one for one in self._client.list_jobs() if (one.submission_id or "").startswith(f"{prefix}-")]
        jobs = [Job(one.submission_id, str(one.status.value), one.driver_exit_code) for one in found]
        return sorted(jobs, key=lambda one: one.number)

    def submit(self, run_dir: str, entrypoint: str, folder: Path, number: int) -> Job:
        """Send a folder to the cluster and begin the job of a run directory for the `number`-th time.

        Where somebody else has begun that job in the meantime, it is theirs that is returned.
        """
        name = f"{self._name(run_dir)}-{number}"
        with self._talking():
            try:
                self._client.submit_job(
                    entrypoint=entrypoint,
                    submission_id=name,
                    entrypoint_num_cpus=0,
                    runtime_env={"working_dir": str(folder)},
                )
            except RuntimeError as error:  # Ray's client has one type for all that the head refuses
                if f"{name} already exists" not in str(error):
                    raise
        return self.now(name)

    def now(self, job: str) -> Job:
        """How a job stands."""
        with self._talking():
            found = self._client.get_job_info(job)
        return Job(job, str(found.status.value), found.driver_exit_code)

    def stop(self, job: str) -> None:
        """Interrupt a job; its run can be resumed."""
        with self._talking():
            self._client.stop_job(job)

    def follow(self, job: str, write: Callable[[str], None]) -> None:
        """Hand on the job's log until it ends."""

        async def listen() -> None:
            async for lines in self._client.tail_job_logs(job):
                write(lines)

        with self._talking():
            asyncio.run(listen())

    def ended(self, job: str) -> Job:
        """The job once it is over.

        Raises:
            ClusterLost: its log has ended, but it does not.
        """
        end = time.monotonic() + _END_SECONDS
        while not (found := self.now(job)).over:
            if time.monotonic() > end:
                raise ClusterLost(f"the log of {job} has ended, but the job has not: repeat the command to look again")
            time.sleep(0.5)
        return found

    @contextmanager
    def _talking(self) -> Iterator[None]:
        from ray.exceptions import AuthenticationError, RayError

        expected: tuple[type[Exception], ...] = (RayError, RuntimeError, OSError, *_web_errors())
        try:
            yield
        except expected as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            if isinstance(error, AuthenticationError):
                raise ClusterRefused(
                    f"the cluster at {self.address} does not let us in: set RAY_AUTH_MODE=token, and "
                    "RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the token that it was started with"
                ) from error
            raise ClusterLost(f"the cluster at {self.address} does not answer ({said})") from error

    @staticmethod
    def _name(run_dir: str) -> str:
        return f"evo-{hashlib.blake2b(run_dir.encode(), digest_size=6).hexdigest()}"


def _web_errors() -> tuple[type[Exception], ...]:
    """What the library behind Ray's job client raises that is no OSError, such as a log that breaks off."""
    try:
        from aiohttp import ClientError
    except ModuleNotFoundError:  # then the client cannot follow a job
        return ()
    return (ClientError,)


def exit_code(job: Job) -> int:
    """The exit code of the search; 75 where its cluster ended it, so that the command may be repeated."""
    if job.status == "SUCCEEDED":
        return 0
    return job.code if job.code is not None and job.code > 0 else _LOST


def last(jobs: Sequence[Job]) -> Job | None:
    """The job that was begun last."""
    return jobs[-1] if jobs else None
