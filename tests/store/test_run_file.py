import os
import sqlite3

import numpy as np
import pytest
from filling import Filler, fill

from evo.errors import RunError
from evo.records import Change, Outcomes, Requests, candidate_id
from evo.run import load
from evo.store.reader import FILE_NAME, RunReader
from evo.store.writer import open_file


def change(keys, candidate):
    n = len(keys)
    return Change("archive", np.array(keys), np.array(candidate), np.arange(n, dtype=float)[:, None], np.zeros((n, 2)))


def write_changes(filler, *changes):
    with filler.writer.transaction():
        for seq, one in enumerate(changes):
            filler.writer.changes(seq, [one])


def test_the_folded_archive_equals_the_archive_itself():
    filler = fill(None)
    held, elites = filler.run().reader.archive(), filler.grid.elites()
    assert held.keys.tolist() == elites.keys.tolist()
    assert held.candidate.tolist() == elites.candidate.tolist()
    assert np.array_equal(held.objectives, elites.objectives)
    assert np.array_equal(held.measures, elites.measures)


def test_the_last_row_of_a_key_counts_and_minus_one_empties_it():
    filler = Filler(None)
    write_changes(filler, change([4, 2, 4], [1, 2, 3]), change([2, 9], [-1, 5]))
    held = filler.run().reader.archive()
    assert held.keys.tolist() == [4, 9]
    assert held.candidate.tolist() == [3, 5]
    assert held.objectives[:, 0].tolist() == [2.0, 1.0]


def test_an_archive_without_changes_is_empty_with_the_right_widths():
    held = Filler(None).run().reader.archive()
    assert held.objectives.shape == (0, 1)
    assert held.measures.shape == (0, 2)


def test_genomes_are_found_in_any_order_and_more_than_once():
    filler = Filler(None)
    batches = [filler.block(20, np.random.default_rng(i)) for i in range(4)]
    wanted = np.array([candidate_id(i) for i in (70, 3, 41, 3, 0)])
    found = filler.run().reader.genomes(wanted)
    every = np.concatenate([batch.genomes for batch in batches])
    assert np.array_equal(found, every[[70, 3, 41, 3, 0]])
    assert filler.run().reader.genomes(np.empty(0, np.int64)).shape == (0, 5)


def test_genomes_that_workers_made_are_found():
    filler = Filler(None)
    filler.block(10, np.random.default_rng(0))
    made = filler.ask(Requests(make="shard", args=[{"n": 0}, {"n": 1}, {"n": 2}]))
    genomes = np.arange(15.0).reshape(3, 5)
    empty = Outcomes(made.ids[:1], np.empty((0, 1)), np.empty((0, 2)), owner=np.empty(0, np.int64), genomes=genomes[:0])
    full = Outcomes(made.ids[1:], np.ones((3, 1)), np.ones((3, 2)), owner=np.array([0, 0, 1]), genomes=genomes)
    filler.tell(empty, [])
    filler.tell(full, [])
    wanted = np.array([candidate_id(12, 0), candidate_id(11, 1), candidate_id(2)])
    found = filler.run().reader.genomes(wanted)
    assert np.array_equal(found[:2], genomes[[2, 1]])


def test_an_unknown_candidate_is_named():
    with pytest.raises(RunError, match=r"candidate 5000\.2 is not in this run"):
        fill(None, blocks=1).run().reader.genomes(np.array([candidate_id(5000, 2)]))


def test_told_ids_come_sorted_from_ranges_and_lists():
    filler = Filler(None)
    batch = filler.ask(Requests(np.zeros((6, 5))))
    figures = np.zeros((6, 1)), np.zeros((6, 2))
    filler.tell(Outcomes(batch.ids, *figures).take(np.array([4, 1])), [])
    filler.tell(Outcomes(batch.ids, *figures).take(np.array([2, 3])), [])
    assert filler.run().reader.told().tolist() == [1, 2, 3, 4]


def test_metrics_come_from_the_reporting_fidelity():
    filler = Filler(None)
    first = filler.ask(Requests(np.zeros((2, 5)), fidelity="cheap"))
    figures = np.zeros((2, 1)), np.zeros((2, 2))
    filler.tell(Outcomes(first.ids, *figures, metrics={"t": np.array([1.0, 2.0])}), [])
    again = filler.ask(Requests(np.zeros((2, 5)), fidelity="full", candidate=first.candidates[::-1].copy()))
    filler.tell(Outcomes(again.ids, *figures, metrics={"t": np.array([3.0, np.nan])}), [])
    reader = filler.run().reader
    assert reader.metrics(int(first.candidates[1]), "full") == {"t": 3.0}
    assert reader.metrics(int(first.candidates[0]), "full") == {}
    assert reader.metrics(int(first.candidates[0]), "cheap") == {"t": 1.0}


def test_an_error_in_a_transaction_keeps_nothing_of_it():
    filler = Filler(None)

    def tick():
        with filler.writer.transaction():
            filler.writer.event(0, "lost", {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tick()
    with filler.writer.transaction():
        filler.writer.event(0, "kept", {"why": 1})
    events = filler.run().events()
    assert [(event["kind"], event.get("why")) for event in events] == [("kept", 1)]
    assert filler.run().events("other") == []


def test_a_folder_without_a_run_says_so(tmp_path):
    with pytest.raises(RunError, match="no run here"):
        RunReader.open(tmp_path)


def test_an_empty_file_says_that_the_run_never_began(tmp_path):
    (tmp_path / FILE_NAME).touch()
    with pytest.raises(RunError, match="empty"):
        load(tmp_path)


def test_a_file_without_its_header_says_that_the_run_never_began(tmp_path):
    open_file(tmp_path / FILE_NAME).close()
    with pytest.raises(RunError, match="empty"):
        load(tmp_path)


def test_something_else_by_that_name_is_refused(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"not a database, but long enough to be looked at " * 40)
    with pytest.raises(RunError, match="not a run file"):
        RunReader.open(tmp_path)
    with pytest.raises(RunError, match="cannot be opened as a run file"):
        open_file(tmp_path / FILE_NAME)


@pytest.mark.parametrize("opened", [lambda folder: open_file(folder / FILE_NAME), RunReader.open])
def test_a_newer_schema_is_refused(tmp_path, opened):
    fill(tmp_path, blocks=1).connection.close()
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(RunError, match=r"newer evo .schema 99"):
        opened(tmp_path)


def test_a_run_in_a_folder_with_odd_characters_opens(tmp_path):
    folder = tmp_path / "what? 100% #1"
    fill(folder, blocks=1).connection.close()
    assert load(folder).evaluations == 50


def test_a_folder_that_cannot_be_written_is_still_readable(tmp_path, monkeypatch):
    fill(tmp_path, blocks=1).connection.close()
    monkeypatch.setattr(os, "access", lambda *_: False)  # permissions do not bind the superuser
    reader = RunReader.open(tmp_path)
    assert reader.totals()["evaluations"] == 50
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE_NAME]


def test_a_folder_that_does_not_exist_cannot_be_written(tmp_path):
    with pytest.raises(RunError, match="cannot be opened"):
        open_file(tmp_path / "missing" / FILE_NAME)


def test_a_reader_sees_a_run_grow(tmp_path):
    filler = Filler(tmp_path)
    run = load(tmp_path)
    assert run.totals == {}
    assert run.best is None
    assert run.evaluations == 0
    filler.block(50, np.random.default_rng(0))
    filler.totals("running")
    assert run.state == "running"
    assert run.evaluations == 50
    assert len(run.archive) == len(filler.grid)
