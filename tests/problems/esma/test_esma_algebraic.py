"""Minimal polynomials, against known ones and the law that they vanish at the constant."""

from __future__ import annotations

from fractions import Fraction
from math import gcd

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evo.errors import ConfigError
from problems.esma.algebraic import as_fraction, rational_powers, simple_rational
from problems.esma.constant import Constant
from problems.esma.expression import parse

flint = pytest.importorskip("flint")


@pytest.mark.parametrize(
    ("written", "coefficients"),
    [
        ("phi", (-1, -1, 1)),
        ("-phi", (-1, 1, 1)),
        ("(1+sqrt(5))/2", (-1, -1, 1)),
        ("sqrt(2)", (-2, 0, 1)),
        ("-sqrt(8)/2", (-2, 0, 1)),
        ("sqrt(2/3)", (-2, 0, 3)),
        ("0.1+sqrt(2)", (-199, -20, 100)),
        ("2^(1/3)", (-2, 0, 0, 1)),
        ("2^(-2/3)", (-1, 0, 0, 4)),
        ("cbrt(-2)", (2, 0, 0, 1)),
        ("root(5, 5)", (-5, 0, 0, 0, 0, 1)),
        ("sqrt(2)+sqrt(3)", (1, 0, -10, 0, 1)),
        ("sqrt(2)*sqrt(3)", (-6, 0, 1)),
        ("sqrt(2)+cbrt(2)", (-4, -24, 12, -4, -6, 0, 1)),
        ("sqrt(2)+sqrt(3)+sqrt(5)", (576, 0, -960, 0, 352, 0, -40, 0, 1)),
        ("sqrt(2+sqrt(2))", (2, 0, -4, 0, 1)),
        ("sqrt(3+2*sqrt(2))", (-1, -2, 1)),
        ("1/(1+cbrt(2)+cbrt(4))", (-1, 3, 3, 1)),
        ("phi^3", (-1, -4, 1)),
        ("(-phi)^-3", (-1, -4, 1)),
        ("sqrt(2)^3", (-8, 0, 1)),
        ("(1+sqrt(2))^(1/2)", (-1, 0, -2, 0, 1)),
        ("sqrt(5)^sqrt(9)", (-125, 0, 1)),
        ("sqrt(2)+sqrt(3)+sqrt(5)+sqrt(7)-sqrt(7)", (576, 0, -960, 0, 352, 0, -40, 0, 1)),
    ],
)
def test_a_known_minimal_polynomial_is_found(written: str, coefficients: tuple[int, ...]) -> None:
    assert Constant(written).minimal_polynomial == coefficients


@pytest.mark.parametrize("written", ["e", "pi+sqrt(2)", "2^sqrt(2)", "e^(1/2)", "log(2)", "zeta(3)", "I1(2)/I0(2)"])
def test_what_is_not_known_to_be_algebraic_has_none(written: str) -> None:
    assert Constant(written).minimal_polynomial is None


@pytest.mark.parametrize("written", ["root(2, 13)", "root(2, 12)+root(3, 12)", "sqrt(2)+sqrt(3)+sqrt(5)+sqrt(7)"])
def test_a_degree_beyond_twelve_is_not_handed_out(written: str) -> None:
    assert Constant(written).minimal_polynomial is None


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("sqrt(2)*sqrt(2)", "2"),
        ("sqrt(4/9)", "2/3"),
        ("phi-(1+sqrt(5))/2+3", "3"),
        ("phi^2-phi", "1"),
        ("0*sqrt(2)", "0"),
        ("sqrt(2)^0", "1"),
        ("sqrt(2)^sqrt(4)", "2"),
        ("8^(2/3)", "4"),
        ("cbrt(-8/27)", "-2/3"),
        ("(sqrt(3)+sqrt(2))*(sqrt(3)-sqrt(2))", "1"),
        ("cbrt(2+sqrt(5))+cbrt(2-sqrt(5))", "1"),
        ("sqrt(2)/sqrt(8)", "1/2"),
    ],
)
def test_roots_that_cancel_are_a_rational_number(written: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"is the rational number {value}: its continued fraction is finite"):
        Constant(written)


radicals = st.recursive(
    st.integers(1, 9).map(str) | st.just("phi"),
    lambda inner: st.one_of(
        inner.map(lambda x: f"sqrt({x})"),
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda parts: "({}{}{})".format(*parts)),
        st.tuples(inner, st.integers(-3, 3)).map(lambda parts: "({})^({})".format(*parts)),
    ),
    max_leaves=5,
)


@settings(deadline=None, max_examples=150)
@given(written=radicals)
def test_the_minimal_polynomial_vanishes_at_the_constant_and_is_irreducible(written: str) -> None:
    try:
        constant = Constant(written)
    except ConfigError as error:
        assert any(word in str(error) for word in ("rational", "zero", "not a finite real"))  # noqa: PT017
        return
    polynomial = constant.minimal_polynomial
    assume(polynomial is not None)
    assert polynomial is not None
    assert 2 <= len(polynomial) - 1 <= 12
    assert polynomial[-1] > 0
    assert gcd(*polynomial) == 1
    whole = flint.fmpz_poly(list(polynomial))
    assert len(whole.factor()[1]) == 1
    ball = constant.enclosure(600)
    with flint.ctx.workprec(1200):
        value = whole(ball)
        assert value.contains(0)
        assert abs(value) < 1


@settings(deadline=None)
@given(a=st.integers(-20, 20), b=st.integers(1, 20), c=st.integers(1, 9))
def test_a_quadratic_number_solves_its_own_equation(a: int, b: int, c: int) -> None:
    square = 2  # of the irrational part
    coefficients = (a * a - b * b * square, -2 * a * c, c * c)
    divisor = gcd(*coefficients)
    found = Constant(f"({a}+{b}*sqrt(2))/{c}").minimal_polynomial
    assert found == tuple(value // divisor for value in coefficients)


def test_rational_powers_come_from_the_minimal_polynomial() -> None:
    assert rational_powers((-2, 0, 3), 5) == {2: Fraction(2, 3), 4: Fraction(4, 9)}
    assert rational_powers((2, 0, 0, 1), 6) == {3: 2, 6: 4}
    assert rational_powers((-1, -1, 1), 8) == {}
    assert rational_powers(None, 8) == {}


@pytest.mark.parametrize(
    ("written", "value"),
    [("3/7", Fraction(3, 7)), ("-2^-2+1", Fraction(3, 4)), ("2^(1/2)", None), ("e", None), ("1-1/10^900", 1)],
)
def test_whole_numbers_are_reckoned_exactly(written: str, value: Fraction | None) -> None:
    found = as_fraction(parse(written))
    assert found == (value if written != "1-1/10^900" else 1 - Fraction(1, 10**900))


def test_a_power_too_large_to_write_is_not_reckoned() -> None:
    assert as_fraction(parse("1^(10^900)")) is None
    assert as_fraction(parse("2^(10^900)")) is None


@settings(deadline=None)
@given(above=st.integers(-(10**15), 10**15), below=st.integers(1, 10**15))
def test_a_simple_rational_number_is_recognised_in_a_ball(above: int, below: int) -> None:
    value = Fraction(above, below)
    with flint.ctx.workprec(200):
        ball = flint.arb(flint.fmpq(above, below))
    assert simple_rational(ball) == value
    with flint.ctx.workprec(2000):
        assert simple_rational(flint.arb(2).sqrt() + flint.fmpq(above, below)) is None
