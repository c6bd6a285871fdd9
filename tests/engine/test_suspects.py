"""Suspects and the workers they wait for, on a virtual clock where places are given out late and nodes are lost."""

import pytest

from engine.scripted import Case
from engine.test_staffing import CPU, GPU, Bowl, Shown, TwoKinds
from evo.engine.crew import Group
from evo.engine.failures import Caution
from evo.engine.flight import SANDBOX_GRACE, START_DEADLINE
from evo.engine.order import Strict
from evo.records import Status
from evo.worker import Died
from workers.simulated import Faults, Simulated


class Late(Simulated):
    """A worker's place is known only some seconds after it was started."""

    def __init__(self, *, known_after, **rest):
        super().__init__(**rest)
        self.known_after, self.began, self.killed = known_after, {}, []

    def start(self, shape):
        number = super().start(shape)
        self.began[number] = self.now()
        return number

    def placed(self, worker):
        return super().placed(worker) and self.now() >= self.began[worker] + self.known_after

    def kill(self, worker):
        self.killed.append(worker)
        super().kill(worker)


class TakesItsNode(Simulated):
    """The node is lost whenever request 5 is under evaluation."""

    def _begin(self, worker, process):
        message, low = process.queue[0] if process.queue else (None, 0)
        if message is None or process.dead or 5 not in message.requests.ids[low : low + message.chunk]:
            super()._begin(worker, process)
        else:
            process.running = True
            self._at(0.1, Died(worker, "node lost", infrastructure=True))


class Dear(Bowl):
    @property
    def evaluator(self):
        return OnlyDear()


class OnlyDear(TwoKinds):
    reporting = "dear"


def poison(request, fate):
    return Faults(poison=lambda requests, row: fate if int(requests.ids[row]) == request else None)


def failures(shown):
    rows = shown.plan.reader.arrivals()
    return {
        int(part.ids[row]): note.message for _, part in rows for row, note in part.notes.items() if part.status[row]
    }


def test_a_ready_worker_that_hangs_is_killed_though_its_place_was_not_looked_at_yet():
    problem = Bowl()
    problem.deadline = 0.3
    shown = Shown(
        [Group(2, 2)], 40, Strict(8, 2), problem=problem, seconds=0.05,
        workers=Late, known_after=0.2, faults=poison(0, "hang"),
    ).run()  # fmt: skip
    assert list(failures(shown)) == [0]
    assert shown.master.dispatcher.in_flight == 0


def test_a_drain_ends_though_a_worker_hangs_whose_place_was_never_looked_at():
    shown = Shown(
        [Group(1, 1)], 40, Strict(8, 2), workers=Late, known_after=1e9, seconds=0.05, faults=poison(0, "hang")
    )
    while not shown.master.dispatcher.in_flight:
        shown.tick()
    shown.master.draining = True
    while shown.master.dispatcher.in_flight:
        shown.tick()
        assert shown.workers.now() < 100
    assert len(shown.master._queue) == 16 - shown.master.dispatcher.performed


@pytest.mark.parametrize("known_after", [0.2, 1.5, 4.0, 1e9])
def test_for_one_suspect_one_idle_worker_is_replaced(known_after):
    shown = Shown(
        [Group(16, 16)], 120, Strict(4, 2), workers=Late, known_after=known_after, seconds=0.05, start_seconds=5.0,
        capacity=lambda now: 16, faults=poison(101, "crash"),
    ).run()  # fmt: skip
    assert len(shown.workers.killed) == 1
    assert "2 times, alone" in failures(shown)[101]


@pytest.mark.parametrize(
    "groups",
    [[Group(1, 1, CPU), Group(2, 2, GPU)], [Group(2, 2, GPU), Group(1, 1, CPU)], [Group(3, 3, GPU)]],
)
def test_a_suspect_waits_only_for_workers_that_can_serve_it(groups):
    places = [3]
    shown = Shown(groups, 40, Strict(8, 2), problem=Dear(), capacity=lambda now: places[0], faults=poison(15, "crash"))
    while shown.master.ended is None:
        shown.tick()
        assert shown.workers.now() < 100
        flights = [one for worker in shown.master.dispatcher._workers.values() for one in worker.flights]
        if any(one.caution == Caution.ALONE for one in flights):
            places[0] = 2  # the node under the suspect goes away
    assert list(failures(shown)) == [15]


def test_one_that_takes_its_node_with_it_every_time_is_blamed_in_the_end():
    shown = Shown([Group(4, 4)], 40, Strict(8, 2), workers=TakesItsNode, capacity=lambda now: 4).run()
    (message,) = failures(shown).values()
    assert "6 nodes were lost while it was under evaluation, 3 of them with nothing else on the worker" in message
    assert shown.master.dispatcher.lost == 6


@pytest.mark.parametrize(("met", "blamed"), [(5, False), (6, True)])
def test_it_takes_six_nodes_to_blame_one(met, blamed):
    case = Case(1, 1)
    case.backend.node_failures = met
    assert case.run() == {0: Status.CRASHED if blamed else Status.OK}
    assert not case.dispatcher._failures.losses


def test_neighbours_of_one_that_takes_its_node_with_it_are_not_blamed():
    case = Case(1, 12)
    case.queue.learn("full", 1e-3)  # so that chunks hold many rows
    serve = case.backend._serve

    def serving(worker, waiting):
        message, low = waiting[0]
        case.backend.node_failures = int(5 in message.requests.ids[low : low + message.chunk])
        return serve(worker, waiting)

    case.backend._serve = serving
    assert case.run() == dict.fromkeys(range(12), Status.OK) | {5: Status.CRASHED}


def test_a_sandboxed_chunk_of_many_rows_is_not_waited_for_as_if_each_took_its_deadline():
    case = Case(1, 64, deadline=30.0)
    case.queue.learn("full", 1e-3)
    case.tick()
    (worker,) = case.dispatcher._workers.values()
    worker.contained = {"full": 1.0}
    assert worker.flights[0].message.chunk > 30
    assert 60 + SANDBOX_GRACE <= worker.limit(case.queue.seconds) - worker.since < 75
    worker.ready = False
    assert worker.limit(case.queue.seconds) == worker.started + START_DEADLINE
