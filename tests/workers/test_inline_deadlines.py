"""Deadlines of work in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from serving import Bowl, asked, points, started, until

from evo.evaluator import Evaluations, Evaluator, Fidelity, Work
from evo.problem import Problem
from evo.records import Genomes, Status
from evo.worker import Delivered, Message
from workers.inline import Inline


class Napping(Evaluator):
    """Tells how many rows were measured together; sleeps over a quarter."""

    @property
    def fidelities(self) -> Mapping[str, Fidelity]:
        return {"full": Fidelity(group=4)}

    def evaluate_batch(self, genomes: Genomes, work: Work) -> Evaluations:
        if (genomes[:, 0] == 0.25).any():
            time.sleep(5)
        return Evaluations(np.full((len(genomes), 1), float(len(genomes))), genomes[:, :2])


class Sleepy(Bowl):
    evaluate_batch: Any = None

    @property
    def evaluator(self) -> Evaluator:
        return Napping()


def parts(problem: Problem, x: Genomes, deadline: float, chunk: int = 64) -> list[Delivered]:
    workers = Inline()
    workers.send(started(workers, problem), Message(1, asked(x), chunk, deadline))
    found: list[Delivered] = []
    while not found or not found[-1].final:
        found += [event for event in until(workers, 1) if isinstance(event, Delivered)]
    assert workers.poll(0.0) == []
    return found


def test_only_the_group_that_overruns_is_measured_row_by_row() -> None:
    x = points(14)
    x[5, 0] = 0.25
    found = parts(Sleepy(), x, 0.1, chunk=12)
    assert [id for part in found for id in part.outcomes.ids.tolist()] == list(range(100, 114))
    values = np.vstack([part.outcomes.objectives for part in found])[:, 0]
    np.testing.assert_array_equal(values, [4.0] * 4 + [1.0, np.nan, 1.0, 1.0] + [4.0] * 4 + [2.0] * 2)
    late = next(part.outcomes for part in found if part.outcomes.ids[0] == 105)
    assert late.status is not None
    assert late.status.tolist() == [Status.TIMEOUT]


def test_an_evaluation_that_swallows_its_interruption_is_interrupted_again() -> None:
    class Stubborn(Bowl):
        def evaluate_batch(self, x: Genomes) -> Evaluations:
            try:
                time.sleep(20)
            except BaseException:  # noqa: BLE001 - what the test is about
                time.sleep(20)
            return super().evaluate_batch(x)

    before = time.monotonic()
    (part,) = parts(Stubborn(), points(1), 0.1)
    assert time.monotonic() - before < 10
    assert part.outcomes.status is not None
    assert part.outcomes.status.tolist() == [Status.TIMEOUT]


def test_no_alarm_is_left_behind() -> None:
    x = points(1)
    parts(Sleepy(), x, 0.2)
    time.sleep(0.3)
    x[0, 0] = 0.25
    parts(Sleepy(), x, 0.1)
    time.sleep(1.2)


def test_in_another_thread_no_deadline_is_kept() -> None:
    class Slow(Bowl):
        def evaluate_batch(self, x: Genomes) -> Evaluations:
            time.sleep(0.2)
            return super().evaluate_batch(x)

    found: list[Delivered] = []
    thread = threading.Thread(target=lambda: found.extend(parts(Slow(), points(1), 0.05)))
    thread.start()
    thread.join(20)
    assert found[0].outcomes.status is None
