"""The errors a user meets. Each message names the key, what was expected and the fix."""

from __future__ import annotations

__all__ = [
    "ClusterLost",
    "ClusterRefused",
    "ConfigError",
    "EvaluationError",
    "EvoError",
    "Rejected",
    "ReplayMismatch",
    "RunError",
    "SpaceError",
    "WorkerError",
]


class EvoError(Exception):
    """Base of every error that evo raises on purpose."""


class ConfigError(EvoError):
    """A run specification is wrong: names the file, the key path, what was expected and the nearest valid name."""


class SpaceError(EvoError, ValueError):
    """A genome or a batch does not belong to its space: names the argument, the expected and the received shape."""


class EvaluationError(EvoError):
    """An evaluator broke its contract (wrong shape, wrong type) or every evaluation of a run failed."""


class RunError(EvoError):
    """A run directory cannot be used: exists, is locked by another master, is newer than this evo, is full."""


class ReplayMismatch(RunError):  # noqa: N818 - it names what happened
    """Repeating the logged moves gave other requests than the log holds; names the first request id."""


class WorkerError(EvoError):
    """Workers cannot be had or kept: infeasible resources, a start that fails, a problem that cannot be shipped."""


class ClusterLost(WorkerError):  # noqa: N818 - it names what happened
    """The cluster is gone, or cannot be reached for now: what was logged is safe, and the run can be resumed."""


class ClusterRefused(WorkerError):  # noqa: N818 - it names what happened
    """The cluster is there, but not for us as we are (token, versions): trying again does not help."""


class Rejected(Exception):  # noqa: N818 - a verdict, no error
    """Raised by an `evaluate` that has done its work: this genome is not what is searched, for the reason given.

    Not a failure: the candidate is counted on its own and kept out of every archive.
    """
