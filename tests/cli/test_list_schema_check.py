"""`evo list`, `evo schema`, `evo check` and the command itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import Evo

from evo.cli import COMMANDS

PROBLEMS = """
import threading
import numpy as np
import evo

class Base(evo.Problem):
    space = evo.Box(-1.0, 1.0, size=300)
    objectives = [evo.Minimize("value")]
    measures = [evo.Measure("first", 0.0, 1.0)]
    def evaluate(self, x):
        return evo.Evaluation(objectives=[float((x**2).sum())], measures=x[:1])

class Locked(Base):
    def __init__(self):
        self.lock = threading.Lock()

class Failing(Base):
    def evaluate(self, x):
        raise ValueError("no such sensor")

class Batched(Base):
    def evaluate_batch(self, genomes):
        return evo.Evaluations(genomes.sum(axis=1, keepdims=True) + len(genomes), genomes[:, :1])
"""


@pytest.fixture
def mine(config: Path) -> Path:
    """A run file beside a user's problems."""
    (config.parent / "checked_problems.py").write_text(PROBLEMS)
    config.write_text("problem: checked_problems:Base\nalgorithm: random\nbudget: {evaluations: 1000}\n")
    return config


def test_help_names_every_command(evo: Evo) -> None:
    said = evo("--help")
    assert said.code == 0
    assert all(f"  {name} " in said.out for name in COMMANDS)


def test_an_unknown_command_is_bad_input(evo: Evo) -> None:
    assert evo("rnu").code == 2


def test_list_names_what_there_is_with_its_parameters(evo: Evo) -> None:
    said = evo("list", "operators")
    assert said.code == 0
    assert "iso_line" in said.out
    assert "iso_sigma=0.01, line_sigma=0.2" in said.out


@pytest.mark.parametrize("kind", ["problems", "algorithms", "archives", "spaces"])
def test_list_knows_every_kind(evo: Evo, kind: str) -> None:
    assert evo("list", kind).code == 0


def test_list_of_an_unknown_kind_is_told_the_nearest_one(evo: Evo) -> None:
    said = evo("list", "operator")
    assert said.code == 2
    assert "did you mean 'operators'" in said.err


def test_schema_is_one_json_document(evo: Evo) -> None:
    assert "budget" in evo("schema").json["properties"]


def test_check_says_all_is_well(evo: Evo, config: Path) -> None:
    said = evo("check", config)
    assert said.code == 0, said.out + said.err
    assert "no  " not in said.out
    for word in ("64 of 64 succeeded", "declared -5 to 5", "in batches of 1, 7, 64", "500 evaluations", "trial"):
        assert word in said.out
    assert not (config.parent / "runs").exists()


def test_check_of_a_users_problem_ships_it(evo: Evo, mine: Path) -> None:
    said = evo("check", mine)
    assert said.code == 0, said.out + said.err
    assert "outside (clip)" in said.out


def test_check_names_the_attribute_that_cannot_be_shipped(evo: Evo, mine: Path) -> None:
    said = evo("check", mine, "problem=checked_problems:Locked")
    assert said.code == 2
    assert "attribute 'lock' cannot be pickled" in said.out


def test_check_says_why_evaluations_fail(evo: Evo, mine: Path) -> None:
    said = evo("check", mine, "problem=checked_problems:Failing")
    assert said.code == 2
    assert "0 of 64 succeeded; ValueError: no such sensor" in said.out


def test_check_finds_results_that_depend_on_the_batch(evo: Evo, mine: Path) -> None:
    said = evo("check", mine, "problem=checked_problems:Batched")
    assert said.code == 2
    assert "64 rows differ in batches of 1" in said.out


def test_check_finds_an_operator_that_does_not_suit_the_space(evo: Evo, config: Path) -> None:
    said = evo("check", config, "algorithm.operator=polynomial")
    assert said.code == 2
    assert "finite bounds" in said.out


def test_check_refuses_a_wrong_key(evo: Evo, config: Path) -> None:
    said = evo("check", config, "algorithm.operator.iso_sigm=1")
    assert said.code == 2
    assert "did you mean 'iso_sigma'" in said.err


PREPARED = """
import evo
from evo.operator import Births
from evo.records import Requests

class Build(evo.Operator):
    def make(self, parents, args, space, work):
        if args["broken"]:
            raise OSError("no such table [/data/levels]")
        (work.scratch / "table").write_bytes(b"2" + b" " * args["spaces"])
        return Births(space.empty(0), artifacts={"table": work.scratch / "table"})

class Prepared(evo.Problem):
    space = evo.Box(-1.0, 1.0, size=3)
    objectives = [evo.Minimize("value")]
    operators = {"build": Build()}
    def __init__(self, broken: bool = False, spaces: int = 0):
        self.args = {"broken": broken, "spaces": spaces}
    def prepare(self):
        return [Requests(make="build", args=[self.args], fidelity="born")]
    def needs(self, fidelity, artifacts):
        return () if fidelity == "born" else (artifacts["table"],)
    def evaluate(self, x, work):
        (table,) = work.needed()
        first = table[:1] if type(table) is bytes else table.open("rb").read(1)
        return evo.Evaluation(objectives=[float(x.sum()) * int(first)])

class Unlicensed(Prepared):
    def warm_up(self):
        raise RuntimeError("no licence [/opt/x] here\\nask for one")

class Uninitiated(Prepared):
    def initial(self):
        raise KeyError("levels")

class Needless(Prepared):
    def needs(self, fidelity, artifacts):
        return (artifacts["tabel"],)
"""


@pytest.fixture
def prepared(config: Path) -> Path:
    """A run file of a problem that needs something prepared."""
    (config.parent / "prepared_problems.py").write_text(PREPARED)
    config.write_text("problem: prepared_problems:Prepared\nalgorithm: random\nbudget: {evaluations: 100}\n")
    return config


@pytest.mark.parametrize("spaces", [0, 2 << 20], ids=["small", "large"])
def test_check_does_the_preparation_first(evo: Evo, prepared: Path, spaces: int) -> None:
    said = evo("check", prepared, f"problem.spaces={spaces}")
    assert said.code == 0, said.out + said.err
    assert "for table" in said.out
    assert "64 of 64 succeeded" in said.out
    assert "gives the same bits there" in said.out


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        ("problem.broken=true", "the problem's preparation failed: OSError: no such table [/data/levels]"),
        ("problem=prepared_problems:Unlicensed", "the problem's warm_up raised RuntimeError: no licence [/opt/x] here"),
        ("problem=prepared_problems:Uninitiated", "the problem's initial raised KeyError: 'levels'"),
        ("problem=prepared_problems:Needless", "the problem's needs raised KeyError: 'tabel'"),
    ],
)
def test_check_says_in_one_line_which_hook_raised(evo: Evo, prepared: Path, problem: str, told: str) -> None:
    said = evo("check", prepared, problem)
    assert said.code == 2
    lines = said.out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("no  ")
    assert lines[1].endswith(told)
    assert "Traceback" not in said.err


def test_check_prints_what_looks_like_markup_as_it_is(evo: Evo, mine: Path) -> None:
    (mine.parent / "marked_problems.py").write_text(PROBLEMS.replace("no such sensor", "no such file [/tmp/x] :x:"))
    said = evo("check", mine, "problem=marked_problems:Failing")
    assert "ValueError: no such file [/tmp/x] :x:" in said.out
