"""What `evo check` finds out by evaluating a few candidates: how long, within which ranges, whether always the same."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from evo.errors import EvaluationError, EvoError, SpaceError
from evo.problem import Problem
from evo.records import PREPARE, Genomes, Note, Outcomes, Requests, Status, is_failure
from evo.store.codec import encode_outcomes, encode_requests
from evo.worker import Kit, Message
from workers.evaluation import Bench

__all__ = ["CANDIDATES", "Place", "Probe", "arrive", "first_line", "probe", "unshippable"]

CANDIDATES = 64
_START = 120.0
"""Seconds for another process to start and warm up."""

_CHILD = "import sys; sys.path[:] = sys.argv[1:]; from evo.cli.probe import arrive; arrive()"


@dataclass
class Probe:
    """What was found."""

    n: int
    """How many candidates were evaluated in one batch."""
    warm_up: float
    """Seconds."""
    preparation: float
    """Seconds."""
    made: list[str]
    """Names of what the preparation made."""
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
    rejected: int = 0
    """How many are not what is searched."""
    differing: dict[int, int] = field(default_factory=dict)
    """batch size -> rows that got other bits than in the one batch"""
    bytes_each: float = 0.0
    """In the run file, of one evaluation."""
    shipping: str = ""
    """Why the problem cannot be shipped to a worker; empty when it can."""


class Place:
    """Where candidates are evaluated as on a worker: warmed up, and in reach of what the preparation made.

    Raises:
        EvaluationError: the problem's warm_up raised.
    """

    def __init__(
        self, problem: Problem, seed: int, folder: Path, held: Mapping[str, bytes], needs: tuple[str, ...]
    ) -> None:
        self.problem = problem
        self.folder = folder
        """Where large artifacts lie."""
        self.held = dict(held)
        """hash -> content of what was prepared and is small"""
        self.needs = needs
        """Hashes of what an evaluation needs."""
        with contained("warm_up"):
            self._bench = Bench(Kit(problem, problem.operators, seed, folder))

    def serve(self, requests: Requests) -> Outcomes:
        """Do the work as a worker does: what a candidate raises becomes its failure."""
        wanted = {digest for row in requests.needs for digest in row}
        artifacts = {digest: self.held[digest] for digest in wanted if digest in self.held}
        outcomes, made = self._bench.serve(Message(0, requests, len(requests), np.inf, artifacts), 0, len(requests))
        self.held.update(made)
        return outcomes

    def evaluate(self, genomes: Genomes, first: int = 0) -> Outcomes:
        """Measure genomes, numbered from `first`."""
        return self.serve(self.requests(genomes, first))

    def requests(self, genomes: Genomes, first: int = 0) -> Requests:
        """The work of measuring genomes at the reporting fidelity."""
        ids = np.arange(first, first + len(genomes), dtype=np.int64)
        needs = [self.needs] * len(genomes) if self.needs else ()
        return Requests(genomes=genomes, fidelity=self.problem.evaluator.reporting, needs=needs, ids=ids)

    def prepare(self) -> list[str]:
        """Do the problem's preparation, as a run does before its search; names of what it made.

        Raises:
            EvaluationError: it failed.
        """
        made: dict[str, str] = {}
        reporting = self.problem.evaluator.reporting
        with contained("prepare"):
            batches = list(self.problem.prepare())
        for batch in batches:
            batch.source = PREPARE
            batch.fidelity = batch.fidelity or reporting
            batch.ids = np.arange(len(batch), dtype=np.int64)
            batch.needs = batch.needs or self._needed(batch.fidelity, made, len(batch))
            outcomes = self.serve(batch)
            for row, note in outcomes.notes.items():
                if outcomes.status is not None and outcomes.status[row]:
                    raise EvaluationError(f"the problem's preparation failed: {first_line(note.message)}")
                made.update(note.artifacts)
        self.needs = next(iter(self._needed(reporting, made, 1)), ())
        return list(made)

    def _needed(self, fidelity: str, made: Mapping[str, str], n: int) -> Sequence[tuple[str, ...]]:
        with contained("needs"):
            needs = tuple(self.problem.needs(fidelity, made))
        return [needs] * n if needs else ()


@contextmanager
def contained(what: str) -> Iterator[None]:
    """Say in one line which of the problem's hooks raised."""
    try:
        yield
    except EvoError:
        raise
    except Exception as error:  # the supervision boundary: users' code may raise anything
        raise EvaluationError(first_line(f"the problem's {what} raised {type(error).__name__}: {error}")) from error


def first_line(message: str) -> str:
    """Of a failure, without its traceback."""
    return message.partition("\n")[0]


def probe(problem: Problem, seed: int, patience: float = 10.0) -> Probe:
    """Evaluate up to `CANDIDATES` candidates in several batches, for about `patience` seconds.

    Raises:
        EvaluationError: the problem's initial, warm_up or preparation raised.
        SpaceError: the problem gives no initial genomes and its space draws none.
    """
    with tempfile.TemporaryDirectory(prefix="evo-") as folder:
        return _probe(problem, seed, patience, Path(folder))


def _probe(problem: Problem, seed: int, patience: float, folder: Path) -> Probe:
    genomes = candidates(problem, seed)
    started = time.perf_counter()
    place = Place(problem, seed, folder, {}, ())
    warm_up = time.perf_counter() - started
    started = time.perf_counter()
    made = place.prepare()
    preparation = time.perf_counter() - started
    place.evaluate(genomes[:1])  # the first call compiles, caches, imports
    alone = place.evaluate(genomes[:1]).seconds
    n = int(np.clip(patience / 4 / max(alone, 1e-9), 2, len(genomes)))
    n -= n % group(problem) if n > group(problem) else 0
    genomes = genomes[:n]
    whole = place.evaluate(genomes)
    status = np.zeros(n, np.uint8) if whole.status is None else whole.status
    found = Probe(
        n=n,
        warm_up=warm_up,
        preparation=preparation,
        made=made,
        alone=alone,
        batched=whole.seconds / n,
        objectives=whole.objectives[status == 0],
        measures=whole.measures[status == 0],
        failures={row: note for row, note in whole.notes.items() if is_failure(status[row])},
        rejected=int((status == Status.REJECTED).sum()),
    )
    space = problem.space
    found.bytes_each = (len(encode_requests(place.requests(genomes), space)) + len(encode_outcomes(whole, space))) / n
    for size in batch_sizes(problem, n):
        parts = [place.evaluate(genomes[at : at + size], at) for at in range(0, n, size)]
        again = np.concatenate([bits(problem, part) for part in parts])
        found.differing[size] = int((again != bits(problem, whole)).any(axis=1).sum())
    found.shipping = ship(place, genomes[: max(2, group(problem))], seed)
    return found


def candidates(problem: Problem, seed: int) -> Genomes:
    """Genomes to try: the problem's own first, then drawn ones."""
    with contained("initial"):
        initial = problem.space.stack(list(problem.initial()))[: CANDIDATES // 2]
    try:
        drawn = problem.space.sample(CANDIDATES - len(initial), np.random.default_rng(seed))
    except SpaceError:
        if not len(initial):
            raise
        return np.resize(initial, (CANDIDATES, *problem.space.shape))
    return np.concatenate([initial, drawn]) if len(initial) else drawn


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


def ship(place: Place, genomes: Genomes, seed: int) -> str:
    """Why a child process cannot take the problem and evaluate there; empty when it can."""
    problem = place.problem
    blocked = unshippable(problem)
    if blocked:
        return blocked
    load = cloudpickle.dumps((problem, genomes, seed, place.folder, place.held, place.needs))
    limit = _START + len(genomes) * problem.evaluator.fidelities[problem.evaluator.reporting].deadline
    command = [sys.executable, "-c", _CHILD, *sys.path]
    try:
        child = subprocess.run(command, input=load, capture_output=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return f"arrives, but has not evaluated {len(genomes)} candidates there after {limit:g} s"
    if child.returncode:
        lines = child.stderr.decode(errors="replace").strip().splitlines()
        return f"arrives, but does not evaluate there: {lines[-1] if lines else f'exit code {child.returncode}'}"
    here = bits(problem, place.evaluate(genomes))
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
    with os.fdopen(os.dup(1), "wb") as channel:
        os.dup2(2, 1)  # what the problem prints must not get into the answer
        problem, genomes, seed, folder, held, needs = pickle.load(sys.stdin.buffer)
        outcomes = Place(problem, seed, folder, held, needs).evaluate(genomes)
        channel.write(bits(problem, outcomes).tobytes())
