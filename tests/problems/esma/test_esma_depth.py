"""More terms never lose a formula: precision rises with them, slow laws get more of them, and laws hold for ever."""

from __future__ import annotations

import numpy as np
import pytest
from sweeping import decimals, sweep

from evo.errors import ConfigError
from problems.esma.problem import Esma
from problems.esma.proof import Proof
from problems.esma.recurrences import stays_regular


@pytest.mark.parametrize(("digits", "depth"), [(100, 200), (100, 400), (20, 200)])
def test_the_verifier_follows_as_far_as_the_screen_has_looked(digits: int, depth: int) -> None:
    found = sweep("e", 1, 1, digits=digits, depth=depth, max_order=23, sign_periods=(1, 2))
    assert len(found.proofs) == len(found.genomes) == 36
    usual = sweep("e", 1, 1, max_order=23, sign_periods=(1, 2))
    assert usual.verified() <= found.verified()


@pytest.mark.parametrize("depth", [120, 200])
def test_a_decimal_constant_loses_no_formula_that_its_digits_can_prove(depth: int) -> None:
    e = decimals([2, *(term for m in range(1, 400) for term in (1, 2 * m, 1))], 1100)
    known = sweep(e, 1, 1, depth=depth, max_order=23)
    exact = sweep("e", 1, 1, depth=100)
    assert exact.verified() <= known.verified()


def test_quadratic_numbers_have_formulas_under_minus_signs_that_carry_little_evidence_at_first() -> None:
    found = sweep("sqrt(2)", 1, 3)
    assert len(found.proofs) == 3095
    slow = ((-3, 2), (0, 2), (-1,))
    assert slow in found.verified()


def test_terms_of_a_recurrence_that_get_negative_in_the_end_are_no_formula() -> None:
    falling = [10**30 * 2**n - 3**n for n in range(60)]  # above 0 up to n = 170
    assert min(falling) > 0
    problem = Esma(decimals(falling, 3300), 1, 1, method="recurrence", depth=40, digits=300, sign_periods=(1, 1))
    batch = np.array([([0, 1], [1, 0], [1])], dtype=problem.space.dtype)
    ((_, verdict),) = problem.evaluator.proofs(batch)
    assert not isinstance(verdict, Proof)
    assert "not certain" in str(verdict)


RECURRENCES = [
    ([1, -2], [1, 2, 4, 8], (1,), True),
    ([1, -3, 1], [1, 3, 8, 21, 55], (-1, 1), True),
    ([1, -5, 6], [2, 5, 13, 35], (1,), True),  # 2^n + 3^n
    ([1, -5, 6], [10**9 * 2**n - 3**n for n in range(9)], (1,), False),
    ([1, -15, 74, -120], [6**n + 5**n + 4**n for n in range(9)], (1,), True),
    ([1, 0, -3, 0, 2], [1, 1, 2, 1, 4, 1, 8, 1, 16], (1,), True),
    ([1, 0, -3, 0, 2], [1, 1, 2, 1, 4, 1, 8, 1, 16], (1, -1), False),  # 1 under a minus sign
    ([1, -1], [2, 2, 2], (-1,), False),
    ([1, -1], [3, 3, 3], (-1,), True),
    ([1, 1], [1, -1, 1], (1,), False),
]


@pytest.mark.parametrize(("connection", "terms", "signs", "holds"), RECURRENCES, ids=str)
def test_recurrences_are_certified_to_stay_regular(
    connection: list[int], terms: list[int], signs: tuple[int, ...], holds: bool
) -> None:
    assert stays_regular(connection, terms, signs) == holds


def test_a_power_that_is_rational_in_disguise_is_refused_before_the_search() -> None:
    with pytest.raises(ConfigError, match=r"^constant: a power up to 2 of .* cannot be told apart from a rational"):
        Esma("exp(log(2)/2)", 2, 1)
