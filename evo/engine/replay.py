"""Resume: repeat the logged moves, take results from the log, evaluate nothing, compare what was asked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evo.engine.master import Master
from evo.engine.order import Tell, told_ids
from evo.errors import ReplayMismatch
from evo.records import Outcomes
from evo.store.codec import encode_requests
from evo.store.columns import unpack
from evo.store.reader import Move, RunReader
from evo.store.writer import digest

__all__ = ["replay"]


def replay(master: Master, reader: RunReader, *, snapshot: bool = True) -> int:
    """Bring a fresh master to where the log ends; returns the number of moves repeated.

    A snapshot, where there is one, stands for the moves before it; without it the result is the same and takes longer.

    Raises:
        ReplayMismatch: an ask gave other requests than the log holds; names the first request id.
    """
    cached = reader.snapshot() if snapshot else None
    start = 0
    if cached is not None:
        start, blob = cached
        _restore(master, reader, unpack(blob))
    first = master.ledger.oldest.batches[0].first if master.ledger.blocks else master.next_id
    arrivals = _Arrivals(reader.arrivals(low=first))
    repeated = 0
    for move in reader.moves(after=start - 1):
        for outcomes in arrivals.before(move.seq):
            master.arrive(outcomes)
        if move.kind == "ask":
            _ask(master, move)
        else:
            _tell(master, move)
        repeated += 1
    for outcomes in arrivals.before(None):
        master.arrive(outcomes)
    master.ledger.late = 0
    return repeated


class _Arrivals:
    """Logged outcomes, handed out up to a move."""

    def __init__(self, rows: Iterator[tuple[int, Outcomes]]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def before(self, seq: int | None) -> Iterator[Outcomes]:
        """Those that were there before move `seq`; all for None."""
        while self._next is not None and (seq is None or self._next[0] <= seq):
            yield self._next[1]
            self._next = next(self._rows, None)


def _ask(master: Master, move: Move) -> None:
    first = master.next_id
    batches = master.ask(move.n, move.budget, move.room, log=False)
    blobs = [encode_requests(batch, master.problem.space) for batch in batches]
    if digest(blobs) != move.hash or first != move.first:
        raise ReplayMismatch(
            f"repeating move {move.seq} gave other requests than the log holds, from request {move.first} on: "
            "the problem, the algorithm or evo itself has changed since. Go back to that version, or start a new run "
            "seeded with this run's elites (initial.run in the config, initial= in Python)"
        )


def _tell(master: Master, move: Move) -> None:
    ids = np.arange(move.first, move.first + move.count) if move.ids is None else move.ids
    batches = []
    place = 0
    while place < len(ids):
        batch = master.ledger.find(int(ids[place]))
        if batch is None or not batch.untold:
            raise ReplayMismatch(f"move {move.seq} tells request {ids[place]}, which the log holds no result for")
        batches.append(batch)
        place += batch.untold
    tell = Tell(batches)
    if not np.array_equal(told_ids(tell), ids):
        raise ReplayMismatch(f"move {move.seq} tells other requests than had arrived, from request {ids[0]} on")
    master.tell(tell, log=False)


def _restore(master: Master, reader: RunReader, state: dict) -> None:  # type: ignore[type-arg]
    master.restore(state)
    for block in state["open"]:
        batches, earlier = [], []
        for entry in block["batches"]:
            batches.append(next(reader.requests(entry["first"], entry["first"])))
            earlier.append(entry["earlier"])
        entered = master.ledger.add(block["seq"], batches, earlier)
        for batch, entry in zip(entered.batches, block["batches"], strict=True):
            master.ledger.skip(batch, entry["told"] - batch.first)
