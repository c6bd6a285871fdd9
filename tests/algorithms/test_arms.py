"""Arms: unlike algorithms side by side, each on its share."""

from __future__ import annotations

import contextlib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from engine.breaking import StopHere, raising
from engine.searchers import Rewrites
from engine.worlds import Bowl, Masks, Pruning, Verified, canonical
from simulation.harness import Simulation
from simulation.invariants import check
from simulation.schedule import PLAIN, Schedule

import evo
from evo.algorithm import Algorithm
from evo.config import parse_config
from evo.registry import build, describe
from evo.spec import spec_of
from evo.testing import check_algorithm
from workers.simulated import Simulated

RUNGS = [{"survivors": 3, "reserve": 0.25}, {"survivors": 1, "reserve": 0.5}]


def four() -> dict[str, Algorithm]:
    return {
        "race": evo.OnePlusLambda(8, rungs=RUNGS, initial=6),
        "genes": evo.Genetic(12),
        "random": evo.Random(10),
        "isles": evo.Islands(evo.OnePlusLambda(4, rungs=RUNGS, initial=3), 2, migrate_every=10),
    }


def search(arms: Any = None, problem: evo.Problem | None = None, evaluations: int = 240, **options: Any) -> evo.Run:
    shares = options.pop("shares", None)
    if "on_elite" in options:
        options["message_seconds"] = 1e-9
    return evo.search(
        problem or Pruning(),
        evo.Arms(arms if arms is not None else four(), shares=shares),
        evaluations=evaluations,
        seed=5,
        **options,
    )


whole = cache(search)
"""The same run for all tests that only read it."""


def spent(run: evo.Run) -> dict[str, float]:
    """What each arm spent, repeats not counted."""
    found: Counter[str] = Counter()
    same_as = run.frame().groupby("request")["same_as"].first()
    for batch in run.reader.requests():
        name = "/".join(batch.source.split("/")[:2])
        found[name] += batch.reserve * int((same_as.reindex(batch.ids, fill_value=-1) < 0).sum())  # type: ignore[assignment]
    return dict(found)


def test_the_budget_is_split_evenly_by_what_is_reserved() -> None:
    run = whole()
    parts = spent(run)
    assert set(parts) == {"arm/race", "arm/genes", "arm/random", "arm/isles"}
    for part in parts.values():
        assert 50 <= part <= 65
    assert 235 < sum(parts.values()) <= 240
    assert len(run.frame()) > 300  # rungs cost a part of an evaluation


def test_shares_are_kept() -> None:
    parts = spent(search({"a": evo.Random(10), "b": evo.Genetic(10)}, Bowl(), shares={"a": 3}))
    assert parts == {"arm/a": 180.0, "arm/b": 60.0}


def test_repeats_cost_an_arm_nothing() -> None:
    parts = spent(search({"elites": evo.MapElites((6, 6), batch=10), "plain": evo.OnePlusLambda(6)}, Masks()))
    assert sum(parts.values()) == 240
    assert abs(parts["arm/elites"] - parts["arm/plain"]) <= 20


def test_without_a_budget_of_evaluations_no_arm_runs_away() -> None:
    arms = evo.Arms({"quick": evo.Random(10), "slow": evo.Genetic(40)})
    run = evo.search(Bowl(), arms, target=0.001, seed=3)
    parts = spent(run)
    assert abs(parts["arm/quick"] - parts["arm/slow"]) <= 2 * 50


def test_a_remainder_of_the_budget_is_spent_too() -> None:
    arms = {name: evo.Random(5) for name in "abc"}
    assert sorted(spent(search(arms, Bowl(), evaluations=100)).values()) == [33.0, 33.0, 34.0]


def test_each_arm_has_its_archives_and_the_main_one_sees_all() -> None:
    run = whole()
    assert list(run.archives) == [
        "archive",
        "arm/race/archive",
        "arm/genes/archive",
        "arm/random/archive",
        "arm/isles/archive",
        "arm/isles/island/0/archive",
        "arm/isles/island/1/archive",
    ]
    main, *others = run.archives.values()
    best = max(float(other.objectives[0, 0]) for other in others)
    assert float(main.objectives[0, 0]) == best
    assert run.best is not None
    assert run.best.objectives["kept"] == best


def test_arms_know_nothing_of_each_other() -> None:
    run = whole()
    source = {one: batch.source for batch in run.reader.requests() for one in batch.ids.tolist()}
    children = [batch for batch in run.reader.requests() if batch.parents is not None]
    assert len(children) > 20
    for batch in children:
        for parent in batch.parents[:, 0].tolist():  # type: ignore[index]
            assert source[parent >> 20].split("/")[1] == batch.source.split("/")[1]


def test_an_arm_that_ends_leaves_its_budget_to_the_others() -> None:
    arms = {"all": evo.Enumeration(60), "some": evo.Random(5)}
    parts = spent(search(arms, Verified(), evaluations=100))
    assert parts == {"arm/all": 5.0, "arm/some": 95.0}


def test_when_all_arms_end_the_run_does_and_says_why() -> None:
    run = evo.search(Verified(), evo.Arms({"fine": evo.Enumeration(10), "coarse": evo.Enumeration(100)}))
    assert run.state == "finished"
    assert run.reason == (
        "arm/fine: the enumeration is complete: 300 ranks in 30 shards; "
        "arm/coarse: the enumeration is complete: 300 ranks in 3 shards"
    )


def test_operators_on_workers_keep_to_their_arm() -> None:
    run = search({"one": Rewrites(), "two": Rewrites()}, Masks(), evaluations=60)
    assert {name for name in run.totals["operators"] if "rewrite" in name} == {"arm/one/rewrite", "arm/two/rewrite"}
    assert run.best is not None


def test_any_number_of_workers_gives_the_same_run(tmp_path: Path) -> None:
    expected = canonical(whole(), tmp_path)
    for count in (1, 4):
        assert canonical(search(workers=Simulated(0.1, 0.8, count=count)), tmp_path) == expected


@pytest.mark.parametrize("snapshot", [True, False])
@pytest.mark.parametrize("after", [1, 7, 20])
def test_broken_off_it_goes_on_to_the_byte(after: int, snapshot: bool, tmp_path: Path) -> None:
    expected = canonical(whole(), tmp_path)
    with contextlib.suppress(StopHere):
        search(run_dir=tmp_path / "run", on_elite=raising(StopHere, after), snapshot_seconds=0.0 if snapshot else 60.0)
    assert evo.load(tmp_path / "run").state == "interrupted"
    assert canonical(evo.resume(tmp_path / "run", snapshot=snapshot), tmp_path) == expected


@pytest.mark.parametrize("snapshot", [True, False])
def test_a_larger_budget_goes_on_in_all_arms(snapshot: bool, tmp_path: Path) -> None:
    before = spent(search(run_dir=tmp_path / "run", evaluations=120))
    after = spent(evo.resume(tmp_path / "run", evaluations=240, snapshot=snapshot))
    assert all(after[name] > before[name] + 20 for name in before)


class Mine(Schedule):
    """Schedules of faults and restarts, for arms."""

    worlds = PLAIN

    def make_algorithm(self) -> Algorithm:
        return evo.Arms({"a": evo.Genetic(4), "b": evo.Random(3), "c": evo.OnePlusLambda(3, initial=2)})


def test_schedules_of_faults_and_restarts() -> None:
    for seed in range(10):
        check(Simulation(Mine.of(seed)).run())


@pytest.mark.parametrize("n", [3, 20])
def test_arms_keep_their_promises(n: int) -> None:
    check_algorithm(lambda: evo.Arms(four()), Pruning(), moves=30, n=n)
    check_algorithm(lambda: evo.Arms({"a": Rewrites(), "b": evo.Genetic(5)}), Masks(), moves=12, n=n)


def test_a_run_file_names_its_arms() -> None:
    arms = {
        "race": {"type": "one_plus_lambda", "offspring": 8, "rungs": RUNGS},
        "isles": {"type": "islands", "algorithm": "genetic"},
        "random": "random",
    }
    spec = {"type": "arms", "arms": arms, "shares": {"random": 0.5}}
    config = parse_config({"problem": "engine.worlds:Pruning", "algorithm": spec, "budget": {"evaluations": 50}})
    _, algorithm = config.built
    resolved = config.resolved()["algorithm"]
    assert list(resolved["arms"]) == ["race", "isles", "random"]
    assert resolved["arms"]["isles"]["algorithm"]["population"] == 100
    assert describe(build("algorithms", spec_of(algorithm))) == resolved
    assert describe(build("algorithms", resolved)) == resolved


def test_a_mistake_in_an_arm_names_the_whole_path() -> None:
    with pytest.raises(evo.ConfigError, match=r"algorithm\.arms\.one\.populaton: unknown key; did you mean"):
        build("algorithms", {"type": "arms", "arms": {"one": {"type": "genetic", "populaton": 3}}})


@pytest.mark.parametrize(
    ("arms", "shares", "message"),
    [
        ({}, None, "at least one arm"),
        ({"a/b": evo.Random()}, None, "names without slashes"),
        ({"": evo.Random()}, None, "names without slashes"),
        ({"a": evo.Random()}, {"b": 1.0}, "shares above 0 of a, got b: 1.0"),
        ({"a": evo.Random()}, {"a": 0.0}, "shares above 0 of a, got a: 0.0"),
    ],
)
def test_settings_that_cannot_be_are_refused(arms: Any, shares: Any, message: str) -> None:
    with pytest.raises(evo.ConfigError, match=message):
        evo.Arms(arms, shares=shares)
