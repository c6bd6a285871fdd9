"""Bugs that somebody might well write, to be planted: what a simulation is worth shows in how soon it finds them."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from evo.engine import dispatch
from evo.engine.dispatch import Dispatcher
from evo.engine.failures import Failures, Verdict, failed
from evo.engine.ledger import Ledger
from evo.engine.master import Master
from evo.engine.order import Ask, Strict, Tell
from evo.engine.queue import Queue
from evo.engine.rules import Rules
from evo.engine.sharing import Sharing
from evo.engine.tally import Tally
from evo.records import Outcomes
from evo.store.writer import RunWriter

__all__ = ["BUGS"]

Bug = Callable[[pytest.MonkeyPatch], None]
BUGS: list[Bug] = []


def bug(plant: Bug) -> Bug:
    """Enter a bug in the list."""
    BUGS.append(plant)
    return plant


def rewrite(patch: pytest.MonkeyPatch, owner: type | ModuleType, name: str, good: str, bad: str) -> None:
    """Change a few characters of a method or of a function that a module uses, as a slip of the hand would."""
    method = getattr(owner, name)
    source = textwrap.dedent(inspect.getsource(method))
    assert source.count(good) == 1, f"{owner.__name__}.{name} does not say {good!r} any more: plant the bug elsewhere"
    scope: dict[str, Any] = {}
    exec(source.replace(good, bad), sys.modules[method.__module__].__dict__, scope)
    patch.setattr(owner, name, scope[name])


@bug
def a_result_is_lost(patch: pytest.MonkeyPatch) -> None:
    accept = Ledger.accept

    def drop(self: Ledger, outcomes: Any) -> Any:
        news = accept(self, outcomes)
        return news[:-1] if news and int(outcomes.ids[0]) % 7 == 3 else news

    patch.setattr(Ledger, "accept", drop)


@bug
def an_evaluation_counts_twice(patch: pytest.MonkeyPatch) -> None:
    count = Tally._count

    def twice(self: Tally, part: Any) -> None:
        count(self, part)
        if len(part.requests) and int(part.requests.ids[0]) % 7 == 3:
            self.evaluations += part.requests.reserve

    patch.setattr(Tally, "_count", twice)


@bug
def repeats_are_paid_for(patch: pytest.MonkeyPatch) -> None:
    count = Tally._count

    def dear(self: Tally, part: Any) -> None:
        before = self.evaluations
        count(self, part)
        self.evaluations = round(before + part.requests.reserve * len(part.requests), 9)

    patch.setattr(Tally, "_count", dear)


@bug
def a_result_is_told_twice(patch: pytest.MonkeyPatch) -> None:
    accept = Ledger._accept_part

    def forgetful(self: Ledger, batch: Any, outcomes: Any) -> Any:
        batch.done[:] = False  # the guard against repeated deliveries is gone
        return accept(self, batch, outcomes)

    patch.setattr(Ledger, "_accept_part", forgetful)


@bug
def what_was_in_flight_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    again = Dispatcher._again
    patch.setattr(Dispatcher, "_again", lambda self, flight, rows, caution: again(self, flight, rows[1:], caution))


@bug
def innocents_are_struck(patch: pytest.MonkeyPatch) -> None:
    def hasty(self: Failures, requests: Any, caution: Any, status: Any, reason: str, *rest: Any) -> Verdict:
        return Verdict(quarantined=failed(requests, status, reason, self.blank))

    patch.setattr(Failures, "suspect", hasty)


@bug
def a_lost_node_is_the_candidates_fault(patch: pytest.MonkeyPatch) -> None:
    died = Dispatcher._died

    def blaming(self: Dispatcher, number: int, reason: str, status: Any, infrastructure: bool) -> Any:
        return died(self, number, reason, status, False)

    patch.setattr(Dispatcher, "_died", blaming)


@bug
def a_lease_is_never_released(patch: pytest.MonkeyPatch) -> None:
    end = Dispatcher._end

    def keeping(self: Dispatcher, number: int, flight: Any, outcome: str) -> None:
        held = set(self._leases)
        end(self, number, flight, outcome)
        self._leases.update(held)

    patch.setattr(Dispatcher, "_end", keeping)


@bug
def blocks_are_told_out_of_order(patch: pytest.MonkeyPatch) -> None:
    following = Strict.next

    def eager(self: Strict, ledger: Any, room: float, starved: bool, free: int) -> Any:
        move = following(self, ledger, room, starved, free)
        ready = [block for block in ledger.blocks if block.waiting == 0]
        return move if move is not None or not ready else Tell(list(ready[0].batches))

    patch.setattr(Strict, "next", eager)


@bug
def a_block_is_asked_one_too_early(patch: pytest.MonkeyPatch) -> None:
    following = Strict.next

    def early(self: Strict, ledger: Any, room: float, starved: bool, free: int) -> Any:
        if len(ledger.blocks) == self.lag and room >= 1 and not starved:
            return Ask(int(min(self.block, room)))
        return following(self, ledger, room, starved, free)

    patch.setattr(Strict, "next", early)


@bug
def rows_are_told_as_they_came(patch: pytest.MonkeyPatch) -> None:
    from evo.engine import master

    def hasty(move: Tell) -> Any:
        return np.concatenate([part.ids for batch in move.batches for part in batch.arrived])

    patch.setattr(master, "told_ids", hasty)


@bug
def a_snapshot_forgets_who_is_spoiled(patch: pytest.MonkeyPatch) -> None:
    state = Sharing.state
    patch.setattr(Sharing, "state", lambda self: {**state(self), "spoiled": []})


@bug
def a_snapshot_forgets_the_keys_seen(patch: pytest.MonkeyPatch) -> None:
    state = Sharing.state
    patch.setattr(Sharing, "state", lambda self: {**state(self), "keys": {"runs": [], "moved": np.empty((0, 2))}})


@bug
def a_snapshot_forgets_the_algorithms_queue(patch: pytest.MonkeyPatch) -> None:
    from evo.algorithms.genetic import Genetic

    state = Genetic.state
    patch.setattr(Genetic, "state", lambda self: {**state(self), "pending": []})


@bug
def a_snapshot_forgets_what_is_reserved(patch: pytest.MonkeyPatch) -> None:
    state = Master.state

    def forgetful(self: Master) -> Any:
        whole = state(self)
        return {**whole, "tally": {**whole["tally"], "reserved": 0.0}}

    patch.setattr(Master, "state", forgetful)


@bug
def what_was_told_before_a_snapshot_is_open_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ledger, "skip", lambda self, batch, rows: None)


@bug
def a_replay_skips_who_inherited_work(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Sharing, "heard", lambda self, part: None)


@bug
def a_replay_skips_the_last_arrival(patch: pytest.MonkeyPatch) -> None:
    from evo.store.reader import RunReader

    arrivals = RunReader.arrivals

    def short(self: Any, low: int = 0, high: int = 2**62) -> Any:
        found = list(arrivals(self, low, high))
        return iter(found[:-1] if low else found)

    patch.setattr(RunReader, "arrivals", short)


@bug
def a_quarantine_is_shared(patch: pytest.MonkeyPatch) -> None:
    heard = Sharing.heard

    def sharing(self: Sharing, part: Outcomes) -> None:
        heard(self, part)
        self._spoiled.clear()

    patch.setattr(Sharing, "heard", sharing)


@bug
def a_deadline_is_compared_with_greater(patch: pytest.MonkeyPatch) -> None:
    rewrite(patch, Dispatcher, "_overdue", "now >= worker.limit(", "now > worker.limit(")


@bug
def deadlines_are_not_watched(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Dispatcher, "_overdue", lambda self: [])


@bug
def a_reserve_is_not_returned(patch: pytest.MonkeyPatch) -> None:
    count = Tally._count

    def keeping(self: Tally, part: Any) -> None:
        before = self.reserved
        count(self, part)
        if part.status.any():
            self.reserved = before

    patch.setattr(Tally, "_count", keeping)


@bug
def a_removed_workers_messages_are_dropped(patch: pytest.MonkeyPatch) -> None:
    died = Dispatcher._died

    def careless(self: Dispatcher, number: int, reason: str, status: Any, infrastructure: bool) -> Any:
        with pytest.MonkeyPatch.context() as once:
            if infrastructure:
                once.setattr(self, "_again", lambda *_: None)
            return died(self, number, reason, status, infrastructure)

    patch.setattr(Dispatcher, "_died", careless)


@bug
def an_artifact_is_not_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RunWriter, "artifact", lambda self, digest, size, content: None)


@bug
def a_full_disk_is_ignored(patch: pytest.MonkeyPatch) -> None:
    from evo.errors import RunError

    transaction = RunWriter.transaction

    @contextmanager
    def deaf(self: RunWriter, patient: bool = False) -> Any:
        try:
            with transaction(self, patient):
                yield
        except RunError:
            self._lost = False

    patch.setattr(RunWriter, "transaction", deaf)


@bug
def a_full_disk_keeps_half_a_tick(patch: pytest.MonkeyPatch) -> None:
    def keep(self: RunWriter) -> None:
        self._lost, self._begun = True, None
        self._rows.clear()
        if self.connection.in_transaction:
            self.connection.execute("COMMIT")

    patch.setattr(RunWriter, "_roll_back", keep)


@bug
def a_torn_snapshot_is_trusted(patch: pytest.MonkeyPatch) -> None:
    from evo.store import reader

    patch.setattr(reader, "unseal", lambda sealed: sealed[:-16])


@bug
def suspects_share_a_worker(patch: pytest.MonkeyPatch) -> None:
    put_back = Queue.put_back

    def trusting(self: Queue, requests: Any, caution: Any) -> None:
        put_back(self, requests, type(caution)(0))

    patch.setattr(Queue, "put_back", trusting)


@bug
def the_budget_forgets_what_is_under_way(patch: pytest.MonkeyPatch) -> None:
    rewrite(patch, Rules, "room", "- tally.reserved", "")


@bug
def a_gain_is_forgotten_with_the_session(patch: pytest.MonkeyPatch) -> None:
    document = Tally.document

    def forgetful(self: Tally) -> Any:
        return {**document(self), "since_gain": 0.0}

    patch.setattr(Tally, "document", forgetful)


@bug
def an_elastic_worker_leaves_with_its_messages(patch: pytest.MonkeyPatch) -> None:
    rewrite(patch, dispatch, "census_of", "if not worker.flights:", "if True:")


@bug
def a_late_delivery_is_taken_from_a_worker_given_up(patch: pytest.MonkeyPatch) -> None:
    rewrite(patch, Ledger, "_accept_part", "if seen.any():", "if False:")


@bug
def who_worked_before_the_next_look_has_no_place(patch: pytest.MonkeyPatch) -> None:
    rewrite(patch, Dispatcher, "absorb", "worker.ready = worker.placed = True", "worker.ready = True")
    rewrite(patch, Dispatcher, "_overdue", "if not worker.ready and not worker.placed:", "if not worker.placed:")


@bug
def a_fresh_worker_of_any_kind_is_waited_for(patch: pytest.MonkeyPatch) -> None:
    rewrite(patch, Dispatcher, "_freshen", "if worker.shape.covers(needed)", "if True")


@bug
def a_suspect_takes_every_idle_worker(patch: pytest.MonkeyPatch) -> None:
    rewrite(patch, Dispatcher, "_freshen", "(worker.placed or number == self._substitute)", "worker.placed")
