"""Kits become bytes, or a sentence about what is in the way."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import numpy as np
import pytest

from evo.cluster import layout
from evo.cluster.shipping import ship, unship, user_modules
from evo.errors import WorkerError
from evo.evaluator import Evaluation
from evo.operator import Operator
from evo.problem import Minimize, Problem
from evo.spaces import Box
from evo.worker import Kit

ROOT = Path(__file__).parents[2]
LOCK = threading.Lock()


class Plain(Problem):
    space = Box(-1.0, 1.0, size=2)
    objectives = (Minimize("value"),)

    def __init__(self, held: Any = None) -> None:
        self.held = held

    def evaluate(self, x: Any) -> Evaluation:
        return Evaluation([float(np.sum(x))])


class Reading(Plain):
    def evaluate(self, x: Any) -> Evaluation:
        with LOCK:
            return super().evaluate(x)


class Holding(Operator):
    def __init__(self, held: Any) -> None:
        self.held = held


class Nested:
    def __init__(self, held: Any) -> None:
        self.inner = {"first": 1, "second": held}


def kit(problem: Problem, **operators: Operator) -> Kit:
    return Kit(problem, operators, 3)


def test_a_kit_comes_back_as_it_was() -> None:
    again = unship(ship(kit(Plain(held=[1, 2]), some=Holding("x"))))
    assert again.seed == 3
    assert again.problem.held == [1, 2]  # type: ignore[attr-defined]
    assert again.problem._arguments == {"held": [1, 2]}
    assert again.operators["some"].held == "x"  # type: ignore[attr-defined]


def test_a_problem_of_a_test_is_opened_by_a_process_that_cannot_import_it(tmp_path: Path) -> None:
    (tmp_path / "kit").write_bytes(ship(kit(Plain())))
    code = "import sys; from evo.cluster.shipping import unship; kit = unship(open(sys.argv[1], 'rb').read()); "
    code += "print(kit.problem.evaluate([1, 2]).objectives, 'test_shipping' in sys.modules)"
    command = [sys.executable, "-c", code, str(tmp_path / "kit")]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.stdout == "[3.0] False\n", done.stderr


@pytest.mark.parametrize(
    ("problem", "name"),
    [
        (Plain(threading.Lock()), r"Plain\.held"),
        (Plain(Nested(threading.Lock())), r"Plain\.held\.inner\['second'\]"),
        (Plain([0, (n for n in range(3))]), r"Plain\.held\[1\]"),
        (Plain(lambda: LOCK), r"the global 'LOCK' \(used by Plain\.held\)"),
        (Reading(), r"the global 'LOCK' \(used by Reading\.evaluate\)"),
    ],
)
def test_what_is_in_the_way_is_named_to_its_innermost_part(problem: Problem, name: str) -> None:
    with pytest.raises(WorkerError, match=rf"^{name} cannot be sent to a worker \(.*warm_up\(\)"):
        ship(kit(problem))


def test_an_operator_in_the_way_is_named() -> None:
    with pytest.raises(WorkerError, match=r"^operator 'odd'\.held cannot be sent"):
        ship(kit(Plain(), odd=Holding(threading.Lock())))


def test_only_uninstalled_modules_are_the_users() -> None:
    names = {module.__name__ for module in user_modules()}
    assert __name__ in names
    assert names.isdisjoint({"numpy", "evo.worker", "problems", "json", "pytest", "__main__", "cloudpickle"})


def test_shipping_leaves_no_trace_in_the_register() -> None:
    before = cloudpickle.list_registry_pickle_by_value()
    ship(kit(Plain()))
    assert cloudpickle.list_registry_pickle_by_value() == before


def test_our_layout_is_right_and_has_a_fingerprint_for_each_package() -> None:
    layout.check_layout()
    assert set(layout.fingerprints()) == {"evo", "problems", "operators", "workers"}


def test_a_loaded_package_in_the_way_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.machinery import PathFinder

    (tmp_path / "operators").mkdir()
    (tmp_path / "operators" / "__init__.py").touch()
    wrong = ModuleType("operators")
    wrong.__spec__ = PathFinder.find_spec("operators", [str(tmp_path)])
    monkeypatch.setitem(sys.modules, "operators", wrong)
    with pytest.raises(WorkerError, match=rf"^{tmp_path}/operators is in the way: .* called 'operators'"):
        layout.check_layout()


def test_a_folder_in_the_way_of_an_import_is_named_before_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "problems").mkdir()
    (tmp_path / "problems" / "__init__.py").write_text("raise RuntimeError('never imported')\n")
    script = """
        from evo.cluster.layout import check_layout
        from evo.errors import WorkerError
        try:
            check_layout()
        except WorkerError as error:
            print(error)
        """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.startswith(f"{tmp_path}/problems is in the way: "), done.stderr
    assert done.stdout.count("\n") == 1
