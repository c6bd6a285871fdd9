"""Runs in which a verifier says no: counted on its own, kept out of archives, no failure, replayed to the byte."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from engine.breaking import StopHere, raising
from engine.worlds import Bowl, Verified, canonical
from rich.console import Console

import evo
from evo.monitor.report import as_json, print_report


class Even(evo.Problem):
    """Few genomes, of which the even ones are wanted; one of them cannot be verified."""

    space = evo.Integers(0, 63, size=1)
    objectives = (evo.Maximize("value"),)
    measures = (evo.Measure("half", 0.0, 32.0),)

    def __init__(self, broken: int = 8) -> None:
        self.broken = broken
        self.calls = 0

    def evaluate(self, genome: Any) -> evo.Evaluation:
        self.calls += 1
        number = int(genome[0])
        if number == self.broken:
            raise ValueError("cannot tell")
        if number % 2:
            raise evo.Rejected(f"{number} is odd")
        return evo.Evaluation([float(number)], [number / 2])


class Never(Even):
    def evaluate(self, genome: Any) -> evo.Evaluation:
        raise evo.Rejected("never")


class Hardly(Even):
    """Fails or says no."""

    def evaluate(self, genome: Any) -> evo.Evaluation:
        super().evaluate(genome)
        raise ValueError("cannot tell")


def search(problem: evo.Problem, evaluations: int = 60, **options: Any) -> evo.Run:
    return evo.search(problem, evo.MapElites((8,), batch=10), evaluations=evaluations, seed=3, **options)


def test_rejections_are_counted_on_their_own_and_kept_out_of_the_archive() -> None:
    run = search(Even())
    frame = run.frame()
    rejected = frame[frame["status"] == "rejected"]
    assert run.state == "finished"
    assert run.rejected == run.totals["rejected"] == len(rejected) > 20
    assert run.failures == {"failed": (frame["status"] == "failed").sum(), "invalid": 0, "timeout": 0, "crashed": 0}
    assert run.failures["failed"] > 0
    assert (run.archive.objectives % 2 == 0).all()
    assert rejected["value"].isna().all()
    assert rejected["message"].str.endswith("is odd").all()
    assert set(run.reader.messages()) == set(frame.loc[frame["status"] == "failed", "message"])
    counts = run.totals["operators"].values()
    assert sum(one["rejected"] for one in counts) == run.rejected
    assert sum(one["failed"] for one in counts) == run.failures["failed"]


def test_equal_work_is_answered_from_a_rejection() -> None:
    problem = Even()
    run = search(problem, evaluations=63)  # of 64 genomes that there are
    frame = run.frame()
    repeated = frame[(frame["same_as"] >= 0) & (frame["status"] == "rejected")]
    assert len(repeated) > 20
    assert repeated["message"].str.endswith("is odd").all()
    assert problem.calls == run.totals["performed"] == 63


def test_a_run_in_which_everything_was_rejected_has_not_failed() -> None:
    run = search(Never(), failures=5)
    assert (run.state, run.reason, run.best) == ("finished", "budget spent", None)
    assert (run.rejected, sum(run.failures.values())) == (run.totals["told"], 0)
    assert len(run.archive) == len(run.candidates()) == 0
    assert "nothing was accepted" in printed(run)
    enumerated = evo.search(Verified(none=True), evo.Enumeration(10))
    assert (enumerated.state, enumerated.best) == ("finished", None)
    assert enumerated.counters["children_rejected"] == 60


def test_a_verifier_that_says_no_now_and_then_is_not_taken_for_broken() -> None:
    assert search(Hardly(), failures=5).state == "finished"
    assert search(Hardly(), evaluations=10).state == "finished"


def printed(run: evo.Run) -> str:
    file = io.StringIO()
    print_report(run, Console(file=file, width=120), picture=False)
    return file.getvalue()


def test_the_report_has_a_row_for_rejections_where_there_are_any() -> None:
    run = search(Even(broken=-1))
    lines = [line.split() for line in printed(run).splitlines()]
    assert ["rejected", str(run.rejected)] in lines
    assert ["failures", "none"] in lines
    assert ["operator", "told", "failed", "rejected", "accepted", "share"] in lines
    assert as_json(run)["rejected"] == run.rejected
    plain = evo.search(Bowl(), evo.Random(5), evaluations=5)
    assert "rejected" not in printed(plain)
    assert as_json(plain)["rejected"] == 0


def test_children_are_reported_as_their_own_column() -> None:
    lines = [line.split() for line in printed(evo.search(Verified(), evo.Enumeration(10))).splitlines()]
    assert ["operator", "told", "failed", "children", "rejected", "accepted", "share"] in lines
    (row,) = (line for line in lines if line[:1] == ["squaring"])
    assert row[:5] == ["squaring", "30", "0", "60", "30"]
    assert ["children_rejected", "30"] in lines
    assert ["rejected", "30"] not in lines


@pytest.mark.parametrize("snapshot", [True, False])
def test_rejections_are_replayed_to_the_byte(snapshot: bool, tmp_path: Any) -> None:
    with pytest.raises(StopHere):
        search(Even(), run_dir=tmp_path / "run", on_elite=raising(StopHere, 7), snapshot_seconds=0.0)
    run = evo.resume(tmp_path / "run", snapshot=snapshot)
    whole = search(Even())
    assert canonical(run, tmp_path) == canonical(whole, tmp_path)
    assert (run.rejected, run.failures) == (whole.rejected, whole.failures)
    results = [json.loads(line) for line in canonical(run, tmp_path).splitlines()]
    verdicts = [one for one in results if one.get("status") == "rejected"]
    assert len(verdicts) == run.rejected
    assert all(one["message"].endswith("is odd") and "candidates" not in one for one in verdicts)


def test_rejections_are_exported_with_their_reasons(tmp_path: Any) -> None:
    run = search(Even())
    rows = [json.loads(line) for line in run.export("jsonl", tmp_path / "all").read_text().splitlines()]
    no = [row for row in rows if row["status"] == "rejected"]
    assert len(no) == run.rejected
    assert all(row["value"] is None and row["genome"][0] % 2 == 1 for row in no)
