"""The master decides about failure: who is suspected when a worker dies, who is struck, who is quarantined."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from evo.records import BORN, Note, Outcomes, Requests, Status
from evo.space import Space

__all__ = ["Blank", "Caution", "Failures", "Verdict", "failed"]


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


@dataclass
class Failures:
    """Strikes by request. Infrastructure losses and innocent neighbours never count."""

    blank: Blank
    strikes: dict[int, int] = field(default_factory=dict)
    limit: int = 2

    def suspect(
        self, requests: Requests, caution: Caution, status: Status, reason: str, group: int, alone: bool
    ) -> Verdict:
        """Judge the rows that were under evaluation together when their worker died.

        Several are sent again singly. One is sent again alone, on a fresh worker. A strike falls only on one that was
        `alone` (its worker held nothing else); the second quarantines it.
        """
        if len(requests) > 1:
            split = caution in (Caution.SINGLY, Caution.SPLIT) and group > 1
            return Verdict(again=requests, caution=Caution.SPLIT if split else Caution.SINGLY)
        if not alone:
            return Verdict(again=requests, caution=Caution.ALONE)
        request = int(requests.ids[0])
        strikes = self.strikes[request] = self.strikes.get(request, 0) + 1
        if strikes >= self.limit and caution == Caution.ALONE:
            del self.strikes[request]
            return Verdict(quarantined=failed(requests, status, f"{reason}; {strikes} times, alone", self.blank))
        return Verdict(again=requests, caution=Caution.ALONE)

    def cleared(self, requests: Requests) -> None:
        """These came back: what they were suspected of was not theirs."""
        if self.strikes:
            for request in requests.ids.tolist():
                self.strikes.pop(request, None)


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
