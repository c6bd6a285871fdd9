"""What every algorithm promises to the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from evo.algorithm import Algorithm, Turn
from evo.engine.failures import Blank, failed
from evo.engine.ledger import join, results_of
from evo.problem import Problem
from evo.records import Change, Outcomes, Requests, Results, Status
from evo.store.codec import encode_requests
from evo.store.columns import pack, unpack
from evo.testing.plain import check_spec
from evo.worker import Kit, Message

__all__ = ["check_algorithm"]


def check_algorithm(
    make: Callable[[], Algorithm], problem: Problem, moves: int = 12, n: int = 20, seed: int = 0
) -> None:
    """Check that an algorithm keeps its promises over some moves with real evaluations; a tenth of them fail, another
    tenth are rejected.

    It gives at most what is asked for; it repeats itself from the seed on a fresh instance; taken up from its `state`
    (through the run file's form) it goes on as if nothing had happened; the changes it reports are what its archives
    hold; it takes failed and rejected rows, results it did not ask for, and nothing at all; it says why it would be
    exhausted; its operators are in plain form.

    Args:
        make: gives a fresh instance.
        problem: what to search.
        moves: how many asks, each followed by a tell.
        n: how many requests to ask for.
        seed: of the run.

    Raises:
        AssertionError: naming the promise that does not hold.
    """
    name = type(make()).__name__
    straight, interrupted = _Play(make(), problem, seed), _Play(make(), problem, seed)
    for move in range(moves):
        first, second = straight.ask(n), interrupted.ask(n)
        assert first == second, f"{name} asks for other work from the same seed at ask {move}"
        straight.tell()
        interrupted.tell()
        if move % 3 == 1:
            interrupted.take_up(make())
    straight.check_changes(name)
    straight.algorithm.tell([], straight.turn())
    assert straight.algorithm.exhausted, f"{name}.exhausted says nothing"
    check_spec(make())


class _Play:
    """An algorithm, moved by hand."""

    def __init__(self, algorithm: Algorithm, problem: Problem, seed: int) -> None:
        from workers.evaluation import Bench  # only who checks plug-ins needs a worker's bench here

        self.algorithm, self._problem, self._seed = algorithm, problem, seed
        self.algorithm.setup(problem)
        self._bench = Bench(Kit(problem, {**problem.operators, **algorithm.operators}, seed))
        self._seq = self._next = 0
        self._asked: list[Requests] = []
        self._held: dict[str, dict[int, int]] = {}
        self._blank = Blank(problem.space, len(problem.objectives), len(problem.measures))

    def turn(self) -> Turn:
        self._seq += 1
        return Turn(self._seed, self._seq - 1, self._next)

    def ask(self, n: int) -> list[bytes]:
        batches = list(self.algorithm.ask(n, self.turn()))
        name = type(self.algorithm).__name__
        count = sum(map(len, batches))
        assert count <= n, f"{name}.ask({n}) gave {count} requests"
        for batch in batches:
            batch.fidelity = batch.fidelity or self._problem.evaluator.reporting
            batch.ids = np.arange(self._next, self._next + len(batch), dtype=np.int64)
            self._next += len(batch)
            if batch.genomes is not None:
                self._problem.space.check(batch.genomes)
        self._asked = batches
        return [encode_requests(batch, self._problem.space) for batch in batches]

    def tell(self) -> None:
        results = [self._measured(batch) for batch in self._asked if len(batch)]
        for change in self.algorithm.tell(results, self.turn()):
            self._note(change)

    def _measured(self, requests: Requests) -> Results:
        outcomes, _ = self._bench.serve(Message(0, requests, len(requests), 3600.0), 0, len(requests))
        status = np.zeros(len(requests), np.uint8) if outcomes.status is None else outcomes.status.copy()
        status[requests.ids % 10 == 9] = Status.FAILED
        if requests.make is None:
            status[requests.ids % 10 == 8] = Status.REJECTED
            outcomes = Outcomes(requests.ids, outcomes.objectives, outcomes.measures, outcomes.metrics, status)
            return results_of(requests, outcomes)
        lost = np.flatnonzero(status == Status.FAILED)
        whole = outcomes.take(np.flatnonzero(status == Status.OK))
        return results_of(requests, join([whole, failed(requests.take(lost), Status.FAILED, "lost", self._blank)]))

    def _note(self, change: Change) -> None:
        held = self._held.setdefault(change.archive, {})
        for key, candidate in zip(change.keys.tolist(), change.candidate.tolist(), strict=True):
            if candidate < 0:
                held.pop(key, None)
            else:
                held[key] = candidate

    def take_up(self, fresh: Algorithm) -> None:
        """Go on with a fresh instance and this one's state, as after a crash."""
        state: Any = unpack(pack(self.algorithm.state()))
        fresh.setup(self._problem)
        fresh.restore(state)
        self.algorithm = fresh

    def check_changes(self, name: str) -> None:
        """The changes reported, folded, are the archives' contents."""
        for archive_name, archive in self.algorithm.archives.items():
            elites = archive.elites()
            kept = dict(zip(elites.keys.tolist(), elites.candidate.tolist(), strict=True))
            told = self._held.get(archive_name, {})
            assert told == kept, f"{name}: the changes it reports are not what its archive {archive_name!r} holds"
