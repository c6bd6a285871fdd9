"""When a run ends."""

import math

import pytest

import evo
from evo.engine.rules import REPEATS_TO_EXHAUSTION, Rules
from evo.engine.tally import BestSoFar, Tally


class Up(evo.Problem):
    space = evo.Box(-1, 1, size=1)
    objectives = (evo.Maximize("y"),)


class Down(Up):
    objectives = (evo.Minimize("y"),)


class Strict(Up):
    nonfinite = "refuse"


def best(value):
    return Tally(good=1, best=BestSoFar(0, None, [value], [], {}))


def test_room_is_what_is_neither_spent_nor_under_way():
    assert Rules(evaluations=100).room(Tally(evaluations=30.5, reserved=20)) == 49.5
    assert Rules(seconds=1).room(Tally(evaluations=1e9)) == math.inf


@pytest.mark.parametrize(
    ("problem", "value", "over"), [(Up, 4.9, False), (Up, 5.0, True), (Down, 5.0, True), (Down, 5.1, False)]
)
def test_the_target_is_reached_from_its_own_side(problem, value, over):
    verdict = Rules(target=5.0).verdict(best(value), problem())
    assert (verdict is not None) == over
    if over:
        assert verdict == ("stopped", "target 5 reached: 5")


@pytest.mark.parametrize(
    "wrong",
    [{"evaluations": math.nan}, {"evaluations": -3}, {"evaluations": 0.5}, {"seconds": 0}, {"plateau": -1},
     {"failures": 0}, {"target": math.nan}, {"evaluations": math.inf}],
)  # fmt: skip
def test_a_limit_that_makes_no_sense_is_refused_by_name(wrong):
    with pytest.raises(evo.ConfigError, match=f"{next(iter(wrong))}: expected"):
        Rules(**wrong)


def test_a_run_in_which_nothing_succeeded_has_failed():
    assert Rules().final(Tally(failures={"failed": 3}, first_failure="no"), "budget spent") == (
        "failed", "all 3 evaluations failed: no",
    )  # fmt: skip
    assert Rules().final(Tally(failures={"failed": 3}, good=1), "budget spent") == ("finished", "budget spent")


def test_no_best_reaches_no_target():
    assert Rules(target=-math.inf).verdict(Tally(), Up()) is None


def test_a_plateau_is_so_many_evaluations_without_a_gain():
    assert Rules(plateau=10).verdict(Tally(good=1, since_gain=9.5), Up()) is None
    assert Rules(plateau=10).verdict(Tally(good=1, since_gain=10), Up()) == ("stopped", "no gain in 10 evaluations")


def test_everything_failing_ends_with_the_first_reason():
    tally = Tally(failures={"failed": 2, "invalid": 1}, first_failure="ValueError: no")
    assert Rules(failures=4).verdict(tally, Up()) is None
    state, reason = Rules(failures=3).verdict(tally, Up())
    assert state == "failed"
    assert "first 3" in reason
    assert "ValueError: no" in reason


def test_one_success_is_enough_to_go_on():
    assert Rules(failures=3).verdict(Tally(good=1, failures={"failed": 1000}), Up()) is None


def test_a_result_that_is_refused_ends_the_run():
    tally = Tally(good=5, failures={"invalid": 1}, first_failure="objective not finite")
    assert Rules().verdict(tally, Up()) is None
    assert Rules().verdict(tally, Strict())[0] == "failed"


def test_a_space_that_is_used_up_ends_the_run():
    assert Rules().verdict(Tally(good=1, repeats_running=REPEATS_TO_EXHAUSTION), Up())[0] == "stopped"


def test_the_header_holds_every_limit():
    rules = Rules(10, 2.0, 0.5, 3, 7)
    assert Rules(**rules.describe()) == rules
