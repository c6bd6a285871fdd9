"""What the work took: seconds and processor seconds, in the totals and worker by worker."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine.breaking import StopHere, raising
from engine.scripted import Case
from engine.worlds import canonical
from filling import fill

import evo
from evo.monitor.report import as_json
from evo.records import Outcomes
from evo.run import load
from evo.store.codec import _SPAN_OF_1, decode_outcomes, encode_outcomes
from evo.store.columns import pack, unpack
from evo.store.reader import FILE_NAME
from evo.store.writer import Attempt, open_file
from problems.arm import Arm
from workers.simulated import Simulated


class Lazy(evo.Problem):
    """Half of each evaluation is work, half is sleep."""

    space = evo.Box(-1.0, 1.0, size=2)
    objectives = (evo.Minimize("value"),)

    def evaluate(self, x: Any) -> evo.Evaluation:
        end = time.process_time() + 0.01
        while time.process_time() < end:
            pass
        time.sleep(0.02)
        return evo.Evaluation([float(x[0])])


def test_sleep_is_time_of_the_worker_but_not_of_its_processor(tmp_path: Path) -> None:
    run = evo.search(Lazy(), evo.Random(5), evaluations=20, run_dir=tmp_path / "run")
    totals = run.totals
    assert totals["worker_seconds"] >= 20 * 0.03
    assert 20 * 0.01 <= totals["cpu_seconds"] < totals["worker_seconds"] - 20 * 0.015
    logged = list(run.reader.outcomes())
    assert sum(one.cpu_seconds for one in logged) == pytest.approx(totals["cpu_seconds"])
    assert sum(one.seconds for one in logged) == pytest.approx(totals["worker_seconds"])
    document = as_json(run)
    assert (document["cpu_seconds"], document["worker_seconds"]) == (totals["cpu_seconds"], totals["worker_seconds"])
    (worker,) = document["workers"]
    assert worker["busy"] == pytest.approx(totals["worker_seconds"])
    assert worker["cpu"] == pytest.approx(totals["cpu_seconds"])
    assert 0 < worker["share"] <= 1.0
    assert b"cpu" not in canonical(run, tmp_path)


def test_sessions_add_up_and_stay_apart(tmp_path: Path) -> None:
    with pytest.raises(StopHere):
        evo.search(Lazy(), evo.Random(5), evaluations=20, run_dir=tmp_path / "run", on_elite=raising(StopHere, 6))
    before = evo.load(tmp_path / "run").totals["cpu_seconds"]
    run = evo.resume(tmp_path / "run")
    assert 0 < before < run.totals["cpu_seconds"]
    assert [(one["session"], one["worker"]) for one in run.workers()] == [(0, 0), (1, 0)]
    assert sum(one["cpu"] for one in run.workers()) == pytest.approx(run.totals["cpu_seconds"], rel=0.5)


def test_waiting_in_a_workers_queue_is_not_being_busy() -> None:
    workers = Simulated(0.5, 0.0, seed=1)
    run = evo.search(Arm(3), evo.Random(40), evaluations=40, workers=workers, message_seconds=1.0, window=2)
    busy = run.workers()
    assert sum(one["busy"] for one in busy) == pytest.approx(run.totals["worker_seconds"]) == pytest.approx(20.0)
    for one in busy:
        assert one["messages"] > 2
        assert one["busy"] <= one["elapsed"] + 1e-9
        assert 0.9 <= one["share"] <= 1.0 + 1e-9


def test_a_worker_that_ran_out_of_work_was_idle_until_the_end(tmp_path: Path) -> None:
    filler = fill(tmp_path, blocks=1)
    lives = [
        Attempt(0, 0, 9, 10, 10, "full", 0.0, 4.0, "ok", 4.0, 3.0),
        Attempt(0, 20, 29, 10, 10, "full", 1.0, 10.0, "ok", 6.0, 5.0),
        Attempt(1, 10, 19, 10, 10, "full", 2.0, 6.0, "ok", 4.0, 4.0),
        Attempt(2, 30, 39, 10, 3, "full", 0.0, 5.0, "crash", 4.0, 4.0),
    ]
    with filler.writer.transaction():
        for life in lives:
            filler.writer.attempt(life)
    found = load(tmp_path).workers()
    assert [(one["worker"], one["messages"], one["busy"], one["cpu"]) for one in found] == [
        (0, 2, 10.0, 8.0),
        (1, 1, 4.0, 4.0),
        (2, 1, 4.0, 4.0),
    ]
    assert [(one["elapsed"], one["share"]) for one in found] == [(10.0, 1.0), (8.0, 0.5), (5.0, 0.8)]


def test_a_repeated_delivery_is_work_that_counts_once() -> None:
    case = Case(2, 40)
    case.run()
    dispatcher = case.dispatcher
    assert dispatcher.seconds == pytest.approx(0.4)
    assert sum(attempt.seconds for attempt in dispatcher.attempts) == pytest.approx(0.4)


def test_shares_of_outcomes_keep_their_part_of_both_clocks() -> None:
    whole = Outcomes(np.arange(4), np.zeros((4, 1)), np.zeros((4, 0)), seconds=8.0, cpu_seconds=4.0)
    part = whole.take(np.array([1]))
    assert (part.seconds, part.cpu_seconds) == (2.0, 1.0)


# Files of schema 1 ----------------------------------------------------------------------------------------------------


def old(folder: Path) -> Path:
    """A run as schema 1 wrote it, with the results in their form of then."""
    filler = fill(folder, blocks=2)
    connection = filler.connection
    with filler.writer.transaction():
        filler.writer.attempt(Attempt(0, 0, 9, 10, 10, "full", 0.0, 4.0, "ok", 4.0, 3.0))
        filler.writer.snapshot(filler.seq, b"of an older engine")
    for number, columns in connection.execute("SELECT id, columns FROM results").fetchall():
        plain = unpack(columns)
        plain["span"] = _SPAN_OF_1.pack(*_SPAN_OF_1.unpack(plain["span"][: _SPAN_OF_1.size]))
        connection.execute("UPDATE results SET columns = ? WHERE id = ?", (pack(plain), number))
    for column in ("session", "seconds", "cpu_seconds"):
        connection.execute(f"ALTER TABLE attempts DROP COLUMN {column}")
    connection.execute("PRAGMA user_version=1")
    connection.close()
    return folder


def test_a_run_of_schema_1_can_be_read_as_it_is(tmp_path: Path) -> None:
    run = load(old(tmp_path))
    assert len(run.frame()) == 100
    assert {one.seconds for one in run.reader.outcomes()} == {0.5 * 16 / 50, 0.5 * 2 / 50}
    assert {one.cpu_seconds for one in run.reader.outcomes()} == {0.0}
    assert run.workers() == []
    assert as_json(run)["cpu_seconds"] == 0.0
    assert version_of(tmp_path) == 1


def version_of(folder: Path) -> int:
    connection = sqlite3.connect(folder / FILE_NAME)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(version)


def test_opening_a_run_of_schema_1_to_write_brings_it_up_to_date(tmp_path: Path) -> None:
    before = load(old(tmp_path)).frame()
    connection = open_file(tmp_path / FILE_NAME)
    assert connection.execute("SELECT session, seconds, cpu_seconds FROM attempts").fetchall() == [(0, None, None)]
    assert connection.execute("SELECT count(*) FROM snapshots").fetchone() == (0,)
    connection.close()
    assert version_of(tmp_path) == 2
    run = load(tmp_path)
    assert run.frame().equals(before)
    assert run.workers() == []
    fresh = open_file(None)
    columns = "SELECT name FROM pragma_table_info('attempts')"
    upgraded = sqlite3.connect(tmp_path / FILE_NAME)
    assert set(upgraded.execute(columns)) == set(fresh.execute(columns))
    upgraded.close()


def test_outcomes_are_written_with_both_clocks() -> None:
    space = Arm(3).space
    for ids in (np.arange(3, 6), np.array([3, 5, 4])):
        outcomes = Outcomes(ids, np.zeros((3, 1)), np.zeros((3, 2)), seconds=2.0, cpu_seconds=1.5)
        again = decode_outcomes(encode_outcomes(outcomes, space), space)
        assert (again.seconds, again.cpu_seconds, again.ids.tolist()) == (2.0, 1.5, ids.tolist())
