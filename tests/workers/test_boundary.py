"""What users' code may do wrong on a worker, and that only the rows concerned pay for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from serving import Bowl, Grouped, asked, bench, points, served, started, statuses, told

from evo.evaluator import Evaluation, Evaluations, Evaluator, Work
from evo.operator import Births, Operator
from evo.problem import Minimize, Problem
from evo.records import Genomes, Status
from evo.space import Space
from evo.spaces import Json
from workers.inline import Inline

OK, FAILED, INVALID = Status.OK, Status.FAILED, Status.INVALID


def test_an_evaluator_may_use_its_buffers_again() -> None:
    class Buffered(Bowl):
        objectives_, measures_, metric = np.empty((4, 1)), np.empty((4, 2)), np.empty(4)

        def evaluate_batch(self, x: Genomes) -> Evaluations:
            self.objectives_[:, 0], self.measures_[:], self.metric[:] = x.sum(axis=1), x[:, :2], x[:, 2]
            return Evaluations(self.objectives_, self.measures_, {"third": self.metric})

    at, x = bench(Buffered()), points(8)
    first, second = told(at, asked(x), chunk=4)
    np.testing.assert_array_equal(np.vstack([first.objectives, second.objectives])[:, 0], x.sum(axis=1))
    np.testing.assert_array_equal(np.vstack([first.measures, second.measures]), x[:, :2])
    np.testing.assert_array_equal(np.hstack([first.metrics["third"], second.metrics["third"]]), x[:, 2])


class Nodes(Problem):
    """Changes its genome while it measures it, as careless tree walks do."""

    space = Json()
    objectives = (Minimize("value"),)

    def evaluate(self, genome: Any) -> Evaluation:
        genome["seen"] = genome.get("seen", 0) + 1
        if genome["nodes"] == [1]:
            raise ValueError("one")
        return Evaluation([float(genome["seen"])])


def test_a_json_genome_that_its_evaluation_changes_stays_what_it_was() -> None:
    genomes = Json().stack([{"nodes": [n]} for n in range(3)])
    (found,) = told(bench(Nodes()), asked(genomes))
    assert genomes.tolist() == [{"nodes": [0]}, {"nodes": [1]}, {"nodes": [2]}]
    assert found.objectives[[0, 2], 0].tolist() == [1.0, 1.0]


def test_parents_and_arguments_are_an_operators_own() -> None:
    class Careless(Operator):
        def make(self, parents: Genomes, args: Mapping[str, Any], space: Space, work: Work) -> Births:
            parents[0]["nodes"].append(9)
            args["done"].append(9)
            return Births(parents)

    parents = Json().stack([{"nodes": [0]}])
    requests = asked(None, make="careless", args=[{"done": []}], inputs=[parents])
    (found,) = told(bench(Nodes(), careless=Careless()), requests)
    assert found.genomes is not None
    assert found.genomes.tolist() == [{"nodes": [0, 9]}]
    assert (parents.tolist(), list(requests.args)) == ([{"nodes": [0]}], [{"done": []}])


# Groups ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [4, 8, 64])
def test_groups_are_exact_whatever_travels_together(chunk: int) -> None:
    found = told(bench(Grouped()), asked(points(10)), chunk)
    assert np.vstack([part.objectives for part in found])[:, 0].tolist() == [4.0] * 8 + [2.0] * 2
    assert np.hstack([part.metrics["draw"] for part in found]).tolist() == list(range(100, 110))


def test_only_the_group_that_raises_is_measured_row_by_row() -> None:
    x = points(12)
    x[5, 0] = 0.95
    (found,) = told(bench(Grouped()), asked(x))
    assert statuses(found) == [OK] * 5 + [FAILED] + [OK] * 6
    assert found.objectives[[0, 4, 6, 8], 0].tolist() == [4.0, 1.0, 1.0, 4.0]


# Exceptions -----------------------------------------------------------------------------------------------------------


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("gotcha")


@pytest.mark.parametrize(
    ("error", "line"),
    [(SystemExit(3), "SystemExit: 3"), (Speechless(), "Speechless: (it cannot say why: its __str__ raises)")],
)
def test_an_exit_or_an_exception_without_text_fails_its_row(error: BaseException, line: str) -> None:
    class Raising(Bowl):
        def evaluate_batch(self, x: Genomes) -> Evaluations:
            if (x[:, 0] == 0.25).any():
                raise error
            return super().evaluate_batch(x)

    x = points(3)
    x[1, 0] = 0.25
    (found,) = told(bench(Raising()), asked(x))
    assert statuses(found) == [OK, FAILED, OK]
    assert found.notes[1].message.splitlines()[0] == line


def test_ctrl_c_is_nobodys_failure() -> None:
    class Interrupted(Bowl):
        def evaluate_batch(self, x: Genomes) -> Evaluations:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        told(bench(Interrupted()), asked(points(1)))


# Needs ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 5])
def test_each_row_finds_the_artifacts_that_it_needs(chunk: int) -> None:
    class Needing(Bowl):
        @property
        def evaluator(self) -> Evaluator:
            return Reading()

    class Reading(Evaluator):
        def evaluate_batch(self, genomes: Genomes, work: Work) -> Evaluations:
            found = [b"".join(bytes(one) for one in work.needed(row)) for row in range(len(genomes))]  # type: ignore[arg-type]
            alone = [b"".join(bytes(one) for one in work.one(row).needed()) for row in range(len(genomes))]  # type: ignore[arg-type]
            assert found == alone
            assert all(len(work.one(row).artifacts) == len(set(work.needs[row])) for row in range(len(genomes)))
            return Evaluations(np.array([[float(one)] for one in found]), genomes[:, :2])

    needs = [("22", "11"), ("11",), ("11", "22"), ("22",), ("11", "11")]
    requests = asked(points(5), needs=needs)
    workers = Inline()
    parts = served(workers, started(workers, Needing()), requests, chunk, {"11": b"1", "22": b"2"})
    found = np.vstack([part.outcomes.objectives for part in parts])
    assert found[:, 0].tolist() == [21.0, 1.0, 12.0, 2.0, 11.0]
