"""What an evaluation may say besides its values, and what becomes of it where it cannot be kept."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import Bowl, asked, bench, points, said, served, started, statuses, told

import evo
from evo.evaluator import Evaluations
from evo.records import Genomes, Status
from workers.inline import Inline

OK, FAILED, INVALID = Status.OK, Status.FAILED, Status.INVALID


class Batched(Bowl):
    """Says what the test wants of the whole batch."""

    def __init__(self, say: Any) -> None:
        self.say = say

    def evaluate_batch(self, x: Genomes) -> Evaluations:
        return Evaluations(x.sum(axis=1, keepdims=True), x[:, :2], **self.say(x))


def test_metrics_become_numbers_or_json_like_objects() -> None:
    value = {"a": np.arange(3), 5: (1, np.float32(0.5)), "none": None}
    found = said(metrics={"tree": value, "n": np.int64(3), "text": np.str_("x"), "array": np.eye(2), "missing": None})
    assert statuses(found) == [OK] * 3
    assert found.metrics["tree"][1] == {"a": [0, 1, 2], "5": [1, 0.5], "none": None}
    assert found.metrics["array"][1] == [[1.0, 0.0], [0.0, 1.0]]
    assert (found.metrics["tree"][0], found.metrics["text"][1]) == (None, "x")
    np.testing.assert_array_equal(found.metrics["n"], [np.nan, 3.0, np.nan])
    assert found.metrics["missing"].dtype == np.float64


@pytest.mark.parametrize("number", [2**53 + 1, -(2**60), 10**400, np.uint64(2**64 - 1)])
def test_integers_that_no_float_holds_stay_exact(number: Any) -> None:
    found = said(metrics={"n": number})
    assert type(found.metrics["n"][1]) is int
    assert found.metrics["n"][1] == int(number)
    wide = np.array([2**62 + 1, 1, 2])
    (found,) = told(bench(Batched(lambda x: {"metrics": {"n": wide}})), asked(points(3)))
    assert found.metrics["n"].tolist() == [2**62 + 1, 1, 2]


class Long(Bowl):
    """A metric longer than Python writes by itself."""

    def evaluate_batch(self, x: Genomes) -> Evaluations:
        number = np.empty(len(x), dtype=object)
        number[:] = [7**6000 + int(1000 * row[0]) for row in x]
        return Evaluations(x[:, :1], np.zeros((len(x), 2)), {"n": number})


def test_an_integer_of_thousands_of_digits_is_exact_wherever_a_run_shows_it(tmp_path: Path) -> None:
    run = evo.search(Long(), evo.Random(8), evaluations=8, run_dir=tmp_path / "run")
    assert (run.state, run.failures["failed"]) == ("finished", 0)
    loaded = evo.load(tmp_path / "run", Long())
    found = loaded.candidates()
    expected = [7**6000 + int(1000 * x) for x in found.genomes[:, 0]]
    assert len(found) == 8
    assert bool(found.metrics["n"].tolist() == expected)  # Python cannot write what differs
    assert loaded.best is not None
    assert bool(loaded.best.metrics["n"] == min(expected))
    digits = f"{Decimal(7**6000):f}"[:-4]
    for format in ("csv", "jsonl", "canonical"):
        assert digits in run.export(format, tmp_path / format).read_text()


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({"odd": {1, 2}}, "metric 'odd': expected a number, text, list, dict, None or array, got set"),
        ({"odd": [lambda: 1]}, "metric 'odd': expected a number, text, list, dict, None or array, got function"),
        ({"odd": np.array([1j])}, "metric 'odd': expected a number, text, list, dict, None or array, got an array of"),
        ({"odd": {(1,): 2}}, "metric 'odd': expected text as the keys of a dict, got tuple"),
    ],
)
def test_a_metric_that_cannot_be_kept_fails_its_row_by_name(metrics: Any, reason: str) -> None:
    found = said(metrics=metrics)
    assert statuses(found) == [OK, FAILED, OK]
    assert found.notes[1].message.startswith(reason)


def test_a_metric_nested_without_end_fails_its_row() -> None:
    circle: list[Any] = []
    circle.append(circle)
    found = said(metrics={"odd": circle})
    assert statuses(found) == [OK, FAILED, OK]
    assert "nested deeper than 100" in found.notes[1].message


@pytest.mark.parametrize(
    ("say", "reason"),
    [
        (lambda x: {"metrics": {"odd": x}}, "metric 'odd': expected a column of shape (1,), got (1, 3)"),
        (lambda x: {"metrics": {"odd": 1.0}}, "metric 'odd': expected one value a row, got float"),
        (lambda x: {"metrics": {"odd": x[:, 0] * 1j}}, "metric 'odd': expected numbers, text or JSON-like values"),
        (lambda x: {"metrics": {5: x[:, 0]}}, "metrics: names must be text, got 5"),
        (lambda x: {"failures": {len(x): "no"}}, "failures: expected rows 0 to 0, got 1"),
        (lambda x: {"rejected": {len(x): "no"}}, "rejected: expected rows 0 to 0, got 1"),
        (lambda x: {"costs": {-1: {"money": 1.0}}}, "costs: expected rows 0 to 0, got -1"),
        (lambda x: {"artifacts": {"a": {}}}, "artifacts: expected rows 0 to 0, got 'a'"),
    ],
)
def test_what_is_wrong_with_a_whole_batch_fails_all_of_it(say: Any, reason: str) -> None:
    (found,) = told(bench(Batched(say)), asked(points(3)))
    assert statuses(found) == [FAILED] * 3
    assert reason in found.notes[1].message.splitlines()[0]


def test_a_list_is_a_column() -> None:
    say = {"metrics": {"n": [1, 2.5, None], "text": ["a", "b", "c"]}, "failures": {np.int64(1): "no"}}
    (found,) = told(bench(Batched(lambda x: say)), asked(points(3)))
    np.testing.assert_array_equal(found.metrics["n"], [1.0, np.nan, np.nan])
    assert found.take(np.array([2, 0])).metrics["text"].tolist() == ["c", "a"]
    assert statuses(found) == [OK, FAILED, OK]


class Odd(Bowl):
    """Metrics that cannot be pickled, and an exit."""

    def evaluate_batch(self, x: Genomes) -> Evaluations:
        if (x[:, 0] == 0.25).any():
            sys.exit(3)
        return Evaluations(x[:, :1], x[:, :2], {"odd": np.array([lambda: 1, "x"], dtype=object)[: len(x)]})


@pytest.mark.ray
def test_an_odd_metric_has_the_same_verdict_on_ray(ray_session: None) -> None:
    from workers.ray_actor import RayWorkers

    x, verdicts = points(2), []
    x[1, 0] = 0.25
    for workers in (Inline(), RayWorkers()):
        (part,) = served(workers, started(workers, Odd()), asked(x))
        verdicts.append((statuses(part.outcomes), part.outcomes.notes[0].message, part.outcomes.notes[1].message[:13]))
        workers.close()
    assert verdicts[0] == verdicts[1]
    assert verdicts[0][0] == [FAILED, FAILED]


# Costs and artifacts --------------------------------------------------------------------------------------------------


def test_costs_are_plain_numbers_or_fail_their_row() -> None:
    found = said(costs={"tokens": np.int64(3), "money": np.float32(0.5), "calls": np.array(2)})
    assert found.notes[1].costs == {"tokens": 3, "money": 0.5, "calls": 2}
    assert [type(cost) for cost in found.notes[1].costs.values()] == [int, float, int]
    for odd, reason in [("3", "expected a number, got str"), (float("nan"), "expected a finite number, got nan")]:
        found = said(costs={"tokens": odd})
        assert statuses(found) == [OK, FAILED, OK]
        assert found.notes[1].message == f"cost 'tokens': {reason}"


def test_an_artifact_that_is_not_there_fails_its_row(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"content")
    assert len(said(artifacts={"log": tmp_path / "there"}).notes[1].artifacts["log"]) == 32
    found = said(artifacts={"log": tmp_path / "nowhere"})
    assert statuses(found) == [OK, FAILED, OK]
    assert found.notes[1].message.startswith("FileNotFoundError: ")
    found = said(artifacts={"log": "content"})
    assert "artifact 'log': expected bytes or a pathlib.Path, got str" in found.notes[1].message
