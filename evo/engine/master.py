"""The one loop: ask, log, dispatch, collect, log, tell. Owns the clock, the budget and the truth.

The master takes its store and its workers by argument, so the same loop runs on Ray, in-process, and on the virtual
clock of the simulator. A tick is: hear the workers; in one transaction log what arrived and make every move that is
due; then, and only then, act on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.algorithm import Algorithm, Turn
from evo.engine.crew import Group
from evo.engine.dispatch import Dispatcher
from evo.engine.failures import Blank
from evo.engine.ledger import Batch, Ledger, join
from evo.engine.order import Arrival, Ask, Order, Tell, told_ids
from evo.engine.queue import Queue
from evo.engine.rules import Rules
from evo.engine.sharing import Sharing
from evo.engine.tally import Tally
from evo.errors import EvaluationError, SpaceError
from evo.evaluator import Fidelity, Resources
from evo.problem import Problem
from evo.records import BORN, Change, Outcomes, Requests, Results
from evo.redact import redactor
from evo.store.writer import RunWriter
from evo.worker import Workers

__all__ = ["Logbook", "Master"]

MOVES_A_TICK = 64
"""Where all that is asked for was measured before, a tick would have no end: the clock and the user wait for it."""


@dataclass
class Logbook:
    """Where a run is recorded: the writer, and how an earlier request's outcome is found again."""

    writer: RunWriter
    outcome: Callable[[int], Outcomes | None]
    """The logged outcome of one request."""
    artifact: Callable[[str], bytes | None]
    """The content of a small artifact."""


class Master:
    """Moves an algorithm and keeps its log. `tick` until `ended`."""

    def __init__(
        self,
        problem: Problem,
        algorithm: Algorithm,
        *,
        seed: int,
        order: Order,
        rules: Rules,
        logbook: Logbook | None,
        deduplicate: bool,
    ) -> None:
        self.problem = problem
        self.algorithm = algorithm
        self.seed = seed
        self.order: Order = order
        self.rules = rules
        self.ledger = Ledger()
        self.tally = Tally()
        self.seq = 0
        self.next_id = 0
        self.ended: tuple[str, str] | None = None
        """(state, reason) once the run is over."""
        self._news: list[tuple[Sequence[Change], Sequence[Results]]] = []
        self.draining = False
        """No further moves; what is under way is still collected and logged."""
        self.torn = False
        """A tick was broken off: the log is whole, but what is in memory is ahead of it."""
        self.on_changes: Callable[[Sequence[Change], Sequence[Results]], None] | None = None
        evaluator = problem.evaluator
        self.reporting = evaluator.reporting
        self.fidelities: dict[str, Fidelity] = {
            BORN: Fidelity(Resources(cpus=0.0), problem.deadline),  # on any worker: it must not make them larger
            **evaluator.fidelities,
        }
        self.blank = Blank(problem.space, len(problem.objectives), len(problem.measures))
        self.dispatcher: Dispatcher | None = None
        self._logbook = logbook
        self._sharing = Sharing(problem, self.ledger, logbook.outcome) if deduplicate and logbook else None
        self._starved = False
        self._next_point = 0.0
        self._wants_needs = type(problem).needs is not Problem.needs
        self._elapsed: Callable[[], float] = lambda: 0.0
        self._queue: Queue | None = None
        self._held: dict[str, bytes] = {}
        """Small artifacts, where there is no log to hold them."""
        self._due = False
        """The last tick ended with moves still to be made."""

    # The live loop ----------------------------------------------------------------------------------------------------

    def employ(
        self,
        workers: Workers,
        groups: Sequence[Group],
        *,
        message_seconds: float = 0.1,
        window: int = 2,
        elapsed: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Take workers, and queue what is in flight without an outcome (after a replay)."""
        self._queue = Queue(self.fidelities, message_seconds)
        logbook = self._logbook
        self.dispatcher = Dispatcher(
            workers,
            groups,
            self._queue,
            self.fidelities,
            self.blank,
            window=window,
            artifact=logbook.artifact if logbook else self._held.get,
        )
        self._workers = workers
        self._elapsed = elapsed
        with self._transaction():
            for block in list(self.ledger.blocks):
                for batch in list(block.batches):
                    undone = np.flatnonzero(~batch.done)
                    if len(undone):
                        self._place(batch, undone)

    def tick(self) -> None:
        """One round: hear, log, move, act."""
        assert self.dispatcher is not None
        events = self._workers.poll(0.0 if self._due else self.dispatcher.wait())
        self.torn = True
        with self._transaction():
            outcomes, artifacts = self.dispatcher.absorb(events)
            self._keep(artifacts)
            noted = [note for one in outcomes for note in one.notes.values()]
            if noted:  # before anyone is told: a resumed run must hear the same
                hide = redactor()
                for note in noted:
                    note.message = hide(note.message)
            for one in outcomes:
                self._arrived(one)
            self._log_attempts()
            if not self.draining:
                self._advance()
        self.torn = False
        if self.ended is None and not self.draining:
            self.dispatcher.pump()
        news, self._news = self._news, []
        for changes, results in news:  # told to others only when it is in the log
            assert self.on_changes is not None
            self.on_changes(changes, results)

    def _transaction(self) -> AbstractContextManager[None]:
        return self._logbook.writer.transaction(patient=True) if self._logbook else nullcontext()

    def _advance(self) -> None:
        if self.rules.seconds is not None and self._elapsed() >= self.rules.seconds:
            self._end(("stopped", f"time limit of {self.rules.seconds:g} s reached"))
        self._due = False
        for _ in range(MOVES_A_TICK):
            if self.ended is not None:
                return
            room = self.rules.room(self.tally)
            free = self.dispatcher.free() if self.dispatcher and isinstance(self.order, Arrival) else 0
            move = self.order.next(self.ledger, room, self._starved, free)
            if isinstance(move, Ask):
                self.ask(move.n, room, self._room() if isinstance(self.order, Arrival) else {})
            elif isinstance(move, Tell):
                self.tell(move)
                self._end(self.rules.verdict(self.tally, self.problem))
            else:
                if not self.ledger.blocks:
                    spent = "budget spent" if room < 1 else self.algorithm.exhausted
                    if room < 1 or self._starved:
                        self._end(self.rules.final(self.tally, spent))
                return
        self._due = True

    def _end(self, verdict: tuple[str, str] | None) -> None:
        if verdict is not None:
            self.ended = verdict
            if self._logbook:
                state, reason = verdict
                self._logbook.writer.event(self.seq, "end", {"state": state, "reason": reason})
                self._logbook.writer.curve(self.seq, self.tally.evaluations, self._elapsed(), self.stats())

    def _room(self) -> dict[str, int]:
        assert self._queue is not None
        return {
            name: max(0, fidelity.queue - self._queue.waiting(name))
            for name, fidelity in self.fidelities.items()
            if fidelity.queue
        }

    # Moves, the same live and repeated --------------------------------------------------------------------------------

    def ask(self, n: int, budget: float, room: Mapping[str, int], log: bool = True) -> Sequence[Requests]:
        """Make an ask: number what it gives, find equal work, log, queue."""
        turn = Turn(self.seed, self.seq, self.next_id, budget, room)
        batches = [batch for batch in self.algorithm.ask(n, turn) if len(batch)]
        count = sum(map(len, batches))
        if count > n or sum(batch.reserve * len(batch) for batch in batches) > budget + 1e-9:
            raise EvaluationError(
                f"{type(self.algorithm).__name__}.ask({n}) gave {count} requests with reserves of "
                f"{sum(batch.reserve * len(batch) for batch in batches):g}; at most {n} and {budget:g} are allowed"
            )
        for batch in batches:
            self._number(batch)
        self._starved = not batches
        self.tally.asks(batches)
        if log and self._logbook:
            self._logbook.writer.ask(self.seq, n, self.next_id - count, batches, room, budget)
        self.seq += 1
        if batches:
            sharing = self._sharing
            earlier = [sharing.earlier(batch) if sharing else None for batch in batches]
            block = self.ledger.add(self.seq - 1, batches, earlier)
            if self._queue is not None:
                for entry in block.batches:
                    self._place(entry)
        return batches

    def _number(self, batch: Requests) -> None:
        n = len(batch)
        space = self.problem.space
        if batch.genomes is not None and (batch.genomes.dtype != space.dtype or batch.genomes.shape[1:] != space.shape):
            raise SpaceError(
                f"{type(self.algorithm).__name__}.ask: genomes of {batch.genomes.dtype} {batch.genomes.shape[1:]}, "
                f"the space has {space.dtype} {space.shape}"
            )
        batch.fidelity = batch.fidelity or self.reporting
        if batch.fidelity not in self.fidelities:
            raise EvaluationError(f"no fidelity {batch.fidelity!r}; the evaluator has {list(self.fidelities)}")
        if self._wants_needs and not batch.needs:
            needs = self.problem.needs(batch.fidelity, self.tally.artifacts)
            if needs:
                batch.needs = [needs] * n
        batch.ids = np.arange(self.next_id, self.next_id + n, dtype=np.int64)
        self.next_id += n

    def tell(self, move: Tell, log: bool = True) -> Sequence[Change]:
        """Make a tell: log it, tell, log what it changed."""
        ids = told_ids(move) if log and self._logbook else None
        results = [self.ledger.take(batch) for batch in move.batches]
        for batch in move.batches:
            if not batch.waiting:
                self.ledger.settle(batch)
        changes = self.algorithm.tell(results, Turn(self.seed, self.seq, self.next_id))
        self.tally.tells(results, changes, self.problem, self.reporting)
        self._starved = False
        if log and self._logbook:
            assert ids is not None
            self._logbook.writer.tell(self.seq, ids)
            self._logbook.writer.changes(self.seq, changes)
            self._point()
        self.seq += 1
        if self.on_changes is not None and log:
            self._news.append((changes, results))
        return changes

    def _point(self) -> None:
        """A point of the curves whenever one per cent more was evaluated."""
        spent = self.tally.evaluations
        if spent >= self._next_point:
            self._next_point = spent + max(1.0, spent / 100)
            assert self._logbook is not None
            self._logbook.writer.curve(self.seq, spent, self._elapsed(), self.stats())

    def stats(self) -> dict[str, float]:
        """Figures of the main archive and the best objective so far."""
        archive = next(iter(self.algorithm.archives.values()), None)
        stats = dict(archive.stats()) if archive is not None else {}
        if self.tally.best is not None:
            stats["best"] = self.tally.best.objectives[0]
        return stats

    # Arrivals ---------------------------------------------------------------------------------------------------------

    def arrive(self, outcomes: Outcomes) -> list[Outcomes]:
        """Enter outcomes in the ledger; returns those that were news."""
        news = self.ledger.accept(outcomes)
        if self._sharing is not None:
            for part in news:
                self._sharing.heard(part)
        return news

    def _arrived(self, outcomes: Outcomes) -> None:
        """Enter and log outcomes, and what they answer."""
        waiting = [outcomes]
        while waiting:
            for part in self.arrive(waiting.pop()):
                if self._logbook:
                    self._logbook.writer.outcomes(self.seq, part)
                if self._sharing is not None:
                    answers, heirs = self._sharing.release(part)
                    waiting.extend(answers)
                    for heir in heirs:
                        assert self._queue is not None
                        self._queue.put(heir)

    def _place(self, batch: Batch, rows: NDArray[np.int64] | None = None) -> None:
        """Queue rows (default: all) for the workers, except those whose work an earlier request does."""
        assert self._queue is not None
        if self._sharing is None or batch.earlier is None:
            self._queue.put(batch.requests if rows is None else batch.requests.take(rows))
            return
        own, answers = self._sharing.split(batch, np.arange(len(batch.requests)) if rows is None else rows)
        if len(own):
            self._queue.put(batch.requests.take(own))
        if answers:
            self._arrived(join(answers))

    # The log ----------------------------------------------------------------------------------------------------------

    def _keep(self, artifacts: Mapping[str, bytes]) -> None:
        if self._logbook:
            for digest, content in artifacts.items():
                self._logbook.writer.artifact(digest, len(content), content)
        else:
            self._held.update(artifacts)

    def _log_attempts(self) -> None:
        assert self.dispatcher is not None
        attempts, self.dispatcher.attempts = self.dispatcher.attempts, []
        introduced, self.dispatcher.introduced = self.dispatcher.introduced, []
        if self._logbook:
            for attempt in attempts:
                self._logbook.writer.attempt(attempt)
            for about in introduced:
                self._logbook.writer.event(self.seq, "worker", about)

    def wake(self) -> None:
        """Ask again though the last ask gave nothing: there is another budget."""
        self._starved = False

    def state(self) -> dict[str, Any]:
        """All that moves have changed, for a snapshot; what is in flight is in the log."""
        return {
            "seq": self.seq,
            "next_id": self.next_id,
            "starved": self._starved,
            "tally": self.tally.document(),
            "algorithm": self.algorithm.state(),
            "sharing": self._sharing.state() if self._sharing else None,
            "open": [
                {
                    "seq": block.seq,
                    "batches": [
                        {"first": batch.first, "earlier": batch.earlier, "told": self._told(batch)}
                        for batch in block.batches
                    ],
                }
                for block in self.ledger.blocks
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a `state`, but for what is in flight, which `evo.engine.replay` enters from the log."""
        self.seq = state["seq"]
        self.next_id = state["next_id"]
        self._starved = state["starved"]
        self.tally = Tally.from_document(state["tally"])
        self.algorithm.restore(state["algorithm"])
        if self._sharing is not None:
            self._sharing.restore(state["sharing"])

    def _told(self, batch: Batch) -> NDArray[np.int64]:
        told = batch.done.copy()
        for part in batch.arrived:
            told[part.ids - batch.first] = False
        return batch.requests.ids[told]
