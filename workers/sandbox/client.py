"""A worker's side of its fork server: hands over work, and turns what became of each child into outcomes.

Whatever a child did, the worker gets a verdict on it and goes on; a fork server that dies is started again.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evo.cluster.layout import PACKAGES
from evo.cluster.shipping import ship
from evo.errors import EvaluationError, WorkerError
from evo.records import Outcomes, Status
from evo.sandbox import ABILITIES, Sandbox
from evo.scratch import Scratch
from evo.store.reader import FILE_NAME
from evo.worker import Kit, Message
from workers.artifacts import INLINE_ARTIFACT, MESSAGE_ARTIFACT, Keeper
from workers.sandbox.abilities import lacking
from workers.sandbox.answers import GarbledError, decoded
from workers.sandbox.environment import allowed
from workers.sandbox.folder import given_back, handed_over, removed
from workers.sandbox.frames import Gone, receive, send
from workers.sandbox.joining import joined
from workers.sandbox.probe import FOLDERS, Target
from workers.sandbox.reasons import explain, verdict

if TYPE_CHECKING:
    from workers.evaluation import Bench

__all__ = ["Contained", "Server"]

START = 170.0
"""Seconds for a fork server to start and warm up; the master waits a little longer for its worker."""
BEGIN = "auto"
"""``auto``: namespaces where this user may make them, which can be another for each child, else bubblewrap where that
is installed, else neither; ``bubblewrap``: the latter two only."""
GRACE = 5.0
"""Seconds beyond a child's deadline after which a silent fork server is taken for dead."""
_FILES = ("", "-wal", "-shm")
"""What belongs to a run file."""
_LONGEST = 1 << 31
"""Seconds above which there is no deadline."""


class _BrokenError(Gone):
    """A child could not be put behind what the host offers."""


@dataclass(frozen=True)
class _Unit:
    """Rows that one child measures together."""

    low: int
    high: int
    seconds: float


class Contained:
    """The fork server of one worker.

    Args:
        kit: what is served.
        limits: fidelity -> limits, of those that are served in children.
        groups: fidelity -> rows that are measured together.
        packed: the kit as it was shipped, where it was.

    Raises:
        WorkerError: the server cannot start, or this host cannot contain what a fidelity requires.
    """

    def __init__(
        self, kit: Kit, limits: Mapping[str, Sandbox], groups: Mapping[str, int], packed: bytes | None
    ) -> None:
        self.limits = limits
        self.about: dict[str, Any] = {}
        """What the server says of itself, as plain data."""
        self._kit = kit
        self._groups = groups
        self._packed = packed if packed is not None else ship(kit)
        self._server: Server | None = None
        self._started()

    def close(self) -> None:
        """End the server and all that it started."""
        if self._server is not None:
            self._server.end()
            self._server = None

    def serve(self, bench: Bench, message: Message, low: int, high: int) -> tuple[Outcomes, dict[str, bytes]]:
        """Rows low..high of a message: (outcomes, small artifacts by hash)."""
        small: dict[str, bytes] = {}
        units = list(self._units(message, low, high))
        found = dict(self._done(bench, message, units, small))
        parts = [found[unit.low] for unit in units]
        for place, unit in enumerate(units):
            rows = unit.high - unit.low
            if parts[place] is None:  # the group has no verdict of its own: its rows get theirs
                alone = [_Unit(row, row + 1, unit.seconds / rows) for row in range(unit.low, unit.high)]
                single = dict(self._done(bench, message, alone, small))
                parts[place] = joined([one for row in alone if (one := single[row.low]) is not None])
        return joined([part for part in parts if part is not None]), small

    def _units(self, message: Message, low: int, high: int) -> Iterator[_Unit]:
        group = 1 if message.requests.make is not None else self._groups.get(message.requests.fidelity, 1)
        for start in range(low, high, group):
            end = min(start + group, high)
            yield _Unit(start, end, message.deadline * (end - start))

    def _done(
        self, bench: Bench, message: Message, units: list[_Unit], small: dict[str, bytes]
    ) -> Iterator[tuple[int, Outcomes | None]]:
        """(first row, outcomes) of each unit; None where a group of several rows came to a bad end."""
        left = list(units)
        deaths = 0
        while left:
            try:
                units = left[:] if deaths < 2 else left[:1]
                for unit, outcomes in self._asked(bench, message, units, small):
                    left.remove(unit)
                    deaths = 0
                    yield unit.low, outcomes
            except Gone as error:
                deaths += 1
                self.close()
                if deaths > 2 and isinstance(error, _BrokenError):
                    raise WorkerError(f"sandbox: a child could not be set up: {error}") from error
                if deaths > 2:  # it was alone with a new server when that died
                    unit = left.pop(0)
                    deaths = 0
                    alone = unit.high - unit.low == 1
                    reason = f"sandbox: the fork server died while this was under evaluation: {error}"
                    request = message.requests.take(slice(unit.low, unit.high))
                    yield unit.low, bench.unserved(request, Status.CRASHED, reason) if alone else None

    def _asked(
        self, bench: Bench, message: Message, units: list[_Unit], small: dict[str, bytes]
    ) -> Iterator[tuple[_Unit, Outcomes | None]]:
        server = self._started()
        fidelity = message.requests.fidelity
        limits = self.limits[fidelity]
        concurrency = self._kit.problem.evaluator.fidelities.get(fidelity)
        at_once = concurrency.concurrency if concurrency is not None else 1
        room = Scratch(self._kit.artifacts)
        folders = []
        try:
            for _ in units:
                folders.append(room.folder())
                handed_over(folders[-1], server.uid)
            told = [
                (one.low, one.high, min(one.seconds, _LONGEST), str(folder))
                for one, folder in zip(units, folders, strict=True)
            ]
            send(server.socket, {"at_once": at_once}, pickle.dumps((message, limits, told), 5))
            longest = max(one[2] for one in told)
            while True:
                head, answer = receive(server.socket, min(longest + GRACE, _LONGEST))
                if head["number"] < 0:
                    return
                unit, folder = units[head["number"]], folders[head["number"]]
                yield unit, self._outcomes(bench, message, unit, head, answer, folder, room, small)
                removed(folder)
        except BaseException:
            self.close()  # its children hold folders that are about to go
            raise
        finally:
            for folder in folders:
                removed(folder)
            room.clear()

    def _outcomes(
        self,
        bench: Bench,
        message: Message,
        unit: _Unit,
        head: Mapping[str, Any],
        answer: bytes,
        folder: Path,
        room: Scratch,
        small: dict[str, bytes],
    ) -> Outcomes | None:
        """The verdict on one unit."""
        requests = message.requests.take(slice(unit.low, unit.high))
        limits = self.limits[requests.fidelity]
        how, detail = head["how"], head["detail"]
        if how == "broken":
            raise _BrokenError(detail)
        if how == "answer":
            try:
                largest = MESSAGE_ARTIFACT if self._kit.artifacts is None else INLINE_ARTIFACT
                found = decoded(answer, requests, bench.space, bench.widths, largest)
                keeper = Keeper(self._kit.artifacts, room)
                for digest in sorted(found.large):
                    given_back(folder, digest, keeper, self._uid)
                outcomes = found.outcomes
                small.update(found.small)
                explain(outcomes, limits)
                return _timed(outcomes, head)
            except (GarbledError, EvaluationError, OSError) as error:
                how, detail = "garbled", str(error)
        if len(requests) > 1:
            return None
        status, reason = verdict(how, detail, limits, head["tail"])
        return _timed(bench.unserved(requests, status, reason), head)

    @property
    def _uid(self) -> int | None:
        return self._server.uid if self._server is not None else None

    def _started(self) -> Server:
        if self._server is None:
            self._server = Server(self._kit, self._packed, self.limits)
            about = self._server.about
            missing = {name: why for one in self.limits.values() for name, why in lacking(one, about["contained"])}
            if missing:
                self.close()
                told = "; ".join(f"{name} ({why})" for name, why in missing.items())
                raise WorkerError(f"sandbox.require: this host does not contain {told}")
            self.about = {"fidelities": sorted(self.limits), **about}
        return self._server


class Server:
    """One fork server's process."""

    def __init__(self, kit: Kit | None, packed: bytes, limits: Mapping[str, Sandbox]) -> None:
        for place in (path for one in limits.values() for path in one.write):
            if not os.path.exists(place):
                raise WorkerError(
                    f"sandbox.write: expected files and folders that exist where workers run, got {place!r}: "
                    f"make it, or leave it out"
                )
        ours, theirs = socket.socketpair()
        self.socket = ours
        self.about: dict[str, Any] = {}
        environment = allowed(name for one in limits.values() for name in one.environment)
        homes = [str(Path(importlib.import_module(name).__path__[0]).parent) for name in PACKAGES]
        start = environment | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(homes))}
        path = [os.path.abspath(one) for one in sys.path]
        artifacts = kit.artifacts if kit is not None else None
        networked = any(one.network for one in limits.values())
        keep = [str(artifacts or tempfile.gettempdir()), *(path for one in limits.values() for path in one.write)]
        told = ["network" if networked else "none", *dict.fromkeys(keep)]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "workers.sandbox.server", str(theirs.fileno()), BEGIN, *told],
                stdin=subprocess.DEVNULL,
                stdout=2,
                env=start,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._finalizer = weakref.finalize(self, _end, self._process, ours, os.getpid())
        with tempfile.TemporaryDirectory(prefix="evo-probe-") as probe:
            target = Target(Path(probe))
            room = Scratch(artifacts)
            folders = [room.folder() for _ in range(FOLDERS)]
            head: dict[str, Any] = {
                "environment": environment,
                "path": path,
                "homes": homes,
                "paths": [*path, sys.prefix, sys.base_prefix, str(artifacts or tempfile.gettempdir())],
                "networked": networked,
                "secrets": [str(artifacts.parent / (FILE_NAME + end)) for end in _FILES] if artifacts else [],
                "artifacts": str(artifacts) if artifacts else None,
                "target": target.told(),
                "folders": [str(folder) for folder in folders],
            }
            try:
                send(ours, head, packed)
                self.about, _ = receive(ours, START)
                if "error" in self.about:
                    raise WorkerError(f"sandbox: the fork server could not warm up: {self.about['error']}")
                self.uid: int | None = self.about["uid"]
                for folder in folders:
                    handed_over(folder, self.uid)
                send(ours, {})
                self.about["contained"] = _contained(receive(ours, START)[0], target)
            except Gone as error:
                raise WorkerError(f"sandbox: the fork server did not start: {error}") from error
            finally:
                if "contained" not in self.about:
                    self.end()
                target.close()
                for folder in folders:
                    removed(folder)
                room.clear()

    def end(self) -> None:
        """End it and everything below it."""
        self._finalizer()


def _contained(probe: Mapping[str, Any], target: Target) -> dict[str, str]:
    """ability -> what got through, nothing where it is contained.

    Raises:
        WorkerError: no child could be started at all.
    """
    if "broken" in probe:
        raise WorkerError(f"sandbox: a child could not be set up: {probe['broken']}")
    reached = {**probe["reached"], **target.reached()}
    if probe["environment"] is not None and probe["environment"] == target.environment():
        reached["environment"] = "the worker's can be read under /proc"
    return {name: reached.get(name, "") for name in ABILITIES}


def _end(process: subprocess.Popen[bytes], control: socket.socket, owner: int) -> None:
    """Hang up, upon which the server ends its children and itself; where it does not, it is killed."""
    if os.getpid() != owner:
        return
    control.close()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)


def _timed(outcomes: Outcomes, head: Mapping[str, Any]) -> Outcomes:
    outcomes.seconds, outcomes.cpu_seconds = head["seconds"], head["cpu_seconds"]
    return outcomes
