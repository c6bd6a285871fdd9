import csv
import json

import numpy as np
import pytest
from filling import Filler, fill

from evo.errors import ConfigError, RunError
from evo.records import Note, Outcomes, Requests, Status
from evo.run import Run
from evo.store.reader import RunReader


def exported(run, format, path, **options):
    return run.export(format, path, **options).read_text()


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def run():
    return fill(None, blocks=3).run()


def test_jsonl_has_one_line_a_candidate(run, tmp_path):
    rows = lines(exported(run, "jsonl", tmp_path / "a.jsonl"))
    assert [row["request"] for row in rows] == list(range(150))
    assert rows[36]["status"] == "failed"
    assert rows[36]["smoothness"] is None
    assert rows[36]["message"].startswith("it broke\nTraceback")
    assert np.array_equal(rows[3]["genome"], run.reader.genomes(np.array([3 << 20]))[0])
    assert rows[3]["half"] == rows[3]["smoothness"] / 2
    assert rows[60]["fidelity"] == "full"


def test_csv_reads_back(run, tmp_path):
    run.export("csv", tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 150
    assert float(rows[7]["smoothness"]) == run.frame()["smoothness"][7]
    assert rows[36]["smoothness"] == ""
    assert len(json.loads(rows[36]["genome"])) == 5
    assert len(json.loads(rows[149]["parents"])) == 1


def test_parquet_reads_back(run, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(run.export("parquet", tmp_path / "a.parquet")).to_pydict()
    frame = run.frame()
    assert table["candidate"] == frame["candidate"].tolist()
    assert np.array_equal(table["smoothness"], frame["smoothness"], equal_nan=True)
    assert table["genome"] == run.reader.genomes(frame["request"].to_numpy() << 20).tolist()
    assert table["parents"] == [list(row) for row in frame["parents"]]


def test_the_elites_of_an_archive_can_be_exported_alone(run, tmp_path):
    rows = lines(exported(run, "jsonl", tmp_path / "a.jsonl", archive="archive"))
    assert [row["key"] for row in rows] == run.archive.keys.tolist()
    assert rows[0]["genome"] == run.archive.genomes[0].tolist()


def test_an_unknown_format_names_those_there_are(run, tmp_path):
    run.problem.exports = lambda: {"latex": lambda run, path: path.write_text("x")}
    with pytest.raises(ConfigError, match="format 'xls': expected one of csv, parquet, jsonl, canonical, latex"):
        run.export("xls", tmp_path / "a")
    assert exported(run, "latex", tmp_path / "a.tex") == "x"


def test_an_unknown_archive_is_named(run, tmp_path):
    with pytest.raises(ConfigError, match="archive 'front': this run has archive"):
        run.export("csv", tmp_path / "a", archive="front")


def test_a_file_that_cannot_be_written_is_a_clear_error(run, tmp_path):
    with pytest.raises(RunError, match="cannot be written"):
        run.export("csv", tmp_path / "missing" / "a.csv")


def test_an_interrupted_export_leaves_the_old_file(run, tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_text("old")
    monkeypatch.setattr(RunReader, "outcomes", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run.export("jsonl", path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]


def test_metrics_of_some_blocks_only_are_empty_elsewhere(tmp_path):
    filler = Filler(None)
    for number in range(2):
        batch = filler.ask(Requests(np.zeros((2, 5))))
        metrics = {"note": np.array([["a"], None], dtype=object)} if number else {}
        filler.tell(Outcomes(batch.ids, np.zeros((2, 1)), np.zeros((2, 2)), metrics=metrics), [])
    rows = lines(exported(filler.run(), "jsonl", tmp_path / "a.jsonl"))
    assert [row["note"] for row in rows] == [None, None, ["a"], None]


def test_the_canonical_form_does_not_depend_on_messages_and_their_order(tmp_path):
    texts = set()
    for message, shuffle in ((16, False), (50, False), (3, True), (7, True)):
        filler = Filler(None, message=message)
        for number in range(3):
            filler.block(50, np.random.default_rng(number), shuffle=shuffle)
        filler.totals()
        texts.add(exported(filler.run(), "canonical", tmp_path / "a"))
    assert len(texts) == 1


def test_the_canonical_form_does_not_depend_on_how_results_share_columns(tmp_path):
    texts = set()
    for message in (1, 3):
        filler = Filler(None, message=message)
        batch = filler.ask(Requests(np.zeros((3, 5))))
        figures = np.zeros((3, 1)), np.zeros((3, 2))
        parts = [
            Outcomes(batch.ids[:1], figures[0][:1], figures[1][:1], metrics={"n": np.array([3])}),
            Outcomes(batch.ids[1:], figures[0][1:], figures[1][1:], metrics={"m": np.array([True, False])}),
        ]
        whole = Outcomes(
            batch.ids, *figures, metrics={"n": np.array([3, np.nan, np.nan]), "m": np.array([np.nan, 1.0, 0.0])}
        )
        for part in parts if message == 1 else [whole]:
            filler.tell(part, [])
        texts.add(exported(filler.run(), "canonical", tmp_path / "a"))
    assert len(texts) == 1


def test_the_canonical_form_holds_header_requests_results_and_elites_in_order(tmp_path):
    filler = fill(None, blocks=2)
    filler.block(10, np.random.default_rng(5), told=False)
    rows = lines(exported(filler.run(), "canonical", tmp_path / "a"))
    kinds = [row["kind"] for row in rows]
    elites = len(filler.grid)
    assert kinds == ["run"] + ["request"] * 110 + ["result"] * 100 + ["elite"] * elites
    assert rows[0]["seed"] == 7
    assert "workers" not in rows[0]
    assert [row["id"] for row in rows[1:111]] == list(range(110))
    assert [row["id"] for row in rows[111:211]] == list(range(100))
    failed = rows[111 + 36]
    assert failed == {"kind": "result", "id": 36, "status": "failed", "message": "it broke"}
    assert "seconds" not in rows[112]


def test_the_canonical_form_holds_everything_a_request_and_a_result_can_say(tmp_path):
    filler = Filler(None)
    asked = filler.ask(
        Requests(
            make="shard",
            args=[{"start": 0}, {"start": 9}],
            params={"deep": 1},
            needs=[("ab",), ()],
            draw=np.array([4, 4]),
            source="arm/random",
            fidelity="born",
            reserve=0.0,
        )
    )
    outcomes = Outcomes(
        asked.ids,
        np.empty((2, 0)),
        np.empty((2, 0)),
        owner=np.array([0, 0]),
        genomes=np.arange(10.0).reshape(2, 5),
        status=np.array([0, Status.CRASHED], np.uint8),
        notes={
            0: Note(counters={"screened": 9.0}, costs={"tokens": 2.0}, artifacts={"bin": "cd"}),
            1: Note("died\nat x"),
        },
        same_as=np.array([-1, 0]),
    )
    filler.tell(outcomes, [])
    filler.tell(*measured_again(filler))
    rows = lines(exported(filler.run(), "canonical", tmp_path / "a"))
    assert rows[1] == {
        "kind": "request", "id": 0, "make": "shard", "args": {"start": 0}, "params": {"deep": 1}, "needs": ["ab"],
        "draw": 4, "source": "arm/random", "fidelity": "born", "reserve": 0.0,
    }  # fmt: skip
    assert rows[3]["candidate"] == "0.1"
    assert rows[4] == {
        "kind": "result", "id": 0, "status": "ok", "counters": {"screened": 9.0}, "costs": {"tokens": 2.0},
        "artifacts": {"bin": "cd"},
        "candidates": [
            {"id": "0", "objectives": [], "measures": [], "genome": [0.0, 1.0, 2.0, 3.0, 4.0]},
            {"id": "0.1", "objectives": [], "measures": [], "genome": [5.0, 6.0, 7.0, 8.0, 9.0]},
        ],
    }  # fmt: skip
    assert rows[5] == {
        "kind": "result", "id": 1, "status": "crashed", "message": "died", "same_as": 0
    }  # fmt: skip
    assert [one["id"] for one in rows[6]["candidates"]] == ["0.1"]


def measured_again(filler):
    again = filler.ask(Requests(np.zeros((1, 5)), candidate=np.array([1])))
    return Outcomes(again.ids, np.zeros((1, 1)), np.zeros((1, 2))), []


def test_the_canonical_form_needs_the_problem(run, tmp_path):
    with pytest.raises(RunError, match="needs the problem"):
        Run(run.reader).export("canonical", tmp_path / "a")


def test_tables_without_the_problem_have_no_genomes(run, tmp_path):
    rows = lines(exported(Run(run.reader), "jsonl", tmp_path / "a"))
    assert len(rows) == 150
    assert "genome" not in rows[0]
