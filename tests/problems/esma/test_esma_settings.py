"""What a search is asked to do: every mistake is one line that names the parameter, before any work is done."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import mpmath
import pytest

from evo.cli import main
from evo.config import load_config
from evo.errors import ConfigError
from problems.esma.problem import Esma
from problems.esma.settings import METHODS, SCREENS

BAD: list[tuple[dict[str, Any], str]] = [
    ({"constant": "nonsense"}, "constant: unknown name 'nonsense'"),
    ({"constant": "zeta"}, "constant: 'zeta' is a function, not a number"),
    ({"constant": ""}, "constant: "),
    ({"constant": 3.14}, "constant: expected a text such as 'e'"),
    ({"constant": "3/7"}, "constant: '3/7' is the rational number 3/7: its continued fraction is finite"),
    ({"constant": "sqrt(4)"}, "constant: 'sqrt(4)' is the rational number 2: its continued fraction is finite"),
    ({"constant": "phi^2-phi"}, "constant: 'phi^2-phi' is the rational number 1"),
    ({"constant": "log(-1)"}, "constant: "),
    ({"constant": "e", "constant_digits": 5}, "constant_digits: only a constant written as one decimal number"),
    ({"constant": "2.718", "constant_digits": 4}, "constant_digits: expected 1 to 3"),
    ({"degree": -1}, "degree: expected 1 to 8, got -1"),
    ({"degree": 0}, "degree: expected 1 to 8, got 0; a quotient of constants is rational"),
    ({"degree": 9}, "degree: expected 1 to 8, got 9"),
    ({"degree": 1.0}, "degree: expected a whole number, got 1.0"),
    ({"coefficients": 0}, "coefficients: expected a limit of 1 to 1000 for their absolute values, got 0"),
    ({"coefficients": -2}, "coefficients: expected a limit of 1 to 1000"),
    ({"coefficients": 1001}, "coefficients: expected a limit of 1 to 1000"),
    ({"coefficients": True}, "coefficients: expected a whole number, got True"),
    ({"degree": 8, "coefficients": 1000}, "coefficients: up to 1000 at degree 8 there are 6.6e+58 pairs"),
    ({"constant": "phi", "coefficients": 50}, "coefficients: over an algebraic constant at most 500,000 pairs"),
    ({"sign_periods": [2, 1]}, "sign_periods: expected [shortest, longest], from 1, got [2, 1]; turn them round"),
    ({"sign_periods": [0, 2]}, "sign_periods: expected [shortest, longest], from 1, got [0, 2]"),
    ({"sign_periods": []}, "sign_periods: expected [shortest, longest], such as [1, 3], got []"),
    ({"sign_periods": [3]}, "sign_periods: expected [shortest, longest], such as [1, 3], got [3]"),
    ({"sign_periods": 3}, "sign_periods: expected [shortest, longest], such as [1, 3], got 3"),
    ({"sign_periods": "13"}, "sign_periods: expected [shortest, longest], such as [1, 3], got '13'"),
    ({"sign_periods": [1.5, 2]}, "sign_periods: expected [shortest, longest], from 1, got [1.5, 2]"),
    ({"sign_periods": [1, 17]}, "sign_periods: expected periods of at most 16, got [1, 17]"),
    ({"depth": 21}, "depth: expected at least 22 terms, as matched is 20, got 21; raise depth"),
    ({"depth": 0}, "depth: expected at least 1, got 0"),
    ({"depth": "x", "max_order": 5}, "depth: expected a whole number, got 'x'"),
    ({"depth": 100.0}, "depth: expected a whole number, got 100.0"),
    ({"depth": 11, "method": "original"}, "depth: expected at least 12 terms, as a recurrence has fewer than depth"),
    ({"max_order": 0}, "max_order: expected at least 1, got 0"),
    ({"max_order": 2.5}, "max_order: expected a whole number, got 2.5"),
    ({"matched": 0}, "matched: expected at least 1, got 0"),
    ({"digits": 0}, "digits: expected at least 1, got 0"),
    ({"digits": "many"}, "digits: expected a whole number, got 'many'"),
    ({"modulus": 200}, "modulus: expected a prime from 101 to 2**31 (the paper's is 199), got 200"),
    ({"modulus": 201}, "modulus: expected a prime from 101 to 2**31"),
    ({"modulus": 97}, "modulus: expected a prime from 101 to 2**31"),
    ({"modulus": 2}, "modulus: expected a prime from 101 to 2**31"),
    ({"modulus": -199}, "modulus: expected a prime from 101 to 2**31"),
    ({"modulus": 2**31 + 11}, "modulus: expected a prime from 101 to 2**31"),
    ({"modulus": 199.0}, "modulus: expected a whole number, got 199.0"),
    ({"method": "orginal"}, "method: expected one of interlaced, recurrence, original, got 'orginal'"),
    ({"screen": "all"}, "screen: expected one of every, simple_first, got 'all'"),
    ({"screen": "simple_first", "method": "original"}, "screen: simple_first finds interlaced polynomials only"),
    ({"screen": "simple_first", "method": "recurrence"}, "screen: simple_first finds interlaced polynomials only"),
]


def label(value: Any) -> str:
    return " ".join(f"{name}={one}" for name, one in value.items()) if isinstance(value, dict) else ""


@pytest.mark.parametrize(("options", "expected"), BAD, ids=label)
def test_a_mistake_is_one_line_that_begins_with_the_parameter(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Esma(**options)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_what_is_asked_for_by_default_is_fine() -> None:
    s = Esma().settings
    assert (s.constant.short, s.degree, s.coefficients, s.depth, s.max_order) == ("e", 1, 3, 100, 23)
    assert (s.ranks, len(s.patterns)) == (24 * 24, 10)
    assert s.evidence == 40 + math.log2(5760)


@pytest.mark.parametrize(("depth", "order"), [(100, 23), (105, 24), (22, 3), (400, 98)])
def test_the_order_is_bounded_as_in_the_original_by_default(depth: int, order: int) -> None:
    assert Esma(depth=depth).settings.max_order == order


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("screen", SCREENS)
def test_only_the_interlaced_are_screened_by_the_simple_fraction(method: str, screen: str) -> None:
    if method == "interlaced" or screen == "every":
        assert Esma(method=method, screen=screen).settings.method == method
    else:
        with pytest.raises(ConfigError, match=r"^screen: "):
            Esma(method=method, screen=screen)


def decimals(places: int) -> str:
    with mpmath.workdps(places + 20):
        return str(mpmath.nstr(mpmath.e, places + 10, strip_zeros=False))[: places + 2]


def test_too_few_decimals_are_told_what_they_certify_and_how_many_are_needed() -> None:
    with pytest.raises(ConfigError) as caught:
        Esma(decimals(200))
    said = str(caught.value)
    assert said.startswith("constant: 2.718281828459... certifies ")
    certain = int(said.split("certifies ")[1].split()[0])
    enough = int(said.rsplit("digits: ", 1)[1].split()[0])
    assert 100 < certain < 200  # of 2; 1, 2, 1, 1, 4, 1, ...: the first hundred pin down 71 digits
    assert 150 < enough < 200
    assert "fewer than digits: 1000; write about 1022 decimals, or set digits: " in said
    Esma(decimals(200), digits=enough)
    with pytest.raises(ConfigError):
        Esma(decimals(200), digits=enough + 1)


def test_as_many_decimals_as_were_asked_for_suffice() -> None:
    Esma(decimals(1022))
    Esma(decimals(1400), constant_digits=1022)
    with pytest.raises(ConfigError, match=r"^constant: .* fewer than digits: 1000"):
        Esma(decimals(1400), constant_digits=500)


def test_decimals_that_are_enough_for_nothing_are_not_told_to_ask_for_nothing() -> None:
    with pytest.raises(ConfigError) as caught:
        Esma("2.71828")
    assert str(caught.value).endswith("0 digits of a formula, fewer than digits: 1000; write about 1022 decimals")


# In a run file, and on the command line -------------------------------------------------------------------------------

CONFIG = """
problem:
  type: esma
algorithm: {type: enumeration, shard: 100}
seed: 1
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "formulas.yaml"
    path.write_text(CONFIG)
    return path


def test_the_run_file_that_is_varied_here_is_good(config: Path) -> None:
    problem, _ = load_config(config).built
    assert isinstance(problem, Esma)


FROM_FILE = [
    ("constant=nonsense", "constant: unknown name 'nonsense'"),
    ("constant=3/7", "constant: '3/7' is the rational number"),
    ("constant='2.71828'", "constant: 2.71828... certifies 6 terms"),
    ("sign_periods=[2, 1]", "sign_periods: expected [shortest, longest], from 1, got [2, 1]"),
    ("sign_periods=[]", "sign_periods: expected [shortest, longest], such as [1, 3]"),
    ("degree=-1", "degree: expected 1 to 8, got -1"),
    ("depth=3", "depth: expected at least 22 terms"),
    ("modulus=100", "modulus: expected a prime"),
    ("coefficients=0", "coefficients: expected a limit"),
    ("method=orginal", "method: expected one of"),
    ("screen=all", "screen: expected one of"),
]


@pytest.mark.parametrize(("override", "expected"), FROM_FILE)
def test_in_a_run_file_the_file_and_the_key_are_named(config: Path, override: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _ = load_config(config, [f"problem.{override}"]).built
    assert str(caught.value).startswith(f"{config}: problem: {expected}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("override", "expected"), FROM_FILE[:6])
def test_on_the_command_line_it_is_one_line_and_another_exit_code(
    config: Path, override: str, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(config.parent)
    with pytest.raises(SystemExit) as caught:
        main(["run", str(config), f"problem.{override}"])
    said = capsys.readouterr()
    assert caught.value.code == 2
    assert said.err.count("\n") == 1
    assert f"formulas.yaml: problem: {expected}" in said.err
    assert not (config.parent / "runs").exists()
