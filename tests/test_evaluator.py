"""Evaluators and the work they are handed."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evo
from evo.evaluator import Evaluator, FunctionEvaluator, reason_of
from evo.versions import version_of


class Curve(evo.Problem):
    """Measured one by one."""

    space = evo.Box(-1.0, 1.0, size=2)
    objectives = (evo.Minimize("value"),)

    def __init__(self, data: Any = None) -> None:
        self.data = data
        self.calls = 0

    def evaluate(self, x: np.ndarray) -> evo.Evaluation:
        self.calls += 1
        if x[0] > 0.5:
            sys.exit("too far")
        if x[0] < -0.5:
            return evo.Evaluation([1.0, 2.0])
        return evo.Evaluation([float(x.sum())], metrics={"text": "near"})


def test_one_row_that_fails_costs_the_others_nothing():
    problem = Curve()
    x = np.array([[0.0, 0.0], [0.9, 0.0], [0.25, 0.0], [-0.9, 0.0]])
    found = problem.evaluator.evaluate_batch(x, evo.Work(1, "full", np.arange(4)))
    assert problem.calls == 4
    assert sorted(found.failures) == [1, 3]
    assert found.failures[1].startswith("SystemExit: too far\nTraceback")
    assert found.failures[3].startswith("EvaluationError: evaluate returned objectives of shape (2,)")
    assert found.objectives[[0, 2], 0].tolist() == [0.0, 0.25]
    assert found.metrics["text"].tolist() == ["near", None, "near", None]


def test_a_search_evaluates_nobody_twice():
    problem = Curve()
    run = evo.search(problem, evo.Random(50, archive=evo.Top(3)), evaluations=200, seed=1)
    assert run.failures["failed"] > 10
    assert problem.calls == 200


def test_a_reason_is_one_line_and_a_traceback():
    try:
        raise ValueError("this way")
    except ValueError as error:
        lines = reason_of(error).splitlines()
    assert (lines[0], lines[1], lines[-1]) == (
        "ValueError: this way",
        "Traceback (most recent call last):",
        "ValueError: this way",
    )


def test_parts_of_work_keep_draws_and_needs():
    work = evo.Work(1, "full", np.array([7, 8, 9]), {"depth": 2}, {"a": b"A", "b": b"B"}, [("a",), (), ("b", "a")])
    part = work.part(np.array([2, 0, 2]))
    assert part.draws.tolist() == [9, 7, 9]
    assert list(part.needs) == [("b", "a"), ("a",), ("b", "a")]
    assert part.needed(0) == [b"B", b"A"]
    assert dict(work.one(0).artifacts) == {"a": b"A"}
    assert work.one(1).needed() == []
    assert evo.Work(1, "full", np.array([7])).needed() == []


# Versions -------------------------------------------------------------------------------------------------------------


def version(data: Any) -> str:
    return Curve(data).evaluator.version()


def test_a_version_sees_every_number_of_an_argument():
    plain, changed = np.arange(5000.0), np.arange(5000.0)
    changed[2500] = -1
    assert version(plain) == version(plain.copy())
    different = [plain, changed, plain.astype(int), plain[None], None, 1, 1.0, True, "1", b"1", [1], {"a": 1}, {1}]
    assert len({version(data) for data in different}) == len(different)
    assert version({"a": 1, "b": 2}) == version({"b": 2, "a": 1})
    assert version([[1], 2]) != version([1, [2]])


def test_a_version_does_not_hang_on_where_an_argument_lies_in_memory():
    class Plain:
        def __init__(self, value: int) -> None:
            self.value = [value, self]

    assert version(Plain(1)) == version(Plain(1)) != version(Plain(2))
    assert version([object()]) == version([object()])
    assert version(Path("a")) != version(Path("b"))
    assert version(np.sum) != version(np.max)
    assert version(Curve(np.ones(3))) != version(Curve(np.zeros(3)))


def test_a_version_changes_with_the_source_of_a_base_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    found = []
    for number, factor in enumerate((1, 2, 2)):
        (tmp_path / f"base{number}").mkdir()
        (tmp_path / f"base{number}" / "versioned.py").write_text(
            "import evo\n\n\nclass Base(evo.Problem):\n    objectives = (evo.Minimize('v'),)\n"
            f"    def evaluate(self, x):\n        return evo.Evaluation([{factor} * x.sum()])\n"
            "\n\nclass Derived(Base):\n    space = evo.Box(0, 1, size=2)\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path / f"base{number}"))
        sys.modules.pop("versioned", None)
        found.append(importlib.import_module("versioned").Derived().evaluator.version())
    sys.modules.pop("versioned", None)
    assert found[0] != found[1] == found[2]


def test_an_evaluators_arguments_are_part_of_its_version():
    class Table(Evaluator):
        def __init__(self, table: Any) -> None:
            self.table = table

        def evaluate_batch(self, genomes: Any, work: evo.Work) -> evo.Evaluations:
            return evo.Evaluations(self.table[genomes])

    class Other(Table):
        """The same table."""

    assert Table(np.ones(3)).version() == Table(np.ones(3)).version()
    assert len({one.version() for one in (Table(np.ones(3)), Table(np.zeros(3)), Other(np.ones(3)))}) == 3
    assert FunctionEvaluator(Curve()).version() == Curve().evaluator.version() == version_of(Curve().evaluator)


def test_a_version_is_the_same_in_every_process():
    source = (
        "from problems.arm import Arm; print(Arm(7).evaluator.version());"
        "from evo.versions import version_of; print(version_of({'a', 'b', 'c', 'd'}))"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", source], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1
