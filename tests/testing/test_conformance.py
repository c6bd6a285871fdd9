"""The conformance checks find what they are for: each broken plug-in is refused with its sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import evo.evaluator as contract
from evo.errors import Rejected
from evo.evaluator import Evaluation, Evaluations
from evo.operator import Operator
from evo.problem import Maximize, Measure, Objective, Problem
from evo.records import Genomes
from evo.space import Space
from evo.spaces import Box, Integers
from evo.testing import check_operator, check_problem, check_space


class Fine(Problem):
    space = Box(-1.0, 1.0, size=64)
    objectives: Sequence[Objective] = (Maximize("sum"),)
    measures = (Measure("x", -1.0, 1.0),)

    def evaluate_batch(self, genomes: Genomes) -> Evaluations:
        return Evaluations(genomes.sum(axis=1)[:, None], genomes[:, :1])


class OneByOne(Problem):
    space = Fine.space
    objectives = Fine.objectives
    measures = Fine.measures

    def evaluate(self, genome: Any) -> Evaluation:
        return Evaluation(objectives=[genome.sum()], measures=genome[:1])


class ByMatrix(Fine):
    def evaluate_batch(self, genomes: Genomes) -> Evaluations:
        noise = len(genomes) * 1e-16 * (1.0 + np.abs(genomes[:, :1]))  # what a blocked product does, in the large
        return Evaluations(1.0 + genomes.sum(axis=1)[:, None] + noise, genomes[:, :1])


class Changing(Fine):
    def evaluate_batch(self, genomes: Genomes) -> Evaluations:
        genomes *= 2
        return super().evaluate_batch(genomes)


class Remembering(Fine):
    def __init__(self) -> None:
        self.calls = 0

    def evaluate_batch(self, genomes: Genomes) -> Evaluations:
        self.calls += 1
        return Evaluations(genomes.sum(axis=1)[:, None] + self.calls, genomes[:, :1])


class Flat(Fine):
    def evaluate_batch(self, genomes: Genomes) -> Evaluations:
        return Evaluations(genomes.sum(axis=1), genomes[:, :1])


class Lost(Fine):
    nonfinite = "refuse"

    def evaluate_batch(self, genomes: Genomes) -> Evaluations:
        return Evaluations(np.sqrt(genomes[:, :1] + 0.5), genomes[:, :1])


class Secretive(Fine):
    def __init__(self, function: Any) -> None:
        self.function = function


class Forgetful(Fine):
    def __init__(self, size: int = 3) -> None:
        self._arguments = {"size": size - 1}


class Timed(Fine):
    objectives = (Maximize("sum"), Maximize("speed", measured=True))

    def evaluate_batch(self, genomes: Genomes) -> Evaluations:
        speed = np.random.default_rng().random((len(genomes), 1))
        return Evaluations(np.hstack([genomes.sum(axis=1)[:, None], speed]), genomes[:, :1])


class Failing(Fine):
    def evaluate_batch(self, genomes: Genomes) -> Evaluations:
        values = np.log(np.maximum(genomes[:, :1], 0.0) + 1e-300)
        failures = {int(row): "negative" for row in np.flatnonzero(genomes[:, 0] <= 0)}
        values[list(failures)] = np.nan
        return Evaluations(values, genomes[:, :1], failures=failures)


class Picky(OneByOne):
    def evaluate(self, genome: Any) -> Evaluation:
        if genome[0] < 0:
            raise Rejected("negative")
        return super().evaluate(genome)


class Moody(Fine):
    """Rejects or fails the same genome, as it pleases."""

    def __init__(self) -> None:
        self.calls = 0

    def evaluate_batch(self, genomes: Genomes) -> Evaluations:
        self.calls += 1
        found = super().evaluate_batch(genomes)
        said = {0: "no"}
        verdict = {"rejected": said} if self.calls == 1 else {"failures": said}
        return Evaluations(found.objectives, found.measures, **verdict)


@pytest.mark.parametrize(
    "problem", [Fine(), OneByOne(), Timed(), Failing(), Picky()], ids=lambda problem: type(problem).__name__
)
def test_problems_that_keep_their_promises_pass(problem: Problem) -> None:
    check_problem(problem)


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (ByMatrix(), "other bits in batches of 1, first in row 0"),
        (Changing(), "changes the genomes that it evaluates"),
        (Remembering(), "other bits when evaluated again"),
        (Moody(), "other bits when evaluated again"),
        (Flat(), r"objectives of shape \(64,\), expected \(64, 1\)"),
        (Lost(), "values that are not finite, first in row"),
        (Secretive(len), "Secretive has no plain form"),
        (Forgetful(3), "says that it is another"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_broken_promise_of_a_problem_is_named(problem: Problem, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_problem(problem)


def test_rows_that_must_be_measured_together_may_differ_in_other_batches() -> None:
    class Grouped(contract.FunctionEvaluator):
        fidelities = {"full": contract.Fidelity(group=16)}  # noqa: RUF012 - as a user would write it

        def evaluate_batch(self, genomes: Genomes, work: contract.Work) -> Evaluations:
            mean = genomes.reshape(-1, 16, genomes.shape[1]).mean(axis=(1, 2)).repeat(16)
            return Evaluations(mean[:, None], genomes[:, :1])

    class InGroups(Fine):
        @property
        def evaluator(self) -> contract.Evaluator:
            return Grouped(self)

    check_problem(InGroups())


class Copy(Operator):
    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        return np.array(parents[0])


class Alias(Operator):
    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        return parents[0]


class InPlace(Operator):
    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        batch = parents[0]
        batch += rng.standard_normal(batch.shape) * 1e-3
        return space.repair(batch.copy())


class Escaping(Operator):
    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        return parents[0] + 10 * rng.standard_normal(parents[0].shape)


class OwnDice(Operator):
    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        return space.sample(len(parents[0]), np.random.default_rng())


class TooFew(Operator):
    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        return space.sample(1, rng)


class Whole(Operator):
    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        return np.zeros(parents[0].shape, dtype=np.int64)


@pytest.mark.parametrize(
    ("operator", "sentence"),
    [
        (Copy(), "same children with another random generator"),
        (Alias(), "share memory with their parents"),
        (InPlace(), "changes its parents"),
        (Escaping(), "children outside the space: .* row 0"),
        (OwnDice(), "other children with the same random generator"),
        (TooFew(), r"children of shape \(1, 5\), expected \(64, 5\)"),
        (Whole(), "returns int64 children"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_broken_promise_of_an_operator_is_named(operator: Operator, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_operator(operator, Box(-1.0, 1.0, size=5))


class Narrow(Integers):
    def decode(self, data: bytes, n: int) -> Genomes:
        return super().decode(data, n).astype(np.int8).astype(np.int64)


class Rounding(Box):
    def to_json(self, genome: Any) -> Any:
        return [round(float(x), 3) for x in genome]


class Restless(Box):
    def repair(self, genomes: Genomes) -> Genomes:
        return genomes * 0.99


class Global(Box):
    def sample(self, n: int, rng: np.random.Generator) -> Genomes:
        return super().sample(n, np.random.default_rng())


class Offset(Integers):
    def sample(self, n: int, rng: np.random.Generator) -> Genomes:
        return super().sample(n, rng) + 1


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        (Rounding(0.0, 1.0, 3), "to_json and stack lose something"),
        (Restless(0.0, 1.0, 3), "repair changes genomes that belong"),
        (Global(0.0, 1.0, 3), "not decided by its random generator"),
        (Narrow(0, 1000, 3), "does not read back what it encoded"),
        (Offset(0, 1, 3), "genomes outside itself: .* row 0"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_broken_promise_of_a_space_is_named(space: Space, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_space(space)
