"""Constants, against mpmath's values, and every way of writing one wrongly."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.errors import ConfigError
from problems.esma import algebraic
from problems.esma.constant import Constant
from problems.esma.expression import Binary, Call, Expression, Name, Negative, Number, latex, parse, text

flint = pytest.importorskip("flint")

mp: Any = mpmath.mp
VALUES: dict[str, Callable[[], Any]] = {
    "e": lambda: mp.e,
    "pi": lambda: mp.pi,
    "π": lambda: mp.pi,
    "phi": lambda: mp.phi,
    "gamma": lambda: mp.euler,
    "catalan": lambda: mp.catalan,
    "G": lambda: mp.catalan,
    "khinchin": lambda: mp.khinchin,
    "glaisher": lambda: mp.glaisher,
    "ln2": lambda: mp.ln2,
    "log(2)": lambda: mp.ln2,
    "ln(10)": lambda: mp.ln10,
    "zeta(3)": lambda: mp.zeta(3),
    "zeta(1/2)": lambda: mp.zeta(mp.mpf(1) / 2),
    "sqrt(7)": lambda: mp.sqrt(7),
    "cbrt(7)": lambda: mp.cbrt(7),
    "cbrt(-7)": lambda: -mp.cbrt(7),
    "root(7, 5)": lambda: mp.root(7, 5),
    "exp(1/3)": lambda: mp.exp(mp.mpf(1) / 3),
    "e^2": lambda: mp.exp(2),
    "e**-2": lambda: mp.exp(-2),
    "pi^e": lambda: mp.pi**mp.e,
    "2^(5/3)": lambda: mp.cbrt(32),
    "pi^(-3/2)": lambda: mp.pi ** (-mp.mpf(3) / 2),
    "(-pi)^3": lambda: -(mp.pi**3),
    "sin(1)": lambda: mp.sin(1),
    "cos(1)": lambda: mp.cos(1),
    "tan(1/2)": lambda: mp.tan(0.5),
    "cot(1)": lambda: mp.cot(1),
    "sec(1)": lambda: mp.sec(1),
    "csc(1)": lambda: mp.csc(1),
    "asin(1/3)": lambda: mp.asin(mp.mpf(1) / 3),
    "acos(1/3)": lambda: mp.acos(mp.mpf(1) / 3),
    "atan(2)": lambda: mp.atan(2),
    "arctan(2)": lambda: mp.atan(2),
    "sinh(1)": lambda: mp.sinh(1),
    "cosh(1)": lambda: mp.cosh(1),
    "tanh(1)": lambda: mp.tanh(1),
    "coth(1)": lambda: mp.coth(1),
    "sech(1)": lambda: mp.sech(1),
    "csch(1)": lambda: mp.csch(1),
    "asinh(2)": lambda: mp.asinh(2),
    "acosh(2)": lambda: mp.acosh(2),
    "atanh(1/2)": lambda: mp.atanh(0.5),
    "Gamma(1/3)": lambda: mp.gamma(mp.mpf(1) / 3),
    "I1(2)/I0(2)": lambda: mp.besseli(1, 2) / mp.besseli(0, 2),
    "J1(1)/J0(1)": lambda: mp.besselj(1, 1) / mp.besselj(0, 1),
    "I12(3)": lambda: mp.besseli(12, 3),
    "besseli(1/3, 2)": lambda: mp.besseli(mp.mpf(1) / 3, 2),
    "besselj(5, 2)": lambda: mp.besselj(5, 2),
    "2*e-3/(1+pi)": lambda: 2 * mp.e - 3 / (1 + mp.pi),
    "-e": lambda: -mp.e,
    "0.5*e": lambda: mp.e / 2,
    "e^1e-2": lambda: mp.exp(mp.mpf(1) / 100),
    "sinh(1/2)/cosh(1/2)": lambda: mp.tanh(0.5),
}


def exact(number: Any) -> Fraction:
    mantissa, exponent = number.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def of_mpmath(number: Any) -> Fraction:
    number = mp.mpf(number)
    return (-1 if number < 0 else 1) * Fraction(int(number.man)) * Fraction(2) ** int(number.exp)


@pytest.mark.parametrize("written", VALUES)
def test_it_has_mpmaths_value_at_60_digits(written: str) -> None:
    ball = Constant(written).enclosure(200)
    with mp.workdps(75):
        assert abs(exact(ball.mid()) - of_mpmath(VALUES[written]())) < Fraction(1, 10**60)
    assert exact(ball.rad()) < Fraction(1, 2**200)


@pytest.mark.parametrize("written", ["e", "zeta(3)", "I1(2)/I0(2)", "tan(1/2)", "2^(5/3)", "Gamma(1/3)", "e^2"])
def test_it_has_mpmaths_value_at_2000_bits(written: str) -> None:
    ball = Constant(written).enclosure(2000)
    with mp.workprec(2100):
        distance = abs(exact(ball.mid()) - of_mpmath(VALUES[written]()))
    assert distance <= exact(ball.rad()) + Fraction(1, 2**2050)
    assert exact(ball.rad()) < Fraction(1, 2**2000)


@pytest.mark.parametrize("written", ["e", "-e", "1000*pi", "e^-20", "sqrt(2)", "-cbrt(5)", "phi"])
@pytest.mark.parametrize("bits", [0, 1, 64, 2000])
def test_powers_are_floors(written: str, bits: int) -> None:
    found = Constant(written).powers(4, bits)
    with mp.workprec(bits + 300):
        value = abs(of_mpmath(mp.mpf(str_to_mp(written))))
        near = [int(value**i * 2**bits // 1) for i in range(5)]
    assert found[0] == 2**bits
    exact_powers = {"sqrt(2)": {2: 2, 4: 4}, "-cbrt(5)": {3: 5}}.get(written, {})
    for i in range(1, 5):
        assert found[i] == (exact_powers[i] << bits if i in exact_powers else near[i])


def str_to_mp(written: str) -> Any:
    values = {"-e": -mp.e, "1000*pi": 1000 * mp.pi, "e^-20": mp.exp(-20), "-cbrt(5)": -mp.cbrt(5)}
    return values[written] if written in values else {"e": +mp.e, "sqrt(2)": mp.sqrt(2), "phi": +mp.phi}[written]


def test_asking_again_changes_nothing() -> None:
    constant = Constant("pi")
    first = constant.powers(3, 500)
    first_copy = list(first)
    first.append(0)
    for bits in range(100, 140):
        constant.powers(2, bits)
    assert constant.powers(3, 500) == first_copy == Constant(" pi ").powers(3, 500)


def test_flints_working_precision_is_left_as_it_was() -> None:
    before = flint.ctx.prec
    Constant("zeta(5)+sqrt(3)").powers(3, 3000)
    with pytest.raises(ConfigError):
        Constant("1/(pi-pi)")
    assert flint.ctx.prec == before


def test_huge_powers_of_a_large_constant_are_certain_too() -> None:
    found = Constant("e^1000").powers(3, 10)
    with mp.workprec(6000):
        assert found == [int(mp.floor(mp.exp(1000 * i) * 2**10)) for i in range(4)]


def test_constants_are_equal_by_text_and_digits_and_survive_pickling() -> None:
    constants = [Constant("e"), Constant("I1(2)/I0(2)"), Constant("2.71828"), Constant("2.71828", digits=3)]
    constants[0].powers(3, 10_000)
    for constant in constants:
        packed = pickle.dumps(constant)
        again = pickle.loads(packed)
        assert len(packed) < 200
        assert again == constant
        assert hash(again) == hash(constant)
        assert (again.short, again.latex, again.sign) == (constant.short, constant.latex, constant.sign)
    assert len(set(constants)) == 4
    with pytest.raises(AttributeError):
        constants[0].text = "pi"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("written", "short", "in_latex", "atomic"),
    [
        ("e", "e", "e", True),
        (" sqrt( 2 ) ", "sqrt(2)", r"\sqrt{2}", True),
        ("exp(2)", "e^2", "e^{2}", False),
        ("exp(1)", "e", "e", True),
        ("e**(1/2)", "e^(1/2)", "e^{1/2}", False),
        ("besseli(1,2)/I0(2)", "I1(2)/I0(2)", r"\frac{I_1(2)}{I_0(2)}", False),
        ("J12(2)", "J12(2)", "J_{12}(2)", True),
        ("zeta(3)", "zeta(3)", r"\zeta(3)", True),
        ("tan(1/2)", "tan(1/2)", r"\tan\left(\frac{1}{2}\right)", True),
        ("(1+sqrt(5))/2", "(1+sqrt(5))/2", r"\frac{1 + \sqrt{5}}{2}", False),
        ("ln(2)", "log(2)", r"\log(2)", True),
        ("-pi", "-pi", r"-\pi", False),
        ("2*pi*e", "2*pi*e", r"2 \pi \cdot e", False),
        ("(e+1)^2", "(e+1)^2", r"(e + 1)^{2}", False),
        ("e-(1-pi)", "e-(1-pi)", r"e - (1 - \pi)", False),
        ("cbrt(2)+root(3,5)", "cbrt(2)+root(3, 5)", r"\sqrt[3]{2} + \sqrt[5]{3}", False),
        ("0.25*e", "1/4*e", r"\frac{1}{4} \cdot e", False),
        ("asinh(1)", "asinh(1)", r"\operatorname{arsinh}(1)", True),
        ("2.718281828459045...", "2.718281828459...", r"2.718281828459\ldots", False),
        ("-.125", "-0.125...", r"-0.125\ldots", False),
    ],
)
def test_it_is_written_normally(written: str, short: str, in_latex: str, atomic: bool) -> None:
    constant = Constant(written)
    assert (constant.short, constant.latex, constant.atomic) == (short, in_latex, atomic)
    assert constant.text == written.strip()


leaves = st.sampled_from([Name("e"), Name("pi"), Name("phi")]) | st.integers(0, 30).map(Number)


def grown(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.one_of(
        st.builds(Negative, inner),
        st.builds(Binary, st.sampled_from("+-*/^"), inner, inner),
        st.builds(lambda name, x: Call(name, (x,)), st.sampled_from(["sin", "zeta", "sqrt", "log"]), inner),
        st.builds(lambda x, n: Call("root", (x, Number(n))), inner, st.integers(2, 9)),
        st.builds(lambda n, x: Call("besseli", (n, x)), inner, inner),
    )


@settings(deadline=None)
@given(tree=st.recursive(leaves, grown, max_leaves=12))
def test_the_normal_text_reads_as_the_same_tree(tree: Expression) -> None:
    assert parse(text(tree)) == tree
    written = latex(tree)
    assert written.count("{") == written.count("}")
    assert written.count("(") == written.count(")")
    assert written.count(r"\left") == written.count(r"\right")


@pytest.mark.parametrize("written", ["3.14159265358979", "-3.14159265358979...", "003.1415926535897"])
def test_a_decimal_is_known_to_one_unit_of_its_last_place(written: str) -> None:
    constant = Constant(written)
    places = len(written.rstrip(".").split(".")[1])
    assert constant.known_bits is not None
    assert 2**constant.known_bits <= 10**places < 2 ** (constant.known_bits + 1)
    ball = constant.enclosure(constant.known_bits)
    value = Fraction(written.rstrip("."))
    assert exact(ball.mid()) - exact(ball.rad()) <= value - Fraction(1, 10**places)
    assert exact(ball.mid()) + exact(ball.rad()) >= value + Fraction(1, 10**places)
    assert exact(ball.rad()) < Fraction(1, 2**constant.known_bits)
    assert constant.sign == (-1 if written.startswith("-") else 1)
    assert constant.minimal_polynomial is None
    with pytest.raises(ConfigError, match=r"constant: .* decimals, \d+ bits, and 60 bits are needed: write more"):
        constant.enclosure(60)


def test_stated_digits_say_how_many_places_count() -> None:
    assert Constant("2.718281828", digits=3).known_bits == 9
    assert Constant("2.718281828", digits=9) != Constant("2.718281828")
    assert Constant("2.718281828", digits=3).short == "2.718..."


def test_powers_of_a_decimal_are_certain_as_far_as_it_says() -> None:
    constant = Constant("3." + "14159265358979323846264338327950288419716939937510")
    bits = constant.certain_bits(3)
    assert bits is not None
    assert 150 < bits < 166
    assert constant.powers(3, bits) == Constant("pi").powers(3, bits)
    with pytest.raises(ConfigError, match=rf"constant: .*certain_bits\(3\) is {bits}: write more digits"):
        constant.powers(3, bits + 1)
    assert Constant("12345678901234567.5").certain_bits(3) == -1
    assert Constant("e").certain_bits(3) is None


def test_many_decimals_can_be_read() -> None:
    written = "".join(str(place * place) for place in range(2400))[:9000]  # no period, so no simple rational number
    constant = Constant("0." + written)
    assert constant.known_bits == 29897
    value = Fraction(int(written[:3600]), 10**3600)  # enough for 10,000 bits, and short enough for Python to read
    assert constant.powers(1, 10_000)[1] == value * 2**10_000 // 1


@pytest.mark.parametrize("written", ["0." + "3" * 200, "0.5" + "0" * 200, "1." + "142857" * 30])
def test_decimals_of_a_simple_rational_number_are_said_to_be_that(written: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be told apart from the rational number .*/.* is finite"):
        Constant(written)


RATIONAL = ["3/7", "2", "0", "1e5", "(0.5)", "-1.5e3", "2^10/3", "(1/2)^-3", "log(exp(2))", "tan(pi/4)", "sin(pi/6)"]


@pytest.mark.parametrize("written", [*RATIONAL, "zeta(-1)", "zeta(2)/pi^2", "e^-2000-e^-2000", "cos(pi/3)^2"])
def test_a_rational_constant_has_a_finite_fraction(written: str) -> None:
    with pytest.raises(ConfigError, match=r"^constant: '.*' .*rational number .*continued fraction is finite"):
        Constant(written)


def test_the_rational_number_is_named() -> None:
    with pytest.raises(ConfigError, match="constant: '6/14' is the rational number 3/7: "):
        Constant("6/14")
    with pytest.raises(ConfigError, match=r"cannot be told apart from the rational number 1/6 at 1500 bits"):
        Constant("zeta(2)/pi^2")
    with pytest.raises(ConfigError, match="of more than 40 digits"):
        Constant("7^100")


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("", "empty text"),
        ("foo", "unknown name 'foo'"),
        ("kinchin", "unknown name 'kinchin': did you mean 'khinchin'"),
        ("Zeta(3)", "unknown name 'Zeta': did you mean 'zeta'"),
        ("sqrt2", "did you mean 'sqrt'"),
        ("zeta", r"'zeta' is a function, not a number: write zeta\(3\)"),
        ("I1", r"'I1' is a function, not a number: write I1\(x\)"),
        ("pi(2)", "'pi' is a number, not a function"),
        ("gamma(1/3)", r"spelled Gamma\(x\)"),
        ("sin(1, 2)", r"sin takes 1 argument, got 2: write sin\(x\)"),
        ("root(2)", r"root takes 2 arguments, got 1: write root\(x, n\)"),
        ("root(2, 1/2)", "whole number n from 2"),
        ("root(2, 1)", "whole number n from 2"),
        ("I101(2)", "order of at most 100"),
        ("2pi", r"cannot read '2pi'.*2\*pi"),
        ("2(e)", r"2\*pi"),
        ("(e)(pi)", r"write products with \*"),
        ("e +", "cannot read"),
        ("e # note", "cannot read"),
        ("e // 2", "cannot read"),
        ("e % 2", "cannot read"),
        ("2j", "cannot read"),
        ("True", "cannot read"),
        ("'e'", "cannot read"),
        ("e.real", "cannot read"),
        ("sin(x=1)", "cannot read"),
        ("sin(*e)", "cannot read"),
        ("lambda: e", "cannot read"),
        ("__import__('os').system('true')", "cannot read"),
        ("1/0", "division by zero"),
        ("e/(2-2)", "division by zero"),
        ("1/(sqrt(2)^2-2)", "division by zero"),
        ("0^-1", "not a finite real number"),
        ("log(-1)", r"'log\(-1\)' is not a finite real number: it is complex"),
        ("log(0)", "not a finite real number"),
        ("sqrt(-2)", "not a finite real number"),
        ("root(-2, 4)", "not a finite real number"),
        ("(-2)^(1/3)", r"complex: write cbrt\(x\)"),
        ("(-2)^pi", "not a finite real number"),
        ("asin(2)", "not a finite real number"),
        ("acosh(1/2)", "not a finite real number"),
        ("atanh(1)", "not a finite real number"),
        ("zeta(1)", "not a finite real number"),
        ("Gamma(-2)", "not a finite real number"),
        ("cot(0)", "not a finite real number"),
        ("besselj(1/2, -1)", "not a finite real number"),
        ("e^(10^9)", "arguments of exp within"),
        ("sin(10^9)", "arguments of sin within"),
        ("I0(10^9)", "arguments of besseli within"),
        ("10^10^10^10^10", "too large"),
        ("2^(10^9)*e", "too large"),
        ("2^-(10^900)+e", "too close to zero"),
        ("1e100000*e", "exponent of at most 1000"),
        ("(1+1/10^100)^(10^6)", "too large"),
        ("e+" * 600 + "e", "at most 1000 characters"),
        ("-" * 300 + "e", "levels of nesting"),
        ("(" * 400 + "e" + ")" * 400, "cannot read"),
        ("0.000", "zero"),
        ("1." + "3" * 100_001, "at most 100000 digits"),
    ],
)
def test_what_is_no_constant_is_said_in_one_line(written: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=f"^constant: .*{complaint}") as caught:
        Constant(written)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("written", "digits", "complaint"),
    [
        ("2.718", 4, "constant_digits: expected 1 to 3"),
        ("2.718", 0, "constant_digits: expected 1 to 3"),
        ("e", 10, "constant_digits: only a constant written as one decimal number"),
    ],
)
def test_digits_must_be_written(written: str, digits: int, complaint: str) -> None:
    with pytest.raises(ConfigError, match=f"^{complaint}"):
        Constant(written, digits)


def test_a_constant_is_a_text() -> None:
    with pytest.raises(ConfigError, match=r"constant: expected a text .* got 2\.5"):
        Constant(2.5)  # type: ignore[arg-type]


def test_powers_need_a_degree() -> None:
    with pytest.raises(ConfigError, match="constant: expected powers of degree >= 0"):
        Constant("e").powers(-1, 10)


def test_a_hidden_root_is_said_when_a_power_of_it_seems_rational() -> None:
    with pytest.raises(ConfigError, match=r"constant: a power up to 2 of .* write it with roots"):
        Constant("tan(pi/3)").powers(2, 64)
    assert Constant("tan(pi/3)").powers(1, 64) == Constant("sqrt(3)").powers(1, 64)


def test_a_missing_library_is_said_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flint", None)
    algebraic.flint_library.cache_clear()
    with pytest.raises(ConfigError, match=r"constant: certified arithmetic needs flint: pip install 'evo\[esma\]'"):
        Constant("e+1/31")


def test_importing_it_does_not_load_flint() -> None:
    script = "import sys, problems.esma.constant; sys.exit('flint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
