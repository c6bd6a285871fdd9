"""The surrogate-assisted search: it learns, it repeats nothing, it keeps budgets, and it is the same run everywhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine.breaking import StopHere, raising
from engine.worlds import Broken, Masks, Minibatches, Pruning, canonical
from simulation.harness import Simulation
from simulation.invariants import check
from simulation.schedule import PLAIN, Schedule

import evo
from evo.algorithm import Algorithm, Turn
from evo.engine.ledger import results_of
from evo.records import Outcomes
from evo.registry import build, describe
from evo.spec import spec_of
from evo.testing import check_algorithm
from problems.planted import PlantedCoupled, PlantedLevels, PlantedNoisy
from workers.simulated import Simulated

RUNG = {"tokens": 4, "reserve": 0.25}
QUICK: dict[str, Any] = {"offspring": 6, "initial": 8, "looks": 32, "steps": 2}


def search(problem: evo.Problem | None = None, evaluations: int = 60, seed: int = 3, **options: Any) -> evo.Run:
    names = ("run_dir", "workers", "order", "on_elite", "initial_genomes", "message_seconds", "snapshot_seconds")
    run_options = {name.removesuffix("_genomes"): options.pop(name) for name in names if name in options}
    algorithm = evo.SurrogateAssisted(**{**QUICK, **options})
    return evo.search(problem or PlantedLevels(8), algorithm, evaluations=evaluations, seed=seed, **run_options)


def asked(run: evo.Run, fidelity: str = "full") -> list[evo.Requests]:
    return [batch for batch in run.reader.requests() if batch.fidelity == fidelity]


def genomes(batches: list[evo.Requests]) -> list[bytes]:
    return [genome.tobytes() for batch in batches for genome in batch.genomes]


# What it finds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_finds_what_interactions_hide_in_few_evaluations(seed: int) -> None:
    problem = PlantedCoupled(seed=seed)
    algorithm = evo.SurrogateAssisted(32, initial=64)
    run = evo.search(problem, algorithm, evaluations=224, seed=seed, order=evo.Strict(lag=1), target=problem.optimum())
    assert run.summary["gap"] == 0.0  # (1+lambda) does in three of five with three times as many


def test_it_finds_the_best_allocation_of_bits() -> None:
    run = search(PlantedLevels(12), evaluations=96, offspring=12, initial=24, looks=192, steps=4)
    assert run.summary["captured"] > 0.99


def test_cheap_noisy_measurements_lead_to_the_optimum() -> None:
    problem = PlantedNoisy(0.3, 10, 4, seed=2)
    rung = {"samples": 4, "reserve": 0.1}
    run = search(problem, evaluations=14, rung=rung, offspring=16, initial=32, looks=128, steps=3)
    assert run.summary["gap"] == 0.0


# What it asks for -----------------------------------------------------------------------------------------------------


def test_it_begins_with_what_is_given_and_mutants_of_it() -> None:
    problem = PlantedLevels(8)
    first, mutants, *_ = asked(search(problem, order=evo.Strict(8, 1)))
    assert (first.operator, mutants.operator) == ("initial", "level_switch")
    assert len(first) + len(mutants) == 8
    steps = abs(mutants.genomes - first.genomes).sum(axis=1)
    assert steps.max() > 4 > steps.min()


def test_it_begins_with_random_genomes_where_none_are_given() -> None:
    first, *rest = asked(search(PlantedCoupled(), order=evo.Strict(8, 1)))
    assert (first.operator, len(first)) == ("sample", 8)
    assert {batch.operator for batch in rest} == {"surrogate", "level_switch"}


def test_no_genome_is_asked_for_twice() -> None:
    for problem in (PlantedLevels(6), PlantedCoupled(8, 4), Masks()):
        found = genomes(asked(search(problem, evaluations=65)))
        assert len(found) == len(set(found)) == 65


def test_a_share_of_each_batch_are_plain_mutants() -> None:
    counts = {}
    for explore in (0.0, 0.5, 1.0):
        run = search(PlantedCoupled(), explore=explore, initial=12, evaluations=60)
        counts[explore] = sum(len(batch) for batch in asked(run) if batch.operator == "level_switch")
    assert counts == {0.0: 0, 0.5: 24, 1.0: 48}


def test_what_it_proposes_has_the_genome_that_it_came_from_as_parent() -> None:
    run = search()
    born = {int(one) for batch in asked(run) for one in batch.candidates}
    parents = {int(one) for batch in asked(run) if batch.operator == "surrogate" for one in batch.parents[:, 0]}
    assert len(parents) > 3
    assert parents <= born


def test_a_small_space_is_measured_to_the_end_and_it_says_so() -> None:
    problem = PlantedCoupled(6, 3)
    run = search(problem, evaluations=100)
    assert run.evaluations == 20
    assert (run.state, run.reason) == ("finished", "no genome is found that was not asked for before")
    assert run.summary["gap"] == 0.0


# Rungs ----------------------------------------------------------------------------------------------------------------


def test_with_a_rung_each_batch_shares_a_draw_and_the_best_is_measured_in_full() -> None:
    run = search(Pruning(), rung=RUNG, evaluations=40)
    cheap, full = asked(run, "rung"), asked(run)
    draws = {}
    for batch in cheap:
        assert (batch.params, batch.reserve) == ({"tokens": 4}, 0.25)
        for draw in batch.draws.tolist():
            draws[draw] = draws.get(draw, 0) + 1
    assert list(draws.values())[:5] == [8, 6, 6, 6, 6]
    born = {int(one) for batch in cheap for one in batch.candidates}
    confirmed = [int(one) for batch in full for one in batch.candidates]
    assert set(confirmed) <= born
    assert len(confirmed) == len(set(confirmed)) >= 8
    assert set(run.archive.candidate.tolist()) <= set(confirmed)
    assert 39 < run.evaluations <= 40
    assert run.reason == "budget spent"


def test_in_the_end_the_best_of_the_last_batch_is_measured_in_full() -> None:
    for evaluations in range(12, 20):
        run = search(Pruning(), rung=RUNG, evaluations=evaluations)
        *_, last = run.reader.requests()
        assert last.fidelity == "full"
        assert run.evaluations <= evaluations


# What goes wrong ------------------------------------------------------------------------------------------------------


def test_what_fails_is_not_asked_for_again_and_the_search_goes_on() -> None:
    run = search(Masks(), evaluations=150)
    assert run.failures["failed"] + run.failures["invalid"] > 5
    assert run.best is not None
    assert run.best.objectives["ones"] == 10.0


def test_while_everything_fails_it_goes_on_looking() -> None:
    class Out(Broken):
        space = evo.BitMask(12)

    run = search(Out(), evaluations=50)
    assert run.state == "failed"
    assert len(set(genomes(asked(run)))) == 50


def test_one_that_is_hopeless_does_not_drown_the_others() -> None:
    class Cliff(PlantedLevels):
        def values(self, genomes: Any) -> Any:
            return super().values(genomes) + 1e12 * (genomes[:, 0] == 0)

    run = search(Cliff(8), evaluations=120, offspring=12, initial=24, looks=256, steps=4)
    plain = PlantedLevels(8)
    assert run.best is not None
    gain = plain.values(plain.space.stack(plain.initial()))[0] - plain.optimum()
    assert run.best.objectives["error"] < plain.optimum() + 0.2 * gain


def test_given_genomes_are_learned_from() -> None:
    problem = PlantedCoupled(seed=4)
    run = search(problem, initial_genomes=problem.best[None], evaluations=40)
    assert run.best is not None
    assert run.best.candidate == 0
    assert problem.best.tobytes() not in genomes(asked(run))[1:]


@pytest.mark.parametrize("evaluations", [*range(1, 10), 14])
@pytest.mark.parametrize("reserve", [None, 0.125, 0.25, 0.6, 1])
@pytest.mark.parametrize("lag", [1, 2])
def test_small_budgets_are_kept_and_give_a_best(evaluations: int, reserve: float | None, lag: int) -> None:
    rung = None if reserve is None else {"tokens": 4, "reserve": reserve}
    problem = PlantedLevels(8) if rung is None else Pruning()
    run = search(problem, rung=rung, evaluations=evaluations, order=evo.Strict(lag=lag))
    assert evaluations - 1 < run.evaluations <= evaluations
    assert (run.state, run.reason) == ("finished", "budget spent")
    assert run.best is not None


@pytest.mark.parametrize("initial", [1, 32])
def test_founders_leave_enough_to_measure_the_favourite(initial: int) -> None:
    problem = PlantedNoisy(0.3, 10, 4, seed=2)
    run = search(problem, rung={"samples": 4}, initial=initial, evaluations=32)
    assert run.best is not None
    assert run.evaluations == 32


def test_while_cheap_measurements_fail_it_goes_on_and_measures_in_full_in_the_end() -> None:
    class Flaky(Minibatches):
        def evaluate_batch(self, genomes: Any, work: evo.Work) -> evo.Evaluations:
            found = super().evaluate_batch(genomes, work)
            fails = work.fidelity == "rung"
            return replace(found, failures=dict.fromkeys(range(len(genomes)), "too cheap") if fails else {})

    class Unlucky(Pruning):
        evaluator = Flaky()

    run = search(Unlucky(), rung=RUNG, evaluations=6)
    assert run.best is not None
    assert (run.failures["failed"], run.evaluations) == (16, 6)


def test_a_budget_that_measures_nothing_is_said_to() -> None:
    algorithm = evo.SurrogateAssisted(**QUICK, rung=RUNG)
    algorithm.setup(Pruning())
    assert not algorithm.ask(5, Turn(1, 0, 0, 0.5))
    assert algorithm.exhausted.startswith("budget spent: the 0.5 evaluations left")


def test_the_last_favourite_waits_for_all_that_was_asked_for() -> None:
    algorithm = evo.SurrogateAssisted(**QUICK, rung=RUNG)
    algorithm.setup(Pruning())
    (founders,) = algorithm.ask(5, Turn(1, 0, 0, 20.0))
    assert len(founders) == 5
    assert not algorithm.ask(5, Turn(1, 1, 5, 1.0)), "others have spent the rest"
    founders.ids = np.arange(5)
    outcomes = Outcomes(founders.ids, np.arange(5.0)[:, None], np.empty((5, 0)))
    algorithm.tell([results_of(founders, outcomes)], Turn(1, 2, 5))
    (favourite,) = algorithm.ask(5, Turn(1, 3, 5, 1.0))
    assert favourite.candidate is not None
    assert (favourite.candidate.tolist(), favourite.draw) == ([founders.candidates[4]], None)


# The same run ---------------------------------------------------------------------------------------------------------

CASES: list[Callable[[], tuple[evo.Problem, dict[str, Any]]]] = [
    lambda: (PlantedLevels(8), {}),
    lambda: (Masks(), {"memory": 20}),
    lambda: (Pruning(), {"rung": RUNG, "evaluations": 20}),
]


@pytest.mark.parametrize("case", CASES)
def test_any_number_of_workers_gives_the_same_run(case: Any, tmp_path: Path) -> None:
    problem, options = case()
    expected = canonical(search(problem, **options), tmp_path)
    for count in (1, 5):
        workers = Simulated(0.1, 0.8, seed=count, count=count)
        assert canonical(search(problem, workers=workers, **options), tmp_path) == expected


@pytest.mark.parametrize("snapshot_seconds", [0.0, 60.0])
@pytest.mark.parametrize("after", [2, 6])
@pytest.mark.parametrize("case", CASES)
def test_broken_off_anywhere_it_goes_on_to_the_byte(
    case: Any, after: int, snapshot_seconds: float, tmp_path: Path
) -> None:
    problem, options = case()
    expected = canonical(search(problem, message_seconds=1e-9, run_dir=tmp_path / "whole", **options), tmp_path)
    stop = raising(StopHere, after)
    broken = {"run_dir": tmp_path / "run", "message_seconds": 1e-9, "snapshot_seconds": snapshot_seconds}
    with contextlib.suppress(StopHere):
        search(problem, on_elite=stop, **broken, **options)
    assert evo.load(tmp_path / "run").state == "interrupted"
    assert canonical(evo.resume(tmp_path / "run"), tmp_path) == expected


def test_in_order_of_arrival_it_does_not_wait_for_the_slow() -> None:
    workers = Simulated(0.1, 0.8, seed=2, count=5)
    run = search(order="arrival", workers=workers, evaluations=80)
    found = genomes(asked(run))
    assert len(found) == len(set(found)) == 80


class Mine(Schedule):
    """Schedules of faults and restarts, for this algorithm."""

    worlds = PLAIN

    def make_problem(self) -> evo.Problem:
        return PlantedLevels(8)

    def make_algorithm(self) -> Algorithm:
        return evo.SurrogateAssisted(**{**QUICK, "offspring": 5, "initial": 4})


def test_schedules_of_faults_and_restarts() -> None:
    for seed in range(4):
        check(Simulation(Mine.of(seed)).run())


@pytest.mark.parametrize("n", [3, 20])
@pytest.mark.parametrize("problem", [PlantedLevels(8), Masks(), Pruning()], ids=lambda one: type(one).__name__)
def test_it_keeps_its_promises(problem: evo.Problem, n: int) -> None:
    rung = RUNG if isinstance(problem, Pruning) else None
    check_algorithm(lambda: evo.SurrogateAssisted(**QUICK, rung=rung), problem, n=n)


def test_it_lives_beside_others_and_on_islands() -> None:
    problem = PlantedLevels(8)
    inner = evo.SurrogateAssisted(**QUICK)
    arms = evo.Arms({"surrogate": inner, "random": evo.Random(6)})
    islands = evo.Islands(inner, 2, migrate_every=12)
    for algorithm in (arms, islands):
        check_algorithm(lambda algorithm=algorithm: build("algorithms", spec_of(algorithm)), problem, moves=8)
        run = evo.search(problem, algorithm, evaluations=80, seed=1)
        assert run.state == "finished"
        assert run.evaluations >= 79


# Settings -------------------------------------------------------------------------------------------------------------


def test_both_plain_forms_build_it_again() -> None:
    algorithm = evo.SurrogateAssisted(16, rung=RUNG, explore=0.25, archive=evo.Top(3))
    for form in (spec_of(algorithm), describe(algorithm)):
        assert describe(build("algorithms", form)) == describe(algorithm)
    assert describe(algorithm)["type"] == "surrogate"


@pytest.mark.parametrize(
    ("problem", "options", "message"),
    [
        (None, {"offspring": 0}, "offspring: expected a whole number of at least 1, got 0"),
        (None, {"offspring": 2.5}, "offspring: expected a whole number of at least 1, got 2.5"),
        (None, {"initial": "8"}, "initial: expected a whole number of at least 1, got '8'"),
        (None, {"looks": True}, "looks: expected a whole number of at least 1, got True"),
        (None, {"steps": -1}, "steps: expected a whole number of at least 1, got -1"),
        (None, {"memory": 5}, "memory: expected a whole number of at least 8, got 5"),
        (None, {"explore": 1.5}, "explore: expected a number of at least 0 and at most 1, got 1.5"),
        (None, {"explore": "half"}, "explore: expected a number of at least 0 and at most 1, got 'half'"),
        (None, {"optimism": -1.0}, "optimism: expected a number of at least 0, got -1.0"),
        (None, {"optimism": float("inf")}, "optimism: expected a number of at least 0, got inf"),
        (None, {"rung": [1]}, r"^rung: expected a mapping such as .*, got \[1\]"),
        (None, {"rung": {"reserve": 0}}, "^rung.reserve: expected a number above 0"),
        (None, {"rung": {}}, "algorithm.rung.fidelity: PlantedLevels has 'full', got 'rung'"),
        ("aimless", {}, "no objective"),
    ],
)
def test_settings_that_cannot_be_are_refused(problem: Any, options: dict[str, Any], message: str) -> None:
    class Aimless(PlantedLevels):
        def __init__(self) -> None:
            super().__init__(8)
            self.objectives = []

    with pytest.raises(evo.ConfigError, match=message):
        search(None if problem is None else Aimless(), **options)
