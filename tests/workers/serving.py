"""Problems, operators and a way to have them served, for the tests of every kind of worker."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evo.evaluator import Evaluation, Evaluations, Evaluator, Fidelity, FunctionEvaluator, Resources, Work
from evo.operator import Births, Operator
from evo.problem import Measure, Minimize, Problem
from evo.records import Genomes, Outcomes, Requests, Status
from evo.space import Space
from evo.spaces import Box
from evo.worker import Delivered, Event, Kit, Message, Ready, Workers
from workers.evaluation import Bench

PATIENCE = 60.0


class Bowl(Problem):
    """Vectorised; measured without trouble."""

    space = Box(-1.0, 1.0, size=3)
    objectives = (Minimize("value"),)
    measures = (Measure("x0", -1.0, 1.0), Measure("x1", -0.5, 0.5, outside="reject"))

    def evaluate_batch(self, x: Genomes) -> Evaluations:
        return Evaluations(np.sin(x).sum(axis=1, keepdims=True), x[:, :2], {"twice": x[:, 0] * 2})


class Moody(Bowl):
    """One genome at a time; the first number of a genome says what goes wrong."""

    def evaluate_batch(self, x: Genomes) -> Evaluations:
        return Evaluations(np.array([self._value(row) for row in x]), x[:, :2])

    def _value(self, x: np.ndarray) -> list[float]:
        if x[0] == 0.25:
            raise ZeroDivisionError("of all numbers a quarter")
        if x[0] == 0.5:
            return [float("nan")]
        if x[0] == 0.75:
            return [1.0, 2.0]
        return [float(x[0])]


class Careless(Bowl):
    """Writes into its genome."""

    def evaluate_batch(self, x: Genomes) -> Evaluations:
        x[0, 0] = 9.0
        return super().evaluate_batch(x)


class OneByOne(FunctionEvaluator):
    """Calls `evaluate`, whatever else the problem has."""

    def __init__(self, problem: Problem, takes_work: bool) -> None:
        self.problem, self._vectorised, self._takes_work = problem, False, takes_work


class Noisy(Bowl):
    """Measures its random stream."""

    stochastic = True

    def evaluate(self, x: np.ndarray, work: Work) -> Evaluation:
        return Evaluation([work.rng().random()], x[:2])

    evaluate_batch: Any = None

    @property
    def evaluator(self) -> Evaluator:
        return OneByOne(self, takes_work=True)


class Maker(Bowl):
    """Produces a small and a large artifact, and reads the one that it needs."""

    def evaluate_batch(self, x: Genomes, work: Work) -> Evaluations:
        found = super().evaluate_batch(x)
        for content in work.artifacts.values():
            data = content if isinstance(content, bytes) else content.read_bytes()
            return Evaluations(np.full((len(x), 1), float(len(data))), found.measures)
        made = {"small": b"s" * 10, "large": b"l" * (3 << 20)}
        return Evaluations(found.objectives, found.measures, artifacts={0: made})


class Deadly(Bowl):
    """A genome of one quarter ends the process as a broken extension would; half a second passes for one half."""

    def evaluate_batch(self, x: Genomes) -> Evaluations:
        if (x[:, 0] == 0.25).any():
            ctypes.string_at(0)
        if (x[:, 0] == 0.5).any():
            time.sleep(0.5)
        return super().evaluate_batch(x)


class Telling(Bowl):
    """Measures its own process."""

    def evaluate_batch(self, x: Genomes) -> Evaluations:
        return Evaluations(np.full((len(x), 1), float(os.getpid())), x[:, :2])


class Litter(Operator):
    """Makes as many children as it is asked for."""

    def make(self, parents: Genomes, args: Mapping[str, Any], space: Space, work: Work) -> Births:
        if args["children"] < 0:
            raise ValueError("negative litter")
        children = work.rng(purpose="make").uniform(-0.5, 0.5, (args["children"], *space.shape))
        return Births(children, counters={"tried": 4.0})


def points(n: int, seed: int = 0) -> Genomes:
    """n genomes, all measurable."""
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (n, 3))


def asked(genomes: Genomes | None, **more: Any) -> Requests:
    """Requests with ids from 100."""
    requests = Requests(genomes, **{"fidelity": "full", **more})
    requests.ids = np.arange(100, 100 + len(requests))
    return requests


def started(workers: Workers, problem: Problem, artifacts: Path | None = None, **operators: Operator) -> int:
    """A worker that is ready."""
    workers.open(Kit(problem, operators, 5, artifacts), [Resources()])
    return another(workers)


def another(workers: Workers) -> int:
    """One more worker, ready."""
    number = workers.start(Resources())
    assert until(workers, 1) == [Ready(number)]
    return number


def until(workers: Workers, count: int) -> list[Event]:
    """The next events, at least `count`."""
    events: list[Event] = []
    end = workers.now() + PATIENCE
    while len(events) < count:
        assert workers.now() < end, f"only {events} came"
        events += workers.poll(1.0)
    return events


def served(
    workers: Workers, worker: int, requests: Requests, chunk: int = 64, artifacts: Mapping[str, bytes] | None = None
) -> list[Delivered]:
    """Everything that comes back for one message."""
    workers.send(worker, Message(7, requests, chunk, PATIENCE, artifacts or {}))
    parts: list[Delivered] = []
    while not parts or not parts[-1].final:
        for event in until(workers, 1):
            assert isinstance(event, Delivered), event
            assert (event.worker, event.message) == (worker, 7)
            parts.append(event)
    return parts


# A bench without workers ----------------------------------------------------------------------------------------------


def bench(problem: Problem, **operators: Operator) -> Bench:
    return Bench(Kit(problem, operators, 5))


def told(at: Bench, requests: Requests, chunk: int = 64) -> list[Outcomes]:
    message = Message(1, requests, chunk, 60.0)
    return [at.serve(message, low, min(low + chunk, len(requests)))[0] for low in range(0, len(requests), chunk)]


def statuses(found: Outcomes) -> list[int]:
    return [Status.OK] * len(found.ids) if found.status is None else found.status.tolist()


class Saying(Bowl):
    """What an evaluation says besides its value is up to the test, by the genome's first number."""

    evaluate_batch: Any = None

    def __init__(self, **more: Any) -> None:
        self.more = more

    def evaluate(self, x: np.ndarray) -> Evaluation:
        return Evaluation([float(x.sum())], x[:2], **(self.more if x[0] == 0.25 else {}))

    @property
    def evaluator(self) -> Evaluator:
        return OneByOne(self, takes_work=False)


def said(**more: Any) -> Outcomes:
    """Three rows, the second of which says something more."""
    x = points(3)
    x[1, 0] = 0.25
    (found,) = told(bench(Saying(**more)), asked(x))
    return found


class Grouping(Evaluator):
    """Tells how many rows were measured together; a group with a number above 0.9 raises."""

    @property
    def fidelities(self) -> Mapping[str, Fidelity]:
        return {"full": Fidelity(group=4)}

    def evaluate_batch(self, genomes: Genomes, work: Work) -> Evaluations:
        if (genomes > 0.9).any():
            raise ValueError("above")
        return Evaluations(np.full((len(genomes), 1), float(len(genomes))), metrics={"draw": work.draws})


class Grouped(Problem):
    space = Box(-1.0, 1.0, size=3)
    objectives = (Minimize("value"),)

    @property
    def evaluator(self) -> Evaluator:
        return Grouping()
