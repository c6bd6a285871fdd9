"""What waits is cut into messages that may travel together, and for nobody who cannot serve them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.engine.failures import Caution
from evo.engine.queue import Queue
from evo.evaluator import Fidelity, Resources
from evo.records import Requests

ANY = Resources(cpus=64, gpus=8)


def asked(first, n, fidelity="full", **columns):
    """Requests first..first+n-1."""
    ids = np.arange(first, first + n)
    return Requests(genomes=ids[:, None].astype(float), ids=ids, fidelity=fidelity, **columns)


def queue_of(*batches, usual=None, **fidelities):
    queue = Queue(fidelities or {"full": Fidelity()})
    for batch in batches:
        queue.put(batch)
    if usual is not None:
        for name in queue.fidelities:
            queue.learn(name, usual)
    return queue


def take(queue, *, shape=ANY, idle=True, fresh=False, shares=1, leases=()):
    return queue.take(shape, idle, fresh, shares, leases)


def drained(queue, **options):
    """The ids of all messages, in order."""
    found = []
    while (taken := take(queue, **options)) is not None:
        assert taken[0].genomes[:, 0].tolist() == taken[0].ids.tolist()
        found.append(taken[0].ids.tolist())
    return found


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.floats(1e-4, 1.0), st.integers(1, 8))
def test_everything_that_was_put_is_taken_once_and_in_order(sizes, usual, shares):
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).tolist()
    queue = queue_of(*[asked(start, size) for start, size in zip(starts, sizes, strict=True)], usual=usual)
    total = sum(sizes)
    assert len(queue) == queue.waiting("full") == total
    messages = drained(queue, shares=shares)
    assert [one for message in messages for one in message] == list(range(total))
    assert max(map(len, messages)) <= max(1, 0.1 / usual)
    assert len(queue) == queue.waiting("full") == 0


def test_the_first_messages_are_small_while_nothing_is_known_of_the_time():
    (first, *_) = drained(queue_of(asked(0, 100)))
    assert len(first) == 4


def test_what_waits_is_spread_over_the_workers():
    assert drained(queue_of(asked(0, 100), usual=1e-3), shares=4)[0] == list(range(25))


def test_work_too_small_to_share_stays_one_message():
    assert drained(queue_of(asked(0, 100), usual=1e-6), shares=4)[0] == list(range(100))


def test_batches_are_joined_only_where_their_work_is_alike():
    queue = queue_of(
        asked(0, 3),
        asked(3, 3),
        asked(6, 3, params={"depth": 1}),
        asked(9, 3, needs=[("a",)] * 3),
        asked(12, 3, draw=np.full(3, 5)),
        asked(15, 3, draw=np.full(3, 5)),
        asked(18, 3, draw=np.full(3, 6)),
        usual=1e-6,
    )
    messages = drained(queue)
    assert messages == [list(range(6)), [6, 7, 8], [9, 10, 11], list(range(12, 18)), [18, 19, 20]]


@given(st.lists(st.integers(0, 2), min_size=1, max_size=20), st.integers(1, 5))
def test_a_message_holds_one_draw(draws, cut):
    queue = queue_of(asked(0, len(draws), draw=np.array(draws)), usual=0.1 / cut)
    while (taken := take(queue)) is not None:
        assert len(set(taken[0].draw.tolist())) == 1


def test_a_joined_message_has_the_needs_and_arguments_of_its_rows():
    batches = [
        Requests(
            make="m",
            args=[{"i": i}],
            inputs=[np.full((1, 1), i)],
            needs=[("level database",)],
            ids=np.array([i]),
            fidelity="full",
        )
        for i in range(3)
    ]
    message, _, _ = take(queue_of(*batches, usual=1e-6))
    assert [one["i"] for one in message.args] == [0, 1, 2]
    assert list(message.needs) == [("level database",)] * 3
    assert [one[0, 0] for one in message.inputs] == [0, 1, 2]


def test_a_message_holds_one_set_of_needs():
    binaries = asked(0, 6, needs=[("one",), ("one",), ("two",), ("two",), ("two",), ("one",)])
    queue = queue_of(binaries, asked(6, 2, needs=[("one",), ("one",)]), usual=1e-6)
    taken = [take(queue)[0].needs for _ in range(3)]
    assert [sorted(set(needs)) for needs in taken] == [[("one",)], [("two",)], [("one",)]]
    assert [len(needs) for needs in taken] == [2, 3, 3]


def test_what_a_worker_need_not_see_stays_behind():
    batch = asked(0, 2, parents=np.zeros((2, 1), np.int64), operator="flip", source="island/1")
    message, _, _ = take(queue_of(batch, usual=1e-6))
    assert (message.parents, message.operator, message.source) == (None, "", "")
    assert batch.operator == "flip"


@given(st.integers(2, 6), st.integers(1, 40), st.floats(1e-5, 0.2), st.integers(1, 5))
def test_grouped_rows_are_cut_at_multiples_of_their_group(group, n, usual, shares):
    queue = queue_of(asked(0, n), asked(n, n), usual=usual, full=Fidelity(group=group))
    while (taken := take(queue, shares=shares)) is not None:
        message, _, chunk = taken
        start, end = int(message.ids[0]), int(message.ids[-1]) + 1
        assert (start % n) % group == 0
        assert end % n == 0 or (end % n) % group == 0
        assert start // n == (end - 1) // n  # never joined with another batch
        assert chunk % group == 0 or chunk == len(message)


def test_concurrent_evaluations_travel_together():
    queue = queue_of(asked(0, 64), usual=10.0, full=Fidelity(concurrency=32))
    message, _, chunk = take(queue, shares=64)
    assert (len(message), chunk) == (32, 32)


def test_results_stream_back_in_groups_worth_some_milliseconds():
    message, _, chunk = take(queue_of(asked(0, 100), usual=0.01))
    assert (len(message), chunk) == (10, 3)
    message, _, chunk = take(queue_of(asked(0, 100), usual=1e-4))
    assert (len(message), chunk) == (100, 100)


def test_the_estimate_of_the_time_follows_what_was_measured():
    queue = queue_of(usual=1.0)
    assert queue.size("full") == 1
    for _ in range(40):
        queue.learn("full", 0.001)
    assert queue.size("full") == pytest.approx(100, rel=0.01)


def test_the_most_faithful_work_goes_first():
    queue = queue_of(asked(0, 2, "rung"), asked(2, 2, "full"), usual=1e-6, rung=Fidelity(), full=Fidelity())
    assert drained(queue) == [[2, 3], [0, 1]]


def test_a_worker_is_given_only_what_its_shape_covers():
    fidelities = {"small": Fidelity(), "big": Fidelity(Resources(gpus=1))}
    queue = queue_of(asked(0, 2, "small"), asked(2, 2, "big"), usual=1e-6, **fidelities)
    assert drained(queue, shape=Resources(cpus=1)) == [[0, 1]]
    assert drained(queue, shape=Resources(cpus=1, gpus=1)) == [[2, 3]]


def test_exclusive_work_goes_one_by_one_and_waits_for_its_lease():
    queue = queue_of(asked(0, 2), usual=1e-6, full=Fidelity(exclusive=("gpu",)))
    assert take(queue, leases={"gpu"}) is None
    assert drained(queue, leases={"host"}) == [[0], [1]]


# Put back -------------------------------------------------------------------------------------------------------------


def test_untouched_rows_come_back_in_front():
    queue = queue_of(asked(10, 4), usual=1e-6)
    queue.put_back(asked(0, 3), Caution.NONE)
    assert len(queue) == 7
    assert drained(queue) == [[0, 1, 2, *range(10, 14)]]


def test_several_suspects_are_sent_row_by_row_to_an_idle_worker_before_anything_else():
    queue = queue_of(asked(10, 4), usual=1e-6)
    queue.put_back(asked(0, 3), Caution.SINGLY)
    assert take(queue, idle=False)[0].ids.tolist() == [10, 11, 12, 13]
    message, caution, chunk = take(queue, idle=True)
    assert (message.ids.tolist(), caution, chunk) == ([0, 1, 2], Caution.SINGLY, 1)
    assert len(queue) == 0


def test_suspected_groups_stay_whole_until_one_died_as_a_whole():
    queue = queue_of(full=Fidelity(group=4))
    queue.put_back(asked(0, 8), Caution.SINGLY)
    queue.put_back(asked(8, 4), Caution.SPLIT)
    assert take(queue)[2] == 4
    assert take(queue)[2] == 1


def test_one_that_was_alone_waits_for_a_fresh_worker():
    queue = queue_of()
    queue.put_back(asked(0, 2), Caution.ALONE)
    assert take(queue, fresh=False) is None
    message, caution, chunk = take(queue, fresh=True)
    assert (message.ids.tolist(), caution, chunk) == ([0], Caution.ALONE, 1)
    assert len(queue) == 1
