"""The master decides about failure: who is suspected when a worker dies, who is struck, who is quarantined."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from evo.records import BORN, Note, Outcomes, Requests, Status
from evo.space import Space

__all__ = ["Blank", "Caution", "Failures", "Verdict", "failed"]

LOSSES = 3
"""Lost nodes that are nobody's fault, and as many that a suspect must meet alone before it is blamed for them."""


class Caution(IntEnum):
    """How carefully a request is to be sent."""

    NONE = 0
    SINGLY = 1
    """Was among several suspects: one chunk per evaluation unit, on a worker that holds nothing else."""
    SPLIT = 2
    """Its unit of rows evaluated together died as one: one chunk per row."""
    ALONE = 3
    """Was alone when a worker died: a message of its own on a fresh worker."""


@dataclass(frozen=True)
class Blank:
    """What an outcome without a measurement looks like."""

    space: Space
    objectives: int
    """k"""
    measures: int
    """m"""


@dataclass
class Verdict:
    """What to do with the requests that were under evaluation on a dead worker."""

    again: Requests | None = None
    caution: Caution = Caution.NONE
    quarantined: Outcomes | None = None


@dataclass(slots=True)
class Losses:
    """Of the nodes under one request."""

    met: int = 0
    alone: int = 0
    """Those that it met alone on its worker, as a suspect."""


@dataclass
class Failures:
    """Strikes and losses by request. Innocent neighbours never count, the loss of a node only when it is met again."""

    blank: Blank
    strikes: dict[int, int] = field(default_factory=dict)
    losses: dict[int, Losses] = field(default_factory=dict)
    limit: int = 2

    def suspect(
        self, requests: Requests, caution: Caution, status: Status, reason: str, group: int, alone: bool
    ) -> Verdict:
        """Judge the rows that were under evaluation together when their worker died.

        Several are sent again singly. One is sent again alone, on a fresh worker. A strike falls only on one that was
        `alone` (its worker held nothing else); the second quarantines it.
        """
        if len(requests) > 1 or not alone:
            return _apart(requests, caution, group)
        request = int(requests.ids[0])
        strikes = self.strikes[request] = self.strikes.get(request, 0) + 1
        if strikes >= self.limit and caution == Caution.ALONE:
            del self.strikes[request]
            return Verdict(quarantined=failed(requests, status, f"{reason}; {strikes} times, alone", self.blank))
        return Verdict(again=requests, caution=Caution.ALONE)

    def bereaved(self, requests: Requests, caution: Caution, reason: str, group: int, alone: bool) -> Verdict:
        """Judge the rows that were under evaluation together when their worker's node, or Ray itself, failed.

        A candidate that takes its node with it looks like this, and so does bad luck. `LOSSES` of them make suspects,
        and as many more, each `alone` on a fresh worker, quarantine one.
        """
        losses = [self.losses.setdefault(request, Losses()) for request in requests.ids.tolist()]
        for one in losses:
            one.met += 1
            one.alone += alone and caution == Caution.ALONE
        worst = max(losses, key=lambda one: one.met)
        if worst.met < LOSSES:
            return Verdict(again=requests, caution=caution)
        if worst.alone < LOSSES or worst.met < 2 * LOSSES:
            return _apart(requests, caution, group)
        self.cleared(requests)
        told = f"{worst.met} nodes were lost while it was under evaluation, {worst.alone} of them with nothing else on "
        return Verdict(
            quarantined=failed(requests, Status.CRASHED, f"{told}the worker; the last: {reason}", self.blank)
        )

    def cleared(self, requests: Requests) -> None:
        """These came back: what they were suspected of was not theirs."""
        if self.strikes or self.losses:
            for request in requests.ids.tolist():
                self.strikes.pop(request, None)
                self.losses.pop(request, None)


def _apart(requests: Requests, caution: Caution, group: int) -> Verdict:
    """Several suspects are sent again one by one, one alone."""
    if len(requests) == 1:
        return Verdict(again=requests, caution=Caution.ALONE)
    split = caution in (Caution.SINGLY, Caution.SPLIT) and group > 1
    return Verdict(again=requests, caution=Caution.SPLIT if split else Caution.SINGLY)


def failed(requests: Requests, status: Status, reason: str, blank: Blank) -> Outcomes:
    """Outcomes of requests that will not be tried again."""
    n = len(requests)
    rows = n if requests.make is None else 0
    k, m = (0, 0) if requests.fidelity == BORN else (blank.objectives, blank.measures)
    return Outcomes(
        ids=requests.ids,
        objectives=np.full((rows, k), np.nan),
        measures=np.full((rows, m), np.nan),
        status=np.full(n, status, dtype=np.uint8),
        owner=None if requests.make is None else np.empty(0, np.int64),
        genomes=None if requests.make is None else blank.space.empty(0),
        notes={row: Note(reason) for row in range(n)},
    )
