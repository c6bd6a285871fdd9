"""What (1+lambda) is made of in a run file, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from engine.worlds import Minibatches, Pruning, Squares

import evo
from algorithms.test_one_plus_lambda import RUNGS, search
from evo.registry import build, describe
from evo.spec import spec_of
from operators.discrete import Flip


def test_both_plain_forms_build_it_again() -> None:
    algorithm = evo.OnePlusLambda(16, rungs=RUNGS, mutation=Flip(0.1), archive=evo.Top(3))
    for form in (spec_of(algorithm), describe(algorithm)):
        again = build("algorithms", form)
        assert describe(again) == describe(algorithm)
    assert describe(algorithm)["type"] == "one_plus_lambda"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"offspring": 0}, "offspring and initial >= 1"),
        ({"founders": 0}, "offspring and initial >= 1"),
        ({"rungs": [{"tokens": 4}]}, r"rungs\[0\].survivors: expected a whole number from 1 to 12, got None"),
        ({"rungs": [{"survivors": 13}]}, "from 1 to 12, got 13"),
        ({"rungs": [{"survivors": 2}, {"survivors": 3}]}, r"rungs\[1\].survivors: expected a whole number from 1 to 2"),
        ({"rungs": [{"survivors": 2}]}, r"rungs\[0\].survivors: expected 1 in the last rung, got 2"),
        ({"rungs": [{"survivors": True}]}, "got True"),
        ({"rungs": [{"survivors": 1, "reserve": 0}]}, r"rungs\[0\].reserve: expected a number above 0 and at most 1"),
        ({"rungs": [{"survivors": 1, "reserve": 2.0}]}, "at most 1, got 2.0"),
        ({"rungs": [{"survivors": 1, "fidelity": 3}]}, "expected the name of a fidelity, got 3"),
        ({"rungs": [{"survivors": 1, "fidelity": "ring"}]}, "Pruning has 'rung' or 'full', got 'ring'"),
        ({"rungs": [{"survivors": 1, "fidelity": "full", "tokens": 3}]}, "tokens at the reporting fidelity 'full'"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(evo.ConfigError, match=message):
        search(**options)


def test_an_evaluator_may_refuse_what_a_rung_asks_for() -> None:
    class Choosy(Minibatches):
        def check(self, fidelity: str, params: Any) -> None:
            if params.get("tokens", 0) > 8:
                raise evo.ConfigError(f"tokens: expected at most 8 at {fidelity!r}, got {params['tokens']}")

    class Chosen(Pruning):
        evaluator = Choosy()

    expected = r"^algorithm.rungs\[2\].tokens: expected at most 8 at 'rung', got 16$"
    with pytest.raises(evo.ConfigError, match=expected):
        search(Chosen())
    assert search(Chosen(), rungs=[*RUNGS[:1], {"survivors": 1, "tokens": 8}], evaluations=30).state == "finished"


def test_a_problem_without_rungs_says_what_it_has() -> None:
    with pytest.raises(evo.ConfigError, match=r"algorithm.rungs\[0\].fidelity: Squares has 'full', got 'rung'"):
        search(Squares())
