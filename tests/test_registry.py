"""Names -> classes -> objects, and what is said when that cannot be."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from evo import registry
from evo.cluster.layout import check_layout
from evo.errors import ConfigError, WorkerError
from evo.operator import Operator
from evo.registry import modules
from evo.spaces.box import Box
from evo.spec import spec_of
from operators.real.gaussian import Gaussian
from operators.real.iso_line import IsoLine
from operators.real.uniform import Uniform
from problems.arm import Arm


class Pair(Operator):
    """Takes plug-ins in every way that a parameter can."""

    def __init__(
        self,
        first: Operator,
        others: Sequence[Operator] = (),
        by_name: Mapping[str, Operator] | None = None,
        maybe: Operator | None = None,
        size: tuple[int, ...] = (1,),
        rate: float = 0.5,
        verbose: bool = False,
    ) -> None:
        self.first, self.others, self.by_name, self.maybe = first, others, by_name, maybe
        self.size, self.rate, self.verbose = size, rate, verbose


class Many(Operator):
    """Takes any number of operators."""

    def __init__(self, *operators: Operator, **weights: float) -> None:
        self.operators, self.weights = operators, weights


PAIR, MANY = f"{__name__}:Pair", f"{__name__}:Many"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder, forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(modules, "_folders", [])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def message(kind: str | None, spec: object, where: str = "x.yaml: algorithm.operator") -> str:
    with pytest.raises(ConfigError) as caught:
        registry.build(kind, spec, where)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_short_name_gives_our_class() -> None:
    assert registry.resolve("problems", "arm") is Arm


def test_module_and_class_give_the_class() -> None:
    assert registry.resolve("operators", "operators.real.iso_line:IsoLine") is IsoLine


def test_every_built_in_name_can_be_imported() -> None:
    unusable = [entry for kind in registry.KINDS for entry in registry.available(kind) if entry.cls is None]
    assert unusable == []


def test_every_built_in_plug_in_says_what_it_is() -> None:
    assert [entry.name for kind in registry.KINDS for entry in registry.available(kind) if not entry.summary] == []


def test_short_name_reverses_resolve() -> None:
    for kind, names in registry.BUILT_IN.items():
        assert {registry.short_name(registry.resolve(kind, name)) for name in names} == set(names)
    assert registry.short_name(Pair) == PAIR


def test_an_unknown_name_is_told_the_nearest_one() -> None:
    said = message("operators", "iso_lin")
    assert said.startswith("x.yaml: algorithm.operator: unknown operator 'iso_lin'; did you mean 'iso_line'?")


def test_an_unknown_kind_is_told_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'problems'"):
        registry.available("problem")


def test_a_class_of_another_kind_is_refused() -> None:
    assert "is not an evo Operator" in message("operators", "problems.arm:Arm")


def test_a_missing_class_is_told_the_nearest_one() -> None:
    assert "module 'problems.arm' has no class 'Arn'; did you mean 'Arm'?" in message("problems", "problems.arm:Arn")


def test_a_missing_module_says_where_it_was_looked_for(folder: Path) -> None:
    registry.search_in(folder)
    assert str(folder) in message("problems", "no_such_module:Thing")


def test_a_class_from_a_notebook_says_how_to_resume() -> None:
    assert "evo.resume(run_dir, problem=...)" in message("problems", "__main__:Mine")


def test_a_users_module_is_found_in_its_folder(folder: Path) -> None:
    (folder / "mine_found.py").write_text("from problems.arm import Arm\nclass Mine(Arm):\n    '''Mine.'''\n")
    registry.search_in(folder)
    assert registry.build("problems", {"type": "mine_found:Mine", "joints": 3}).joints == 3


def test_a_module_that_needs_something_missing_says_what(folder: Path) -> None:
    (folder / "mine_needing.py").write_text("import no_such_library\n")
    registry.search_in(folder)
    assert "'mine_needing' needs 'no_such_library'" in message("problems", "mine_needing:Mine")


def test_a_module_with_a_syntax_error_names_the_line(folder: Path) -> None:
    (folder / "mine_broken.py").write_text("x = (\n")
    registry.search_in(folder)
    assert "mine_broken.py, line 1" in message("problems", "mine_broken:Mine")


def test_a_users_folder_named_like_ours_is_named(folder: Path) -> None:
    (folder / "problems").mkdir()
    (folder / "problems" / "mine.py").write_text("")
    registry.search_in(folder)
    said = message("problems", "problems.mine:Mine")
    assert str(folder / "problems") in said
    assert "rename it" in said


def test_a_folder_in_the_way_of_ours_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "workers").mkdir()
    (folder / "workers" / "__init__.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.delitem(sys.modules, "workers", raising=False)
    with pytest.raises(WorkerError, match="is in the way: evo has a package of its own called 'workers'"):
        check_layout()


def test_without_anything_in_the_way_the_packages_are_ours() -> None:
    check_layout()


def test_parameters_are_converted_as_annotated() -> None:
    pair = registry.build("operators", {"type": PAIR, "first": "gaussian", "size": [1, 2], "rate": 1})
    assert pair.size == (1, 2)
    assert isinstance(pair.rate, float)


def test_plug_ins_are_built_wherever_they_are_annotated() -> None:
    pair = registry.build(
        "operators",
        {
            "type": PAIR,
            "first": {"type": "gaussian", "sigma": 0.3},
            "others": ["uniform", {"type": "iso_line", "iso_sigma": 1}],
            "by_name": {"a": "gaussian"},
            "maybe": {"type": "iso_line", "params": {"iso_sigma": 2}},
        },
    )
    assert float(pair.first.sigma) == 0.3
    assert [type(one) for one in pair.others] == [Uniform, IsoLine]
    assert isinstance(pair.by_name["a"], Gaussian)
    assert pair.maybe.iso_sigma == 2.0


def test_a_mistake_in_a_nested_plug_in_names_the_whole_path() -> None:
    said = message(
        "operators", {"type": PAIR, "first": "gaussian", "others": ["uniform", {"type": "iso_line", "iso": 1}]}
    )
    assert said.startswith("x.yaml: algorithm.operator.others[1].iso: unknown key")
    assert said.endswith("expected one of iso_sigma, line_sigma")


def test_a_wrong_key_is_told_the_nearest_one() -> None:
    said = message("operators", {"type": "iso_line", "iso_sigm": 1})
    assert said == (
        "x.yaml: algorithm.operator.iso_sigm: unknown key; did you mean 'iso_sigma'?; "
        "expected one of iso_sigma, line_sigma"
    )


def test_a_plug_in_without_parameters_says_so() -> None:
    assert "uniform takes no parameters" in message("operators", {"type": "uniform", "rate": 1})


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"type": "iso_line", "iso_sigma": "x"}, "algorithm.operator.iso_sigma: expected a valid number"),
        ({"type": "iso_line", "iso_sigma": True}, "algorithm.operator.iso_sigma: expected number, got True"),
        ({"type": "gaussian", "sigma": [1, "b"]}, "sigma: expected number or list of number, got [1, 'b']"),
        ({"type": PAIR, "first": 3}, "algorithm.operator.first: expected Operator (a name, or a mapping with 'type')"),
        ({"type": PAIR, "first": "gaussian", "size": [1, "x"]}, "algorithm.operator.size[1]: expected a valid integer"),
        ({"type": PAIR}, "algorithm.operator.first: missing"),
        ({"type": "iso_line", "iso_sigma": -1}, "algorithm.operator: IsoLine: expected sigmas >= 0"),
        ({"typ": "iso_line"}, "algorithm.operator.typ: unknown key; did you mean 'type'?"),
        ({"sigma": 1}, "algorithm.operator: key 'type' is missing"),
        ({"type": 3}, "algorithm.operator.type: expected a name, got 3"),
        (3, "algorithm.operator: expected the name of one of evo's operators, or a mapping with 'type', got 3"),
    ],
)
def test_a_wrong_value_says_where_what_was_expected_and_what_came(spec: object, expected: str) -> None:
    assert expected in message("operators", spec)


def test_any_number_of_arguments_are_given_under_their_name() -> None:
    many = registry.build("operators", {"type": MANY, "operators": ["uniform", "gaussian"], "weights": {"a": 1}})
    assert [type(one) for one in many.operators] == [Uniform, Gaussian]
    assert many.weights == {"a": 1.0}


@pytest.mark.parametrize(
    "value",
    [
        IsoLine(0.5),
        Arm(joints=3),
        Box([0.0, -1.0], [1.0, np.inf]),
        Pair(Gaussian([0.1, 0.2]), [Uniform()], {"a": Gaussian()}, IsoLine(), size=(2, 3)),
        Many(Uniform(), Gaussian(), a=2.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_both_plain_forms_build_the_same_again(value: Operator) -> None:
    for form in (spec_of(value), registry.describe(value)):
        again = registry.build(None, json.loads(json.dumps(form)) | {"type": spec_of(value)["type"]})
        assert type(again) is type(value)
        assert registry.describe(again) == registry.describe(value)


def test_describe_writes_every_default_out() -> None:
    assert registry.describe(IsoLine(0.5)) == {"type": "iso_line", "iso_sigma": 0.5, "line_sigma": 0.2}


def test_an_object_is_its_own_specification() -> None:
    operator = IsoLine()
    assert registry.build("operators", operator) is operator


def test_annotations_known_to_type_checkers_only_do_not_hinder(folder: Path) -> None:
    text = """
        from __future__ import annotations
        from typing import TYPE_CHECKING
        from evo.operator import Operator as Base
        if TYPE_CHECKING:
            from evo.operator import Operator
            from nowhere import Unknown
        class Mine(Base):
            def __init__(self, inner: Operator, other: Unknown = None) -> None:
                self.inner, self.other = inner, other
    """
    (folder / "mine_typed.py").write_text(textwrap.dedent(text))
    registry.search_in(folder)
    mine = registry.build("operators", {"type": "mine_typed:Mine", "inner": "gaussian", "other": 5})
    assert isinstance(mine.inner, Gaussian)
    assert mine.other == 5
