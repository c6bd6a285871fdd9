"""Three hundred seeded schedules of faults and restarts; every invariant after each; planted bugs are caught."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evo.engine.dispatch import Dispatcher
from evo.engine.ledger import Ledger
from evo.engine.order import Strict
from evo.engine.tally import Tally
from simulation.harness import Schedule, Simulation, check

SCHEDULES = 300
QUICK = 100


def run(seed: int) -> Simulation:
    done = Simulation(Schedule.of(seed)).run()
    check(done)
    return done


checked = cache(run)
"""Run once for all tests that only look at it."""


@pytest.mark.parametrize(
    "start",
    [pytest.param(start, marks=[pytest.mark.slow] * (start >= QUICK)) for start in range(0, SCHEDULES, 50)],
)
def test_every_invariant_holds_after_every_schedule(start: int) -> None:
    for seed in range(start, start + 50):
        checked(seed)


def test_schedules_do_meet_faults_restarts_and_quarantines() -> None:
    done = [checked(seed) for seed in range(40)]
    assert sum(one.restarts for one in done) > 10
    assert sum(sum(one.blows.values()) for one in done) > 20
    assert sum(one.master.tally.failures.get("crashed", 0) for one in done) > 0
    assert sum(one.master.tally.failures.get("timeout", 0) for one in done) > 0
    assert sum(one.master.tally.repeats for one in done) > 20
    assert sum(one.master.tally.rejected for one in done) > 20
    assert sum(one.master.tally.counters.get("children_rejected", 0) for one in done) > 20


def test_a_seed_replays_its_schedule_exactly(tmp_path: Path) -> None:
    for seed in range(20):
        first, second = checked(seed), run(seed)
        assert first.restarts == second.restarts
        assert first.canonical(tmp_path) == second.canonical(tmp_path)


def test_strict_order_gives_one_record_whatever_goes_wrong(tmp_path: Path) -> None:
    compared = 0
    for seed in range(80):
        troubled = Schedule.of(seed)
        if not isinstance(troubled.order, Strict):
            continue
        calm = Schedule(
            **{
                **vars(troubled),
                "faults": False,
                "poison": frozenset(),
                "restart": 0.0,
                "workers": 1,
                "snapshots": False,
            }
        )
        done = checked(seed)
        if done.master.tally.failures.keys() & {"timeout", "crashed"}:
            continue  # those that are logged are part of the record
        assert done.canonical(tmp_path) == Simulation(calm).run().canonical(tmp_path), seed
        compared += 1
    assert compared > 15


def dropped_result(monkeypatch: pytest.MonkeyPatch) -> None:
    accept = Ledger.accept

    def drop(self: Ledger, outcomes: Any) -> Any:
        news = accept(self, outcomes)
        return news[:-1] if news and int(outcomes.ids[0]) % 7 == 3 else news

    monkeypatch.setattr(Ledger, "accept", drop)


def counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    count = Tally._count

    def twice(self: Tally, part: Any) -> None:
        count(self, part)
        if len(part.requests) and int(part.requests.ids[0]) % 7 == 3:
            self.evaluations += part.requests.reserve

    monkeypatch.setattr(Tally, "_count", twice)


def told_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    accept = Ledger._accept_part

    def forgetful(self: Ledger, batch: Any, outcomes: Any) -> Any:
        batch.done[:] = False  # the guard against repeated deliveries is gone
        return accept(self, batch, outcomes)

    monkeypatch.setattr(Ledger, "_accept_part", forgetful)


def forgotten_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    again = Dispatcher._again

    def forget(self: Dispatcher, flight: Any, rows: Any, caution: Any) -> None:
        again(self, flight, rows[1:], caution)

    monkeypatch.setattr(Dispatcher, "_again", forget)


def innocents_struck(monkeypatch: pytest.MonkeyPatch) -> None:
    from evo.engine.failures import Failures, Verdict, failed

    def hasty(self: Failures, requests: Any, caution: Any, status: Any, reason: str, *rest: Any) -> Verdict:
        return Verdict(quarantined=failed(requests, status, reason, self.blank))

    monkeypatch.setattr(Failures, "suspect", hasty)


@pytest.mark.parametrize("bug", [dropped_result, counted_twice, told_twice, forgotten_in_flight, innocents_struck])
def test_a_planted_bug_is_caught(bug: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bug(monkeypatch)
    monkeypatch.setattr("simulation.harness.TICKS", 2_000)
    caught = None
    for seed in np.arange(SCHEDULES).tolist():
        try:
            run(seed)
        except (AssertionError, Exception) as error:  # noqa: BLE001 - a planted bug may break anything
            caught = seed, error
            break
    assert caught is not None, "no schedule noticed"
