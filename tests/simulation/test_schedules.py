"""Seeded schedules of faults, deaths and resumptions; every invariant after each; planted bugs are caught."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pytest

from simulation import harness
from simulation.bugs import BUGS
from simulation.campaign import campaign, verify
from simulation.harness import Simulation
from simulation.invariants import check_record
from simulation.schedule import Schedule

SCHEDULES = 100
"""Here; `make simulate` runs as many as wanted, and .ci/run ten thousand."""
ENOUGH = 1_000
"""Schedules within which every planted bug must be met."""

FAULTS = {
    *("crash", "hang", "lose", "late", "duplicate", "reorder", "node", "fail_start", "node removed", "nodes added"),
    *("worker lost", "master killed", "power lost", "disk full", "drained", "snapshot torn", "snapshot deleted"),
    *("budget raised", "ended: target", "ended: time", "ended: budget"),
}
SOON = {
    "a_block_is_asked_one_too_early",
    "a_full_disk_is_ignored",
    "deadlines_are_not_watched",
}
"""Bugs that are planted in the fast suite too: found within a second."""


@cache
def checked(seed: int) -> Simulation:
    done, _ = verify(seed, compare=False)
    return done


@pytest.mark.parametrize("start", range(0, SCHEDULES, 50))
def test_every_invariant_holds_after_every_schedule(start: int) -> None:
    for seed in range(start, start + 50):
        checked(seed)


def test_schedules_meet_every_kind_of_fault() -> None:
    met: Counter[str] = Counter()
    for seed in range(SCHEDULES):
        met.update(checked(seed).met)
    assert not FAULTS - set(+met), f"never met: {FAULTS - set(+met)}"
    tallies = [checked(seed).master.tally for seed in range(SCHEDULES)]
    assert sum(tally.failures.get("crashed", 0) for tally in tallies) > 0
    assert sum(tally.failures.get("timeout", 0) for tally in tallies) > 0
    assert sum(tally.repeats for tally in tallies) > 20
    assert sum(tally.rejected for tally in tallies) > 20
    assert sum(tally.counters.get("children_rejected", 0) for tally in tallies) > 20


def test_a_seed_replays_its_schedule_exactly() -> None:
    for seed in range(10):
        first, second = checked(seed), Simulation(Schedule.of(seed)).run()
        assert (first.sessions, first.met, first.blows) == (second.sessions, second.met, second.blows)
        assert first.canonical() == second.canonical()


def test_strict_order_gives_one_record_whatever_goes_wrong() -> None:
    compared = [seed for seed in range(SCHEDULES) if check_record(checked(seed))]
    assert sum(checked(seed).sessions for seed in compared) > 5


@pytest.mark.parametrize(
    "bug", [pytest.param(bug, marks=[] if bug.__name__ in SOON else [pytest.mark.slow]) for bug in BUGS]
)
def test_a_planted_bug_is_caught(bug: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bug(monkeypatch)
    monkeypatch.setattr(harness, "TICKS", 2_000)
    found = campaign(range(ENOUGH))
    with capsys.disabled():
        print(f"\n{bug.__name__.replace('_', ' ')}: {found.schedules} schedules", end="")
    assert found.failed, f"no schedule of {ENOUGH} noticed"


def test_the_list_of_planted_bugs_is_long_and_without_them_all_is_well() -> None:
    assert len(BUGS) >= 12
    assert set(SOON) <= {bug.__name__ for bug in BUGS}
    assert not campaign(range(SCHEDULES, SCHEDULES + 10)).failed
