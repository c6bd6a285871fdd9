"""`evo run`: where it writes, what it says, how it exits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from calling import Evo

from evo.errors import ConfigError
from evo.store.reader import FILE_NAME, RunReader

ROOT = Path(__file__).resolve().parents[2]

FAILING = """
import evo
class Broken(evo.Problem):
    space = evo.Box(-1.0, 1.0, size=2)
    objectives = [evo.Minimize("value")]
    def evaluate(self, x):
        raise RuntimeError("the sensor is unplugged")
"""


def test_a_run_ends_with_a_report_and_its_place(evo: Evo, config: Path) -> None:
    said = evo("run", config)
    assert said.code == 0, said.err
    assert "budget spent" in said.out
    assert "runs/small-1" in said.out.replace("\n", "")
    assert (config.parent / "runs" / "small-1" / FILE_NAME).is_file()


def test_the_next_run_takes_the_next_free_directory(evo: Evo, config: Path) -> None:
    (config.parent / "runs" / "small-1").mkdir(parents=True)
    assert evo("run", config, "--json").json["run"].endswith("small-2")


def test_json_is_the_only_thing_on_standard_output(evo: Evo, config: Path) -> None:
    document = evo("run", config, "--json", "budget.evaluations=300", "seed=7").json
    assert (document["state"], document["seed"], document["evaluations"]) == ("finished", 7, 300)
    assert document["problem"] == "arm"


def test_the_same_seed_finds_the_same(evo: Evo, config: Path) -> None:
    first, second = evo("run", config, "--json").json, evo("run", config, "--json").json
    assert first["best"] == second["best"]
    assert first["stats"] == second["stats"]


def test_the_header_keeps_the_resolved_run_file(evo: Evo, config: Path) -> None:
    evo("run", config, "--run-dir", "here", "algorithm.operator.line_sigma=0.3", "--json")
    stored = RunReader.open(config.parent / "here").header()["config"]
    assert stored["algorithm"]["operator"] == {"type": "iso_line", "iso_sigma": 0.1, "line_sigma": 0.3}
    assert stored["order"] == {"type": "strict", "block": 50, "lag": 2}


def test_an_existing_run_directory_is_refused_with_both_ways_out(evo: Evo, config: Path) -> None:
    assert evo("run", config, "--run-dir", "here", "--json").code == 0
    said = evo("run", config, "--run-dir", "here")
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert "evo resume here" in said.err
    assert "another directory" in said.err


def test_an_empty_run_directory_may_be_used(evo: Evo, config: Path) -> None:
    (config.parent / "here").mkdir()
    assert evo("run", config, "--run-dir", "here", "--json").code == 0


def test_a_place_where_nothing_can_be_made_is_refused(evo: Evo, config: Path) -> None:
    (config.parent / "file").write_text("")
    said = evo("run", config, "--run-dir", "file/here")
    assert said.code == 2
    assert "file/here: no run directory can be made here (Not a directory)" in said.err


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("algorithm.operatr=gaussian", "small.yaml: algorithm.operatr: unknown key; did you mean 'operator'?"),
        ("problem=arn", "small.yaml: problem: unknown problem 'arn'; did you mean 'arm'?"),
        ("budget.evaluations=many", "small.yaml: budget.evaluations: expected a valid integer"),
        ("budget.evaluations=null", "small.yaml: budget: the search would never end"),
        ("budget", "override 'budget': expected key=value"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing_behind(evo: Evo, config: Path, override: str, expected: str) -> None:
    said = evo("run", config, override)
    assert said.code == 2
    assert said.err.startswith("evo: ")
    assert said.err.count("\n") == 1
    assert expected in said.err
    assert list(config.parent.glob("runs/*")) == []


def test_debug_shows_the_traceback(config: Path) -> None:
    from evo.cli import main

    with pytest.raises(ConfigError):
        main(["--debug", "run", str(config), "problem=arn"])


def test_a_missing_file_is_told_the_nearest_one(evo: Evo, config: Path) -> None:
    said = evo("run", config.with_name("smal.yaml"))
    assert said.code == 2
    assert f"did you mean {str(config)!r}" in said.err


def test_when_every_evaluation_fails_the_reason_is_said(evo: Evo, config: Path) -> None:
    (config.parent / "broken_problem.py").write_text(FAILING)
    said = evo("run", config, "problem=broken_problem:Broken", "algorithm=random", "stop.failures=20")
    assert said.code == 1
    assert "the sensor is unplugged" in said.err


def test_a_stop_rule_ends_the_run_well(evo: Evo, config: Path) -> None:
    document = evo("run", config, "--json", "stop.target=50").json
    assert document["state"] == "stopped"
    assert "target" in document["reason"]


def test_a_run_may_start_from_another_runs_elites(evo: Evo, config: Path) -> None:
    evo("run", config, "--run-dir", "first", "--json")
    said = evo("run", config, "--json", "initial.run=first", "budget.evaluations=100", "seed=2")
    assert said.code == 0, said.err


def test_a_run_may_start_from_given_genomes(evo: Evo, config: Path) -> None:
    assert evo("run", config, "--json", "initial.genomes=[[1, 0, 0, 0, 0]]").code == 0
    said = evo("run", config, "initial.genomes=[[1, 0]]")
    assert said.code == 2
    assert "genome 0: expected shape (5,), got (2,)" in said.err


NOISY = """
import os, subprocess, sys
import evo
print("imported")
class Noisy(evo.Problem):
    space = evo.Box(-1.0, 1.0, size=2)
    objectives = [evo.Minimize("value")]
    def evaluate(self, x):
        print("printed")
        os.write(1, b"written\\n")
        return evo.Evaluation(objectives=[abs(x[0])])
    def report(self, best, run):
        import ctypes
        ctypes.CDLL(None).puts(b"put by a library")
        subprocess.run(["echo", "said by a child"], check=True)
        return {"parts": 2}
"""


def test_whatever_prints_json_has_standard_output_for_itself(config: Path) -> None:
    (config.parent / "noisy_problem.py").write_text(NOISY)
    command = [sys.executable, "-c", "from evo.cli import main; main()"]
    run = ["run", str(config), "problem=noisy_problem:Noisy", "algorithm=random", "--json", "--run-dir", "loud"]
    for arguments in (run, ["resume", "loud", "--json", "budget.evaluations=550"], ["show", "loud", "--json"]):
        ended = subprocess.run(
            [*command, *arguments],
            cwd=config.parent,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        document = json.loads(ended.stdout)
        assert ended.stdout.count("\n") == 1
        assert document["summary"] == {"parts": 2}
        assert "imported" in ended.stderr
        for word in ("printed", "written", "put by a library", "said by a child"):
            assert (word in ended.stderr) == (arguments[0] != "show")


def test_what_failed_may_look_like_markup(evo: Evo, config: Path) -> None:
    (config.parent / "bracket_problem.py").write_text(FAILING.replace("the sensor is unplugged", "no file [/tmp/x]"))
    said = evo("run", config, "problem=bracket_problem:Broken", "algorithm=random", "stop.failures=20")
    assert said.code == 1
    assert "x RuntimeError: no file [/tmp/x]" in said.out
    assert "RuntimeError: no file [/tmp/x]" in said.err
    runs, show = evo("runs"), evo("show", "runs/small-1")
    assert (runs.code, show.code) == (0, 0)
    assert "RuntimeError: no file [/tmp/x]" in show.out
