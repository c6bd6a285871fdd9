"""How many workers of each kind there should be: grow while there is room and work, shrink when idle, give up in time.

The dispatcher knows what its workers do, the backend knows what room there is; this decides. It never touches the order
of a run: block and lag do not follow the workers, only what is in flight does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from evo.engine.crew import Group, shape_text
from evo.engine.flight import START_DEADLINE, Employed
from evo.engine.queue import Queue
from evo.errors import ClusterLost
from evo.evaluator import Fidelity, Resources
from evo.worker import Workers

__all__ = ["IDLE_SECONDS", "LOOK_SECONDS", "Census", "Staffing", "census_of"]

LOOK_SECONDS = 1.0
"""Between two looks at what room there is: a node that joins is used this soon."""
IDLE_SECONDS = 60.0
"""After so long without work, a worker above the least of its group is let go, so that others get its place."""


@dataclass
class Census:
    """The workers of one group at this moment."""

    ready: int = 0
    coming: int = 0
    """They have a place and are starting."""
    waiting: int = 0
    """They have no place yet."""
    idle: list[tuple[float, int]] = field(default_factory=list)
    """(seconds, number) of those that hold nothing."""

    @property
    def here(self) -> int:
        """All of them."""
        return self.ready + self.coming + self.waiting


def census_of(workers: Mapping[int, Employed], groups: int, now: float) -> list[Census]:
    """The workers by number, counted by group."""
    census = [Census() for _ in range(groups)]
    for number, worker in workers.items():
        group = census[worker.group]
        if not worker.ready:
            group.coming += worker.placed
            group.waiting += not worker.placed
            continue
        group.ready += 1
        if not worker.flights:
            group.idle.append((now - worker.since, number))
    return census


class Staffing:
    """Decides, look by look, how many workers each group should start or let go.

    Args:
        groups: with their shapes filled in.
        queue: what waits.
        fidelities: of the problem.
        backend: tells what room there is.
    """

    def __init__(
        self, groups: Sequence[Group], queue: Queue, fidelities: Mapping[str, Fidelity], backend: Workers
    ) -> None:
        self.groups = groups
        self._queue = queue
        self._backend = backend
        self._served = [[name for name, one in fidelities.items() if group.serves(one.resources)] for group in groups]
        self.bounded = [backend.room(group.shape or Resources()) is not None for group in groups]
        """Whether it is known how many workers of a group there is room for."""
        self.last_death = ""
        """Why the last worker that died did so."""
        self._short: dict[int | str, float] = {}
        """What there is too little of (a group, a fidelity, any worker at all), and since when."""
        self.growth = 0
        """How many more workers could start, at the last look."""

    def starts(self, census: Sequence[Census]) -> Iterator[tuple[int, int]]:
        """(group, how many workers to start in it); they are to be started before the next is asked for.

        The least of every group come first, whether there is room or not: those that wait for a place are what a
        cluster that grows by itself sees. Then each grows into the room that is left.
        """
        started = []
        for place, (group, now) in enumerate(zip(self.groups, census, strict=True)):
            started.append(max(0, group.least - now.here))
            if started[-1]:
                yield place, started[-1]
        self.growth = 0
        left = self._work(census)
        passed: set[str] = set()
        """Fidelities for which a group found no room, though it may have more workers: the next may grow for them."""
        known: set[str] = set()
        for place, (group, now) in enumerate(zip(self.groups, census, strict=True)):
            names = [name for name in self._served[place] if name in passed or name not in known]
            known.update(names)
            coming = now.coming + started[place]
            work = sum(left[name] for name in names)
            wanted = max(0, work - coming - now.waiting)
            free, cramped = self._free(group, now.here + started[place], wanted)
            new = min(wanted, free)
            self.growth += free - new
            if cramped or now.waiting:
                passed.update(names)
            self._take(left, names, coming + new)
            if new:
                yield place, new

    def _free(self, group: Group, here: int, wanted: int) -> tuple[int, bool]:
        """How many workers a group may grow by, and whether it would want more but for the room."""
        if group.fixed or (group.most is not None and here >= group.most):
            return 0, False
        room = self._backend.room(group.shape or Resources())
        if room is None:  # where nobody knows where the end is, there is none but the most
            return (0 if group.most is None else group.most - here), False
        limit = wanted + room if group.most is None else group.most - here
        return min(limit, room), room < min(limit, wanted)

    def _work(self, census: Sequence[Census]) -> dict[str, int]:
        """How many further workers each fidelity could keep busy: at least one where none serves what waits."""
        work = {name: self._queue.messages(name) for name in self._queue.fidelities}
        for name in self._stranded(census):
            work[name] = max(1, work[name])
        return work

    @staticmethod
    def _take(left: dict[str, int], names: Sequence[str], workers: int) -> None:
        for name in names:
            taken = min(left[name], workers)
            left[name] -= taken
            workers -= taken

    def leaves(self, census: Sequence[Census]) -> list[int]:
        """The numbers of workers to let go: idle for long, and not needed for the least of their group."""
        gone = []
        for group, now in zip(self.groups, census, strict=True):
            spare = now.ready + now.coming - group.least
            if not group.fixed and spare > 0:
                tired = sorted((one for one in now.idle if one[0] >= IDLE_SECONDS), reverse=True)
                gone += [number for _, number in tired[:spare]]
        return gone

    def check(self, census: Sequence[Census], now: float) -> None:
        """Give up where there have been too few workers for too long and none is on its way, or none ever arrives.

        Raises:
            ClusterLost: says what is missing.
        """
        lacking: dict[int | str, tuple[int, str]] = {}
        for place, (group, one) in enumerate(zip(self.groups, census, strict=True)):
            if one.ready < group.vital:
                shape = shape_text(group.shape or Resources())
                lacking[place] = one.coming, f"{one.ready} of at least {group.vital} workers with {shape}"
        for name in sorted(self._queue.wanted()):
            serving = [one for one, served in zip(census, self._served, strict=True) if name in served]
            if not any(one.ready for one in serving):
                lacking[name] = sum(one.coming for one in serving), f"no worker that can serve fidelity {name!r}"
        if not any(one.ready for one in census):
            lacking["any"] = sum(one.coming for one in census), "no worker at all"
        self._short = {what: self._short.get(what, now) for what in lacking}
        patience = max(group.patience for group in self.groups)
        died = f" (the last that died: {self.last_death.splitlines()[0]})" if self.last_death else ""
        for what, (coming, text) in lacking.items():
            waited = now - self._short[what]
            if waited >= patience and not coming:
                raise ClusterLost(
                    f"{text} for {patience:g} s, and no room for more{died}: add nodes, ask for less (workers.min, "
                    "cpus, gpus, memory, custom), or wait longer (workers.patience); evo resume goes on with the run"
                )
            if waited >= patience + START_DEADLINE:
                raise ClusterLost(
                    f"{text} for {waited:.0f} s, though workers were started all the time{died}; evo resume goes on "
                    "with the run"
                )

    def _stranded(self, census: Sequence[Census]) -> set[str]:
        """Fidelities that something waits for and no worker serves that has a place."""
        here = [one.ready + one.coming for one in census]
        manned = {name for count, served in zip(here, self._served, strict=True) if count for name in served}
        return self._queue.wanted() - manned
