"""What lies in a run file as JSON: integers of any length, and nothing that JSON does not know."""

import json
import math

import numpy as np
import pytest
from filling import Filler, fill

import evo
from evo.json_text import read_json
from evo.store.columns import pack, unpack
from evo.store.plain import document, line

HUGE = 7**6000  # 5 071 digits: more than Python converts by itself


def strict(text):
    """The value of a text that is JSON to everybody."""

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_columns_hold_integers_of_any_length():
    column = np.empty(2, dtype=object)
    column[0], column[1] = HUGE, {"n": [-HUGE]}
    back = unpack(pack({"n": HUGE, "args": [{"start": -HUGE}], "metrics": {"m": column}}))
    assert back["n"] == HUGE
    assert back["args"] == [{"start": -HUGE}]
    assert list(back["metrics"]["m"]) == [HUGE, {"n": [-HUGE]}]


def test_documents_say_null_for_what_is_not_finite():
    assert strict(document({"a": math.nan, "b": [math.inf, -math.inf, 1.0], "n": 3})) == {
        "a": None,
        "b": [None, None, 1.0],
        "n": 3,
    }
    assert read_json(document({"n": HUGE, "a": math.nan})) == {"n": HUGE, "a": None}


def test_lines_of_an_export_keep_infinities_as_text():
    assert line({"b": math.inf, "a": math.nan}) == '{"a":null,"b":"Infinity"}'
    assert read_json(line({"b": HUGE})) == {"b": HUGE}


def test_statistics_that_are_not_finite_lie_as_null():
    filler = Filler(None)
    stats = {"best": math.nan, "qd_score": -math.inf, "coverage": 0.5}
    with filler.writer.transaction():
        filler.writer.totals({"state": "running", "stats": stats})
        filler.writer.curve(0, 1.0, 1.0, stats)
    for table, column in (("totals", "document"), ("curves", "stats")):
        ((text,),) = filler.connection.execute(f"SELECT {column} FROM {table}")
        strict(text)
    assert filler.run().totals["stats"] == {"best": None, "qd_score": None, "coverage": 0.5}
    assert filler.run().curve()[0]["best"] is None


class Numbers(evo.Json):
    def sample_one(self, rng):
        return {"n": HUGE + int(rng.integers(1000))}


class Huge(evo.Problem):
    space = Numbers()
    objectives = (evo.Maximize("rest"),)

    def evaluate(self, genome):
        return evo.Evaluation([float(genome["n"] % 1000)])


@pytest.fixture(scope="module")
def huge(tmp_path_factory):
    place = tmp_path_factory.mktemp("huge") / "run"
    return evo.search(Huge(), evo.Random(10), evaluations=30, run_dir=place, snapshot_seconds=0.0, handle_signals=False)


def test_a_search_of_genomes_with_long_integers_runs_and_resumes(huge):
    assert (huge.state, huge.evaluations, huge.failures["failed"]) == ("finished", 30, 0)
    assert huge.best.genome["n"] > HUGE - 1
    for snapshot in (True, False):
        more = evo.resume(
            huge.dir,
            Huge(),
            evo.Random(10),
            evaluations=40 if snapshot else 50,
            snapshot=snapshot,
            handle_signals=False,
        )
        assert more.evaluations == (40 if snapshot else 50)


@pytest.mark.parametrize("format", ["csv", "parquet", "jsonl", "canonical"])
def test_long_integers_are_exported(huge, tmp_path, format):
    path = huge.export(format, tmp_path / "out")
    if format in ("jsonl", "canonical"):
        lines = [read_json(text) for text in path.read_text().splitlines()]
        assert any(one.get("genome", {}).get("n", 0) >= HUGE for one in lines)
    assert len(huge.frame()) >= 30


def test_what_a_short_run_stores_is_json_to_everybody(tmp_path):
    filler = fill(tmp_path, blocks=1)
    for table, column in (("header", "document"), ("totals", "document"), ("curves", "stats")):
        for (text,) in filler.connection.execute(f"SELECT {column} FROM {table}"):
            strict(text)
