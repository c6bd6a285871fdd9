"""One seeded schedule: the real master, store and algorithms on a virtual clock, with faults and restarts; then the
invariants that must hold whatever happened."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import evo
from evo.algorithm import Algorithm
from evo.engine.build import header_for, logged, master_for
from evo.engine.crew import Crew
from evo.engine.master import Master
from evo.engine.order import Arrival, Order, Strict
from evo.engine.replay import replay
from evo.engine.rules import Rules
from evo.evaluator import Resources
from evo.operator import Operator
from evo.records import Requests, Status
from evo.run import Run
from evo.store.columns import pack, unpack
from evo.store.reader import RunReader
from evo.store.writer import open_file
from evo.worker import Kit
from problems.arm import Arm
from workers.simulated import Faults, Simulated

TICKS = 20_000


class Restart(BaseException):
    """The master's process dies between two writes."""


class Bits(evo.Problem):
    """Counts ones: a small discrete space in which equal work is common."""

    space = evo.BitMask(6)
    objectives = (evo.Maximize("ones"),)
    measures = (evo.Measure("head", 0, 3), evo.Measure("tail", 0, 3))

    def evaluate_batch(self, masks: Any) -> evo.Evaluations:
        masks = masks.astype(float)
        measures = np.stack([masks[:, :3].sum(axis=1), masks[:, 3:].sum(axis=1)], axis=1)
        return evo.Evaluations(masks.sum(axis=1, keepdims=True), measures)

    @property
    def operators(self) -> Mapping[str, Operator]:
        return {"masks": Masks()}


class Picky(Bits):
    """Turns down every mask whose first bit is set, and trips over the one that is empty."""

    def evaluate_batch(self, masks: Any) -> evo.Evaluations:
        found = super().evaluate_batch(masks)
        rejected = dict.fromkeys(np.flatnonzero(masks[:, 0]).tolist(), "begins with a one")
        failures = dict.fromkeys(np.flatnonzero(~masks.any(axis=1)).tolist(), "empty")
        return evo.Evaluations(found.objectives, found.measures, failures=failures, rejected=rejected)


class Masks(evo.Enumerator):
    """All masks of six."""

    total = 64

    def make(self, parents: Any, args: Mapping[str, Any], space: evo.Space, work: evo.Work) -> evo.Births:
        ranks = np.arange(args["start"], args["stop"])
        return evo.Births((ranks[:, None] >> np.arange(6) & 1).astype(bool), counters={"ranks": len(ranks)})


@dataclass(frozen=True)
class Schedule:
    """What a seed stands for."""

    seed: int
    problem: str
    algorithm: str
    order: Order
    budget: int
    workers: int
    faults: bool
    poison: frozenset[int]
    """Request ids that kill or hang their worker every time (poison goes by id, as candidates differ by id)."""
    restart: float
    """Chance that the master dies at any one write."""
    snapshots: bool

    @classmethod
    def of(cls, seed: int) -> Schedule:
        rng = np.random.default_rng([seed, 7])
        budget = int(rng.integers(1, 41))
        strict = rng.random() < 0.6
        order: Order = Strict(int(rng.integers(1, 9)), int(rng.integers(1, 5))) if strict else Arrival()
        poisoned = rng.choice(budget, size=min(budget, int(rng.integers(0, 3))), replace=False)
        return cls(
            seed,
            str(rng.choice(["arm", "bits", "picky"])),
            str(rng.choice(["map_elites", "random", "generational", "steady", "enumeration"])),
            order,
            budget,
            int(rng.integers(1, 5)),
            bool(rng.random() < 0.8),
            frozenset(poisoned.tolist()) if rng.random() < 0.5 else frozenset(),
            float(rng.choice([0.0, 0.01, 0.05])),
            bool(rng.random() < 0.5),
        )

    def make_problem(self) -> evo.Problem:
        kinds: dict[str, Callable[[], evo.Problem]] = {"arm": lambda: Arm(3), "bits": Bits, "picky": Picky}
        endless = self.problem == "arm" and self.algorithm == "enumeration"  # nobody enumerates real numbers
        problem = kinds["picky" if endless else self.problem]()
        problem.deadline = 5.0
        return problem

    def make_algorithm(self) -> Algorithm:
        if self.algorithm == "map_elites":
            return evo.MapElites((4, 4))
        if self.algorithm == "random":
            return evo.Random()
        if self.algorithm == "enumeration":
            return evo.Enumeration(2, archive=evo.Grid((4, 4)))
        return evo.Genetic(6, selection="steady" if self.algorithm == "steady" else "generational")

    def make_faults(self) -> Faults:
        rng = np.random.default_rng([self.seed, 8])

        def poison(requests: Requests, row: int) -> str | None:
            request = int(requests.ids[row])
            if request not in self.poison:
                return None
            return "crash" if request % 2 else "hang"

        if not self.faults:
            return Faults(poison=poison)
        rates = rng.choice([0.0, 0.03, 0.15], size=8)
        return Faults(*rates.tolist(), poison=poison)


class Simulation:
    """Runs a schedule to its end, restarting the master whenever it dies."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.problem = schedule.make_problem()
        self.rng = np.random.default_rng([schedule.seed, 9])
        self.restarts = 0
        self.blows: dict[int, int] = {}
        self.connection: sqlite3.Connection | None = None
        self.master = self._fresh()

    def run(self) -> Simulation:
        """To the end."""
        while True:
            try:
                self._session()
                return self
            except (Restart, evo.WorkerError):  # workers that cannot start end a session, not the run
                self.restarts += 1
                self.master = self._resumed()

    def _session(self) -> None:
        schedule, master = self.schedule, self.master
        if schedule.restart:
            self._plan_restarts(master)
        workers = Simulated(
            0.1, 0.5, seed=int(self.rng.integers(2**31)), faults=schedule.make_faults(), start_seconds=0.3
        )
        try:
            workers.open(Kit(self.problem, self.problem.operators, schedule.seed), [Resources()])
            master.employ(workers, [Resources()] * schedule.workers)
            for tick in range(TICKS):
                master.tick()
                if schedule.snapshots and tick % 7 == 3 and master.ended is None:
                    with self.writer.transaction():
                        self.writer.snapshot(master.seq, pack(master.state()))
                if master.ended is not None:
                    return
            raise AssertionError(f"no end after {TICKS} ticks: {master.ledger.waiting} requests wait")
        finally:
            for request, count in workers.blows.items():
                self.blows[request] = self.blows.get(request, 0) + count

    def _plan_restarts(self, master: Master) -> None:
        execute, many = self.writer.connection.execute, self.writer.connection.executemany
        chance = self.schedule.restart / (1 + self.restarts)  # dies out, so that every schedule ends

        def risky(*args: Any) -> Any:
            if args[0].startswith(("INSERT", "COMMIT")) and self.rng.random() < chance:
                raise Restart
            return execute(*args)

        def riskier(statement: str, rows: list[Any]) -> None:
            for row in rows:
                if self.rng.random() < chance:
                    raise Restart
                many(statement, [row])

        self.writer._execute = risky
        self.writer._many = riskier

    def _fresh(self) -> Master:
        schedule = self.schedule
        algorithm = schedule.make_algorithm()
        algorithm.setup(self.problem)
        self.writer, self.reader, logbook = logged(open_file(None), self.problem)
        header = header_for(
            self.problem,
            algorithm,
            algorithm,
            schedule.seed,
            schedule.order,
            self._rules(),
            Crew(),
            None,
            "s",
            None,
            None,
        )
        with self.writer.transaction():
            self.writer.header(header)
        return self._master(algorithm, logbook)

    def _resumed(self) -> Master:
        connection = self.writer.connection
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        algorithm = self.schedule.make_algorithm()
        algorithm.setup(self.problem)
        self.writer, self.reader, logbook = logged(connection, self.problem)
        master = self._master(algorithm, logbook)
        replay(master, self.reader)
        return master

    def _master(self, algorithm: Algorithm, logbook: Any) -> Master:
        schedule = self.schedule
        return master_for(self.problem, algorithm, schedule.seed, schedule.order, self._rules(), logbook)

    def _rules(self) -> Rules:
        return Rules(evaluations=self.schedule.budget, failures=10_000)

    @property
    def result(self) -> Run:
        """The run as its readers see it."""
        return Run(RunReader(self.writer.connection, self.problem.space), self.problem)

    def canonical(self, folder: Path) -> bytes:
        """The canonical export."""
        return self.result.export("canonical", folder / f"{id(self)}.jsonl").read_bytes()


def check(done: Simulation) -> None:
    """The invariants. Raises AssertionError with the seed."""
    seed = done.schedule.seed
    master, reader = done.master, done.reader
    assert master.ended is not None, seed
    told = reader.told()
    logged = np.concatenate([one.ids for one in reader.outcomes()]) if master.tally.told else np.empty(0, np.int64)
    asked = sum(len(one) for one in reader.requests())
    assert len(np.unique(told)) == len(told), f"seed {seed}: an id was told twice"
    assert len(np.unique(logged)) == len(logged), f"seed {seed}: an id has two results"
    assert len(told) == asked == master.tally.told, f"seed {seed}: {asked} asked, {len(told)} told: one was lost"
    _check_budget(done)
    _check_blame(done)
    _check_replay(done)


def _check_budget(done: Simulation) -> None:
    tally = done.master.tally
    seed = done.schedule.seed
    distinct = 0
    for outcomes in done.reader.outcomes():
        distinct += len(outcomes.ids) if outcomes.same_as is None else int((outcomes.same_as < 0).sum())
    assert tally.evaluations == distinct, f"seed {seed}: {tally.evaluations} counted, {distinct} measured"
    assert tally.reserved == 0, f"seed {seed}: {tally.reserved} still reserved"
    if done.master.ended == ("finished", "budget spent"):
        assert tally.evaluations == done.schedule.budget, f"seed {seed}: the budget was not met exactly"


def _check_blame(done: Simulation) -> None:
    seed = done.schedule.seed
    for outcomes in done.reader.outcomes():
        status = np.zeros(len(outcomes.ids), np.uint8) if outcomes.status is None else outcomes.status
        for request, one in zip(outcomes.ids.tolist(), status.tolist(), strict=True):
            bad = one in (Status.CRASHED, Status.TIMEOUT)
            innocent = request not in done.schedule.poison
            if bad and innocent:
                assert done.blows.get(request, 0) >= 2, f"seed {seed}: innocent request {request} was quarantined"
            if not innocent and outcomes.same_as is None:
                assert bad, f"seed {seed}: poisonous request {request} has status {one}"


def _check_replay(done: Simulation) -> None:
    """The log alone, without any snapshot, gives the state and the derived tables."""
    seed, schedule = done.schedule.seed, done.schedule
    algorithm = schedule.make_algorithm()
    algorithm.setup(done.problem)
    again = Master(
        done.problem,
        algorithm,
        seed=seed,
        order=schedule.order,
        rules=Rules(evaluations=schedule.budget),
        logbook=None,
        deduplicate=not done.problem.space.continuous,
    )
    replay(again, done.reader, snapshot=False)
    assert again.tally.document() == done.master.tally.document(), f"seed {seed}: a replay counts otherwise"
    assert _plain(again.algorithm.state()) == _plain(done.master.algorithm.state()), f"seed {seed}: a replay differs"
    kept = algorithm.archives["archive"].elites() if "archive" in algorithm.archives else None
    if kept is not None:
        folded = done.reader.archive("archive")
        assert np.array_equal(folded.keys, kept.keys), f"seed {seed}: derived elites differ from the archive"
        assert np.array_equal(folded.candidate, kept.candidate), f"seed {seed}: derived elites differ from the archive"


def _plain(state: Any) -> bytes:
    return json.dumps(unpack(pack(state)), default=lambda array: array.tolist(), sort_keys=True).encode()
