"""What must hold after every schedule, whatever happened in it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, cast

import numpy as np

from evo.engine.master import Master
from evo.engine.order import Strict
from evo.engine.replay import replay
from evo.records import Outcomes, Status
from evo.store.columns import pack, unpack
from evo.store.reader import Move, RunReader
from simulation.harness import Simulation

__all__ = ["check", "check_record"]

_WORKERS_FAULT = (Status.TIMEOUT, Status.CRASHED)
_ALL_FAILED = re.compile(r"all \d+ evaluations failed")
"""The end of a run that came to its end and has nothing to show for it."""
_OUTCOMES = {"ok", "lost", "crash", "timeout"}


class Log:
    """The whole log, decoded once; reads like a `RunReader`."""

    def __init__(self, reader: RunReader) -> None:
        self.all_moves = list(reader.moves())
        self.all_arrivals = list(reader.arrivals())
        self.all_requests = list(reader.requests())
        self.attempts = reader.connection.execute(
            "SELECT low, high, count, delivered, sent, ended, outcome, session FROM attempts ORDER BY id"
        ).fetchall()

    def moves(self, after: int = -1) -> Iterator[Move]:
        return iter(self.all_moves[after + 1 :])

    def arrivals(self, low: int = 0, high: int = 0) -> Iterator[tuple[int, Outcomes]]:
        return iter(self.all_arrivals)


def check(done: Simulation, replayed: bool = True) -> None:
    """All but `check_record`; `replayed`: the dearest, the replay of the whole log, too.

    Raises:
        AssertionError: with the seed.
    """
    try:
        log = Log(done.reader)
        told = [_told(move) for move in log.all_moves]
        _check_counts(done, log, told)
        _check_order(done, log, told)
        _check_results(done, log)
        _check_artifacts(done, log)
        _check_attempts(done, log)
        if replayed:
            _check_replay(done, log)
    except AssertionError as error:
        raise AssertionError(f"seed {done.schedule.seed}: {error}") from error


def check_record(done: Simulation) -> bool:
    """In strict order the record is that of the same run left in peace; False where the two cannot be compared."""
    schedule = done.schedule
    blamed = {request for request, status in _statuses(Log(done.reader)) if status in _WORKERS_FAULT}
    if done.unprepared or not schedule.settled or blamed - schedule.poison:
        return False  # an innocent that met two faults alone is part of the record
    assert done.canonical() == Simulation(schedule.calm).run().canonical(), f"seed {schedule.seed}: the record differs"
    return True


def _told(move: Move) -> list[int]:
    if move.kind == "ask":
        return []
    return list(range(move.first, move.first + move.count)) if move.ids is None else cast(list[int], move.ids.tolist())


def _statuses(log: Log) -> Iterator[tuple[int, int]]:
    for _, outcomes in log.all_arrivals:
        if outcomes.status is not None:
            yield from zip(outcomes.ids.tolist(), outcomes.status.tolist(), strict=True)


def _check_counts(done: Simulation, log: Log, told: list[list[int]]) -> None:
    """Every request has one result and is told once; the budget is what was told."""
    tally, ended = done.master.tally, done.master.ended
    assert ended is not None or done.unprepared, "the run did not end"
    asked = [request for batch in log.all_requests for request in batch.ids.tolist()]
    results = [request for _, outcomes in log.all_arrivals for request in outcomes.ids.tolist()]
    heard = [request for ids in told for request in ids]
    assert asked == list(range(len(asked))), "request ids have gaps"
    assert len(set(heard)) == len(heard), "a request was told twice"
    assert len(set(results)) == len(results), "a request has two results"
    assert set(heard) <= set(results) <= set(asked), "told without a result, or a result that nobody asked for"
    assert tally.asked == len(asked), f"{tally.asked} asked by the count, {len(asked)} by the log"
    assert tally.told == len(heard), f"{tally.told} told by the count, {len(heard)} by the log"
    spent, reserved = _spent(log, set(heard))
    assert abs(tally.evaluations - spent) < 1e-6, f"{tally.evaluations} evaluations counted, {spent} in the log"
    assert abs(tally.reserved - reserved) < 1e-6, f"{tally.reserved} reserved, {reserved} under way"
    budget = done.rules.evaluations
    assert budget is not None
    assert spent <= budget + 1e-6, f"{spent} evaluations of {budget}"
    if ended is not None and (ended[0] == "finished" or _ALL_FAILED.match(ended[1])):
        assert len(heard) == len(asked), f"{len(asked)} asked, {len(heard)} told: one was lost"
    if ended == ("finished", "budget spent"):
        assert budget - spent < 1, f"the budget of {budget} was not met: {spent}"


def _spent(log: Log, heard: set[int]) -> tuple[float, float]:
    """(what was told, what is under way), from the log alone."""
    shared = {
        request
        for _, outcomes in log.all_arrivals
        if outcomes.same_as is not None
        for request, same in zip(outcomes.ids.tolist(), outcomes.same_as.tolist(), strict=True)
        if same >= 0
    }
    spent = reserved = 0.0
    for batch in log.all_requests:
        ids = batch.ids.tolist()
        spent += batch.reserve * sum(request in heard and request not in shared for request in ids)
        reserved += batch.reserve * sum(request not in heard for request in ids)
    return spent, reserved


def _check_order(done: Simulation, log: Log, told: list[list[int]]) -> None:
    """Moves follow one another, nothing is told before it came, and strict order is strict."""
    came = {request: seq for seq, outcomes in log.all_arrivals for request in outcomes.ids.tolist()}
    order = done.schedule.order
    open_blocks: list[list[int]] = []
    for place, (move, ids) in enumerate(zip(log.all_moves, told, strict=True)):
        assert move.seq == place, f"move {place} is missing"
        assert all(came[request] <= move.seq for request in ids), f"move {move.seq} tells what had not arrived"
        if not isinstance(order, Strict):
            continue
        if move.kind == "ask":
            assert len(open_blocks) < order.lag, f"move {move.seq}: a block too early"
            assert move.n <= order.block, f"move {move.seq} asks for {move.n} in blocks of {order.block}"
            if move.count:
                open_blocks.append(list(range(move.first, move.first + move.count)))
        else:
            assert ids == open_blocks.pop(0), f"move {move.seq} does not tell the oldest block, in the order of its ids"


def _check_results(done: Simulation, log: Log) -> None:
    """Nobody is blamed for what others did, and nobody shares what came of no work."""
    statuses = dict(_statuses(log))
    poison, blows = done.schedule.poison, done.blows
    shared: dict[int, int] = {}
    for _, outcomes in log.all_arrivals:
        if outcomes.same_as is not None:
            pairs = zip(outcomes.ids.tolist(), outcomes.same_as.tolist(), strict=True)
            shared.update({request: same for request, same in pairs if same >= 0})
    for request, status in statuses.items():
        if status in _WORKERS_FAULT and request not in poison:
            assert blows[request] >= 2, f"request {request}, innocent, was put into quarantine"
    came = {request for _, outcomes in log.all_arrivals for request in outcomes.ids.tolist()}
    for request in poison & came - shared.keys():
        assert statuses.get(request) in _WORKERS_FAULT, f"request {request} kills its worker, and has a result"
    for request, same in shared.items():
        assert same < request, f"request {request} is said to be the same as the later {same}"
        assert same not in shared, f"request {request} is said to be the same as {same}, which did no work"
        status = statuses.get(same, 0)
        assert status not in _WORKERS_FAULT, f"request {request} shares the quarantine of {same}"
        assert statuses.get(request, 0) == status, f"request {request} has another status than {same}, its equal"


def _check_artifacts(done: Simulation, log: Log) -> None:
    """What requests need is there for whoever resumes the run."""
    needed = {digest for batch in log.all_requests for row in batch.needs for digest in row}
    held = {digest for (digest,) in done.connection.execute("SELECT hash FROM artifacts WHERE content IS NOT NULL")}
    assert needed <= held, f"artifacts {sorted(needed - held)} are needed, and not kept"


def _check_attempts(done: Simulation, log: Log) -> None:
    """The table of messages agrees with the log; what a master that died had under way is not in it."""
    asked = sum(map(len, log.all_requests))
    delivered: Counter[int] = Counter()
    for low, high, count, got, sent, ended, outcome, session in log.attempts:
        assert 0 <= min(low, high) <= max(low, high) < asked, f"an attempt at requests {low} to {high}"
        assert 0 <= got <= count, f"an attempt at {count} requests delivered {got}"
        assert outcome in _OUTCOMES, f"an attempt ended with {outcome}"
        assert outcome != "ok" or got == count, f"ok, with {got} of {count}"
        assert sent <= ended, "an attempt ended before it began"
        delivered[session] += got
    sessions = [row[-1] for row in log.attempts]
    assert all(before <= after for before, after in pairwise(sessions)), "sessions are out of order"
    if done.sessions == 0 and done.master.ended is not None and done.master.ended[0] == "finished":
        worked = sum(
            int(((_column(outcomes.same_as, -1, len(outcomes.ids)) < 0) & ~_quarantined(outcomes)).sum())
            for _, outcomes in log.all_arrivals
        )
        assert delivered[0] == worked, f"{delivered[0]} delivered, {worked} results"


def _quarantined(outcomes: Outcomes) -> Any:
    return np.isin(_column(outcomes.status, 0, len(outcomes.ids)), _WORKERS_FAULT)


def _column(column: Any, blank: int, n: int) -> Any:
    return np.full(n, blank) if column is None else column


def _check_replay(done: Simulation, log: Log) -> None:
    """The log alone, without any snapshot, gives the state and the derived tables."""
    schedule = done.schedule
    algorithm = schedule.make_algorithm()
    algorithm.setup(done.problem)
    again = Master(
        done.problem,
        algorithm,
        seed=schedule.seed,
        order=schedule.order,
        rules=done.rules,
        logbook=None,
        deduplicate=False,
    )
    replay(again, cast(RunReader, log), snapshot=False)
    assert again.seq == done.master.seq, f"{done.master.seq} moves made, {again.seq} logged"
    assert again.tally == done.master.tally, "a replay counts otherwise"
    assert _same(again.algorithm.state(), done.master.algorithm.state()), "a replay gives another state"
    for name, archive in algorithm.archives.items():
        kept, folded = archive.elites(), done.reader.archive(name)
        assert np.array_equal(folded.keys, kept.keys), f"derived elites differ from {name}"
        assert np.array_equal(folded.candidate, kept.candidate), f"derived elites differ from {name}"


def _same(one: Any, other: Any) -> bool:
    first, second = pack(one), pack(other)
    return first == second or _plain(first) == _plain(second)  # whole numbers come back from a snapshot in other widths


def _plain(state: bytes) -> str:
    return json.dumps(unpack(state), default=lambda array: array.tolist(), sort_keys=True)
