"""What operators make on a worker, and what becomes of requests whose children come to nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from serving import Bowl, Grouped, asked, bench, points, statuses, told

from evo.evaluator import Evaluations, Work
from evo.operator import Births, Operator
from evo.problem import Problem
from evo.records import Genomes, Outcomes, Status
from evo.space import Space

OK, FAILED, INVALID = Status.OK, Status.FAILED, Status.INVALID


class Litters(Operator):
    """Children as the arguments say; counts its calls."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.warm = 0

    def warm_up(self) -> None:
        self.warm += 1

    def make(self, parents: Genomes, args: Mapping[str, Any], space: Space, work: Work) -> Births:
        if args.get("raises"):
            raise SystemExit(args["raises"])
        children = work.rng(purpose="make").uniform(-0.5, 0.5, (args.get("children", 1), *space.shape))
        children[: args.get("bad", 0), 0] = 0.25
        return Births(args.get("genomes", children), **args.get("more", {}))

    def make_batch(self, parents: Sequence[Genomes], args: Any, space: Space, work: Work) -> Any:
        self.batches.append(len(args))
        return super().make_batch(parents, args, space, work)


@pytest.mark.parametrize("chunk", [1, 2, 8])
def test_children_are_grouped_with_their_siblings_alone(chunk: int) -> None:
    args = [{"children": n} for n in (1, 6, 0, 3)]
    found = told(bench(Grouped(), litter=Litters()), asked(None, make="litter", args=args), chunk)
    sizes = np.vstack([part.objectives for part in found])[:, 0].tolist()
    assert sizes == [1.0, 4.0, 4.0, 4.0, 4.0, 2.0, 2.0, 3.0, 3.0, 3.0]


def born(args: list[dict[str, Any]], problem: Problem | None = None) -> Outcomes:
    (found,) = told(bench(problem or Bowl(), litter=Litters()), asked(None, make="litter", args=args))
    return found


@pytest.mark.parametrize("genomes", [np.zeros((1, 2)), np.full((1, 3), 9.0), ["ab"], None, np.zeros(3)])
def test_children_outside_the_space_fail_their_request_alone(genomes: Any) -> None:
    found = born([{}, {"genomes": genomes}, {}])
    assert statuses(found) == [OK, FAILED, OK]
    assert found.owner is not None
    assert found.owner.tolist() == [0, 2]
    assert len(found.notes[1].message) > 20


def test_children_take_the_form_of_their_space() -> None:
    found = born([{"genomes": [[0, 0.25, 0.5]]}, {"genomes": []}, {"genomes": np.zeros((1, 3), np.float32)}])
    assert found.genomes is not None
    assert (found.genomes.dtype, found.genomes.tolist()) == (np.float64, [[0, 0.25, 0.5], [0, 0, 0]])


def test_counters_and_costs_of_an_operator_are_plain_numbers_or_fail_its_request() -> None:
    more = {"counters": {"screened": np.int64(4)}, "costs": {"tokens": np.float32(0.5)}}
    found = born([{"more": more}, {"more": {"counters": {"screened": "4"}}}])
    assert (found.notes[0].counters, found.notes[0].costs) == ({"screened": 4}, {"tokens": 0.5})
    assert type(found.notes[0].counters["screened"]) is int
    assert statuses(found) == [OK, FAILED]
    assert "counter 'screened': expected a number, got str" in found.notes[1].message


class Fussy(Bowl):
    """A quarter fails, or has a value that is not finite."""

    def __init__(self, raises: bool) -> None:
        self.raises = raises

    def evaluate_batch(self, x: Genomes) -> Evaluations:
        found = super().evaluate_batch(x)
        bad = np.flatnonzero(x[:, 0] == 0.25)
        if self.raises:
            return Evaluations(found.objectives, found.measures, failures={int(row): "a quarter" for row in bad})
        found.objectives[bad] = np.nan
        return found


@pytest.mark.parametrize(("raises", "status"), [(True, FAILED), (False, INVALID)])
def test_a_request_that_loses_all_its_children_fails(raises: bool, status: Status) -> None:
    args = [{"children": 3, "bad": bad} for bad in (0, 2, 3)]
    found = born([*args, {"children": 0}], Fussy(raises))
    assert statuses(found) == [OK, OK, status, OK]
    assert found.owner is not None
    assert found.owner.tolist() == [0, 0, 0, 1]
    assert [found.notes[row].counters for row in (1, 2)] == [{"children_lost": 2}, {"children_lost": 3}]
    assert found.notes[2].message == ("a quarter" if raises else "objective not finite: [nan]")


def test_an_operator_is_warmed_up_once_and_makes_a_chunk_in_one_call() -> None:
    litter = Litters()
    at = bench(Bowl(), litter=litter, again=litter)
    told(at, asked(None, make="litter", args=[{}, {"raises": 2}, {}, {}]), chunk=3)
    assert (litter.warm, litter.batches) == (1, [3, 1])


def test_an_exit_in_an_operator_fails_its_request_alone() -> None:
    found = born([{}, {"raises": 2}, {}])
    assert statuses(found) == [OK, FAILED, OK]
    assert found.notes[1].message.startswith("SystemExit: 2\nTraceback")


def test_a_batch_of_births_that_raises_is_made_request_by_request() -> None:
    class Together(Litters):
        def make_batch(self, parents: Sequence[Genomes], args: Any, space: Space, work: Work) -> Any:
            if any(one.get("raises") for one in args):
                raise ConnectionError("gone")
            return super().make_batch(parents, args, space, work)

    requests = asked(None, make="litter", args=[{}, {"raises": 2}, {}])
    (found,) = told(bench(Bowl(), litter=Together()), requests)
    (plain,) = told(bench(Bowl(), litter=Litters()), requests)
    assert statuses(found) == [OK, FAILED, OK]
    assert found.notes[1].message.startswith("ConnectionError: gone\n")
    assert found.genomes is not None
    assert plain.genomes is not None
    np.testing.assert_array_equal(found.genomes, plain.genomes)


def test_parents_alone_are_enough_for_a_request() -> None:
    class Copying(Operator):
        def make(self, parents: Genomes, args: Mapping[str, Any], space: Space, work: Work) -> Births:
            return Births(parents.copy())

    requests = asked(None, make="copying", inputs=[points(1, seed) for seed in range(3)])
    assert len(requests) == 3
    (found,) = told(bench(Bowl(), copying=Copying()), requests)
    assert found.genomes is not None
    np.testing.assert_array_equal(found.genomes, np.concatenate(requests.inputs))
