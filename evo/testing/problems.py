"""What every problem promises to the engine."""

from __future__ import annotations

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from evo.evaluator import Evaluations, Evaluator, Work
from evo.problem import Problem
from evo.records import Genomes
from evo.testing.plain import check_spec

__all__ = ["check_problem"]


def check_problem(problem: Problem, n: int = 64, seed: int = 0, genomes: Genomes | None = None) -> None:
    """Check that a problem keeps its promises at its reporting fidelity.

    Shapes; finite values where ``nonfinite`` says so; the same bits in batches of 1, 7 and 64 (in one group, where the
    fidelity declares groups), on a second evaluation, and after pickling; genomes left alone, read-only ones accepted;
    the plain form.
    Objectives declared ``measured`` are only checked for their shape.

    Args:
        problem: the problem.
        n: how many genomes to try.
        seed: what they are drawn with.
        genomes: (n, ...) what to try instead, for a space that draws none.

    Raises:
        AssertionError: naming the promise that does not hold.
    """
    name = type(problem).__name__
    space = problem.space
    starts = space.stack(list(problem.initial()))
    if genomes is None:
        drawn = space.sample(max(0, n - len(starts)), np.random.default_rng(seed))
        genomes = np.concatenate([starts, drawn]) if len(starts) else drawn
    evaluator = problem.evaluator
    evaluator.warm_up()
    group = evaluator.fidelities[evaluator.reporting].group
    if group > 1:
        genomes = genomes[:group]  # rows are only ever measured with those of their own group
    before = space.encode(genomes)
    mine = genomes.copy()
    whole = _evaluate(evaluator, mine, slice(None), seed)
    assert space.encode(mine) == before, f"{name} changes the genomes that it evaluates"
    _check_shapes(problem, whole, len(genomes))
    frozen = genomes.view()
    frozen.flags.writeable = False
    expected = _bits(problem, whole)
    _check_same(name, "when evaluated again", expected, _bits(problem, _evaluate(evaluator, frozen, slice(None), seed)))
    for size in _batch_sizes(evaluator):
        parts = [_evaluate(evaluator, frozen, slice(at, at + size), seed) for at in range(0, len(genomes), size)]
        _check_same(name, f"in batches of {size}", expected, np.concatenate([_bits(problem, part) for part in parts]))
    copy = cloudpickle.loads(cloudpickle.dumps(problem))
    copy.evaluator.warm_up()
    found = _bits(problem, _evaluate(copy.evaluator, frozen, slice(None), seed))
    _check_same(name, "after pickling", expected, found)
    shown = problem.show(genomes[0])
    assert isinstance(shown, str), f"{name}.show must return text, got {type(shown).__name__}"
    check_spec(problem)


def _evaluate(evaluator: Evaluator, genomes: Genomes, rows: slice, seed: int) -> Evaluations:
    draws = np.arange(len(genomes), dtype=np.int64)[rows]
    return evaluator.evaluate_batch(genomes[rows], Work(seed, evaluator.reporting, draws))


def _batch_sizes(evaluator: Evaluator) -> tuple[int, ...]:
    group = evaluator.fidelities[evaluator.reporting].group
    return (1, 7, 64) if group == 1 else (group,)


def _check_shapes(problem: Problem, found: Evaluations, n: int) -> None:
    name = type(problem).__name__
    k, m = len(problem.objectives), len(problem.measures)
    got = np.shape(found.objectives)
    assert got == (n, k), f"{name} returns objectives of shape {got}, expected {(n, k)}"
    got = np.shape(found.measures) if found.measures is not None else (n, 0)
    assert got == (n, m), f"{name} returns measures of shape {got}, expected {(n, m)}"
    for metric, column in found.metrics.items():
        assert len(column) == n, f"{name} returns {len(column)} values of the metric {metric!r}, expected {n}"
    finite = np.asarray(np.isfinite(_values(found)).all(axis=1))
    finite[[*found.failures, *found.rejected]] = True
    message = f"{name} returns values that are not finite, first in row {int(np.argmin(finite))}"
    if problem.nonfinite == "refuse":
        assert finite.all(), message
    assert finite.any(), f"{message}, and in every other row"


def _values(found: Evaluations) -> NDArray[np.float64]:
    """(n, k + m) objectives and measures."""
    objectives = np.asarray(found.objectives, dtype=np.float64)
    measures = np.empty((len(objectives), 0)) if found.measures is None else found.measures
    return np.hstack([objectives, np.asarray(measures, dtype=np.float64)])


def _bits(problem: Problem, found: Evaluations) -> NDArray[np.uint64]:
    """(n, k + m + 1) what must not change: values as bits, zero where measured, failed or rejected; then which of these
    it was."""
    values = _values(found)
    measured = [i for i, objective in enumerate(problem.objectives) if objective.measured]
    values[:, measured] = 0.0
    verdict = np.zeros((len(values), 1))
    verdict[list(found.rejected)] = 2.0
    verdict[list(found.failures)] = 1.0
    values[verdict[:, 0] > 0] = 0.0
    return np.hstack([values, verdict]).view(np.uint64)


def _check_same(name: str, when: str, expected: NDArray[np.uint64], found: NDArray[np.uint64]) -> None:
    differ = (expected != found).any(axis=1)
    assert not differ.any(), (
        f"{name} gives other bits {when}, first in row {int(np.argmax(differ))}; "
        "a matrix product rounds by its batch: declare a group in the fidelity, or sum along each row"
    )
