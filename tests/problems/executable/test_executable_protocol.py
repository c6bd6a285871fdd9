"""What goes into a program and what is read from it."""

from __future__ import annotations

import json
import math
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import Make, evaluated, python, shell

from evo import ConfigError, Evaluation, EvaluationError, SpaceError
from evo.spaces import Box, Json
from evo.testing import check_space
from problems.executable import Parameters
from problems.executable.answer import Names, answer_in, evaluation
from problems.executable.command import Command, text_of

# In --------------------------------------------------------------------------------------------------------------


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_as_an_argument_reads_back_to_the_same_bits(value: float) -> None:
    assert struct.pack("d", float(text_of(value))) == struct.pack("d", value)


@given(st.text(), st.integers())
def test_text_and_whole_numbers_are_arguments_as_they_are(text: str, number: int) -> None:
    assert Command(["p", "a{t}b{n}"]).filled({"t": text, "n": number}) == ["p", f"a{text}b{number}"]


def test_everything_else_is_written_as_json() -> None:
    values = [True, None, [1, 2.5, "a"], [], {"b": 1, "a": [False]}]
    assert [text_of(value) for value in values] == ["true", "null", "1,2.5,a", "[]", '{"a":[false],"b":1}']


def test_double_braces_are_braces() -> None:
    assert Command(["p", "{{{x}}}", '{{"a": 1}}']).filled({"x": 2}) == ["p", "{2}", '{"a": 1}']


def test_no_shell_reads_the_arguments(tmp_path: Path, make: Make) -> None:
    python(tmp_path, "print(json.dumps({'cost': 1, 'said': sys.argv[1:]}))")
    space = Parameters({"x": {"choices": ["$(touch /tmp/never); `id` > *"]}})
    found = evaluated(make("{x}", "a b", "", space=space), {"x": space.parts["x"].choices[0]})  # type: ignore[attr-defined]
    assert found.metrics["said"] == ["$(touch /tmp/never); `id` > *", "a b", ""]


MIXED = Parameters(
    {
        "x": [-1.0, 1.0],
        "n": {"integers": [1, 10]},
        "mode": {"choices": ["fast", True, 2]},
        "w": {"reals": [0, 1], "size": 2},
    }
)
GENOME = {"x": 0.1, "n": 3, "mode": True, "w": [0.25, 1.0]}


def test_parameters_are_a_space() -> None:
    check_space(MIXED)


def test_a_genome_is_a_flat_object() -> None:
    assert MIXED.to_json(MIXED.stack([GENOME])[0]) == GENOME
    with pytest.raises(SpaceError, match="parts"):
        MIXED.stack([{"x": 0.1}])


@pytest.mark.parametrize(
    ("arguments", "settings", "read"),
    [
        (["--x={x}", "{n}", "{mode}", "{w}"], {}, "sys.argv[1:]"),
        ([], {}, "json.load(sys.stdin)"),
        (["{file}"], {}, "json.load(open(sys.argv[1]))"),
        (["{genome}"], {}, "json.loads(sys.argv[1])"),
    ],
)
def test_a_genome_gets_in_as_arguments_on_standard_input_or_as_a_file(
    tmp_path: Path, make: Make, arguments: list[str], settings: dict[str, Any], read: str
) -> None:
    python(tmp_path, f"print(json.dumps({{'cost': 1, 'got': {read}}}))")
    found = evaluated(make(*arguments, space=MIXED, **settings), GENOME)
    assert found.metrics["got"] == (["--x=0.1", "3", "true", "0.25,1.0"] if len(arguments) == 4 else GENOME)


def test_any_space_is_handed_over_as_its_json(tmp_path: Path, make: Make) -> None:
    python(tmp_path, "print(json.dumps({'cost': 1, 'got': json.load(sys.stdin)}))")
    assert evaluated(make(space=Box(0, 1, size=3)), [0, 0.5, 1]).metrics["got"] == [0.0, 0.5, 1.0]
    assert evaluated(make(space=Json()), {"tree": ["+", 1]}).metrics["got"] == {"tree": ["+", 1]}


def test_a_program_that_does_not_read_its_input_is_well(tmp_path: Path, make: Make) -> None:
    shell(tmp_path, "exec <&-; echo 1")
    assert evaluated(make(space=Json()), ["long"] * 100_000).objectives == [1.0]


def test_equal_draws_give_equal_seeds_and_others_do_not(tmp_path: Path, make: Make) -> None:
    python(tmp_path, "print(json.dumps({'cost': 1, 'seeds': [sys.argv[1], os.environ['EVO_SEED']]}))")
    executable = make("{seed}", stochastic=True)
    seeds = [evaluated(executable, draw=draw).metrics["seeds"] for draw in (1, 1, 2)]
    assert seeds[0] == seeds[1] != seeds[2]
    assert seeds[0][0] == seeds[0][1]
    assert 0 <= int(seeds[0][0]) < 2**31
    assert evaluated(executable, seed=1, draw=1).metrics["seeds"] != seeds[0]


def test_the_seed_is_a_field_of_the_object_on_standard_input(tmp_path: Path, make: Make) -> None:
    python(tmp_path, "got = json.load(sys.stdin); print(json.dumps({'cost': got['x'], 'seed': got['seed']}))")
    assert evaluated(make(stochastic=True)).metrics["seed"] > 0


def test_a_program_sees_an_allow_list_of_variables(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sentinel-value")
    monkeypatch.setenv("LICENSE", "lent")
    python(tmp_path, "print(json.dumps({'cost': 1, 'environment': dict(os.environ)}))")
    seen = evaluated(make(environment={"THREADS": 2, "LICENSE": None})).metrics["environment"]
    assert (seen["THREADS"], seen["LICENSE"], seen["PATH"]) == ("2", "lent", os.environ["PATH"])
    assert "SOME_API_KEY" not in seen
    assert evaluated(make(environment=["SOME_API_KEY"])).metrics["environment"]["SOME_API_KEY"] == "sentinel-value"


def test_every_evaluation_has_an_empty_folder_of_its_own(tmp_path: Path, make: Make) -> None:
    shell(tmp_path, 'printf \'{"cost": 1, "held": "%s", "where": "%s"}\' "$(ls -A | tr "\\n" " ")" "$PWD"; touch left')
    executable = make()
    first, second = evaluated(executable), evaluated(executable)
    assert first.metrics["held"].split() == ["program"]
    assert second.metrics["held"] == first.metrics["held"]
    assert not Path(first.metrics["where"]).exists()


def test_files_and_folders_lie_beside_the_program_under_their_names(tmp_path: Path, make: Make) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "table").write_text("7")
    (tmp_path / "factor").write_text("6")
    (tmp_path / "elsewhere").write_text("1")
    shell(tmp_path, "echo $(( $(cat data/deep/table) * $(cat $1) * $(cat elsewhere) ))", "bin/run")
    (tmp_path / "program").symlink_to("bin/run")
    executable = make("factor", files=["data/", str(tmp_path / "elsewhere")])  # `factor` is found among the arguments
    assert evaluated(executable).objectives == [42.0]


def test_a_program_that_is_changed_meanwhile_changes_nothing_and_the_version_tells(tmp_path: Path, make: Make) -> None:
    shell(tmp_path, "echo 1")
    before = make()
    shell(tmp_path, "echo 2")
    after = make()
    assert (evaluated(before).objectives, evaluated(after).objectives) == ([1.0], [2.0])
    assert before.version() != after.version()
    assert after.version() == make().version() != make(deadline=3.0).version()


# Out -----------------------------------------------------------------------------------------------------------------

NAMES = Names(["cost"], ["length"])


def read(said: str, names: Names = NAMES, folder: Path = Path("/nowhere")) -> Evaluation:
    return evaluation(answer_in(said.encode(), True, "standard output"), names, folder)


@pytest.mark.parametrize(
    "said",
    [
        '{"cost": 1.5, "length": 2}',
        'progress 10 %\n{"a": 1}\n\n{"cost": 1.5, "length": 2}\n\n',
        '{\n  "cost": 1.5,\n  "length": 2\n}\n',
        '{"objectives": {"cost": 1.5}, "measures": {"length": 2}}',
    ],
)
def test_an_answer_is_the_whole_output_or_its_last_line(said: str) -> None:
    found = read(said)
    assert (list(found.objectives), list(found.measures)) == ([1.5], [2.0])


def test_a_bare_number_answers_for_one_objective() -> None:
    assert read("3", Names(["cost"], [])).objectives == [3.0]
    assert read("step 1\nstep 2\n3e-2", Names(["cost"], [])).objectives == [0.03]


def test_further_keys_are_metrics() -> None:
    found = read('{"cost": 1, "length": 2, "steps": 3, "metrics": {"note": "a"}, "costs": {"dollars": 0.5}}')
    assert (found.metrics, found.costs) == ({"note": "a", "steps": 3}, {"dollars": 0.5})


def test_an_artifact_is_a_file_in_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "picture").write_bytes(b"p")
    (tmp_path / "secret").write_bytes(b"s")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    said = '{"cost": 1, "length": 2, "artifacts": {"map": "%s"}}'
    assert read(said % "picture", folder=tmp_path / "in").artifacts["map"] == tmp_path / "in" / "picture"
    for outside in ("../secret", str(tmp_path / "secret"), "link"):
        with pytest.raises(EvaluationError, match="outside the working folder"):
            read(said % outside, folder=tmp_path / "in")
    with pytest.raises(EvaluationError, match="there is no file 'none'"):
        read(said % "none", folder=tmp_path / "in")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "nothing was written to standard output"),
        ("hello", "expected JSON in standard output, got 'hello'"),
        ("line\nSegmentation fault", "expected JSON in the last line of standard output, got 'Segmentation fault'"),
        ('{\n"cost": 1,\n}', "expected JSON in standard output, got '{"),
        ("[" * 100_000, "expected JSON in standard output"),
        ("5", r"expected an object such as {\"cost\": 0.5, \"length\": 0.5}, got '5'"),
        ("[1, 2]", "expected an object such as"),
        ('{"cost": 1}', "'length' is missing in the answer; it has none"),
        ('{"cost": "1", "length": 2}', "cost: expected a number, got '1'"),
        ('{"cost": true, "length": 2}', "cost: expected a number, got 'true'"),
        ('{"cost": null, "length": 2}', "cost: expected a number, got 'null'"),
        ('{"cost": NaN, "length": 2}', "cost: expected a finite number, got 'NaN'"),
        ('{"cost": 1, "length": -Infinity}', "length: expected a finite number, got '-Infinity'"),
        ('{"cost": 1e999, "length": 2}', "cost: expected a finite number, got 'Infinity'"),
        (f'{{"cost": 1{"0" * 5000}, "length": 2}}', "cost: expected a finite number, got '1000"),
        ('{"objectives": {"cost": 1}, "measure": {}}', "unknown key 'measure' in the answer; expected objectives"),
        ('{"cost": 1, "length": 2, "metrics": 3}', "metrics: expected an object of names and values, got '3'"),
        ('{"cost": 1, "length": 2, "costs": {"a": "b"}}', "costs.a: expected a number, got 'b'"),
        ('{"cost": 1, "length": 2, "artifacts": {"a": 3}}', "artifacts.a: expected the path of a file, got '3'"),
    ],
)
def test_what_is_no_answer_is_quoted(said: str, reason: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        read(said)
    assert str(caught.value).startswith(reason.replace("\\", ""))
    assert len(str(caught.value)) < 400


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["cost", "length", "objectives", "metrics", "artifacts", "x"]), inner)
        ),
    )
)
def test_whatever_json_comes_is_an_answer_or_refused(value: Any) -> None:
    try:
        found = read(json.dumps(value))
    except EvaluationError:
        return
    assert math.isfinite(found.objectives[0])
    assert np.isfinite(found.measures).all()


def test_an_answer_may_be_in_a_file(tmp_path: Path, make: Make) -> None:
    shell(tmp_path, "echo noise; mkdir out; echo 7 > out/result.json")
    assert evaluated(make(output="out/result.json")).objectives == [7.0]
    shell(tmp_path, "echo 7")
    with pytest.raises(EvaluationError, match="the program wrote no file out/result"):
        evaluated(make(output="out/result.json"))


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("mkfifo result", "result is no ordinary file"),
        ("ln -s /etc/hostname result", "the file result is a link that leads outside the working folder"),
        ("mkdir result", "result is no ordinary file"),
        ("head -c 5000000 /dev/zero > result", "the file result is larger than 4 MiB"),
    ],
)
def test_a_file_that_holds_no_answer_is_told(tmp_path: Path, make: Make, does: str, reason: str) -> None:
    shell(tmp_path, does)
    with pytest.raises(EvaluationError, match=reason):
        evaluated(make(output="result"))


# Settings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (["{x"], {}, r"command\[1\]: expected '}' before end of string"),
        (["{x:.3f}"], {}, r"command\[1\]: expected {name} as a placeholder"),
        (["{seed}"], {}, r"command: {seed} is for programs that draw random numbers; set stochastic: true"),
        (["{file}"], {"input": "stdin"}, "input: stdin, but the command has the placeholder {file}"),
        ([], {"input": "file"}, "input: file, but no argument of the command has the placeholder {file}"),
        ([], {"input": "arguments"}, "input: arguments, but the command has no placeholder"),
        ([], {"deadline": 0.0}, "deadline: expected seconds > 0, got 0"),
        ([], {"rejected": 0}, "rejected: expected an exit code from 1 to 255, got 0"),
        ([], {"output": "/etc/passwd"}, "output: expected stdout, or a file's name in the working folder"),
        ([], {"files": ["none"]}, r"files\[0\]: there is no 'none' in"),
        ([], {"files": ["program", "./program"]}, r"files\[1\]: .*would be 'program' for the program"),
        (
            [],
            {"environment": {"API_KEY": "abc"}},
            r"environment.API_KEY: a secret in the clear .* environment: \[API_KEY\]",
        ),
        ([], {"environment": ["A-B"]}, "environment: expected names of variables, got 'A-B'"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(
    tmp_path: Path, make: Make, arguments: list[str], settings: dict[str, Any], message: str
) -> None:
    shell(tmp_path, "echo 1")
    with pytest.raises(ConfigError, match=message):
        make(*arguments, **settings)


def test_files_that_are_too_large_are_refused(tmp_path: Path, make: Make) -> None:
    shell(tmp_path, "echo 1")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(ConfigError, match=r"more than 64 MiB in all, with .*large"):
        make(files=["large"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "parameters: expected one or more"),
        ({"x": 3}, "parameters.x: expected \\[low, high\\]"),
        ({"x": [1.0, 0.0]}, "parameters.x: expected low < high"),
        ({"x": [1, "a"]}, "parameters.x: expected \\[low, high\\].*got \\[1, 'a'\\]"),
        ({"x": {"integer": [1, 2]}}, "parameters.x: expected .*got {'integer': "),
        ({"x": {"integers": [0.5, 2]}}, "parameters.x: expected whole bounds"),
        ({"x": {"choices": []}}, "parameters.x: expected one or more choices"),
        ({"x": {"choices": "ab"}}, "parameters.x: expected"),
        ({"x": {"choices": [1], "size": 0}}, "parameters.x.size: expected a whole number of at least 1, got 0"),
        ({"seed": [0, 1]}, "parameters.seed: expected a name .*none of file, genome, seed"),
        ({"a-b": [0, 1]}, "parameters.a-b: expected a name"),
    ],
)
def test_a_parameter_that_is_none_is_refused_by_name(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Parameters(parameters)
