"""Islands: who is whose neighbour, what travels, what each may spend."""

from __future__ import annotations

import contextlib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine.breaking import StopHere, raising
from engine.worlds import Bowl, Masks, Pruning, canonical
from simulation.harness import Simulation
from simulation.invariants import check
from simulation.schedule import PLAIN, Schedule

import evo
from algorithms.racing import rounds
from evo.algorithm import Algorithm
from evo.config import parse_config
from evo.registry import build, describe
from evo.spec import spec_of
from evo.testing import check_algorithm
from workers.simulated import Simulated

RUNGS = [{"survivors": 3, "reserve": 0.25}, {"survivors": 1, "reserve": 0.5}]
SHORT = 130
"""Evaluations with which islands migrate twice."""


def racing() -> evo.OnePlusLambda:
    return evo.OnePlusLambda(8, rungs=RUNGS, initial=6)


INNER: dict[str, tuple[Any, Any]] = {
    "races": (Pruning, racing),
    "plain": (Bowl, lambda: evo.OnePlusLambda(6, initial=5)),
    "generations": (Masks, lambda: evo.Genetic(10)),
    "steady": (Bowl, lambda: evo.Genetic(10, selection="steady")),
    "elites": (Masks, lambda: evo.MapElites((6, 6), batch=10)),
}


def search(inner: str = "plain", count: int = 3, evaluations: int = 240, **options: Any) -> evo.Run:
    problem, algorithm = INNER[inner]
    run_options = {name: options.pop(name) for name in ("seed", "run_dir", "workers", "on_elite") if name in options}
    run = evo.search(
        problem(),
        evo.Islands(algorithm(), count, **{"migrate_every": 20, **options}),
        evaluations=evaluations,
        **{"seed": 7, **run_options, **({"message_seconds": 1e-9} if "on_elite" in run_options else {})},
    )
    assert run.state == "finished"
    return run


seen = cache(search)
"""The same run for all tests that only read it."""


@pytest.mark.parametrize("inner", INNER)
def test_every_island_spends_its_part_of_the_budget(inner: str) -> None:
    run = seen(inner)
    spent: Counter[str] = Counter()
    status = run.frame().set_index("request")["same_as"]
    for batch in run.reader.requests():
        spent[batch.source] += batch.reserve * int((status.loc[batch.ids] < 0).sum())  # type: ignore[assignment]
    assert set(spent) == {"island/0", "island/1", "island/2"}
    assert max(spent.values()) - min(spent.values()) <= 8
    assert 236 < sum(spent.values()) <= 240


def test_islands_are_not_copies_of_each_other() -> None:
    run = search("steady", migrate_every=0)
    first = {batch.source: batch.genomes for batch in reversed(list(run.reader.requests()))}
    a, b, c = first.values()
    assert not np.array_equal(a, b)
    assert not np.array_equal(b, c)


def test_each_island_has_its_archives_and_the_main_one_has_the_best_of_all() -> None:
    run = seen("elites")
    assert list(run.archives) == ["archive", "island/0/archive", "island/1/archive", "island/2/archive"]
    main, *others = run.archives.values()
    assert main.description["kind"] == "grid"
    assert set(main.candidate.tolist()) <= {one for other in others for one in other.candidate.tolist()}
    best: dict[int, float] = {}
    for other in others:
        for key, value in zip(other.keys.tolist(), other.objectives[:, 0].tolist(), strict=True):
            best[key] = max(value, best.get(key, value))
    assert dict(zip(main.keys.tolist(), main.objectives[:, 0].tolist(), strict=True)) == best
    assert run.best is not None
    assert run.best.objectives["ones"] == max(best.values())


def foreign(run: evo.Run) -> Counter[tuple[str, str]]:
    """(where it was born, where its child was born) of parents from another island."""
    source = {one: batch.source for batch in run.reader.requests() for one in batch.ids.tolist()}
    found: Counter[tuple[str, str]] = Counter()
    for batch in run.reader.requests():
        if batch.parents is not None:
            for parent in batch.parents[:, 0].tolist():
                if source[parent >> 20] != batch.source:
                    found[source[parent >> 20], batch.source] += 1
    return found


@pytest.mark.parametrize("inner", INNER)
def test_migrants_have_children_with_the_neighbour(inner: str) -> None:
    found = foreign(seen(inner, evaluations=400))
    assert found["island/0", "island/1"] + found["island/1", "island/2"] + found["island/2", "island/0"] > 0


@pytest.mark.parametrize("inner", INNER)
def test_without_migration_nothing_travels(inner: str) -> None:
    run = search(inner, evaluations=400, migrate_every=0)
    assert not foreign(run)
    kept = [set(view.candidate.tolist()) for name, view in run.archives.items() if name != "archive"]
    assert not kept[0] & kept[1]
    assert not kept[1] & kept[2]


def test_the_first_to_travel_come_from_the_island_before() -> None:
    run = search("plain", count=4, migrate_every=40, evaluations=280)  # one migration
    assert {(int(one[-1]) + 1) % 4 - int(other[-1]) for one, other in foreign(run)} == {0}


@pytest.mark.parametrize("migrants", [1, 9])
def test_only_so_many_travel_at_a_time(migrants: int) -> None:
    inner = evo.Random(10, archive=evo.Top(1000))
    algorithm = evo.Islands(inner, 2, migrate_every=100, migrants=migrants)  # one migration
    run = evo.search(Bowl(), algorithm, evaluations=240, seed=2)
    source = {one: batch.source for batch in run.reader.requests() for one in batch.ids.tolist()}
    view = run.archives["island/1/archive"]
    came = [row for row, one in enumerate(view.candidate.tolist()) if source[one >> 20] == "island/0"]
    assert len(came) == migrants
    assert len(view) == 120 + migrants
    heights = run.frame().set_index("request")["height"]
    sent = [one for one, name in source.items() if name == "island/0" and one < 200]
    assert sorted(view.objectives[came, 0].tolist()) == sorted(heights.loc[sent].tolist())[:migrants]


def test_a_migrant_meets_the_parent_in_the_last_rung() -> None:
    run = seen("races", evaluations=400)
    source = {one: batch.source for batch in run.reader.requests() for one in batch.ids.tolist()}
    guests = 0
    for island in ("island/0", "island/1", "island/2"):
        for one in rounds(run, island):
            strange = [source[candidate >> 20] != island for candidate in one.candidate]
            if len(one.candidate) >= 8:
                assert not any(strange)
            elif any(strange[:-1]):
                guests += 1
                assert len(one.candidate) == 5
                assert strange[:-2] == [False] * 3
    assert guests > 1


@pytest.mark.parametrize("inner", INNER)
def test_any_number_of_workers_gives_the_same_run(inner: str, tmp_path: Path) -> None:
    expected = canonical(seen(inner, evaluations=SHORT), tmp_path)
    for count in (1, 4):
        run = search(inner, evaluations=SHORT, workers=Simulated(0.1, 0.8, count=count))
        assert canonical(run, tmp_path) == expected


@pytest.mark.parametrize("snapshot", [True, False])
@pytest.mark.parametrize("inner", INNER)
def test_broken_off_it_goes_on_to_the_byte(inner: str, snapshot: bool, tmp_path: Path) -> None:
    expected = canonical(seen(inner, evaluations=SHORT), tmp_path)
    for after in (2, 9):
        folder = tmp_path / str(after)
        with contextlib.suppress(StopHere):
            search(inner, evaluations=SHORT, run_dir=folder, on_elite=raising(StopHere, after))
        assert evo.load(folder).state == "interrupted"
        assert canonical(evo.resume(folder, snapshot=snapshot), tmp_path) == expected


class Mine(Schedule):
    """Schedules of faults and restarts, for islands."""

    worlds = PLAIN

    def make_algorithm(self) -> Algorithm:
        return evo.Islands(evo.Genetic(4), 3, migrate_every=3)


def test_schedules_of_faults_and_restarts() -> None:
    for seed in range(10):
        check(Simulation(Mine.of(seed)).run())


@pytest.mark.parametrize("inner", INNER)
def test_islands_keep_their_promises(inner: str) -> None:
    problem, algorithm = INNER[inner]
    check_algorithm(lambda: evo.Islands(algorithm(), 3, migrate_every=5, migrants=3), problem(), moves=30, n=15)


def test_islands_of_islands() -> None:
    run = evo.search(Bowl(), evo.Islands(evo.Islands(evo.Genetic(5), 2), 2), evaluations=80, seed=1)
    assert set(run.frame()["source"]) == {f"island/{i}/island/{j}" for i in (0, 1) for j in (0, 1)}
    assert "island/1/island/0/archive" in run.archives


def test_islands_that_come_to_an_end_end_the_run_and_leave_no_budget() -> None:
    from engine.worlds import Verified

    run = evo.search(Verified(), evo.Islands(evo.Enumeration(50), 2))
    assert run.state == "finished"
    assert run.reason.count("the enumeration is complete") == 2
    assert run.evaluations == 12


def test_seeds_are_told_to_every_island() -> None:
    algorithm = evo.Islands(evo.Genetic(5), 3, migrate_every=0)
    run = evo.search(Bowl(), algorithm, evaluations=60, seed=1, initial=np.zeros((1, 3)))
    for name, view in run.archives.items():
        assert view.candidate[0] == 0, name


def test_a_run_file_names_the_algorithm_inside() -> None:
    inside = {"type": "one_plus_lambda", "offspring": 8, "rungs": RUNGS}
    spec = {"type": "islands", "count": 3, "algorithm": inside}
    config = parse_config({"problem": "engine.worlds:Pruning", "algorithm": spec, "budget": {"evaluations": 50}})
    _, algorithm = config.built
    resolved = config.resolved()["algorithm"]
    assert resolved["algorithm"]["rungs"] == RUNGS
    assert config.resolved()["order"]["block"] == 27
    assert describe(build("algorithms", spec_of(algorithm))) == resolved


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count and migrants >= 1"),
        ({"migrants": 0}, "count and migrants >= 1"),
        ({"migrate_every": -1}, "migrate_every >= 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(evo.ConfigError, match=message):
        evo.Islands(evo.Genetic(4), **options)
