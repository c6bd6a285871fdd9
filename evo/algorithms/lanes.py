"""A lane: one of several algorithms in a run, with its own label, random stream and account of the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from evo.algorithm import Algorithm, Turn
from evo.archive import Archive
from evo.operator import Operator
from evo.records import Change, Requests, Results

__all__ = ["Lane"]


class Lane:
    """One of several algorithms: what leaves it bears its label, what it is told does not.

    Args:
        label: such as ``island/2``: the source of its requests, and the first part of its archives' names.
        algorithm: moved by nobody else.
        share: its part of the budget, relative to the other lanes'.
        renames: whether its operators bear the label too, as those of unlike algorithms must.
    """

    def __init__(self, label: str, algorithm: Algorithm, share: float = 1.0, *, renames: bool = False) -> None:
        self.label, self.algorithm, self.share = label, algorithm, share
        self.spent = 0.0
        """The reserves of what it asked for, less those of what turned out to be done before."""
        self.flying = 0
        """Its requests that are not told."""
        self.idle = False
        """It gave nothing though it waited for nothing, and has heard nothing since."""
        self._renames = renames

    def ask(self, n: int, turn: Turn, before: Sequence[Requests], budget: float) -> list[Requests]:
        """At most n requests for at most `budget`, after those that others gave in this turn before."""
        taken = sum(map(len, before))
        room = dict(turn.room)
        for batch in before:
            if batch.fidelity in room:
                room[batch.fidelity] = max(0, room[batch.fidelity] - len(batch))
        own = _turn(turn, turn.first_id + taken, budget, room)
        batches = [batch for batch in self.algorithm.ask(n, own) if len(batch)]
        for batch in batches:
            if self._renames and batch.make in self.algorithm.operators:
                batch.make = f"{self.label}/{batch.make}"
            batch.source = f"{self.label}/{batch.source}" if batch.source else self.label
            self.spent = round(self.spent + batch.reserve * len(batch), 9)
            self.flying += len(batch)
        self.idle = not batches and not self.flying
        return batches

    def tell(self, results: Sequence[Results], turn: Turn) -> list[Change]:
        """Tell it, in its own words, what is its own; and what is not, as it is."""
        told = []
        for part in results:
            if self.owns(part):
                repeated = 0 if part.same_as is None else int((part.same_as >= 0).sum())
                self.spent = round(self.spent - part.requests.reserve * repeated, 9)
                self.flying -= len(part.requests)
                told.append(replace(part, requests=self._inside(part.requests)))
            else:
                told.append(part)
        if not told:
            return []
        self.idle = False
        changes = self.algorithm.tell(told, _turn(turn, turn.first_id, turn.budget, turn.room))
        return [replace(change, archive=f"{self.label}/{change.archive}") for change in changes]

    def owns(self, part: Results) -> bool:
        """Whether results answer requests of this lane."""
        return part.requests.source == self.label or part.requests.source.startswith(f"{self.label}/")

    def _inside(self, requests: Requests) -> Requests:
        make = requests.make
        if self._renames and make is not None:
            make = make.removeprefix(f"{self.label}/")
        return replace(requests, source=requests.source[len(self.label) + 1 :], make=make)

    @property
    def archives(self) -> dict[str, Archive]:
        """Its archives under their names outside."""
        return {f"{self.label}/{name}": archive for name, archive in self.algorithm.archives.items()}

    @property
    def operators(self) -> dict[str, Operator]:
        """Its operators under their names outside."""
        prefix = f"{self.label}/" if self._renames else ""
        return {f"{prefix}{name}": operator for name, operator in self.algorithm.operators.items()}

    def state(self) -> dict[str, Any]:
        """Its account, and its algorithm's state."""
        account = {"spent": self.spent, "flying": self.flying, "idle": self.idle}
        return {**account, "algorithm": self.algorithm.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a `state`."""
        self.spent, self.flying, self.idle = state["spent"], state["flying"], state["idle"]
        self.algorithm.restore(state["algorithm"])


def _turn(turn: Turn, first_id: int, budget: float, room: Mapping[str, int]) -> Turn:
    """The move as one lane sees it: with a random stream of its own, or lanes would do the same."""
    own = Turn(turn.seed, turn.seq, first_id, budget, room)
    own.rng = turn.rng.spawn(1)[0]
    return own
