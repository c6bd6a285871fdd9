"""Runs a schedule: the real master, store and algorithms on a virtual clock, through faults, deaths and resumptions."""

from __future__ import annotations

import io
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
from random import Random
from typing import Any

import pytest

from evo.engine import dispatch, flight, staffing
from evo.engine.build import header_for, logged, master_for
from evo.engine.crew import Crew, Group
from evo.engine.dispatch import Dispatcher
from evo.engine.master import Master
from evo.engine.order import Strict
from evo.engine.replay import replay
from evo.engine.rules import Rules
from evo.errors import ClusterLost, EvaluationError, RunError, WorkerError
from evo.evaluator import Fidelity, Resources
from evo.records import BORN, PREPARE, Requests
from evo.store.canonical import write_canonical
from evo.store.columns import pack
from evo.store.writer import open_file
from evo.worker import Kit
from simulation.cluster import START_SECONDS, Cluster
from simulation.fuse import Fuse, Killed
from simulation.schedule import KINDS, VANISHED_SECONDS, Schedule
from simulation.worlds import DEADLINE
from workers.simulated import Faults, Simulated

__all__ = ["Simulation"]

TICKS = 20_000
"""Of one session; the longest that end by themselves take a tenth."""
CALM_AFTER = 12
"""Sessions after which nothing goes wrong any more, so that every schedule ends."""
SESSIONS = 60
DRAIN_TICKS = 400
IDLE_SECONDS = 1.0
"""Virtual seconds after which elastic workers without work are let go: a schedule does not last a minute."""
PLACE_SECONDS = 5.0
"""Virtual seconds after which a worker that has no place is given up."""
WAIT_SECONDS = 0.25
"""The longest that a master waits for an event; where nothing happens, the simulated one skips such ticks."""
UNLIMITED = 1 << 30


class Simulation:
    """Runs a schedule to its end, resuming it whenever its master dies."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.problem = schedule.make_problem()
        self.rng = Random(f"run {schedule.seed}")
        self.met: Counter[str] = Counter()
        """What went wrong, by kind."""
        self.blows: Counter[int] = Counter()
        """How often a request was under evaluation, or on its way back, when a fault struck."""
        self.sessions = 0
        self.step = 0
        self.seconds = schedule.seconds
        self.elapsed = 0.0
        self.vanished = False
        """The cluster of the last session did."""
        self.unprepared = False
        """The log says that the problem's preparation failed: there is no run without it."""
        self.image: bytes | None = None
        self.connection = _connection(_template())
        self.master = self._fresh()

    def run(self) -> Simulation:
        """To the end."""
        while True:
            try:
                self._session()
            except Killed:
                self._after_death()
            except (EvaluationError, RunError, WorkerError) as error:
                self.met[self._expected(error)] += 1
            else:
                if self.master.ended is not None and not self._goes_on():
                    return self
            self.sessions += 1
            assert self.sessions < SESSIONS, f"no end after {SESSIONS} sessions"
            self.master = self._resumed()
            self.unprepared = self._unprepared()
            if self.unprepared:
                return self

    def canonical(self) -> str:
        """The canonical export."""
        text = io.StringIO()
        write_canonical(self.reader, self.problem.space, text)
        return text.getvalue()

    def _expected(self, error: Exception) -> str:
        """What an error is called that the schedule has brought about; raises any other."""
        text = str(error)
        if isinstance(error, RunError) and "database or disk is full" in text:
            return "disk full"
        if isinstance(error, ClusterLost) and self.vanished:
            return "cluster lost"
        if type(error) is WorkerError and text.startswith("workers cannot start") and self.schedule.rates.fail_start:
            return "workers cannot start"
        preparing = isinstance(error, EvaluationError) and self.schedule.algorithm == "prepared"
        if preparing and text.startswith("the problem's preparation failed"):
            return "preparation failed"
        raise error

    def _unprepared(self) -> bool:
        if self.schedule.algorithm != "prepared":
            return False
        sources = {int(row) for part in self.reader.requests() if part.source == PREPARE for row in part.ids}
        return any(
            request in sources and status
            for _, outcomes in self.reader.arrivals()
            if outcomes.status is not None
            for request, status in zip(outcomes.ids.tolist(), outcomes.status.tolist(), strict=True)
        )

    # One session ------------------------------------------------------------------------------------------------------

    def _session(self) -> None:
        schedule, master, calm = self.schedule, self.master, self.sessions >= CALM_AFTER
        if master.ended is not None:
            return
        staff: Sequence[Group] = schedule.staffs[self.sessions % len(schedule.staffs)]
        vanishing = schedule.nodes and not calm and self.rng.random() < schedule.vanish
        if vanishing:
            staff = [replace(group, patience=VANISHED_SECONDS) for group in staff]
        workers = self._workers(calm, vanishing)
        master.fidelities = _needing(master.fidelities, len(staff))
        before = self.elapsed
        if not calm:
            self._prepare_mishaps()
        shapes = [group.shape or Resources() for group in staff]
        try:
            workers.open(
                Kit(self.problem, {**self.problem.operators, **master.algorithm.operators}, schedule.seed), shapes
            )
            with haste(schedule.look):
                master.employ(
                    workers,
                    staff,
                    message_seconds=schedule.message_seconds,
                    window=schedule.window,
                    elapsed=lambda: before + workers.now(),
                )
                self._drive(master, workers, 0.0 if calm else schedule.drain)
            if schedule.snapshots:
                self._snapshot(master)
        finally:
            self.elapsed = before + workers.now()
            self.vanished = isinstance(workers, Cluster) and workers.gone
            self.blows.update(workers.blows)
            self.met.update(workers.met)
            if master.dispatcher is not None:
                self.met["worker lost"] += master.dispatcher.lost

    def _drive(self, master: Master, workers: Simulated, drain: float) -> None:
        """As `evo.engine.driver` does: tick to the end, or drain when asked to stop."""
        rng, schedule = self.rng, self.schedule
        replacing: dict[str, int] = {}
        for _ in range(TICKS):
            master.tick()
            self._check_order(master)
            if isinstance(workers, Cluster):
                replacing = self._check_replacing(master, workers, replacing)
            if master.ended is not None:
                return
            if schedule.snapshots and rng.random() < schedule.snapshots:
                self._snapshot(master)
            if schedule.power and rng.random() < 0.1:
                self.image = self.connection.serialize()
            if drain and rng.random() < drain:
                self._drain(master)
                return
        raise AssertionError(f"no end after {TICKS} ticks: {master.ledger.waiting} requests wait")

    def _drain(self, master: Master) -> None:
        self.met["drained"] += 1
        master.draining = True
        assert master.dispatcher is not None
        for _ in range(DRAIN_TICKS):
            if not master.dispatcher.in_flight:
                return
            master.tick()

    def _check_order(self, master: Master) -> None:
        order = master.order
        if isinstance(order, Strict):
            blocks, waiting = len(master.ledger.blocks), master.ledger.open
            assert blocks <= order.lag, f"{blocks} blocks in flight, the order allows {order.lag}"
            assert waiting <= order.lag * order.block, f"{waiting} requests in flight, too many for {order}"

    def _check_replacing(self, master: Master, workers: Cluster, before: dict[str, int]) -> dict[str, int]:
        """No more idle workers are replaced than there are suspects that wait for a fresh one."""
        now = workers.replacing()
        assert master._queue is not None
        suspects = max(1, len(master._queue.alone))
        for kind, count in now.items():
            assert count <= max(suspects, before.get(kind, 0)), f"{count} workers replaced for {suspects} suspects"
        return now

    def _snapshot(self, master: Master) -> None:
        with self.writer.transaction():
            self.writer.snapshot(master.seq, pack(master.state()))

    def _workers(self, calm: bool, vanishing: bool) -> Simulated:
        schedule = self.schedule
        poison = schedule.poison

        def fate(requests: Requests, row: int) -> str | None:
            request = int(requests.ids[row])
            if request not in poison:
                return None
            return "crash" if request % 2 else "hang"

        faults = Faults(poison=fate) if calm else Faults(**asdict(schedule.rates), poison=fate)
        seed = self.rng.getrandbits(31)
        if calm or not schedule.nodes:
            return Simulated(0.1, schedule.sigma, seed=seed, faults=faults, start_seconds=START_SECONDS)
        vanish = 4 * self.rng.random() if vanishing else None
        return Cluster(0.1, schedule.sigma, seed=seed, faults=faults, vanish=vanish)

    # Mishaps ----------------------------------------------------------------------------------------------------------

    def _prepare_mishaps(self) -> None:
        schedule, rng = self.schedule, self.rng
        if schedule.death:
            chance = schedule.death / (1 + self.sessions)  # dies out, so that every schedule ends
            Fuse(self.writer, rng, chance, full=rng.random() < schedule.full)
        if rng.random() < schedule.pages:
            (pages,) = self.connection.execute("PRAGMA page_count").fetchone()
            self.connection.execute(f"PRAGMA max_page_count={pages + rng.randint(0, 8)}")

    def _after_death(self) -> None:
        self.met["master killed"] += 1
        if self.image is not None and self.rng.random() < self.schedule.power:
            self.met["power lost"] += 1
            self.connection = _connection(self.image)

    def _goes_on(self) -> bool:
        """Whether a run that has ended is given more, as `evo resume --evaluations` does."""
        assert self.master.ended is not None
        state, reason = self.master.ended
        self.met[f"ended: {reason.split(' ')[0]}"] += 1
        if reason.startswith("time limit") and self.schedule.goes_on:
            self.seconds = None
            return True
        if state == "finished" and self.step + 1 < len(self.schedule.budgets):
            self.step += 1
            self.met["budget raised"] += 1
            return True
        return False

    # Beginning and resuming -------------------------------------------------------------------------------------------

    @property
    def rules(self) -> Rules:
        """The limits at present."""
        return self.schedule.rules(self.step, self.seconds)

    def _fresh(self) -> Master:
        master = self._master()
        with self.writer.transaction():
            self.writer.header(_header(self.schedule, self.rules, master))
        self.image = self.connection.serialize() if self.schedule.power else None
        return master

    def _resumed(self) -> Master:
        """As `evo.engine.build.continued` does."""
        connection = self.connection
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if self.schedule.pages:
            connection.execute(f"PRAGMA max_page_count={UNLIMITED}")
        self._harm_snapshot()
        master = self._master()
        self.met["replayed moves"] += replay(master, self.reader)
        master.ended = self.rules.verdict(master.tally, self.problem)
        if self.step:
            master.wake()
        return master

    def _harm_snapshot(self) -> None:
        torn = self.schedule.torn
        if not torn or self.reader.snapshot() is None:
            return
        draw = self.rng.random()
        if draw < torn:
            self.met["snapshot torn"] += 1
            self.connection.execute("UPDATE snapshots SET columns = substr(columns, 1, length(columns) * 2 / 3)")
        elif draw < 2 * torn:
            self.met["snapshot deleted"] += 1
            self.connection.execute("DELETE FROM snapshots")

    def _master(self) -> Master:
        schedule = self.schedule
        self.writer, self.reader, logbook = logged(self.connection, self.problem)
        algorithm = schedule.make_algorithm()
        algorithm.setup(self.problem)
        master = master_for(self.problem, algorithm, schedule.seed, schedule.order, self.rules, logbook)
        master.fidelities = {name: replace(one, deadline=DEADLINE) for name, one in master.fidelities.items()}
        return master


def _needing(fidelities: Mapping[str, Fidelity], kinds: int) -> dict[str, Fidelity]:
    """Each fidelity with the kind of workers that it needs, where there are two; making candidates needs neither."""
    names = [name for name in fidelities if name != BORN]
    needs = dict(zip(names, KINDS[-len(names) :], strict=True)) if kinds > 1 else {}
    return {
        name: replace(one, resources=replace(one.resources, custom={needs[name]: 1.0} if name in needs else {}))
        for name, one in fidelities.items()
    }


@contextmanager
def haste(look: float) -> Iterator[None]:
    """Other patience with idle workers and with those that wait for a place than the real one, and fewer idle ticks."""
    wait = Dispatcher.wait

    def patient(self: Dispatcher) -> float:
        usual = wait(self)
        return usual if usual < WAIT_SECONDS else min(look, max(usual, self._next_limit - self._backend.now()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staffing, "IDLE_SECONDS", IDLE_SECONDS)
        patch.setattr(dispatch, "LOOK_SECONDS", look)
        patch.setattr(Dispatcher, "wait", patient)
        for module in (flight, dispatch, staffing):
            patch.setattr(module, "START_DEADLINE", PLACE_SECONDS)
        yield


def _connection(image: bytes) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.deserialize(image)
    return connection


@cache
def _template() -> bytes:
    """An empty run file, with the smallest pages, so that it is soon full and quickly copied."""
    connection = open_file(None)
    connection.execute("PRAGMA page_size=512")
    connection.execute("VACUUM")
    return connection.serialize()


_headers: dict[tuple[type, str, str], dict[str, Any]] = {}


def _header(schedule: Schedule, rules: Rules, master: Master) -> dict[str, Any]:
    """The run's header; what takes time (the digest of the problem's source) is found out once a world."""
    world = type(schedule), schedule.problem, schedule.algorithm
    if world not in _headers:
        problem, algorithm = master.problem, master.algorithm
        _headers[world] = header_for(
            problem, algorithm, algorithm, 0, schedule.order, rules, Crew(), None, "simulated", None, None
        )
    header = _headers[world]
    spec = {**header["spec"], "order": schedule.order.describe(), "budget": rules.describe()}
    return {**header, "seed": schedule.seed, "spec": spec}
