"""The verifier: what it makes of a genome hangs on that genome alone, and most genomes are no formulas."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeping import births, decimals, sweep

from evo.evaluator import Evaluations, Work
from evo.records import Genomes
from evo.testing import check_problem
from problems.esma.complexity import complexity
from problems.esma.problem import Esma
from problems.esma.proof import Proof
from problems.esma.verify import Verifier

swept = cache(sweep)


def genomes(problem: Esma, *rows: tuple[Any, Any, Any]) -> Genomes:
    found = problem.space.empty(len(rows))
    for i, (p, q, signs) in enumerate(rows):
        found[i]["numerator"], found[i]["denominator"], found[i]["signs"] = p, q, signs
    return found


def evaluate(problem: Esma, batch: Genomes) -> Evaluations:
    return problem.evaluator.evaluate_batch(batch, Work(0, 0, np.arange(len(batch))))


def proved(problem: Esma, p: Any, q: Any, signs: Any) -> Proof | str:
    return dict(Verifier(problem.settings).proofs(genomes(problem, (p, q, signs))))[0]


# Conformance ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("constant", "options"),
    [
        ("e", {}),
        ("pi", {}),
        ("phi", {}),
        ("tan(1)", {"screen": "simple_first", "coefficients": 2}),
        ("e", {"method": "recurrence", "coefficients": 2, "digits": 100}),
        ("e", {"method": "original", "digits": 100, "modulus": 199}),
        ("e", {"degree": 2, "coefficients": 1, "sign_periods": (1, 1)}),
    ],
    ids=str,
)
def test_the_problem_keeps_what_problems_promise(constant: str, options: dict[str, Any]) -> None:
    check_problem(Esma(constant, **options), n=65)


@pytest.mark.parametrize("method", ["interlaced", "recurrence"])
def test_it_keeps_them_on_formulas_too(method: str) -> None:
    problem = Esma("e", 1, 2, method=method)
    found = births(problem).genomes
    check_problem(problem, genomes=found[::9])
    assert not evaluate(problem, found[::9]).rejected


def test_random_genomes_are_mostly_rejected_and_none_fails() -> None:
    problem = Esma("e", 1, 3)
    sample = problem.space.sample(300, np.random.default_rng(1))
    found = evaluate(problem, sample)
    assert found.failures == {}
    assert 200 < len(found.rejected) < 300
    good = np.setdiff1d(np.arange(300), list(found.rejected))
    assert np.isfinite(found.objectives[good]).all()
    assert np.isfinite(found.measures[good]).all()
    assert all("signs: expected" in r or "rational" in r or "no law" in r for r in found.rejected.values())


# One genome at a time -------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_genome_is_judged_alike_in_any_company(data: st.DataObject) -> None:
    problem, found = company()
    some = data.draw(st.lists(st.integers(0, len(found) - 1), min_size=1, max_size=40))
    whole = judged(problem, found)
    assert judged(problem, found[some]) == [whole[row] for row in some]


@cache
def company() -> tuple[Esma, Genomes]:
    """Formulas, near misses and nonsense in one batch."""
    problem = Esma("e", 1, 2)
    sample = problem.space.sample(60, np.random.default_rng(3))
    return problem, np.concatenate([births(problem).genomes[::12], sample])


def judged(problem: Esma, batch: Genomes) -> list[Any]:
    outcomes = dict(problem.evaluator.proofs(batch))
    assert sorted(outcomes) == list(range(len(batch)))
    return [outcomes[row] for row in range(len(batch))]


def test_the_company_is_mixed() -> None:
    problem, found = company()
    kinds = [isinstance(one, Proof) for one in judged(problem, found)]
    assert kinds.count(True) > 60
    assert kinds.count(False) > 30


def test_an_unreduced_quotient_is_as_good_as_the_reduced_one() -> None:
    problem = Esma("e", 1, 3)
    plain, twice = (proved(problem, *sides, (1, 0, 0)) for sides in (((0, 1), (1, 0)), ((0, 2), (2, 0))))
    assert isinstance(plain, Proof)
    assert isinstance(twice, Proof)
    assert plain.formula.newton == twice.formula.newton == ((1, 0), (2, 2), (1, 0))


def test_absolute_values_are_meant() -> None:
    problem = Esma("e", 1, 3)
    shown = [proved(problem, p, q, (-1, 1, 0)) for p, q in (((-1, 1), (1, 0)), ((1, -1), (1, 0)), ((1, -1), (-1, 0)))]
    assert all(isinstance(one, Proof) and one.formula.newton == ((2, 0), (3, 2)) for one in shown)


def test_the_negative_of_a_constant_has_the_same_formulas() -> None:
    plain, negative = sweep("e", 1, 1), sweep("-e", 1, 1)
    assert len(plain.proofs) == len(negative.proofs) > 50
    laws = [sorted((one.formula.signs, one.formula.preperiod, one.formula.newton) for one in result.formulas)
            for result in (plain, negative)]  # fmt: skip
    assert laws[0] == laws[1]
    less_one = proved(negative.problem, (1, 1), (1, 0), (-1, 1, 0))  # |1 - e|
    assert isinstance(less_one, Proof)
    assert less_one.formula.newton == ((2, 0), (3, 2))


def test_where_small_powers_lose_digits_more_are_taken() -> None:
    n, options = 10**7, {"depth": 30, "sign_periods": (1, 1)}
    plain = proved(Esma(f"tanh(1/{n})", 5, 1, **options), (0, 1, 0, 0, 0, 0), (1, 0, 0, 0, 0, 0), (1,))
    losing = proved(Esma(f"tanh(1/{n})", 5, 1, **options), (0, 0, 0, 0, 0, 1), (0, 0, 0, 0, 1, 0), (1,))
    for found in (plain, losing):
        assert isinstance(found, Proof)
        assert found.digits >= 1000
        assert (found.formula.preperiod, found.formula.newton) == ((0,), ((n, 2 * n),))


@pytest.mark.parametrize(
    ("sides", "signs", "reason"),
    [
        (((1, 0), (2, 0)), (1, 0, 0), "the left-hand side is rational"),
        (((1, 1), (2, 2)), (1, 0, 0), "the left-hand side is rational"),
        (((0, 0), (0, 1)), (1, 0, 0), "the left-hand side is rational"),
        (((0, 1), (0, 0)), (1, 0, 0), "the left-hand side is rational"),
        (((0, 1), (1, 0)), (0, 0, 0), "signs: expected +1 and -1, then zeros only"),
        (((0, 1), (1, 0)), (0, 1, 0), "signs: expected +1 and -1, then zeros only"),
        (((0, 1), (1, 0)), (1, 0, 1), "signs: expected +1 and -1, then zeros only"),
        (((1, 2), (2, 3)), (1, 0, 0), "no law of order up to 3 that shows within "),
    ],
)
def test_what_is_no_formula_is_told_why(sides: Any, signs: Any, reason: str) -> None:
    problem = Esma("e", 1, 3, max_order=3)
    said = proved(problem, *sides, signs)
    assert isinstance(said, str)
    assert said.startswith(reason)
    assert problem.show(genomes(problem, (*sides, signs))[0]) == f"no formula: {said}"


def test_values_that_are_rational_over_an_algebraic_constant_are_no_formulas() -> None:
    problem = Esma("phi", 2, 1)
    for p, q in (((1, 1, 0), (0, 0, 1)), ((-1, -1, 1), (1, 0, 0)), ((1, 0, 0), (-1, -1, 1)), ((0, 1, 1), (1, 1, 0))):
        found = proved(problem, p, q, (1, 0, 0))
        if (p, q) == ((0, 1, 1), (1, 1, 0)):
            assert isinstance(found, Proof)  # phi (1 + phi) / (1 + phi) is phi
        else:
            assert not isinstance(found, Proof)


@pytest.mark.parametrize("start", [300, 2**40])
@pytest.mark.parametrize("step", [-1, 0, 1])
def test_terms_that_will_fall_below_one_make_no_formula_however_far_they_agree(start: int, step: int) -> None:
    terms = [start + step * n for n in range(280)]
    problem = Esma(decimals(terms, 900), 1, 1, digits=400, depth=30, sign_periods=(1, 1))
    assert ((0, 1), (1, 0), (1,)) in sweep(problem.settings.constant.text, 1, 1, digits=400, depth=30).screened()
    found = proved(problem, (0, 1), (1, 0), (1,))
    if step < 0:
        assert found == "the law is not certain to keep to terms that converge to an irrational number"
    else:
        assert isinstance(found, Proof)
        assert found.formula.newton == ((start, step) if step else (start,),)


# What a run keeps of it -----------------------------------------------------------------------------------------------


def test_objectives_measures_and_metrics_say_what_was_proved() -> None:
    result = swept("e", 1, 2)
    found = evaluate(result.problem, result.genomes)
    assert len(found.rejected) < 3
    for row, proof in list(result.proofs.items())[::17]:
        f = proof.formula
        assert found.objectives[row, 0] == f.complexity == found.measures[row, 0]
        assert f.complexity == complexity(f.numerator, f.denominator, f.signs, f.preperiod, f.newton)
        assert found.measures[row, 1] == proof.rate
        figures = {name: column[row] for name, column in found.metrics.items()}
        assert figures.pop("formula") == f.right_hand_side_text()
        assert figures == {
            "order": f.period * (f.degree + 1),
            "period": f.period,
            "degree": f.degree,
            "preperiod": len(f.preperiod),
            "digits": math.floor(proof.digits),
            "terms": proof.terms,
            "evidence": math.floor(proof.evidence),
        }


def test_measures_lie_within_their_ranges() -> None:
    for constant in ("e", "phi", "tan(1)", "I1(2)/I0(2)"):
        result = swept(constant, 1, 2)
        found = evaluate(result.problem, result.genomes)
        for i, measure in enumerate(result.problem.measures):
            values = found.measures[sorted(result.proofs), i]
            assert len(values) > 300
            assert ((values >= measure.low) & (values <= measure.high)).all()


@pytest.mark.parametrize("digits", [50, 300, 1000, 3000])
def test_as_many_digits_are_proved_as_are_asked_for(digits: int) -> None:
    result = swept("e", 1, 1, digits=digits, sign_periods=(1, 2))
    assert len(result.proofs) > 30
    at_the_full = [proof.digits for proof in result.formulas]
    assert min(at_the_full) >= digits
    assert all(len(proof.formula.preperiod) + proof.formula.order + 20 <= proof.terms for proof in result.formulas)


def test_the_same_formulas_stand_at_any_number_of_digits() -> None:
    short, long = (swept("e", 1, 1, digits=digits, sign_periods=(1, 2)) for digits in (50, 3000))
    assert short.verified() == long.verified()
    assert [one.formula for one in short.formulas] == [one.formula for one in long.formulas]


def test_a_formula_is_shown_as_people_write_it() -> None:
    problem = Esma("e", 1, 3)
    shown = problem.show(genomes(problem, ((0, 1), (1, 0), (1, 0, 0)))[0]).splitlines()
    assert shown[0] == "e = [2; (1, 2+2m, 1)]  b = +"
    assert shown[1].endswith(" digits verified, 1.287 digits a term")
    assert int(shown[1].split()[0]) >= 1000
    assert shown[2] == "a_n = 2, 1, 2, 1, 1, 4, 1, 1, 6, 1, 1, 8, ..."


def test_its_version_names_what_it_was_asked_to_do() -> None:
    versions = {
        Esma(*args, **options).evaluator.version()
        for args, options in [(("e",), {}), (("pi",), {}), (("e", 1, 2), {}), (("e",), {"digits": 999}),
                              (("e",), {"depth": 99}), (("e",), {"method": "recurrence"})]
    }  # fmt: skip
    assert len(versions) == 6
    assert Esma("e").evaluator.version() == Esma("e").evaluator.version()
    assert "0x" not in Esma("e").evaluator.version()
