"""Searches of programs' parameters from a run file alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from programs import python, shell

import evo
from evo.cli import main
from evo.config import load_config
from evo.errors import ConfigError, EvaluationError
from evo.evaluator import Evaluator
from evo.testing import check_problem
from problems.executable import Executable
from problems.executable.guard import marked

ROOT = Path(__file__).resolve().parents[3]

RUN = """
problem:
  type: executable
  command: ["./program", "{x}", "{n}", "{mode}"]
  parameters: {x: [-1.0, 1.0], n: {integers: [1, 10]}, mode: {choices: [fast, slow]}}
  objectives: {cost: minimize}
  measures: {length: [0, 10]}
  deadline: 10
algorithm: {type: map_elites, shape: [5], batch: 8}
seed: 1
budget: {evaluations: 24}
"""

SCRIPT = """
x, n, mode = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
print(json.dumps({"cost": x * x + (mode == "slow"), "length": n}))
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A run file with its program beside it."""
    python(tmp_path, SCRIPT)
    path = tmp_path / "search.yaml"
    path.write_text(RUN)
    return path


def searched(config: Path, *arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["run", str(config), "--run-dir", str(config.parent / "run"), "--backend", "inline", "--json", *arguments])
    return int(caught.value.code or 0)


def message(config: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        _ = load_config(config, overrides).built
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{config}: ")


def test_a_run_file_alone_searches_a_program(config: Path) -> None:
    assert searched(config) == 0
    run = evo.load(config.parent / "run")
    assert run.evaluations == 24
    assert run.best is not None
    assert run.best.objectives["cost"] >= 0
    shown = run.problem.show(run.best.genome)  # type: ignore[union-attr]
    said = json.loads(subprocess.check_output(shown.split(), cwd=config.parent))
    assert said == {**run.best.objectives, **run.best.measures}


@pytest.mark.slow
def test_the_problem_keeps_every_promise_to_the_engine(config: Path) -> None:
    check_problem(load_config(config).built[0], n=9)


@pytest.mark.slow
def test_a_program_that_was_changed_is_noticed_on_resuming(config: Path) -> None:
    problem, algorithm = load_config(config).built
    evo.search(problem, algorithm, evaluations=24, run_dir=config.parent / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evo.resume(config.parent / "run", evaluations=32)
    python(config.parent, SCRIPT + "# faster now")
    with pytest.warns(UserWarning, match="the evaluator has changed since this run began"):
        evo.resume(config.parent / "run", evaluations=40)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("problem.command.0=./progam", "problem: command[0]: there is no ./progam in"),
        (
            "problem.command.1={y}",
            "problem: command: {y} is no parameter; expected one of file, genome, mode",
        ),
        ("problem.command.1='{mod}'", "problem: command: {mod} is no parameter; did you mean 'mode'?"),
        ("problem.command.1={x: 1}", "problem.command: expected list of text or"),
        ("problem.command=[./program, -n, 3, true, {genome}]", ""),
        ("problem.command=[]", "problem: command: expected a list of texts, the program first"),
        ("problem.command=[./program]", ""),
        (
            "problem.command.3=x",
            "problem: parameters.mode: does not get to the program; name it in the command as {mode}",
        ),
        ("problem.objectives.cost=minimise", "problem: objectives.cost: expected minimize or maximize, or a mapping"),
        ("problem.objectives.cost={direction: minimize, worse: 1}", "problem: objectives.cost: expected minimize"),
        ("problem.measures.length=3", "problem: measures.length: expected [low, high]"),
        ("problem.measures.length=[3, 1]", "problem: measure 'length': expected finite low < high"),
        ("problem.measures.cost=[0, 1]", "problem: measures.cost: is the name of an objective, too"),
        ("problem.parameters.n={integer: [1, 2]}", "problem: parameters.n: expected [low, high]"),
        ("problem.start=[{x: 3.0}]", "problem: genome 0: expected a dict of the parts"),
        ("problem.input=std", "problem.input: expected "),
        ("problem.deadlines=3", "problem.deadlines: unknown key; did you mean 'deadline'?"),
    ],
)
def test_a_mistake_in_the_run_file_is_named(config: Path, override: str, expected: str) -> None:
    if expected:
        assert message(config, override).startswith(expected)
    else:
        _ = load_config(config, [override]).built


def test_a_search_begins_where_the_run_file_says(config: Path) -> None:
    start = "problem.start=[{x: 0.25, n: 3, mode: slow}]"
    problem, _ = load_config(config, [start]).built
    assert problem.space.to_json(problem.space.stack(list(problem.initial()))[0]) == {"x": 0.25, "n": 3, "mode": "slow"}


def test_children_differ_from_their_parents_in_little(config: Path) -> None:
    from evo.algorithms.keeping import default_mutation
    from evo.registry import build

    space = load_config(config).built[0].space
    parents = space.sample(1000, np.random.default_rng(0))
    children = build("operators", default_mutation(space)).vary([parents], space, np.random.default_rng(1))
    step = np.abs(children["x"] - parents["x"])
    assert 0 < np.median(step) < 0.3  # of a range of 2
    assert 0.5 < (children["n"] == parents["n"]).mean() < 0.65  # half are drawn anew, some to the same
    assert 0.6 < (children["mode"] == parents["mode"]).mean() < 0.9


class Own(evo.Problem):
    """A user's problem with a space of its own, measured by a program."""

    objectives = [evo.Minimize("cost")]  # noqa: RUF012 - as users write it

    def __init__(self, folder: str) -> None:
        self.space = evo.Box(-1.0, 1.0, size=3)
        self._executable = Executable(["./program"], self.space, self.objectives, folder=folder)

    @property
    def evaluator(self) -> Evaluator:
        return self._executable


def test_a_python_problem_of_ones_own_takes_a_program_as_its_evaluator(tmp_path: Path) -> None:
    python(tmp_path, "print(sum(x * x for x in json.load(sys.stdin)))")
    run = evo.search(Own(str(tmp_path)), evo.Genetic(population=8), evaluations=24, seed=1)
    assert run.best is not None
    assert run.best.objectives["cost"] == pytest.approx((np.asarray(run.best.genome) ** 2).sum())


def test_the_reason_of_a_failure_is_kept_in_the_run(config: Path) -> None:
    says = """[ "${1#-}" = "$1" ] && { echo "no table for x > 0" >&2; exit 3; }; echo '{"cost": 1, "length": 2}'"""
    shell(config.parent, says)
    assert searched(config) == 0
    messages = list(evo.load(config.parent / "run").reader.messages())
    assert messages
    assert all(message.startswith("exit code 3: no table for x > 0\ncommand: ./program 0.") for message in messages)


def test_a_program_that_is_not_there_ends_the_command_at_once(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config.parent / "program").unlink()
    assert searched(config) == 2
    assert "problem: command[0]: there is no ./program in" in capsys.readouterr().err
    assert searched(config, "problem.command.0=no-such-program") == 2
    assert "command[0]: no-such-program is not found in PATH" in capsys.readouterr().err


C_PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv) {
    if (argc != 4) { fputs("usage: program X N MODE\n", stderr); return 64; }
    double x = atof(argv[1]);
    if (x < -0.9) { fputs("too far\n", stderr); return 65; }
    if (x > 0.9) { int *nowhere = 0; *nowhere = 1; }
    printf("{\"cost\": %.17g, \"length\": %s}\n", x * x + !strcmp(argv[3], "slow"), argv[2]);
    return 0;
}
"""


def test_a_c_program_answers_crashes_and_says_no(config: Path, tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    (tmp_path / "program.c").write_text(C_PROGRAM)
    (tmp_path / "program").unlink()
    subprocess.run([compiler, "-O1", "-o", str(tmp_path / "program"), str(tmp_path / "program.c")], check=True)
    problem, _ = load_config(config).built
    genomes = problem.space.stack([{"x": x, "n": 3, "mode": "slow"} for x in (0.5, -0.95, 0.95)])
    problem.evaluator.warm_up()
    found = problem.evaluator.evaluate_batch(genomes, evo.Work(0, "full", np.zeros(3, np.int64)))
    assert found.objectives[0].tolist() == [1.25]
    assert found.rejected == {1: "too far"}
    assert found.failures[2].startswith("killed by SIGSEGV\ncommand: ./program 0.95 3 slow")


def test_the_shipped_example_scores_every_kind_of_throw() -> None:
    problem, _ = load_config(ROOT / "configs" / "executable_catapult.yaml").built

    def throws(*said: tuple[float, int, str]) -> Any:
        names = ("speed", "stones", "place")
        return problem.space.stack([{"angle": 45.0, **dict(zip(names, one, strict=True))} for one in said])

    everywhere = [(33.0, stones, place) for stones in (1, 5) for place in ("earth", "moon")]
    check_problem(problem, genomes=throws(*everywhere))
    problem.evaluator.warm_up()
    found = problem.evaluator.evaluate_batch(
        throws((12.73, 1, "moon"), (60.0, 1, "moon")), evo.Work(0, "full", np.zeros(2, np.int64))
    )
    assert found.objectives[0, 0] < 1.0  # v * v / g = 100
    assert found.rejected == {1: "it flew over the edge of the field"}


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_a_worker_without_the_users_folder_runs_the_program(config: Path, tmp_path: Path) -> None:
    problem, algorithm = load_config(config).built
    inline = evo.search(problem, algorithm, evaluations=48, seed=1)
    problem, algorithm = load_config(config).built
    shutil.rmtree(config.parent, ignore_errors=True)  # what was read at the start is all there is
    os.makedirs(config.parent, exist_ok=True)
    spread = evo.search(problem, algorithm, evaluations=48, seed=1, workers=2)
    assert spread.best is not None
    assert inline.best is not None
    assert spread.best.objectives == inline.best.objectives


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_a_program_that_workers_cannot_start_is_one_error(config: Path) -> None:
    problem, algorithm = load_config(config, ["problem.command.0=/none/such"]).built
    began = time.monotonic()
    with pytest.raises((evo.WorkerError, EvaluationError), match=r"command\[0\]: there is no file /none/such"):
        evo.search(problem, algorithm, evaluations=48, seed=1, workers=2)
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_a_search_that_is_killed_leaves_no_program(config: Path) -> None:
    shell(config.parent, 'echo "$EVO_EVALUATION" > "$SEEN"; sleep 600')
    seen = config.parent / "seen"
    environment = {**os.environ, "SEEN": str(seen)}
    command = [sys.executable, "-c", "from evo.cli import main; main()", "run", str(config), "--backend", "inline"]
    command += ["--run-dir", str(config.parent / "run"), "problem.environment=[SEEN]"]
    with subprocess.Popen(command, env=environment, start_new_session=True) as search:
        try:
            assert _until(lambda: seen.exists() and seen.read_text().strip() != "")
            mark = seen.read_text().partition(".")[0]
            assert marked(mark)
        finally:
            os.killpg(search.pid, signal.SIGKILL)
    assert _until(lambda: not marked(mark))


def _until(condition: object, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False
