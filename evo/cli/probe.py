"""What `evo check` finds out by evaluating a few candidates: how long, within which ranges, whether always the same."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from evo.errors import SpaceError
from evo.problem import Problem
from evo.records import Genomes, Note, Outcomes, Requests
from evo.store.codec import encode_outcomes, encode_requests
from evo.worker import Kit, Message
from workers.evaluation import Bench

__all__ = ["CANDIDATES", "Probe", "arrive", "probe", "unshippable"]

CANDIDATES = 64

_CHILD = "import sys; sys.path[:] = sys.argv[1:]; from evo.cli.probe import arrive; arrive()"


@dataclass
class Probe:
    """What was found."""

    n: int
    """How many candidates were evaluated in one batch."""
    warm_up: float
    """Seconds."""
    alone: float
    """Seconds of one evaluation on its own."""
    batched: float
    """Seconds of one evaluation in a batch of n."""
    objectives: NDArray[np.float64]
    """(g, k) of the candidates that did not fail"""
    measures: NDArray[np.float64]
    """(g, m)"""
    failures: dict[int, Note] = field(default_factory=dict)
    """row -> why"""
    differing: dict[int, int] = field(default_factory=dict)
    """batch size -> rows that got other bits than in the one batch"""
    bytes_each: float = 0.0
    """In the run file, of one evaluation."""
    shipping: str = ""
    """Why the problem cannot be shipped to a worker; empty when it can."""


def probe(problem: Problem, seed: int, patience: float = 10.0) -> Probe:
    """Evaluate up to `CANDIDATES` candidates in several batches, for about `patience` seconds.

    Raises:
        SpaceError: the problem gives no initial genomes and its space draws none.
    """
    genomes = candidates(problem, seed)
    started = time.perf_counter()
    bench = Bench(Kit(problem, {}, seed))
    warm_up = time.perf_counter() - started
    serve(bench, problem, genomes[:1])  # the first call compiles, caches, imports
    alone = serve(bench, problem, genomes[:1]).seconds
    n = int(np.clip(patience / 4 / max(alone, 1e-9), 2, len(genomes)))
    n -= n % group(problem) if n > group(problem) else 0
    genomes = genomes[:n]
    whole = serve(bench, problem, genomes)
    status = np.zeros(n, np.uint8) if whole.status is None else whole.status
    found = Probe(
        n=n,
        warm_up=warm_up,
        alone=alone,
        batched=whole.seconds / n,
        objectives=whole.objectives[status == 0],
        measures=whole.measures[status == 0],
        failures={row: note for row, note in whole.notes.items() if status[row]},
    )
    requests = Requests(genomes=genomes, fidelity=problem.evaluator.reporting, ids=np.arange(n, dtype=np.int64))
    space = problem.space
    found.bytes_each = (len(encode_requests(requests, space)) + len(encode_outcomes(whole, space))) / n
    for size in batch_sizes(problem, n):
        parts = [serve(bench, problem, genomes[at : at + size], at) for at in range(0, n, size)]
        again = np.concatenate([bits(problem, part) for part in parts])
        found.differing[size] = int((again != bits(problem, whole)).any(axis=1).sum())
    found.shipping = ship(problem, genomes[: max(2, group(problem))], seed)
    return found


def candidates(problem: Problem, seed: int) -> Genomes:
    """Genomes to try: the problem's own first, then drawn ones."""
    initial = problem.space.stack(list(problem.initial()))[: CANDIDATES // 2]
    try:
        drawn = problem.space.sample(CANDIDATES - len(initial), np.random.default_rng(seed))
    except SpaceError:
        if not len(initial):
            raise
        return np.resize(initial, (CANDIDATES, *problem.space.shape))
    return np.concatenate([initial, drawn]) if len(initial) else drawn


def serve(bench: Bench, problem: Problem, genomes: Genomes, first: int = 0) -> Outcomes:
    """Evaluate as a worker does: what a candidate raises becomes its failure."""
    ids = np.arange(first, first + len(genomes), dtype=np.int64)
    requests = Requests(genomes=genomes, fidelity=problem.evaluator.reporting, ids=ids)
    outcomes, _ = bench.serve(Message(0, requests, len(genomes), np.inf), 0, len(genomes))
    return outcomes


def group(problem: Problem) -> int:
    """Rows that must be evaluated together, as the evaluator declares."""
    return problem.evaluator.fidelities[problem.evaluator.reporting].group


def batch_sizes(problem: Problem, n: int) -> list[int]:
    """Batches of 1 and 7, or of the declared group and 7 groups; the whole is the third."""
    unit = group(problem)
    return [size for size in (unit, 7 * unit) if size < n]


def bits(problem: Problem, outcomes: Outcomes) -> NDArray[np.uint64]:
    """(n, k + m) results as bits; zero where the objective is a measurement, which no two evaluations share."""
    values = np.hstack([outcomes.objectives, outcomes.measures])
    values[:, [i for i, objective in enumerate(problem.objectives) if objective.measured]] = 0.0
    return np.ascontiguousarray(values).view(np.uint64)


def ship(problem: Problem, genomes: Genomes, seed: int) -> str:
    """Why a child process cannot take the problem and evaluate there; empty when it can."""
    blocked = unshippable(problem)
    if blocked:
        return blocked
    load = cloudpickle.dumps((problem, genomes, seed))
    child = subprocess.run([sys.executable, "-c", _CHILD, *sys.path], input=load, capture_output=True, check=False)
    if child.returncode:
        lines = child.stderr.decode(errors="replace").strip().splitlines()
        return f"arrives, but does not evaluate there: {lines[-1] if lines else f'exit code {child.returncode}'}"
    here = bits(problem, serve(Bench(Kit(problem, {}, seed)), problem, genomes))
    return "" if here.tobytes() == child.stdout else "arrives, but gives other bits there than here"


def unshippable(problem: Problem) -> str:
    """Which attribute keeps the problem from being pickled, and why; empty when none does."""
    why = _unpicklable(problem)
    if why:
        for name, value in vars(problem).items():
            inner = _unpicklable(value)
            if inner:
                return f"attribute {name!r} cannot be pickled ({inner}); make it in warm_up, which runs on each worker"
    return why


def _unpicklable(value: Any) -> str:
    try:
        cloudpickle.dumps(value)
    except (pickle.PickleError, TypeError, AttributeError, ValueError, RuntimeError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def arrive() -> None:
    """In the child process: unpack, evaluate, and write the bits to standard output."""
    problem, genomes, seed = pickle.load(sys.stdin.buffer)
    output, sys.stdout = sys.stdout, sys.stderr  # what the problem prints must not get into the answer
    answer = bits(problem, serve(Bench(Kit(problem, {}, seed)), problem, genomes))
    output.buffer.write(answer.tobytes())
