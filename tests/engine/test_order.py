"""When to ask, when to tell, and what."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.engine.ledger import Ledger
from evo.engine.order import Arrival, Ask, Strict, Tell, order_from, told_ids
from evo.errors import ConfigError
from evo.records import Outcomes, Requests


def enter(ledger, seq, first, *sizes):
    """One block of some batches."""
    batches = []
    for size in sizes:
        batches.append(Requests(genomes=np.zeros((size, 1)), ids=np.arange(first, first + size)))
        first += size
    return ledger.add(seq, batches, [None] * len(batches))


def arrive(ledger, *ids):
    n = len(ids)
    ledger.accept(Outcomes(np.array(ids), np.zeros((n, 1)), np.zeros((n, 0))))


def play(order, blocks, arrivals):
    """The moves of a run of `blocks` asks whose requests arrive in the given order, one at a time."""
    ledger, asked, moves = Ledger(), 0, []
    arrivals = list(arrivals)
    while True:
        move = order.next(ledger, (blocks - asked) * order.block, False, 0)
        if isinstance(move, Ask):
            enter(ledger, asked, asked * order.block, move.n)
            moves.append(("ask", asked))
            asked += 1
        elif isinstance(move, Tell):
            moves.append(("tell", [int(one) for one in told_ids(move)]))
            for batch in move.batches:
                ledger.take(batch)
                ledger.settle(batch)
        elif not ledger.blocks:
            return moves
        else:
            known = {one for one in arrivals if ledger.find(one) is not None}
            one = next(one for one in arrivals if one in known)
            arrivals.remove(one)
            arrive(ledger, one)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 6), st.randoms())
def test_strict_moves_do_not_depend_on_the_order_of_arrival(block, lag, blocks, random):
    ids = list(range(block * blocks))
    expected = play(Strict(block, lag), blocks, ids)
    random.shuffle(ids)
    assert play(Strict(block, lag), blocks, ids) == expected


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 6))
def test_strict_asks_a_block_when_exactly_the_blocks_up_to_lag_before_it_were_told(block, lag, blocks):
    told = 0
    for kind, what in play(Strict(block, lag), blocks, range(block * blocks)):
        if kind == "ask":
            assert told == max(0, what - lag + 1)
        else:
            assert what == list(range(told * block, (told + 1) * block))
            told += 1
    assert told == blocks


def test_strict_asks_for_no_more_than_there_is_room_for():
    assert Strict(10, 1).next(Ledger(), 4.7, False, 0) == Ask(4)
    assert Strict(10, 1).next(Ledger(), 0.5, False, 0) is None


def test_strict_asks_nobody_who_had_nothing_until_something_was_told():
    assert Strict(10, 2).next(Ledger(), 100, True, 0) is None


def test_strict_tells_all_batches_of_a_block_together():
    ledger, order = Ledger(), Strict(5, 1)
    enter(ledger, 0, 0, 2, 3)
    arrive(ledger, 4, 3, 2, 1)
    assert order.next(ledger, 100, False, 0) is None
    arrive(ledger, 0)
    move = order.next(ledger, 100, False, 0)
    assert told_ids(move).tolist() == [0, 1, 2, 3, 4]


def test_arrival_tells_what_came_before_it_asks_for_more():
    ledger, order = Ledger(), Arrival()
    assert order.next(ledger, 100, False, 7) == Ask(7)
    enter(ledger, 0, 0, 4)
    enter(ledger, 1, 4, 4)
    arrive(ledger, 6, 2, 1)
    move = order.next(ledger, 100, False, 7)
    assert told_ids(move).tolist() == [1, 2, 6]
    for batch in move.batches:
        ledger.take(batch)
    assert order.next(ledger, 3, False, 7) == Ask(3)
    assert order.next(ledger, 100, False, 0) is None
    assert order.next(ledger, 100, True, 7) is None


@pytest.mark.parametrize("value", ["strict", {"type": "strict", "block": 3, "lag": 2}, Strict(3, 2), "arrival", None])
def test_an_order_is_found_again_from_its_description(value):
    order = order_from(value)
    assert order_from(order.describe()) == order


@pytest.mark.parametrize("make", [lambda: order_from("random"), lambda: Strict(-1), lambda: Strict(5, 0)])
def test_an_order_that_cannot_be_is_refused(make):
    with pytest.raises(ConfigError, match="order: "):
        make()
