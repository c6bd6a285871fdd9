"""Workers that come and go, on a virtual clock: how many there are follows the room and the work, the run does not."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evo
from evo.engine.build import fresh
from evo.engine.crew import Crew, Group
from evo.engine.flight import START_DEADLINE
from evo.engine.order import Arrival, Strict
from evo.engine.rules import Rules
from evo.engine.staffing import IDLE_SECONDS
from evo.errors import ClusterLost, ConfigError, WorkerError
from evo.evaluator import Fidelity, Resources
from evo.run import Run
from evo.worker import Died, Kit, Ready
from workers.simulated import Faults, Simulated

ONE = Group(1, 1, Resources())
CPU, GPU = Resources(1.0), Resources(1.0, gpus=1.0)
TICKS = 50_000


class Bowl(evo.Problem):
    space = evo.Box(-1.0, 1.0, size=2)
    objectives = (evo.Minimize("height"),)
    measures = (evo.Measure("x0", -1.0, 1.0),)
    deadline = 30.0

    def evaluate_batch(self, x):
        return evo.Evaluations((x**2).sum(axis=1, keepdims=True), x[:, :1])


class TwoKinds(evo.Evaluator):
    """One fidelity needs a GPU, the other none."""

    reporting = "cheap"
    fidelities = {"cheap": Fidelity(CPU, 30.0), "dear": Fidelity(GPU, 30.0)}  # noqa: RUF012

    def evaluate_batch(self, genomes, work):
        return Bowl.evaluate_batch(self, genomes)


class Shown:
    """A search on simulated workers, and how many of them there were when."""

    def __init__(self, groups, evaluations=1000, order=None, problem=None, workers=Simulated, **simulated):
        self.workers = workers(**{"seconds": 0.2, **simulated})
        self.plan = fresh(
            problem or Bowl(), evo.MapElites((8,), batch=32), seed=1, order=order or Strict(64, 2),
            rules=Rules(evaluations=evaluations), crew=Crew(), initial=None, run_dir=None, name=None, log=True,
            config=None,
        )  # fmt: skip
        self.alive = []
        self.master = master = self.plan.master
        self.workers.open(Kit(master.problem, dict(master.algorithm.operators), 1), [])
        master.employ(self.workers, groups, elapsed=self.workers.now)

    def run(self):
        for _ in range(TICKS):
            if self.master.ended is not None:
                return self
            self.tick()
        raise AssertionError("it never ended")

    def tick(self):
        self.master.tick()
        self.alive.append((self.workers.now(), self.master.dispatcher.alive))

    def until(self, seconds):
        while self.workers.now() < seconds:
            self.tick()
        return self

    def between(self, low, high):
        """Numbers of workers that there were at these times."""
        return {count for seconds, count in self.alive if low <= seconds < high}

    def canonical(self, folder):
        return Run(self.plan.reader, Bowl()).export("canonical", folder / "canonical.jsonl").read_bytes()


def test_a_fixed_number_goes_on_with_those_that_there_is_room_for_and_takes_the_others_when_they_come():
    shown = Shown([replace(ONE, least=8, most=8)], capacity=lambda now: 5 if now < 20 else 12).run()
    assert shown.between(2, 20) == {5}
    assert max(shown.between(20, 23)) == 8
    assert shown.master.dispatcher.lost == 0


class Counted(Simulated):
    """Remembers what was started when; with `broken`, every worker that has a place dies of its environment."""

    broken = False

    def __init__(self, **rest):
        super().__init__(**rest)
        self.begun, self.asked = [], 0

    def start(self, shape):
        self.begun.append((self.now(), shape))
        return super().start(shape)

    def room(self, shape):
        self.asked += 1
        return super().room(shape)

    def _at(self, delay, item):
        if self.broken and isinstance(item, Ready):
            delay, item = 3 + 4 * float(self._rng.random()), Died(item.worker, "no such library", infrastructure=True)
        super()._at(delay, item)


class Broken(Counted):
    broken = True


def test_the_least_are_asked_for_without_room_and_those_that_wait_are_asked_for_again_now_and_then():
    shown = Shown(
        [replace(ONE, least=8, most=8, patience=1e4)], 10**6, workers=Counted, seconds=5.0, capacity=lambda now: 2
    )
    shown.until(3 * START_DEADLINE + 60)
    assert [seconds for seconds, _ in shown.workers.begun[:8]] == [0.0] * 8
    assert len(shown.workers.begun) == 8 + 3 * 6
    assert shown.master.dispatcher.alive == 2
    assert shown.master.dispatcher.lost == 0


@pytest.mark.parametrize("least", [1, 4])
def test_starts_that_fail_for_ever_though_there_is_room_are_a_lost_cluster(least):
    group = replace(ONE, least=least, most=least, patience=60.0)
    shown = Shown([group], workers=Broken, capacity=lambda now: least)
    with pytest.raises(
        ClusterLost, match=r"for \d+ s, (though workers were|and no room).* \(the last that died: no such library\)"
    ):
        shown.run()
    assert 60 <= shown.workers.now() < 60 + START_DEADLINE + 10


def test_starts_that_fail_for_ever_where_no_room_is_known_are_given_up():
    with pytest.raises(WorkerError, match=r"cannot start \(3 tries in a row\): no such library"):
        Shown([ONE], workers=Broken).run()


def test_a_death_does_not_ask_for_the_room():
    def capacity(now):
        return 4

    shown = Shown([replace(ONE, least=4, most=4)], workers=Counted, capacity=capacity, faults=Faults(node=0.05)).run()
    assert shown.master.dispatcher.lost > 10
    assert shown.workers.asked == 1


def test_workers_are_started_while_there_is_room_and_work_for_them():
    shown = Shown([replace(ONE, most=16)], capacity=lambda now: 6 if now < 15 else 10).run()
    assert max(shown.between(3, 15)) == 6
    assert max(shown.between(17, 30)) == 10


def test_no_more_workers_are_started_than_there_is_work_for():
    shown = Shown([replace(ONE, most=None)], seconds=1e-5, capacity=lambda now: 1000).run()
    assert {count for _, count in shown.alive} <= {0, 1}


def test_there_are_never_more_workers_than_the_most():
    shown = Shown([replace(ONE, most=3)], capacity=lambda now: 100).run()
    assert max(count for _, count in shown.alive) == 3


def test_arrival_order_asks_for_what_workers_that_could_start_would_do():
    shown = Shown([replace(ONE, most=8)], order=Arrival(), capacity=lambda now: 8).run()
    assert max(count for _, count in shown.alive) == 8


def test_a_group_may_begin_without_any_worker():
    shown = Shown([replace(ONE, least=0, most=4)], order=Arrival(), capacity=lambda now: 4).run()
    assert shown.master.ended == ("finished", "budget spent")


def test_a_worker_without_work_for_a_minute_is_let_go_down_to_the_least():
    shown = Shown([replace(ONE, least=2, most=6)], capacity=lambda now: 6)
    shown.until(5)
    assert shown.master.dispatcher.alive == 6
    shown.run()
    end = shown.workers.now()
    shown.master.ended = None
    shown.master.rules = Rules(evaluations=1000)  # spent: it only waits
    while shown.workers.now() < end + IDLE_SECONDS + 5:
        shown.workers.poll(1.0)
        shown.master.dispatcher.pump()
    assert shown.master.dispatcher.alive == 2
    assert shown.master.dispatcher.lost == 0


def test_workers_of_a_node_that_is_removed_are_replaced_when_there_is_room_again():
    def capacity(now):
        return 6 if now < 10 or now > 25 else 2

    shown = Shown([replace(ONE, least=6, most=6)], capacity=capacity).run()
    assert shown.between(12, 25) == {2}
    assert max(shown.between(26, 30)) == 6
    assert shown.master.dispatcher.lost == 4
    assert shown.master.tally.failures == {}


def test_no_worker_for_longer_than_the_patience_is_a_lost_cluster():
    shown = Shown([replace(ONE, least=4, most=4, patience=40.0)], capacity=lambda now: 4 if now < 10 else 0)
    with pytest.raises(ClusterLost, match=r"0 of at least 1 workers with cpus=1 for 40 s, and no room .*workers\.pat"):
        shown.run()
    assert 48 < shown.workers.now() < 55


def test_fewer_than_the_least_for_longer_than_the_patience_is_a_lost_cluster():
    shown = Shown([replace(ONE, least=3, most=8, patience=20.0)], capacity=lambda now: 4 if now < 10 else 2)
    with pytest.raises(ClusterLost, match="2 of at least 3 workers"):
        shown.run()


def test_room_that_comes_back_in_time_loses_nothing(tmp_path):
    shown = Shown([replace(ONE, least=4, most=4, patience=40.0)], capacity=lambda now: 0 if 10 < now < 45 else 4)
    assert shown.run().canonical(tmp_path) == calm(1000)


@cache
def calm(evaluations):
    """The canonical export of a search on one worker."""
    with TemporaryDirectory() as folder:
        return Shown([ONE], evaluations).run().canonical(Path(folder))


@pytest.mark.slow
@settings(deadline=None, max_examples=8)
@given(
    rooms=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    least=st.integers(0, 3),
    more=st.integers(0, 6),
    seed=st.integers(0, 1000),
)
def test_the_run_is_the_same_however_many_workers_come_and_go(tmp_path_factory, rooms, least, more, seed):
    folder = tmp_path_factory.mktemp("same")

    def capacity(now):
        return [*rooms, 4][min(int(now // 5), len(rooms))]

    group = replace(ONE, least=least, most=max(1, least + more), patience=1000.0)
    faults = Faults(node=0.02, duplicate=0.02, reorder=0.02)  # nothing that a candidate could be suspected of
    shown = Shown([group], 600, seed=seed, sigma=0.5, faults=faults, capacity=capacity).run()
    assert shown.canonical(folder) == calm(600)


# Kinds ----------------------------------------------------------------------------------------------------------------


def crew(*groups):
    return Crew.of(groups, None)


def test_each_fidelity_must_be_served_by_some_group():
    fidelities = TwoKinds().fidelities
    staff = crew(Group(1, 4, CPU), Group(0, 2, GPU)).staff(fidelities)
    assert [one.shape for one in staff] == [CPU, GPU]
    with pytest.raises(ConfigError, match=r"workers\.groups: fidelity 'dear' needs cpus=1, gpus=1, the workers have"):
        crew(Group(1, 4, CPU), Group(1, 2, Resources(4.0))).staff(fidelities)


def test_a_number_is_a_fixed_group_that_covers_every_fidelity():
    (group,) = Crew.of(3, None).staff(TwoKinds().fidelities)
    assert (group.least, group.most, group.fixed, group.vital) == (3, 3, True, 1)
    assert group.shape == GPU


def test_a_cluster_is_used_as_a_whole_where_no_number_is_said():
    (group,) = Crew.of(None, None, address="10.0.0.1:6379").staff({"full": Fidelity()})
    assert (group.least, group.most) == (1, None)


@pytest.mark.parametrize(("least", "most"), [(3, 2), (-1, 2), (0, 0)])
def test_numbers_that_contradict_each_other_are_refused(least, most):
    with pytest.raises(ConfigError, match="expected 0 <= min <= max"):
        Group(least, most)


def test_room_is_not_handed_out_twice():
    groups = [Group(1, 8, CPU), Group(4, 4, GPU)]
    shown = Shown(groups, workers=Counted, capacity=lambda now: 6).run()
    first = [shape for seconds, shape in shown.workers.begun if seconds == 0.0]
    assert first == [CPU, *[GPU] * 4]
    assert len(shown.workers.begun) == 6
    assert max(count for _, count in shown.alive) == 6


def test_a_later_kind_grows_for_what_the_first_has_no_room_for():
    class OneCpu(Counted):
        """There is one place without a GPU and four with one."""

        def room(self, shape):
            super().room(shape)
            here = [self.begun[number][1] for number in self._living()]
            return max(0, 4 - here.count(GPU) if shape == GPU else 1 - here.count(CPU))

    shown = Shown([Group(1, 8, CPU), Group(0, 8, GPU)], workers=OneCpu).run()
    shapes = [shape for _, shape in shown.workers.begun]
    assert (shapes.count(CPU), shapes.count(GPU)) == (1, 4)


def test_work_for_one_kind_does_not_start_the_other():
    shown = Shown([Group(1, 8, CPU), Group(0, 8, GPU)], capacity=lambda now: 20)
    shapes = []
    start = shown.workers.start
    shown.workers.start = lambda shape: shapes.append(shape) or start(shape)
    shown.run()
    assert shapes.count(CPU) == 7  # and the one that there was
    assert GPU not in shapes
