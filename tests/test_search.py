"""The front door, end to end, in this process."""

import time

import numpy as np
import pytest
from engine.worlds import Bowl, Masks

import evo
from evo.engine import rules


class Peak(Bowl):
    """The same upside down."""

    objectives = (evo.Maximize("depth"),)

    def evaluate(self, genome):
        return evo.Evaluation([-float((genome**2).sum())])


def fill(**options):
    options = {"evaluations": 600, "seed": 3, **options}
    return evo.search(Masks(), evo.MapElites((6, 6), batch=30), **options)


@pytest.fixture(scope="module")
def filled():
    return fill()


# What a run shows -----------------------------------------------------------------------------------------------------


def test_a_run_shows_its_best_its_archive_its_table_and_its_curve(filled):
    frame, view = filled.frame(), filled.archive
    assert (filled.state, filled.reason, filled.evaluations) == ("finished", "budget spent", 600)
    good = frame[(frame["status"] == "ok")]
    assert filled.best.objectives["ones"] == good["ones"].max() == view.objectives.max()
    assert np.array_equal(filled.best.genome.sum(), filled.best.objectives["ones"])
    assert filled.best.metrics["number"] == int(filled.best.genome @ (1 << np.arange(10)))
    assert len(view) == filled.totals["stats"]["elites"]
    expected = good.sort_values(["ones", "request"], ascending=[False, True]).groupby(["left", "right"]).first()
    assert len(expected) == len(view)
    assert sorted(expected["candidate"]) == sorted(view.frame()["candidate"])
    points = filled.curve()
    assert [point["evaluations"] for point in points] == sorted(point["evaluations"] for point in points)
    assert points[-1]["qd_score"] == pytest.approx(view.stats["qd_score"])
    assert points[-1]["evaluations"] == 600


def test_counts_add_up(filled):
    totals, frame = filled.totals, filled.frame()
    failed = sum(filled.failures.values())
    assert failed == (frame["status"] != "ok").sum() > 0
    assert filled.failures["failed"] > 0
    assert filled.failures["invalid"] > 0
    assert totals["told"] == len(frame)
    assert totals["repeats"] == (frame["same_as"] >= 0).sum() > 0
    assert totals["evaluations"] == totals["told"] - totals["repeats"] == 600
    assert totals["performed"] == totals["attempts"] >= 600
    assert {name: entry["told"] for name, entry in totals["operators"].items()} == (
        frame.groupby("operator", observed=True).size().to_dict()
    )


def test_repeats_have_the_result_of_the_earlier_request(filled):
    frame = filled.frame().set_index("request")
    again = frame[frame["same_as"] >= 0]
    assert (again.index > again["same_as"]).all()
    first = frame.loc[again["same_as"]]
    assert first["status"].tolist() == again["status"].tolist()
    assert np.array_equal(first["ones"], again["ones"], equal_nan=True)
    assert (first["same_as"] < 0).all()


def test_without_looking_for_equal_work_everything_is_performed():
    problem = Masks()
    problem.deduplicate = False
    run = evo.search(problem, evo.MapElites((6, 6), batch=30), evaluations=300, seed=3)
    assert run.totals["repeats"] == 0
    assert run.totals["performed"] == run.evaluations == 300


@pytest.mark.parametrize("algorithm", [evo.Genetic(20), evo.Random(20)])
def test_minimising_and_maximising_are_the_same_search_upside_down(algorithm):
    lower = evo.search(Bowl(), type(algorithm)(20), evaluations=400, seed=7)
    upper = evo.search(Peak(), type(algorithm)(20), evaluations=400, seed=7)
    assert lower.best.objectives["height"] == -upper.best.objectives["depth"]
    assert lower.archive.candidate.tolist() == upper.archive.candidate.tolist()
    assert lower.best.objectives["height"] == lower.frame()["height"].min()


def test_by_default_measures_ask_for_a_map_and_none_for_a_population():
    assert evo.search(Masks(), evaluations=20).header["algorithm"] == "map_elites"
    assert evo.search(Bowl(), evaluations=20).header["algorithm"] == "genetic"


def test_order_is_strict_by_the_algorithms_block_unless_said_otherwise():
    def order(**options):
        return evo.search(Bowl(), evo.Random(17), evaluations=60, **options).header["spec"]["order"]

    assert order() == {"type": "strict", "block": 17, "lag": 2}
    assert order(order=evo.Strict(block=5, lag=1)) == {"type": "strict", "block": 5, "lag": 1}
    assert order(order="arrival") == {"type": "arrival"}


@pytest.mark.parametrize("order", ["strict", "arrival", evo.Strict(7, 1)])
@pytest.mark.parametrize("budget", [1, 99, 100, 101])
def test_the_budget_is_spent_exactly(order, budget):
    run = evo.search(Bowl(), evo.Genetic(20), evaluations=budget, order=order)
    assert run.evaluations == budget == len(run.frame())


def test_a_space_that_is_used_up_ends_the_run_before_its_budget(monkeypatch):
    monkeypatch.setattr(rules, "REPEATS_TO_EXHAUSTION", 1000)

    class Tiny(Masks):
        space = evo.BitMask(2)
        measures = ()

        def evaluate(self, genome):
            return evo.Evaluation([float(genome.sum())])

    run = evo.search(Tiny(), evo.Random(500), evaluations=1000)
    assert (run.state, run.evaluations, run.totals["performed"]) == ("stopped", 4, 4)
    assert "repeated earlier work" in run.reason


# Stopping -------------------------------------------------------------------------------------------------------------


def test_a_target_stops_at_the_first_tell_that_reaches_it():
    run = evo.search(Bowl(), evo.Genetic(20), target=0.01, seed=1)
    assert (run.state, run.best.objectives["height"] <= 0.01) == ("stopped", True)
    assert run.reason.startswith("target 0.01 reached")
    heights = run.frame()["height"].to_numpy()
    assert heights[:-20].min() > 0.01


def test_a_plateau_stops_after_so_many_evaluations_without_a_gain():
    run = evo.search(Bowl(), evo.Random(10), plateau=200, seed=1)
    assert run.reason == "no gain in 200 evaluations"
    gains = [e["evaluations"] for e in run.curve()]
    assert run.evaluations >= 200
    assert gains


def test_a_time_limit_stops_the_run():
    began = time.monotonic()
    run = evo.search(Bowl(), evo.Random(10), seconds=0.3)
    assert 0.3 <= time.monotonic() - began < 5
    assert (run.state, run.reason) == ("stopped", "time limit of 0.3 s reached")
    assert run.evaluations > 0


def test_a_time_limit_holds_even_where_all_work_was_done_before():
    problem = Masks()
    problem.key = lambda genome: b"the same"
    began = time.monotonic()
    evo.search(problem, evo.Random(10, archive=evo.Top(1)), seconds=0.5)
    assert time.monotonic() - began < 5
