"""Surrogate-assisted search: what was measured teaches a model, and the model says what is worth measuring next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.algorithm import Algorithm, Turn
from evo.algorithms.alphabet import Alphabet
from evo.algorithms.keeping import default_mutation, offer
from evo.algorithms.observations import Observations
from evo.algorithms.pairwise import Pairwise
from evo.algorithms.proposing import propose
from evo.algorithms.rungs import Rung, rungs_from
from evo.archive import Archive
from evo.archives import Top
from evo.errors import ConfigError
from evo.operator import Operator
from evo.problem import Problem
from evo.records import Change, Genomes, Requests, Results
from evo.spaces.keys import row_keys

__all__ = ["SurrogateAssisted"]

ENOUGH = 1e-9
DRAWS = 1 << 62
HELD = 1.0
"""Evaluations that cheaper measurements leave over: one for the favourite."""
FRUITLESS = 4
"""Batches of mutants in a row without a new one: there are no more, or they are too rare."""
PARENTS = 8
"""The best genomes, of which plain mutants are made."""
FEWEST = 4
"""Observations that a model is made of."""
PLANNED = ("genomes", "operator", "parents", "candidate", "fidelity", "draw", "params", "reserve")


class SurrogateAssisted(Algorithm):
    """Measures what a model of all measurements expects most of; for expensive objectives over whole-number vectors.

    It begins with the problem's initial genomes and mutants of them, or with random genomes. Then, a batch at a time, a
    model of effects of single genes and of pairs (`Pairwise`) is fitted to what was measured, and climbed by mutations
    from the genomes that it thinks best. Of the genomes met there that were never asked for, those are asked for that
    it expects most of, the later ones of a batch those whose quality might be high because it knows little of them. A
    share of each batch are plain mutants of the best, in case the model is wrong. No genome is bred twice.

    With a `rung` all this is measured at a cheaper fidelity, each batch on a common random draw (a minibatch) that the
    model allows for; with every batch the genome that it then thinks best is measured at the reporting fidelity. One
    evaluation of the budget is held back for the last favourite; where there is hardly more than that, genomes are
    measured at the reporting fidelity at once.

    It waits for nothing but the first results, and before the last favourite for all: a batch is based on what has been
    told when it is planned. With ``order: {type: strict, lag: 1}`` that is all that was asked for. Genomes that failed
    or were rejected count as poor.

    Source: Jin, "Surrogate-assisted evolutionary computation: recent advances and future challenges", Swarm and
    Evolutionary Computation 1(2), 2011; upper confidence bounds as of Srinivas et al., "Gaussian Process Optimization
    in the Bandit Setting", ICML 2010.

    Args:
        offspring: genomes a batch.
        initial: how many genomes are asked for before the first model, where the budget allows.
        rung: how genomes are measured, if not at the reporting fidelity: ``fidelity`` ("rung"), ``reserve`` (what one
            measurement takes from the budget of evaluations, 1), and whatever parameters the evaluator reads.
        mutation: parent to child; by default one that suits the space.
        explore: share of each batch that are plain mutants.
        optimism: how many standard deviations the most daring choice of a batch adds to what the model expects.
        looks: how many children are made and predicted to plan a batch.
        steps: mutations in a row from a start.
        memory: the most measurements that the model is fitted to: the best make up half, the latest the rest.
        archive: what is kept of all that is measured at the reporting fidelity; the ten best by default.

    Raises:
        ConfigError: a number out of its range, or a rung that cannot be; in `setup`: no objective, a space that does
            not consist of vectors of whole numbers, or what `rung` asks for the problem does not have.
    """

    def __init__(
        self,
        offspring: int = 32,
        *,
        initial: int = 32,
        rung: Mapping[str, Any] | None = None,
        mutation: Operator | None = None,
        explore: float = 0.125,
        optimism: float = 2.0,
        looks: int = 1024,
        steps: int = 8,
        memory: int = 500,
        archive: Archive | None = None,
    ) -> None:
        whole = {"offspring": offspring, "initial": initial, "looks": looks, "steps": steps, "memory": memory}
        for name, value in whole.items():
            least = 2 * FEWEST if name == "memory" else 1
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(
                    f"SurrogateAssisted: {name}: expected a whole number of at least {least}, got {value!r}"
                )
        for name, share, most in (("explore", explore, 1.0), ("optimism", optimism, math.inf)):
            number = isinstance(share, int | float) and not isinstance(share, bool) and math.isfinite(share)
            if not number or not 0 <= share <= most:
                upper = "" if math.isinf(most) else f" and at most {most:g}"
                raise ConfigError(f"SurrogateAssisted: {name}: expected a number of at least 0{upper}, got {share!r}")
        self.offspring, self.initial = offspring, initial
        self._rung = None if rung is None else _rung(rung)
        self.mutation = mutation
        self.explore, self.optimism = explore, optimism
        self.looks, self.steps, self.memory = looks, steps, memory
        self.archive = archive if archive is not None else Top()
        self.block = offspring + (rung is not None)

    def setup(self, problem: Problem) -> None:
        """See `Algorithm.setup`."""
        if not problem.objectives:
            raise ConfigError("SurrogateAssisted: the problem declares no objective to select by")
        if self._rung is not None:
            self._rung.check("algorithm.rung", problem)
        self._space = problem.space
        self._alphabet = Alphabet(problem.space)
        self._reporting = problem.evaluator.reporting
        if self.mutation is None:
            from evo.registry import build

            self.mutation = build("operators", default_mutation(problem.space))
        self._given = problem.space.stack(list(problem.initial()))
        self._known = Observations(problem.space, float(problem.objectives[0].sign), self.memory, self._reporting)
        self._seen: set[int] = set()
        self._confirmed: set[int] = set()
        self._pending: set[int] = set()
        self._queue: list[Requests] = []
        self._begun = False
        self._why = ""
        self.archive.setup(problem.space, problem.objectives, problem.measures)

    # Asking -----------------------------------------------------------------------------------------------------------

    def ask(self, n: int, turn: Turn) -> Sequence[Requests]:
        """The next n of the batch that is planned, and no further ones."""
        self._why = ""
        first, budget, batches = turn.first_id, turn.budget + ENOUGH, []
        if self._queue and self._queue[0].draw is not None and not _most(self._queue[0], budget):
            self._queue.clear()  # others have spent what it was planned with
        if not self._queue:
            self._plan(turn.rng, budget)
        while self._queue and (count := min(n, _most(self._queue[0], budget))):
            head = self._queue[0]
            batches.append(head.take(slice(0, count)))
            self._queue[0] = head.take(slice(count, len(head)))
            if not len(self._queue[0]):
                del self._queue[0]
            n, budget = n - count, budget - count * head.reserve
            self._pending.update(range(first, first + count))
            first += count
        if not batches and not self._pending and not self._why:
            self._why = f"budget spent: the {turn.budget:g} evaluations left measure no further genome"
        return batches

    def _plan(self, rng: np.random.Generator, budget: float) -> None:
        """Fill the queue: founders first, then what the model proposes and some mutants, at last favourites alone."""
        founders, rung = self.initial + len(self._given), self._rung
        wanted, most = self.offspring, founders
        if rung is not None:  # the best of the batch before, and in the end of the last, is measured too
            wanted = int(min(wanted, max(0.0, budget - 1 - HELD) / rung.reserve))
            most = int(min(most, max(0.0, budget - HELD) / rung.reserve))
        draw = int(rng.integers(DRAWS))
        if not self._begun:
            if most < min(2, founders):  # nothing to choose a favourite from
                most, rung = int(budget), None
            self._found(most, rng)
            self._begun = bool(self._queue)
        elif not wanted:
            rung = None
            if budget >= 1 and not self._pending:
                self._finish(rng)
        elif len(self._known) >= FEWEST:
            self._model(wanted, rng)
        elif not self._pending:
            self._more(self._known.ranked(), wanted, rng)
        for batch in self._queue:
            if rung is not None and batch.candidate is None:
                batch.fidelity, batch.params, batch.reserve = rung.fidelity, dict(rung.params), rung.reserve
                batch.draw = np.full(len(batch), draw)
        if not self._queue and not self._pending and budget >= 1:
            self._why = "no genome is found that was not asked for before"

    def _found(self, most: int, rng: np.random.Generator) -> None:
        """At most so many: the initial genomes and mutants of them at growing distance, or random ones."""
        assert self.mutation is not None
        given = self._given[:most]
        self._add(given, np.full(len(given), -1), "initial", len(given))
        missing = min(self.initial, most) - len(given)
        if not len(given):
            self._samples(missing, rng)
        elif missing > 0:
            children = given[rng.integers(len(given), size=missing)]
            for step in range(self.steps):
                going = np.flatnonzero(np.arange(missing) % self.steps >= step)
                if len(going):
                    children[going] = self.mutation.vary([children[going]] * self.mutation.arity, self._space, rng)
            self._add(children, np.full(missing, -1), self.mutation.label, missing)

    def _finish(self, rng: np.random.Generator) -> None:
        """The favourite, or, where all that are known were measured in full, a new one."""
        if len(self._known) >= FEWEST:
            self._model(0, rng)
        else:
            self._confirm(self._known.ranked())
        if not self._queue:
            self._more(self._known.ranked(), 1, rng)

    def _model(self, wanted: int, rng: np.random.Generator) -> None:
        """What the model proposes, from the best genomes known, and, where the problem gives none, from random ones."""
        assert self.mutation is not None
        genomes, quality, group = self._known.lessons()
        codes, alphabet = self._alphabet.codes, self._alphabet
        model = Pairwise(codes(genomes), quality, alphabet.letters, group=group, ordered=alphabet.ordered)
        expected, _ = model.predict(codes(self._known.genomes))
        ranked = np.argsort(-expected, kind="stable")
        _, first = np.unique(row_keys(self._known.genomes[ranked]), return_index=True)
        ranked = ranked[np.sort(first)]
        if self._rung is not None:
            self._confirm(ranked)
        if not wanted:
            return
        best = ranked[: self.offspring if len(self._given) else max(1, self.offspring // 2)]
        random = self._space.sample(0 if len(self._given) else self.offspring - len(best), rng)
        found = propose(
            lambda batch: model.predict(codes(batch)),
            np.concatenate([self._known.genomes[best], random]),
            wanted - round(self.explore * wanted),
            self._seen,
            mutation=self.mutation,
            space=self._space,
            rng=rng,
            looks=self.looks,
            steps=self.steps,
            optimism=self.optimism,
        )
        parents = np.concatenate([self._known.candidate[best], np.full(len(random), -1)])[found.start]
        new = self._add(found.genomes, parents, "surrogate", len(found.genomes))
        self._more(ranked, wanted - new, rng)

    def _confirm(self, ranked: NDArray[np.int64]) -> None:
        """Plan to measure the best that was not yet, at the reporting fidelity."""
        for row in ranked.tolist():
            candidate = int(self._known.candidate[row])
            if candidate not in self._confirmed:
                self._confirmed.add(candidate)
                genomes = self._known.genomes[row : row + 1]
                self._queue.append(Requests(genomes=genomes, candidate=np.array([candidate]), operator="surrogate"))
                return

    def _more(self, ranked: NDArray[np.int64], n: int, rng: np.random.Generator) -> None:
        """Plan n new mutants of the best genomes, or, where there are none or no more, random ones."""
        assert self.mutation is not None
        best = ranked[:PARENTS]
        fruitless = 0
        while n > 0 and len(best) and fruitless < FRUITLESS:
            rows = best[rng.integers(len(best), size=max(n, 8))]
            parents = [self._known.genomes[rows]] * self.mutation.arity
            children = self.mutation.vary(parents, self._space, rng)
            new = self._add(children, self._known.candidate[rows], self.mutation.label, n)
            n, fruitless = n - new, 0 if new else fruitless + 1
        if n > 0:
            self._samples(n, rng)

    def _samples(self, n: int, rng: np.random.Generator) -> None:
        """Plan n new random genomes, or those that can be found."""
        fruitless = 0
        while n > 0 and fruitless < FRUITLESS:
            genomes = self._space.sample(max(n, 8), rng)
            new = self._add(genomes, np.full(len(genomes), -1), "sample", n)
            n, fruitless = n - new, 0 if new else fruitless + 1

    def _add(self, genomes: Genomes, parents: NDArray[np.int64], operator: str, most: int) -> int:
        """Plan those that are new, at most so many; how many they are."""
        rows: list[int] = []
        for row, key in enumerate(row_keys(genomes).tolist()):
            if len(rows) < most and key not in self._seen:
                self._seen.add(key)
                rows.append(row)
        if rows:
            self._queue.append(Requests(genomes=genomes[rows], operator=operator, parents=parents[rows][:, None]))
        return len(rows)

    # Telling ----------------------------------------------------------------------------------------------------------

    def tell(self, results: Sequence[Results], turn: Turn) -> Sequence[Change]:
        """Learn from what it asked for, and from what others measured at the reporting fidelity."""
        for part in results:
            mine = self._pending.intersection(part.requests.ids.tolist())
            self._pending -= mine
            exact = part.requests.fidelity == self._reporting
            if mine or exact:
                self._known.enter(part)
                self._seen.update(row_keys(part.genomes).tolist())
            if exact:
                self._confirmed.update(part.candidate.tolist())
        return offer(self.archive, results, self._reporting)

    # The rest ---------------------------------------------------------------------------------------------------------

    @property
    def exhausted(self) -> str:
        """That the budget is spent, or that everything was asked for."""
        return self._why or super().exhausted

    @property
    def archives(self) -> Mapping[str, Archive]:
        """The best candidates found."""
        return {self.archive.name: self.archive}

    def state(self) -> Mapping[str, Any]:
        """What is known, what was asked for, and what is planned."""
        return {
            "known": self._known.state(),
            "seen": np.array(sorted(self._seen), dtype=np.uint64),
            "confirmed": sorted(self._confirmed),
            "pending": sorted(self._pending),
            "queue": [{name: getattr(batch, name) for name in PLANNED} for batch in self._queue],
            "begun": self._begun,
            "why": self._why,
            "archive": self.archive.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Algorithm.restore`."""
        self._known.restore(state["known"])
        self._seen = set(state["seen"].tolist())
        self._confirmed, self._pending = set(state["confirmed"]), set(state["pending"])
        self._queue = [Requests(**batch) for batch in state["queue"]]
        self._begun, self._why = state["begun"], state["why"]
        self.archive.restore(state["archive"])


def _most(batch: Requests, budget: float) -> int:
    """How many of a batch the budget sees through; a rung's, which have a draw, leave enough for the favourite."""
    held = 0.0 if batch.draw is None else HELD
    return int(min(len(batch), max(0.0, budget - held) / batch.reserve))


def _rung(spec: Any) -> Rung:
    """The one rung; what is wrong with it is said of ``rung``."""
    if not isinstance(spec, Mapping) or not all(isinstance(key, str) for key in spec):
        raise ConfigError(f"rung: expected a mapping such as {{'tokens': 2048, 'reserve': 0.1}}, got {spec!r}")
    try:
        return rungs_from([{"survivors": 1, **spec}], 1)[0]
    except ConfigError as error:
        raise ConfigError(str(error).replace("rungs[0]", "rung", 1)) from None
