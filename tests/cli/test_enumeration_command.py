"""An enumeration with a verifier on the command line: no budget, a table of what was found, what was turned down."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from calling import Evo

PROBLEM = """
import numpy as np
import evo

class Roots(evo.Enumerator):
    def __init__(self, trap):
        self.trap = trap
    total = 2000
    def make(self, parents, args, space, work):
        if args["start"] <= self.trap < args["stop"]:
            raise ValueError("fell into the trap")
        numbers = np.arange(args["start"], args["stop"])
        found = numbers[numbers % 10 == 6]
        return evo.Births(space.check(found[:, None]), counters={"screened": len(numbers)})

class Squares(evo.Problem):
    space = evo.Integers(0, 2000, size=1)
    objectives = [evo.Minimize("size")]
    def __init__(self, trap: int = -1):
        self.trap = trap
    @property
    def operators(self):
        return {"roots": Roots(self.trap)}
    def evaluate(self, x):
        if x[0] % 20 != 16:
            raise evo.Rejected("odd in its tens")
        return evo.Evaluation([float(x[0])])
    def report(self, best, run):
        found = run.candidates()
        rows = [{"square": int(x[0]) ** 2, "root": f"[{x[0]}]", "size": np.float32(y[0])}
                for x, y in zip(found.genomes, found.objectives)]
        return {"found": len(rows), "squares": rows, "none": []}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "squares_problem.py").write_text(PROBLEM)
    path = tmp_path / "squares.yaml"
    path.write_text("problem: squares_problem:Squares\nalgorithm: {type: enumeration, shard: 50}\n")
    return path


def test_a_run_file_without_a_budget_enumerates_everything(evo: Evo, config: Path) -> None:
    said = evo("run", config)
    assert said.code == 0, said.err
    lines = [line.split() for line in said.out.splitlines()]
    assert "finished: the enumeration is complete: 2,000 ranks in 40 shards" in said.out
    assert ["screened", "2,000"] in lines
    assert ["children_rejected", "100"] in lines
    assert ["failures", "none"] in lines
    assert any(line[:1] == ["cpu"] and line[-3:] == ["CPU", "on", "workers"] for line in lines)


def test_the_table_that_the_problem_reports_is_printed_and_shown_again(evo: Evo, config: Path) -> None:
    for arguments in (("run", config), ("show", "runs/squares-1")):
        said = evo(*arguments)
        lines = [line.split() for line in said.out.splitlines()]
        at = lines.index(["squares"])
        assert lines[at + 1] == ["square", "root", "size"]
        assert lines[at + 2] == ["256", "[16]", "16"]
        assert lines[at + 41] == ["633,616", "[796]", "796"]
        assert "... and 60 more rows; all are in evo show" in said.out.replace("\n", " ")
        assert ["found", "100"] in lines
        assert ["none", "[]"] in lines


def test_as_json_the_table_is_data(evo: Evo, config: Path) -> None:
    run, show = evo("run", config, "--json").json, evo("show", "runs/squares-1", "--json").json
    assert run["summary"] == show["summary"]
    assert len(run["summary"]["squares"]) == 100
    assert run["summary"]["squares"][0] == {"square": 256, "root": "[16]", "size": 16.0}
    assert (run["rejected"], run["evaluations"]) == (0, 40.0)
    assert run["cpu_seconds"] == show["cpu_seconds"] > 0
    assert [one["worker"] for one in show["workers"]] == [0]


def test_a_shard_that_fails_is_said_at_the_end(evo: Evo, config: Path) -> None:
    said = evo("run", config, "problem.trap=120")
    assert said.code == 0
    assert "the enumeration is not complete: 1 of 40 shards missing (ranks 100 to 149)" in said.out
    assert "1 x ValueError: fell into the trap" in said.out


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("algorithm={type: enumeration}", "algorithm.shard: missing, enumeration needs it (whole number)"),
        ("algorithm.shard=0", "expected shard and block of at least 1, got 0 and 8"),
        ("algorithm.operator=rots", "algorithm.operator: unknown operator 'rots'; expected roots"),
        ("algorithm=random", "squares.yaml: budget: the search would never end; set budget.evaluations"),
        ("problem=arm", "Arm has no operator that enumerates"),
    ],
)
def test_what_cannot_be_enumerated_is_one_line(evo: Evo, config: Path, override: str, expected: str) -> None:
    said = evo("run", config, override)
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert expected in said.err
    assert list(config.parent.glob("runs/*")) == []


def test_a_check_counts_rejections_apart_and_tries_some_shards(evo: Evo, config: Path) -> None:
    said = evo("check", config)
    assert said.code == 0, said.out
    counts = re.search(r"(\d+) of 64 succeeded, (\d+) rejected", said.out)
    assert counts is not None
    assert int(counts[1]) + int(counts[2]) == 64
    assert int(counts[2]) > 50
    assert "no budget of evaluations" in said.out
    assert "a search of 32 evaluations: budget spent" in said.out


def test_a_larger_run_is_resumed_to_its_end(evo: Evo, config: Path) -> None:
    assert evo("run", config, "--json", "budget.evaluations=10").json["reason"] == "budget spent"
    document = evo("resume", "runs/squares-1", "--json", "budget.evaluations=1000").json
    assert document["reason"] == "the enumeration is complete: 2,000 ranks in 40 shards"
    assert len(document["summary"]["squares"]) == 100


def test_progress_knows_how_many_shards_there_are() -> None:
    from evo.monitor.terminal import Terminal

    terminal = Terminal()
    totals = {"evaluations": 10.0, "expected": 40.0, "budget": {"evaluations": None, "seconds": None}}
    assert terminal._count(totals) == "10 of 40"
    assert terminal._share(totals) == 0.25
    assert terminal._left(totals, rate=2.0) == 15.0
    assert terminal._count({**totals, "budget": {"evaluations": 20.0}}) == "10 of 20"
