"""(1+lambda): one parent, many children, the best of all is the next parent; with rungs, as EvoPress has it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evo.algorithm import Algorithm, Turn
from evo.algorithms.contest import Contest, Member, distinct_children
from evo.algorithms.keeping import default_mutation, offer
from evo.algorithms.rungs import Rung, affordable, rungs_from
from evo.archive import Archive
from evo.archives import Top
from evo.errors import ConfigError
from evo.operator import Operator
from evo.problem import Problem
from evo.records import Change, Genomes, Requests, Results, Status

__all__ = ["OnePlusLambda"]

FOUNDING = -1
ENOUGH = 1e-9
DRAWS = 1 << 62


class OnePlusLambda(Algorithm):
    """One parent and `offspring` distinct children a generation; the best takes its place (Sieberling et al. 2024).

    With rungs the children are measured on one common random draw (a minibatch), the best go on to the next rung and
    its fresh draw, and so on; the parent joins in the last rung only, where the best of all becomes the parent. As that
    is no measurement to report, a new parent is measured once more at the reporting fidelity, while its children are
    under way. Failed and rejected children fall out; a parent that fails there gives its place back.

    Without rungs children are measured at the reporting fidelity once, and so is the parent, whose figure stands.

    A tie goes to the child. What is told of other candidates at the reporting fidelity (seeds, migrants) competes like
    a child, but in the last rung only. A generation begins only when the evaluations left see it through, with fewer
    children towards the end.

    Args:
        offspring: children a generation, lambda; fewer where the parent has not so many that differ.
        rungs: from the first to the last, each a mapping: ``survivors`` (1 in the last), ``fidelity`` ("rung"),
            ``reserve`` (what one measurement takes from the budget of evaluations, 1), and whatever parameters the
            evaluator reads, such as ``tokens``.
        mutation: parent to child; by default one that suits the space.
        initial: how many random genomes the first parent is the best of (in the first rung), where the problem has no
            initial ones.
        confirm: whether new parents are measured at the reporting fidelity.
        patience: after so many generations in a row without a child that is better than its parent it begins again, at
            the best of `initial` random genomes; None: never. The archive keeps what was found.
        archive: what is kept of all that is measured at the reporting fidelity; the ten best by default.

    Raises:
        ConfigError: offspring, initial or patience below 1, or rungs that cannot be; in `setup`: no objective, a
            fidelity that the problem does not have, or parameters at its reporting fidelity.
    """

    def __init__(
        self,
        offspring: int = 32,
        *,
        rungs: Sequence[Mapping[str, Any]] = (),
        mutation: Operator | None = None,
        initial: int = 64,
        confirm: bool = True,
        patience: int | None = None,
        archive: Archive | None = None,
    ) -> None:
        if offspring < 1 or initial < 1:
            raise ConfigError(f"OnePlusLambda: expected offspring and initial >= 1, got {offspring} and {initial}")
        if patience is not None and patience < 1:
            raise ConfigError(f"OnePlusLambda: expected patience >= 1, got {patience}; leave it out for no restarts")
        self.offspring = offspring
        self._rungs = rungs_from(rungs, offspring)
        self.mutation = mutation
        self.initial = initial
        self.confirm = confirm
        self.patience = patience
        self.archive = archive if archive is not None else Top()
        self.block = offspring + 1

    def setup(self, problem: Problem) -> None:
        """See `Algorithm.setup`."""
        if not problem.objectives:
            raise ConfigError("OnePlusLambda: the problem declares no objective to select by")
        for place, rung in enumerate(self._rungs):
            rung.check(f"algorithm.rungs[{place}]", problem)
        self._space = problem.space
        self._reporting = problem.evaluator.reporting
        self._sign = float(problem.objectives[0].sign)
        if self.mutation is None:
            from evo.registry import build

            self.mutation = build("operators", default_mutation(problem.space))
        self._steps = self._rungs or [Rung(fidelity=self._reporting)]
        self._confirms = self.confirm and not self._steps[-1].reports(self._reporting)
        self._given = problem.space.stack(list(problem.initial()))
        self._contest: Contest | None = None
        self._parent: Member | None = None
        self._previous: Member | None = None
        self._guest: Member | None = None
        self._founded = self._due = self._warned = False
        self._confirming: list[int] = []
        self._fallen = -1
        self._stale = 0
        self._why = ""
        self.archive.setup(problem.space, problem.objectives, problem.measures)

    # Asking -----------------------------------------------------------------------------------------------------------

    def ask(self, n: int, turn: Turn) -> Sequence[Requests]:
        """A new parent to be confirmed, then contestants of the contest that goes on; none while it waits."""
        if self._contest is None or self._contest.complete:
            self._go_on(turn)
        batches: list[Requests] = []
        first, budget = turn.first_id, turn.budget + ENOUGH
        if self._due and n and budget >= 1:
            batches.append(self._confirmation(first))
            first, n, budget = first + 1, n - 1, budget - 1
        while (contest := self._contest) is not None and contest.asked < len(contest):
            rung = self._steps[max(contest.rung, 0)]
            rows = contest.next(int(min(n, budget / rung.reserve)))
            count = rows.stop - rows.start
            if not count:
                break
            batches.append(self._requests(contest, rung, rows))
            contest.number(rows, first)
            first, n, budget = first + count, n - count, budget - count * rung.reserve
        return batches

    def _requests(self, contest: Contest, rung: Rung, rows: slice) -> Requests:
        n = rows.stop - rows.start
        new = rows.start < contest.births
        return Requests(
            genomes=contest.genomes[rows],
            operator=contest.operator if new else "",
            parents=np.full((n, 1), contest.mother) if new and contest.mother >= 0 else None,
            candidate=None if new else contest.candidate[rows].copy(),
            fidelity=rung.fidelity,
            draw=np.full(n, contest.draw) if self._rungs else None,
            params=dict(rung.params),
            reserve=rung.reserve,
        )

    def _confirmation(self, first: int) -> Requests:
        assert self._parent is not None
        self._due = False
        self._confirming.append(first)
        parent, again = self._parent, np.array([self._parent.candidate])
        return Requests(genomes=parent.genomes, candidate=again, fidelity=self._reporting, operator=parent.maker)

    # From contest to contest ------------------------------------------------------------------------------------------

    def _go_on(self, turn: Turn) -> None:
        """Select, and open what comes next; nothing where nothing can."""
        contest, self._contest, self._why = self._contest, None, ""
        if contest is not None:
            best = [row for row in contest.ranked().tolist() if contest.candidate[row] != self._fallen]
            if best and FOUNDING < contest.rung < len(self._steps) - 1:
                chosen = best[: self._steps[contest.rung].survivors]
                self._open(contest.rung + 1, contest.genomes[chosen], contest.candidate[chosen], turn)
                return
            before = self._parent
            if best and (contest.rung == FOUNDING or contest.rung == len(self._steps) - 1):
                winner = contest.member(best[0])
                self._crown(winner, measured=winner.candidate == contest.guest)
            self._stagnate(before)
        if self._parent is None:
            self._found(turn)
        else:
            self._breed(self._parent, turn)

    def _stagnate(self, before: Member | None) -> None:
        """Count a generation that brought nothing better than the parent before; give up after too many."""
        parent = self._parent
        better = parent is not None and parent is not before
        if better and parent is not None and before is not None and not self._rungs:
            better = parent.quality > before.quality
        self._stale = 0 if better else self._stale + 1
        if self.patience is not None and self._stale >= self.patience:
            self._parent = self._previous = self._guest = None
            self._stale = 0

    def _crown(self, winner: Member, measured: bool) -> None:
        """Make it the parent, unless it is, or is worse than the figure that stands."""
        parent = self._parent
        if parent is not None and (
            winner.candidate == parent.candidate or (not self._rungs and winner.quality < parent.quality)
        ):
            return
        self._previous, self._parent = parent, winner
        self._due = self._confirms and not measured

    def _found(self, turn: Turn) -> None:
        given = self._given if not self._founded else self._given[:0]
        rung = self._steps[0]
        budget = turn.budget - self._held
        count = int(min(len(given) or self.initial, max(0.0, budget + ENOUGH) / rung.reserve))
        if not count:
            self._why = f"budget spent: the {turn.budget:g} evaluations left do not find a first parent"
            return
        genomes = given[:count] if len(given) else self._space.sample(count, turn.rng)
        self._founded = True
        operator = "initial" if len(given) else "sample"
        draw = int(turn.rng.integers(DRAWS))
        self._contest = Contest(FOUNDING, genomes, np.full(count, -1), draw, operator=operator)

    def _breed(self, parent: Member, turn: Turn) -> None:
        assert self.mutation is not None
        if not self._rungs and self._guest is not None:
            guest, self._guest = self._guest, None
            if guest.quality > parent.quality:
                parent = self._parent = guest
        budget = turn.budget - self._due
        wanted = affordable(self._steps, self.offspring, budget - self._held, parent=bool(self._rungs))
        if not wanted:
            self._why = f"budget spent: the {budget:g} evaluations left hold no further generation"
            return
        children = distinct_children(parent.genomes, wanted, self.mutation, self._space, turn.rng)
        if len(children) < wanted and not self._warned:
            self._warned = True
            few = f"a parent has {len(children)} distinct children where {wanted} are wanted; fewer are asked for"
            warnings.warn(f"OnePlusLambda: {few}", stacklevel=2)
        if len(children):
            self._open(0, children, np.full(len(children), -1), turn)
        elif self._rungs and self._guest is not None:
            self._open(len(self._steps) - 1, children, np.empty(0, np.int64), turn)
        else:
            self._why = f"{self.mutation.label} finds no child that differs from its parent"

    def _open(self, rung: int, genomes: Genomes, candidate: Any, turn: Turn) -> None:
        """The contest of a rung; in the last one the guest and the parent, in this order, join in."""
        parent, guest = self._parent, None
        assert parent is not None
        assert self.mutation is not None
        if self._rungs and rung == len(self._steps) - 1:
            cost = (len(candidate) + 2) * self._steps[rung].reserve + self._held + self._due
            if self._guest is not None and cost <= turn.budget + ENOUGH:
                guest, self._guest = self._guest, None
                guest = None if guest.candidate == parent.candidate or guest.candidate in candidate else guest
            joining = [parent] if guest is None else [guest, parent]
            genomes = np.concatenate([genomes, *(one.genomes for one in joining)])
            candidate = np.concatenate([candidate, [one.candidate for one in joining]])
        draw = int(turn.rng.integers(DRAWS))
        visitor = -1 if guest is None else guest.candidate
        self._contest = Contest(rung, genomes, candidate, draw, parent.candidate, self.mutation.label, visitor)

    @property
    def _held(self) -> float:
        """What a generation leaves of the budget: its winner's confirmation, and the last full evaluation that lets a
        run go on while a rung costs less than one."""
        return 1.0 if self._rungs else 0.0

    # Telling ----------------------------------------------------------------------------------------------------------

    def tell(self, results: Sequence[Results], turn: Turn) -> Sequence[Change]:
        """Note what contestants are worth, whether the parent is confirmed, and the best that comes from elsewhere."""
        for part in results:
            if self._contest is not None and self._contest.take(part, self._sign):
                continue
            if len(part.requests) and part.requests.ids[0] in self._confirming:
                self._confirmed(part)
            elif len(part) and part.requests.fidelity == self._reporting:
                self._visited(part)
        return offer(self.archive, results, self._reporting)

    def _confirmed(self, part: Results) -> None:
        self._confirming.remove(int(part.requests.ids[0]))
        if part.status[0] == Status.OK:
            return
        self._fallen = int(part.requests.candidates[0])
        if self._previous is not None and self._previous.candidate == self._fallen:
            self._previous = None
        if self._parent is not None and self._parent.candidate == self._fallen and self._previous is not None:
            self._parent, self._previous = self._previous, None

    def _visited(self, part: Results) -> None:
        quality = self._sign * part.objectives[:, 0]
        row = int(quality.argmax())
        if self._guest is None or quality[row] > self._guest.quality:
            self._guest = Member(part.genomes[row : row + 1], int(part.candidate[row]), float(quality[row]))

    # The rest ---------------------------------------------------------------------------------------------------------

    @property
    def exhausted(self) -> str:
        """That the budget left holds no generation, or that the parent has no children."""
        return self._why or super().exhausted

    @property
    def archives(self) -> Mapping[str, Archive]:
        """The best candidates found."""
        return {self.archive.name: self.archive}

    def state(self) -> Mapping[str, Any]:
        """Parent, contest, and what is awaited."""
        members = (self._parent, self._previous, self._guest)
        return {
            "members": [None if one is None else one.state() for one in members],
            "contest": None if self._contest is None else self._contest.state(),
            "flags": [self._founded, self._due, self._warned],
            "stale": self._stale,
            "confirming": list(self._confirming),
            "fallen": self._fallen,
            "why": self._why,
            "archive": self.archive.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Algorithm.restore`."""
        self._parent, self._previous, self._guest = map(Member.restored, state["members"])
        self._contest = None if state["contest"] is None else Contest.restored(state["contest"])
        self._founded, self._due, self._warned = state["flags"]
        self._stale = state["stale"]
        self._confirming, self._fallen, self._why = list(state["confirming"]), state["fallen"], state["why"]
        self.archive.restore(state["archive"])
