"""Four walks through the contracts: a preparation, an enumeration, rungs on common draws, a cascade with artifacts."""

import time

import numpy as np
import pytest

import evo
from engine.breaking import StopHere, raising
from engine.searchers import Cascade, Enumeration, Rewrites, Rungs
from engine.worlds import Kernels, Masks, Pruning, Shard, Squares, Weighted, canonical


def interrupted_and_resumed(problem, algorithm, folder, after, **options):
    """A run whose callback raises at its `after`-th elite, taken up again."""
    with pytest.raises(StopHere):
        evo.search(problem, algorithm, run_dir=folder, on_elite=raising(StopHere, after), **options)
    return evo.resume(folder)


WALKS = {
    "prepare": (Weighted, evo.Genetic, {"population": 10}, 200),
    "enumeration": (Squares, Enumeration, {"total": 300}, 1000),
    "rewrites": (Masks, Rewrites, {}, 60),
    "rungs": (Pruning, Rungs, {}, 120),
    "cascade": (Kernels, Cascade, {}, 40),
}


@pytest.mark.parametrize("walk", WALKS)
def test_a_walk_repeats_to_the_byte_and_resumes_to_the_byte(walk, tmp_path):
    problem, algorithm, options, budget = WALKS[walk]
    whole = evo.search(problem(), algorithm(**options), evaluations=budget, seed=4, run_dir=tmp_path / "whole")
    again = evo.search(problem(), algorithm(**options), evaluations=budget, seed=4)
    broken = interrupted_and_resumed(
        problem(), algorithm(**options), tmp_path / "broken", 3, evaluations=budget, seed=4
    )
    assert whole.state == again.state == broken.state == "finished"
    assert canonical(again, tmp_path) == canonical(whole, tmp_path)
    assert canonical(broken, tmp_path) == canonical(whole, tmp_path)
    for name in ("evaluations", "told", "repeats", "failures", "counters", "costs", "operators", "artifacts"):
        assert broken.totals[name] == whole.totals[name], name


# Preparation ----------------------------------------------------------------------------------------------------------


def test_the_preparation_is_told_before_the_search_begins_and_costs_nothing():
    run = evo.search(Weighted(), evo.Genetic(10), evaluations=100, seed=1)
    first = run.frame()
    assert run.evaluations == 100
    assert run.counters == {"weighed": 14}
    assert set(run.totals["artifacts"]) == {"weights"}
    assert first["request"].min() == 1  # request 0 made no candidate
    moves = list(run.reader.moves())
    prepared = next(i for i, move in enumerate(moves) if move.kind == "tell" and move.n == 1)
    assert [move.count for move in moves[:prepared] if move.kind == "ask"] == [1, 0]


def test_what_was_prepared_reaches_every_evaluation():
    run = evo.search(Weighted(), evo.Genetic(10), evaluations=100, seed=1)
    weights = np.frombuffer(run.artifact(run.totals["artifacts"]["weights"]))
    expected = run.archive.genomes.astype(float) @ weights
    assert np.allclose(run.archive.objectives[:, 0], expected)
    assert not any(run.failures.values())


def test_what_was_prepared_reaches_evaluations_without_a_log():
    run = evo.search(Weighted(), evo.Genetic(10), evaluations=100, seed=1, log=False)
    assert not any(run.failures.values())
    assert run.best.objectives["weight"] > 0


class Fragile(Weighted):
    """The preparation works; nothing else does."""

    def evaluate(self, genome, work):
        raise RuntimeError("no such weight")


def test_a_preparation_that_works_does_not_hide_that_everything_else_fails():
    run = evo.search(Fragile(), evo.Random(50), evaluations=5000, seed=1)
    assert run.state == "failed"
    assert "no such weight" in run.reason
    assert run.totals["told"] < 500


# Enumeration ----------------------------------------------------------------------------------------------------------


def test_an_enumeration_tells_all_survivors_and_adds_up_its_counters():
    run = evo.search(Squares(), Enumeration(total=105), evaluations=1000, seed=0)
    assert (run.state, run.reason) == ("finished", "the algorithm has nothing more to ask for")
    assert run.counters == {"screened": 105}
    numbers = run.frame()["number"].to_numpy()
    assert numbers.tolist() == [n for n in range(105) if n * n % 10 == 6]
    assert run.evaluations == 11
    assert run.archive.genomes[:, 0].tolist() == [104, 96, 94, 86, 84]


def test_survivors_of_a_shard_are_numbered_within_it():
    run = evo.search(Squares(), Enumeration(total=40, shard=20), evaluations=1000, seed=0)
    assert run.frame()["candidate"].tolist() == ["0", "0.1", "0.2", "0.3", "1", "1.1", "1.2", "1.3"]


def test_a_shard_that_raises_is_a_failed_request_and_the_others_stand():
    run = evo.search(Squares(), Enumeration(total=100, trap=30), evaluations=1000, seed=0)
    assert run.failures["failed"] == 1
    assert run.counters == {"screened": 90}
    (message,) = run.reader.messages()
    assert message.startswith("ValueError: a trap")
    assert len(run.frame()) == 18 + 1  # the failure has a row of its own


def test_all_shards_of_a_message_may_fail():
    class Vectorised(Squares):
        def evaluate_batch(self, genomes):
            return [self.evaluate(genome) for genome in genomes]

    run = evo.search(Vectorised(), Enumeration(total=10, trap=0), evaluations=1000, seed=0)
    assert run.failures["failed"] == 1
    assert len(run.archive) == 0


def test_an_operator_that_nobody_has_fails_by_name():
    class Nothing(Squares):
        operators = {}  # noqa: RUF012 - overrides a property

    run = evo.search(Nothing(), Enumeration(total=30), evaluations=1000)
    assert run.failures["failed"] == 3
    assert "no operator named 'shard'" in next(run.reader.messages())


class Hurried(evo.evaluator.FunctionEvaluator):
    """A tenth of a second for each shard."""

    fidelities = {"full": evo.Fidelity(deadline=0.1)}  # noqa: RUF012 - overrides a property


class Sleepy(Squares):
    """One shard never ends."""

    @property
    def evaluator(self):
        return Hurried(self)

    @property
    def operators(self):
        return {"shard": SleepyShard()}


class SleepyShard(Shard):
    def make(self, parents, args, space, work):
        if args["start"] == 20:
            time.sleep(5)
        return super().make(parents, args, space, work)


def test_a_shard_that_overruns_its_deadline_has_no_survivors_and_the_others_stand():
    run = evo.search(Sleepy(), Enumeration(total=60), evaluations=1000)
    assert run.failures["timeout"] == 1
    assert run.counters == {"screened": 50}
    assert run.frame().query("status == 'ok'")["number"].tolist() == [4, 6, 14, 16, 34, 36, 44, 46, 54, 56]


# Several children a request -------------------------------------------------------------------------------------------


def test_rewrites_yield_none_some_or_all_of_the_children_asked_for():
    run = evo.search(Masks(), Rewrites(), evaluations=80, seed=2)
    frame = run.frame()
    made = frame[frame["operator"] == ""]
    per_request = made.groupby("request").size()
    asked = 80 - int((frame["operator"] == "sample").sum())
    assert set(per_request) <= {1, 2, 3, 4}
    assert len(per_request) < asked  # some came to nothing
    assert run.costs == {"tokens": 40.0 * asked}
    names = run.archive.frame()["candidate"]
    assert names.str.contains(r"\.").any()
    assert run.best.objectives["ones"] >= 8


def test_children_whose_measuring_fails_are_counted_and_the_request_is_not_failed():
    run = evo.search(Masks(), Rewrites(), evaluations=200, seed=3)
    assert run.counters["children_lost"] > 0
    assert np.isfinite(run.archive.objectives).all()


# Rungs ----------------------------------------------------------------------------------------------------------------


def test_a_rung_measures_all_on_one_minibatch_and_the_next_rung_on_another():
    run = evo.search(Pruning(), Rungs(), evaluations=60, seed=1)
    rung = run.frame().query("fidelity == 'rung'")
    per_generation = rung.groupby(rung["request"] // 12)["batch"].nunique()
    assert (per_generation == 1).all()
    assert rung["batch"].nunique() > 1


def test_promoted_candidates_keep_their_ids_and_only_full_measurements_count():
    run = evo.search(Pruning(), Rungs(), evaluations=60, seed=1)
    frame = run.frame()
    full, rung = frame.query("fidelity == 'full'"), frame.query("fidelity == 'rung'")
    assert set(full["candidate"]) <= set(rung["candidate"])
    assert run.best.objectives["kept"] == full["kept"].max()
    genomes = run.archive.genomes
    assert np.allclose(genomes.mean(axis=1), run.archive.objectives[:, 0])


# Cascade --------------------------------------------------------------------------------------------------------------


def test_a_cascade_times_what_compiled_with_its_own_binary():
    run = evo.search(Kernels(), Cascade(), evaluations=30, seed=5)
    frame = run.frame()
    compiled = frame[(frame["fidelity"] == "compile") & (frame["status"] == "ok")]
    timed = frame[(frame["fidelity"] == "time") & (frame["same_as"] < 0)]
    assert (timed["status"] == "ok").all()
    assert len(timed) > 5
    assert set(timed["candidate"]) <= set(compiled["candidate"])
    assert "cannot compile" in frame.loc[frame["status"] == "failed", "message"].iloc[0]
    best = run.best
    assert best.objectives["time"] == len(best.genome["code"]) == 1


def test_a_cascade_spends_what_its_requests_reserve():
    run = evo.search(Kernels(), Cascade(), evaluations=30, seed=5)
    frame = run.frame()
    own = frame[frame["same_as"] < 0]
    spent = (own["fidelity"] == "compile").sum() * 0.25 + (own["fidelity"] == "time").sum()
    assert run.evaluations == spent
    assert 29 < run.evaluations <= 30
    compiled = (own["fidelity"] == "compile") & (own["status"] == "ok")
    assert run.costs == {"money": 0.5 * compiled.sum()}
