"""The run file: defaults, overrides, and one line for every mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from evo.algorithms.map_elites import MapElites
from evo.config import VERSION, load_config, parse_config, schema
from evo.engine.order import Arrival, Strict
from evo.errors import ConfigError
from evo.evaluator import Resources
from problems.arm import Arm

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))

MINIMAL = """
problem: {type: arm, joints: 5}
algorithm:
  type: map_elites
  shape: [10, 10]
  operator: iso_line
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some_name.yaml"
    path.write_text(MINIMAL)
    return path


def message(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        _ = load_config(path, overrides).built
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_least_run_file_has_a_default_for_everything_else(file: Path) -> None:
    config = load_config(file)
    assert (config.version, config.name, config.seed) == (VERSION, "some_name", 0)
    assert (config.budget.evaluations, config.budget.seconds) == (None, None)
    assert (config.backend(), config.workers.count) == ("inline", None)
    assert config.stop.failures == 100


def test_problem_and_algorithm_are_built(file: Path) -> None:
    problem, algorithm = load_config(file).built
    assert isinstance(problem, Arm)
    assert isinstance(algorithm, MapElites)


def test_resolved_writes_every_default_out(file: Path) -> None:
    resolved = load_config(file).resolved()
    assert resolved["problem"] == {"type": "arm", "joints": 5}
    assert resolved["algorithm"]["operator"] == {"type": "iso_line", "iso_sigma": 0.01, "line_sigma": 0.2}
    assert resolved["order"] == {"type": "strict", "block": MapElites().block, "lag": Strict().lag}
    assert resolved["workers"]["window"] == 2


def test_resolving_twice_changes_nothing(file: Path) -> None:
    resolved = load_config(file).resolved()
    assert parse_config(resolved).resolved() == resolved


def test_overrides_are_read_as_yaml(file: Path) -> None:
    config = load_config(file, ["budget.evaluations=1000", "seed=3", "workers={backend: ray, count: 2}"])
    assert config.budget.evaluations == 1000
    assert config.seed == 3
    assert (config.workers.backend, config.workers.count) == ("ray", 2)


def test_an_override_reaches_into_a_plug_in_given_by_its_name(file: Path) -> None:
    config = load_config(file, ["algorithm.operator.iso_sigma=0.2", "algorithm.shape=[3, 4]", "algorithm.shape.1=5"])
    assert config.resolved()["algorithm"]["operator"]["iso_sigma"] == 0.2
    assert config.resolved()["algorithm"]["shape"] == [3, 5]


def test_an_override_reaches_into_params(tmp_path: Path) -> None:
    data = {"problem": {"type": "arm", "params": {"joints": 5}}, "algorithm": "random"}
    assert parse_config(data, ["problem.joints=7"]).built[0].joints == 7  # type: ignore[attr-defined]
    assert data["problem"] == {"type": "arm", "params": {"joints": 5}}


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.0e-3", "+1e-3", ".1e-2", "0.001"])
def test_numbers_are_numbers_however_they_are_written(file: Path, text: str) -> None:
    assert load_config(file, [f"budget.seconds={text}"]).budget.seconds == 0.001


def test_a_whole_number_may_be_written_with_an_exponent_or_underscores(file: Path) -> None:
    assert load_config(file, ["budget.evaluations=1e6"]).budget.evaluations == 1_000_000
    assert load_config(file, ["budget.evaluations=1_000_000"]).budget.evaluations == 1_000_000


def test_words_that_look_like_exponents_stay_words(file: Path) -> None:
    assert load_config(file, ["name=e5"]).name == "e5"


def test_an_empty_section_is_all_defaults(file: Path) -> None:
    file.write_text(MINIMAL + "budget:\nstop:\n")
    assert load_config(file).stop.failures == 100


def test_order_may_be_a_name(file: Path) -> None:
    assert load_config(file, ["order=arrival"]).policy() == Arrival()
    assert load_config(file, ["order.block=7"]).policy() == Strict(block=7)
    assert load_config(file, ["order=arrival"]).resolved()["order"] == {"type": "arrival", "block": None, "lag": None}


def test_a_workers_shape_is_what_the_file_says(file: Path) -> None:
    config = load_config(file, ["workers.gpus=0.5", "workers.custom.slot=1"])
    assert config.shape() == Resources(1.0, 0.5, 0, {"slot": 1.0})


def test_the_start_is_genomes_or_a_run(file: Path) -> None:
    assert load_config(file).start() is None
    assert load_config(file, ["initial.genomes=[[0, 0, 0, 0, 0]]"]).start() == [[0, 0, 0, 0, 0]]
    assert load_config(file, ["initial.run=runs/a-1"]).start() == Path("runs/a-1")


def test_a_users_module_beside_the_file_is_found(file: Path) -> None:
    (file.parent / "beside_the_file.py").write_text("from problems.arm import Arm\nclass Mine(Arm):\n    pass\n")
    assert load_config(file, ["problem.type=beside_the_file:Mine"]).built[0].joints == 5  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("budgt.evaluations=3", "budgt: unknown key; did you mean 'budget'?; expected one of version, name"),
        ("budget.evaluatons=3", "budget.evaluatons: unknown key; did you mean 'evaluations'?; expected one of"),
        ("budget.evaluations=x", "budget.evaluations: expected a valid integer"),
        ("budget.evaluations=0", "budget.evaluations: expected greater than or equal to 1, got 0"),
        ("budget.evaluations=true", "budget.evaluations: expected a number, got True"),
        ("budget.seconds=.inf", "budget.seconds: expected a finite number, got inf"),
        ("budget=3", "budget: expected one of the keys evaluations, seconds, got 3"),
        ("order.type=stric", "order.type: expected 'strict' or 'arrival', got 'stric'"),
        ("order={type: arrival, block: 3}", "order: block and lag belong to type strict"),
        ("workers.backend=spark", "workers.backend: expected 'inline' or 'ray', got 'spark'"),
        ("initial={run: a, genomes: []}", "initial: give genomes or run, not both"),
        ("name=a/b", "name: expected a name without slashes"),
        (
            "problem={type: esma, constant: 2.718}",
            "problem.constant: expected a valid string, got 2.718; write it in q",
        ),
        ("version=99", "version: 99 is newer than this evo"),
        ("problem=3", "problem: expected a name, or a mapping with 'type' and the parameters, got 3"),
        ("problem=arn", "problem: unknown problem 'arn'; did you mean 'arm'?"),
        ("problem.joint=3", "problem.joint: unknown key; did you mean 'joints'?; expected one of joints"),
        ("problem.joints=0", "problem: Arm: expected joints >= 1, got 0"),
        ("algorithm.operatr=gaussian", "algorithm.operatr: unknown key; did you mean 'operator'?; expected one of"),
        ("algorithm.operator.iso=1", "algorithm.operator.iso: unknown key"),
        ("algorithm.operator=iso_lin", "algorithm.operator: unknown operator 'iso_lin'; did you mean 'iso_line'?"),
    ],
)
def test_a_mistake_names_file_key_path_expectation_and_nearest_name(file: Path, override: str, expected: str) -> None:
    assert message(file, override).startswith(f"{file}: {expected}")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed", "override 'seed': expected key=value"),
        ("=3", "override '=3': expected key=value"),
        ("a..b=3", "expected key=value"),
        ("seed=[1", "override 'seed=[1'"),
        ("algorithm.shape.7=3", "expected a position from 0 to 1 for '7'"),
        ("seed.x.y=3", "seed: expected a valid integer"),
        ("problem.joints.x=3", "problem.joints is 5 and has no keys"),
    ],
)
def test_a_malformed_override_is_named(file: Path, override: str, expected: str) -> None:
    assert expected in message(file, override)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: 1\nproblem: arm\nseed: 2\n", ":3:1: key 'seed' is there twice, first in line 1"),
        ("problem: [", ":1:11: expected the node content"),
        ("- 1\n", ": expected keys and values (problem, algorithm, ...), got list"),
        ("", ": expected keys and values (problem, algorithm, ...), got NoneType"),
        ("problem: arm\n", ": algorithm: missing"),
        ("problem: !!python/object:os.system {}\n", ": could not determine a constructor"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(file: Path, text: str, expected: str) -> None:
    file.write_text(text)
    said = message(file)
    assert said.startswith(str(file))
    assert expected.removeprefix(":") in said


def test_a_missing_file_is_told_the_nearest_one(file: Path) -> None:
    said = message(file.with_name("some_nam.yaml"))
    assert f"there is no such file; did you mean {str(file)!r}?" in said


def test_a_folder_or_binary_file_is_no_run_file(file: Path) -> None:
    assert "expected a YAML file" in message(file.parent)
    file.write_bytes(b"\xff\xfe\x00")
    assert "expected a YAML file" in message(file)


def test_the_schema_knows_every_key_and_todays_names() -> None:
    document = schema()
    assert document["additionalProperties"] is False
    names, mapping = document["properties"]["problem"]["anyOf"]
    assert "arm" in names["examples"]
    assert mapping["required"] == ["type"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_that_we_ship_can_be_run(path: Path) -> None:
    config = load_config(path)
    problem, algorithm = config.built
    algorithm.setup(problem)
    assert config.budget.evaluations or algorithm.ends


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_that_we_ship_says_what_it_shows(path: Path) -> None:
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_that_we_ship_follows_the_schema(path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    data: Any = yaml.safe_load(path.read_text())
    jsonschema.validate(data, schema())
