"""What a worker is: the place where evaluation happens, seen from the master.

Three kinds serve the same contract: in-process, Ray actors, and simulated ones on a virtual clock. The master sends
messages and polls for events; it alone decides what a silence, a death or a repeated delivery means.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from evo.evaluator import Resources
from evo.operator import Operator
from evo.problem import Problem
from evo.records import BORN, Outcomes, Requests
from evo.sandbox import Sandbox, chosen

__all__ = ["Delivered", "Died", "Event", "Kit", "Message", "Ready", "Workers"]


@dataclass(frozen=True)
class Kit:
    """All that a worker needs to serve a run; shipped once."""

    problem: Problem
    operators: Mapping[str, Operator]
    seed: int
    artifacts: Path | None = None
    """The run's artifact location, which every node must see; None keeps artifacts in messages."""
    sandbox: bool | Sandbox | None = None
    """What the user says for all fidelities; None leaves it to each."""

    def sandboxes(self) -> dict[str, Sandbox]:
        """fidelity -> its limits, where work is done in a child process; `BORN` follows the problem's flag."""
        declared = {BORN: self.problem.sandbox}
        declared.update((name, one.sandbox) for name, one in self.problem.evaluator.fidelities.items())
        limits = {name: chosen(self.sandbox, said) for name, said in declared.items()}
        return {name: one for name, one in limits.items() if one is not None}


@dataclass(frozen=True)
class Message:
    """A batch on its way: homogeneous in fidelity, draw group, params and operator."""

    id: int
    requests: Requests
    chunk: int
    """Rows to evaluate and deliver together; the rows under evaluation when a worker dies are one chunk at most."""
    deadline: float
    """Seconds for one candidate; workers that can interrupt themselves do, the master kills the others."""
    artifacts: Mapping[str, bytes] = field(default_factory=dict)
    """hash -> content of the small artifacts that these requests need."""


@dataclass(frozen=True)
class Ready:
    """The worker has started and warmed up."""

    worker: int
    about: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """What it says of itself, as plain data: ``node``, ``host``, ``pid``, and in ``sandbox`` what its host really
    contains where work is done in child processes (`workers.sandbox.abilities`)."""


@dataclass(frozen=True)
class Delivered:
    """Some rows of a message are done."""

    worker: int
    message: int
    outcomes: Outcomes
    final: bool
    """True with the last rows of the message."""
    artifacts: Mapping[str, bytes] = field(default_factory=dict)
    """hash -> content of small artifacts made by these rows."""


@dataclass(frozen=True)
class Died:
    """The worker's process is gone."""

    worker: int
    reason: str
    infrastructure: bool = False
    """True when its node or Ray itself failed: no candidate can be suspected."""


Event = Ready | Delivered | Died


class Workers(ABC):
    """A set of workers behind one door. All methods are called by the master, none blocks longer than it says."""

    restartable: ClassVar[bool] = True
    """Whether a worker can be killed and replaced; the in-process one cannot."""

    count: int | None = None
    """How many workers to start, where these were made with a number of their own."""

    @abstractmethod
    def open(self, kit: Kit, shapes: Sequence[Resources]) -> None:
        """Take the kit and check that workers of these shapes can ever be had.

        Raises:
            WorkerError: a shape is infeasible (says what was asked and what there is), or the kit cannot be shipped
                (says which attribute is in the way).
        """

    @abstractmethod
    def start(self, shape: Resources) -> int:
        """Begin to start a worker and return its number at once; `Ready` or `Died` follows."""

    def room(self, shape: Resources) -> int | None:
        """How many more workers of this shape could start now, those that wait for a place taken off.

        None: no limit is known, so a worker that is started has its place at once.

        Raises:
            ClusterLost: the cluster does not answer.
        """
        return None

    def placed(self, worker: int) -> bool:
        """Whether a worker that was started has a place by now; one that waits for resources has none."""
        return True

    @abstractmethod
    def send(self, worker: int, message: Message) -> None:
        """Hand over a message; a worker serves its messages in order."""

    @abstractmethod
    def poll(self, timeout: float) -> list[Event]:
        """What has happened, waiting at most `timeout` seconds for the first event."""

    @abstractmethod
    def kill(self, worker: int) -> None:
        """End the worker's process; no event of that worker follows."""

    @abstractmethod
    def now(self) -> float:
        """Seconds on this backend's monotonic clock."""

    @abstractmethod
    def close(self) -> None:
        """End every worker."""
