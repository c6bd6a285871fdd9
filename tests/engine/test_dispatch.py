"""What a death, a silence, a lost or a repeated delivery means."""

import numpy as np
import pytest

from engine.scripted import Case
from evo.engine.flight import START_DEADLINE
from evo.errors import WorkerError
from evo.records import Outcomes, Requests, Status
from evo.worker import Delivered


def everything(n, **others):
    return dict.fromkeys(range(n), Status.OK) | {int(one[1:]): status for one, status in others.items()}


@pytest.mark.parametrize("workers", [1, 3])
def test_everything_is_done_once_when_nothing_goes_wrong(workers):
    case = Case(workers, 50)
    assert case.run() == everything(50)
    assert set(case.sent().values()) == {1}
    dispatcher = case.dispatcher
    assert (dispatcher.performed, dispatcher.attempted, dispatcher.lost, dispatcher.in_flight) == (50, 50, 0, 0)
    assert sum(attempt.delivered for attempt in dispatcher.attempts) == 50
    assert {attempt.outcome for attempt in dispatcher.attempts} == {"ok"}
    assert set(case.artifacts) == {f"a{one}" for one in range(50)}


def test_every_idle_worker_gets_something_before_anyone_gets_a_second():
    case = Case(3, 100)
    case.tick()
    assert sorted(worker for worker, _, _ in case.backend.log) == [0, 0, 1, 1, 2, 2]
    assert [worker for worker, _, _ in case.backend.log[:3]] == [0, 1, 2]
    assert (case.dispatcher.alive, case.dispatcher.busy) == (3, 3)


def test_known_artifacts_travel_with_the_message():
    case = Case()
    case.put(0, 2, needs=[("known", "elsewhere")] * 2)
    case.tick()
    (waiting,) = case.backend.serving.values()
    assert waiting[0][0].artifacts == {"known": b"content"}


# Deaths ---------------------------------------------------------------------------------------------------------------


def test_one_that_kills_every_worker_is_quarantined_after_two_strikes_alone_and_nobody_else_is():
    case = Case(2, 40)
    case.backend.killers = {17}
    assert case.run() == everything(40, _17=Status.CRASHED)
    (note,) = (part.notes[0] for part in case.told if part.ids.tolist() == [17])
    assert "signal 11" in note.message
    assert "2 times, alone" in note.message
    alone = [(worker, ids) for worker, ids, _ in case.backend.log if ids == [17]]
    assert len({worker for worker, _ in alone}) == len(alone) >= 2  # each time on another, fresh worker
    assert case.dispatcher.lost >= 2
    assert case.dispatcher.alive == 2


def test_several_suspects_are_sent_again_row_by_row():
    case = Case(1, 40)
    case.queue.learn("full", 1e-3)  # so that chunks hold many rows
    case.backend.killers = {5}
    case.run()
    suspects = [(ids, chunk) for _, ids, chunk in case.backend.log if 5 in ids]
    (first, first_chunk), (second, second_chunk), *_ = suspects
    assert first_chunk > 1
    assert second_chunk == 1
    assert set(second) <= set(first)


@pytest.mark.parametrize("killers", [{3, 4}, {0, 39}, set(range(10, 20))])
def test_many_that_kill_are_found_one_by_one(killers):
    case = Case(2, 40)
    case.queue.learn("full", 1e-3)
    case.backend.killers = killers
    assert case.run(2000) == everything(40, **{f"_{one}": Status.CRASHED for one in killers})


def test_a_death_that_does_not_come_again_costs_nobody_anything():
    case = Case(1, 20)
    case.backend.killers = {7}
    while case.dispatcher is None or not case.dispatcher.lost:
        case.tick()
    case.backend.killers = set()
    assert case.run() == everything(20)
    assert not case.dispatcher._failures.strikes


def test_the_loss_of_a_node_is_nobodys_fault():
    case = Case(2, 10)
    case.backend.node_failures = 10
    assert case.run() == everything(10)
    assert case.dispatcher.lost == 10
    assert {attempt.outcome for attempt in case.dispatcher.attempts} == {"ok", "lost"}


def test_what_had_not_begun_is_not_suspected():
    case = Case(1, 8)
    case.backend.killers = {0}
    case.tick()
    case.tick()  # the head of the queue dies, the second message had not begun
    heads = [attempt for attempt in case.dispatcher.attempts if attempt.outcome == "crash"]
    others = [attempt for attempt in case.dispatcher.attempts if attempt.outcome == "lost"]
    assert [(attempt.low, attempt.high) for attempt in heads] == [(0, 3)]
    assert [(attempt.low, attempt.high) for attempt in others] == [(4, 7)]
    assert not case.dispatcher._failures.strikes


def test_a_group_that_died_together_is_tried_as_a_group_before_it_is_split():
    case = Case(1, 12, group=4)
    case.backend.killers = {6}
    assert case.run() == everything(12, _6=Status.CRASHED)
    chunks = [chunk for _, ids, chunk in case.backend.log if 6 in ids]
    assert chunks[:3] == [4, 4, 1]


def test_quarantined_work_that_would_have_made_genomes_has_no_candidate():
    case = Case()
    case.queue.put(Requests(make="m", args=[{}], ids=np.array([0]), fidelity="full"))
    case.backend.killers = {0}
    assert case.run() == {0: Status.CRASHED}
    assert len(case.told[0].owners()) == len(case.told[0].genomes) == 0


# Silence --------------------------------------------------------------------------------------------------------------


def test_a_worker_that_overruns_its_deadline_is_killed_and_replaced():
    case = Case(2, 30, deadline=5.0)
    case.backend.hangers = {11}
    assert case.run(seconds=0.5) == everything(30, _11=Status.TIMEOUT)
    assert len(case.backend.killed) >= 2
    (note,) = (part.notes[0] for part in case.told if part.ids.tolist() == [11])
    assert "exceeded its deadline of 5 s" in note.message
    case.tick()
    assert case.dispatcher.alive == 2
    assert "timeout" in {attempt.outcome for attempt in case.dispatcher.attempts}


def test_a_deadline_that_is_not_over_kills_nobody():
    case = Case(1, 4, deadline=5.0)
    case.backend.hangers = {0}
    case.tick()
    case.tick(4.9)
    assert case.backend.killed == []
    assert 0 < case.dispatcher.wait() <= 0.11
    case.tick(0.2)
    assert case.backend.killed == [0]


def test_a_worker_that_never_says_that_it_is_ready_is_replaced():
    case = Case(1, 4)
    case.backend.silent_starts = 1
    case.tick()
    case.tick(START_DEADLINE + 1)
    assert case.backend.killed == [0]
    assert case.run() == everything(4)


def test_workers_that_cannot_start_are_given_up_with_their_reason():
    case = Case(1, 4)
    case.backend.broken_starts = 100
    with pytest.raises(WorkerError, match=r"cannot start \(3 tries in a row\): no such library"):
        case.run()
    assert len(case.backend.started) <= 4


def test_a_start_that_fails_now_and_then_is_tried_again():
    case = Case(1, 10)
    case.backend.broken_starts = 2
    assert case.run() == everything(10)


# Deliveries -----------------------------------------------------------------------------------------------------------


def test_a_lost_delivery_is_done_again():
    case = Case(1, 12)
    case.backend.losing = 2
    assert case.run() == everything(12)
    assert sum(case.sent().values()) == 12 + 2
    assert "lost" in {attempt.outcome for attempt in case.dispatcher.attempts}


def test_a_repeated_delivery_is_ignored():
    case = Case(2, 30)
    case.backend.repeating = True
    assert case.run() == everything(30)
    assert case.dispatcher.performed == 30
    assert case.dispatcher.in_flight == 0


def test_a_delivery_of_a_worker_that_was_given_up_is_ignored():
    case = Case(1, 4, deadline=1.0)
    case.backend.hangers = {0}
    case.tick()
    message = case.backend.serving[0][0][0]
    case.tick(1.5)
    ids = message.requests.ids
    late = Delivered(0, message.id, Outcomes(ids, ids[:, None] * 1.0, np.empty((4, 0))), final=True)
    case.backend.hangers = set()
    case.backend.events.append(late)
    assert case.run() == everything(4)


# Leases and shapes ----------------------------------------------------------------------------------------------------


def test_exclusive_work_is_under_way_on_one_worker_at_a_time():
    case = Case(3, 9, exclusive=("gpu",))
    while not case.told or len(case.statuses()) < 9:
        case.tick()
        assert case.dispatcher.in_flight <= 1
    assert case.statuses() == everything(9)


def test_a_lease_comes_back_from_a_worker_that_died():
    case = Case(2, 3, exclusive=("gpu",))
    case.backend.killers = {1}
    assert case.run() == everything(3, _1=Status.CRASHED)


def test_room_is_what_keeps_the_workers_windows_full():
    case = Case(2)
    case.tick()
    assert case.dispatcher.free() == 2 * 2 * 4
    case.put(0, 10)
    assert case.dispatcher.free() == 6
