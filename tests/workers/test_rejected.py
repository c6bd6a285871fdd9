"""A verifier's no: kept apart from failures, row by row and child by child."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from serving import Bowl, OneByOne, asked, bench, points, served, started, statuses, told

import evo
from evo.evaluator import Evaluation, Evaluations, Evaluator, Work
from evo.operator import Births, Operator
from evo.records import Genomes, Outcomes, Status
from evo.space import Space
from workers.inline import Inline

OK, FAILED, INVALID, REJECTED = Status.OK, Status.FAILED, Status.INVALID, Status.REJECTED


class Judge(Bowl):
    """The first number of a genome is the verdict: 0.25 is rejected, 0.5 fails, 0.75 is not finite."""

    def evaluate_batch(self, x: Genomes) -> Evaluations:
        found = super().evaluate_batch(x)
        found.objectives[x[:, 0] == 0.75] = np.nan
        no = {int(row): "not this one" for row in np.flatnonzero(x[:, 0] == 0.25)}
        broken = {int(row): "broken" for row in np.flatnonzero(x[:, 0] == 0.5)}
        return Evaluations(found.objectives, found.measures, failures=broken, rejected=no)


def genomes(*verdicts: float) -> Genomes:
    x = points(len(verdicts))
    x[:, 0] = verdicts
    return x


def test_each_verdict_has_its_own_status_and_reason() -> None:
    (found,) = told(bench(Judge()), asked(genomes(0.1, 0.25, 0.5, 0.75, 0.2)))
    assert statuses(found) == [OK, REJECTED, FAILED, INVALID, OK]
    assert {row: note.message.split(":")[0] for row, note in found.notes.items()} == {
        1: "not this one",
        2: "broken",
        3: "objective not finite",
    }
    assert np.isnan(found.objectives[1:4]).all()
    assert np.isfinite(found.objectives[[0, 4]]).all()


class Single(Bowl):
    """Measures one by one, and says no by raising."""

    evaluate_batch: Any = None

    def evaluate(self, x: np.ndarray) -> Evaluation:
        if x[0] == 0.25:
            raise evo.Rejected("not this one")
        if x[0] == 0.5:
            raise ValueError("broken")
        return Evaluation([float(x.sum())], x[:2], {"one": 1.0})

    @property
    def evaluator(self) -> Evaluator:
        return OneByOne(self, takes_work=False)


def test_one_genome_is_rejected_by_raising() -> None:
    (found,) = told(bench(Single()), asked(genomes(0.25, 0.1, 0.5)))
    assert statuses(found) == [REJECTED, OK, FAILED]
    assert found.notes[0].message == "not this one"
    assert found.notes[2].message.startswith("ValueError: broken\nTraceback")


def test_a_batch_that_raises_a_rejection_is_asked_row_by_row() -> None:
    class Together(Bowl):
        def evaluate_batch(self, x: Genomes) -> Evaluations:
            if (x[:, 0] == 0.25).any():
                raise evo.Rejected("not this one")
            return super().evaluate_batch(x)

    (found,) = told(bench(Together()), asked(genomes(0.1, 0.25, 0.2)))
    assert statuses(found) == [OK, REJECTED, OK]
    assert found.notes[1].message == "not this one"


class Odd(Bowl):
    """Rejects its first row, beside what else the test wants said of it."""

    def __init__(self, **more: Any) -> None:
        self.more = more

    def evaluate_batch(self, x: Genomes) -> Evaluations:
        return Evaluations(x[:, :1], np.full((len(x), 2), np.nan), rejected={0: "no"}, **self.more)


def test_the_columns_of_a_rejected_row_are_ignored() -> None:
    metric = np.array([lambda: 1], dtype=object)
    (found,) = told(bench(Odd(metrics={"odd": metric})), asked(points(1)))
    assert statuses(found) == [REJECTED]
    assert found.metrics["odd"].tolist() in ([None], pytest.approx([np.nan], nan_ok=True))


def test_what_fails_is_not_rejected() -> None:
    (found,) = told(bench(Odd(failures={0: "broken"})), asked(points(1)))
    assert (statuses(found), found.notes[0].message) == ([FAILED], "broken")
    (found,) = told(bench(Odd(costs={0: {"money": "much"}})), asked(points(1)))
    assert statuses(found) == [FAILED]


def test_costs_and_artifacts_of_a_rejection_count() -> None:
    (found,) = told(bench(Odd(costs={0: {"money": 2.0}}, artifacts={0: {"proof": b"long"}})), asked(points(1)))
    assert (found.notes[0].message, found.notes[0].costs, list(found.notes[0].artifacts)) == (
        "no",
        {"money": 2.0},
        ["proof"],
    )


# Children -------------------------------------------------------------------------------------------------------------


class Litter(Operator):
    """Children with the verdicts that the arguments name."""

    def make(self, parents: Genomes, args: Mapping[str, Any], space: Space, work: Work) -> Births:
        return Births(genomes(*args["verdicts"]), counters={"tried": 1})


def born(*litters: list[float], chunk: int = 64) -> list[Outcomes]:
    args = [{"verdicts": one} for one in litters]
    return told(bench(Judge(), litter=Litter()), asked(None, make="litter", args=args), chunk)


@pytest.mark.parametrize("chunk", [1, 2, 64])
def test_rejected_children_are_counted_and_their_request_is_well(chunk: int) -> None:
    parts = born([0.1, 0.25, 0.2], [0.25, 0.25], [], [0.3], chunk=chunk)
    assert [status for part in parts for status in statuses(part)] == [OK] * 4
    assert [name for part in parts for name in (part.owners() + part.ids[0]).tolist()] == ([100, 100, 103])
    counters = {int(part.ids[row]): dict(note.counters) for part in parts for row, note in part.notes.items()}
    assert counters == {
        100: {"tried": 1, "children_rejected": 1},
        101: {"tried": 1, "children_rejected": 2},
        102: {"tried": 1},
        103: {"tried": 1},
    }


def test_failures_among_rejected_children_are_counted_apart() -> None:
    (found,) = born([0.25, 0.5], [0.5, 0.75], [0.25, 0.5, 0.75, 0.1])
    assert statuses(found) == [OK, FAILED, OK]
    assert [found.notes[row].counters for row in range(3)] == [
        {"tried": 1, "children_rejected": 1, "children_lost": 1},
        {"tried": 1, "children_lost": 2},
        {"tried": 1, "children_rejected": 1, "children_lost": 2},
    ]
    assert [found.notes[row].message for row in range(3)] == ["broken"] * 3
    assert found.owner is not None
    assert found.owner.tolist() == [2]


def test_an_operator_cannot_reject_what_nobody_measured() -> None:
    class Refusing(Operator):
        def make(self, parents: Genomes, args: Mapping[str, Any], space: Space, work: Work) -> Births:
            raise evo.Rejected("no shard today")

    (found,) = told(bench(Bowl(), refusing=Refusing()), asked(None, make="refusing", args=[{}]))
    assert statuses(found) == [FAILED]


@pytest.mark.ray
def test_a_verdict_is_the_same_on_ray(ray_session: None) -> None:
    from workers.ray_actor import RayWorkers

    said = []
    for workers in (Inline(), RayWorkers()):
        (part,) = served(workers, started(workers, Single()), asked(genomes(0.1, 0.25, 0.5)))
        outcomes = part.outcomes
        said.append((statuses(outcomes), outcomes.notes[1].message, outcomes.objectives[0].tolist()))
        assert outcomes.seconds > 0
        assert outcomes.cpu_seconds > 0
        workers.close()
    assert said[0] == said[1]
