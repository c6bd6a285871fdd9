"""Reads a run file: for people, pictures, exports and resume. Never writes, never imports an algorithm."""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import RunError
from evo.json_text import read_json
from evo.records import Change, Outcomes, Requests, is_failure
from evo.space import Space
from evo.store.codec import decode_change, decode_outcomes, decode_requests, whole
from evo.store.lookup import OPAQUE, genomes_of, metrics_of
from evo.store.writer import SCHEMA_VERSION, unseal

__all__ = ["FILE_NAME", "Move", "RunReader", "connect_read_only"]

FILE_NAME = "run.sqlite"
_HEADER = {"spec": dict, "objectives": list, "measures": list, "archives": dict, "seed": int, "reporting": str}
"""What every header holds."""


@dataclass(frozen=True, slots=True)
class Move:
    """One logged move."""

    seq: int
    kind: str
    n: int
    first: int
    count: int
    ids: NDArray[np.int64] | None
    room: dict[str, int]
    hash: bytes | None
    budget: float


def connect_read_only(run_dir: Path) -> sqlite3.Connection:
    """A read-only connection to the run file in `run_dir`, safe beside a running master.

    Raises:
        RunError: there is no run file, or it is newer than this evo.
    """
    path = run_dir / FILE_NAME if run_dir.is_dir() else run_dir
    if not path.is_file():
        raise RunError(f"{run_dir}: no run here (expected {FILE_NAME}); evo runs lists the runs there are")
    location = f"{path.resolve().as_uri()}?mode=ro"
    if not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists():
        location += "&immutable=1"  # WAL wants to put its index beside the file; here it cannot, and nobody writes
    try:
        connection = sqlite3.connect(location, uri=True, timeout=60, check_same_thread=False, factory=_Connection)
        connection.execute("PRAGMA trusted_schema=OFF")  # a file may come from anybody
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except (sqlite3.DatabaseError, RunError) as error:
        raise RunError(f"{path}: not a run file ({error})") from error
    if version == 0:
        raise RunError(f"{path}: the run file is empty: its master died before the first tick; start the run again")
    if version > SCHEMA_VERSION:
        raise RunError(
            f"{path}: written by a newer evo (schema {version}, this reads {SCHEMA_VERSION}); upgrade evo to read it"
        )
    return connection


class _Cursor(sqlite3.Cursor):
    """Whatever is wrong with the file is a RunError."""

    def execute(self, *args: Any) -> _Cursor:
        with _readable():
            super().execute(*args)
        return self

    def __next__(self) -> Any:
        with _readable():
            return super().__next__()

    def fetchone(self) -> Any:
        with _readable():
            return super().fetchone()

    def fetchall(self) -> list[Any]:
        with _readable():
            return super().fetchall()


class _Connection(sqlite3.Connection):
    def execute(self, *args: Any) -> _Cursor:
        return self.cursor(_Cursor).execute(*args)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise RunError(f"the run file cannot be read ({error}): it is damaged, or not evo's") from error


class RunReader:
    """Queries over one run file. Methods that return genomes need the run's `space`."""

    def __init__(self, connection: sqlite3.Connection, space: Space | None = None) -> None:
        self.connection = connection
        self.space = space

    @classmethod
    def open(cls, run_dir: Path, space: Space | None = None) -> RunReader:
        """The reader of a run directory."""
        return cls(connect_read_only(run_dir), space)

    def header(self) -> dict[str, Any]:
        """The run's specification and description."""
        row = self.connection.execute("SELECT document FROM header").fetchone()
        if row is None:
            raise RunError("the run file is empty: its master died before the first tick; start the run again")
        document = _document(row[0])
        for name, kind in _HEADER.items():
            if not isinstance(document.get(name), kind):
                raise RunError(f"the run file is damaged: its header has no {name}")
        return document

    def totals(self) -> dict[str, Any]:
        """Where the run stands: state, evaluations, failures, best, operators; empty before the first tick."""
        row = self.connection.execute("SELECT document FROM totals").fetchone()
        return _document(row[0]) if row else {}

    def moves(self, after: int = -1) -> Iterator[Move]:
        """The log from the move after `after`."""
        rows = self.connection.execute("SELECT * FROM moves WHERE seq > ? ORDER BY seq", (after,))
        for row in rows:
            yield _move(*row)

    def requests(self, low: int = 0, high: int = 2**62) -> Iterator[Requests]:
        """The batches that hold ids low..high, in id order."""
        rows = self.connection.execute(
            "SELECT first, columns FROM requests WHERE first <= ? AND first + count > ? ORDER BY first", (high, low)
        )
        for first, columns in rows:
            yield decode_requests(columns, first, self._space())

    def outcomes(self, low: int = 0, high: int = 2**62) -> Iterator[Outcomes]:
        """Results whose id range meets low..high, in the order of arrival."""
        for _, outcomes in self.arrivals(low, high):
            yield outcomes

    def arrivals(self, low: int = 0, high: int = 2**62) -> Iterator[tuple[int, Outcomes]]:
        """(seq of the move before which they were there, results), in the order of arrival."""
        rows = self.connection.execute(
            "SELECT seq, columns FROM results WHERE high >= ? AND low <= ? ORDER BY id", (low, high)
        )
        for seq, columns in rows:
            yield seq, decode_outcomes(columns, self._space())

    def outcome(self, request: int) -> Outcomes | None:
        """What is logged of one request; None where nothing is."""
        batch = self.connection.execute(
            "SELECT first + count FROM requests WHERE first <= ? ORDER BY first DESC LIMIT 1", (request,)
        ).fetchone()
        if batch is None:
            return None
        rows = self.connection.execute(  # a row of results lies within one batch, which bounds the search
            "SELECT columns FROM results WHERE high >= ? AND high < ? AND low <= ?", (request, batch[0], request)
        )
        for (columns,) in rows:
            found = decode_outcomes(columns, self._space())
            place = np.flatnonzero(found.ids == request)
            if len(place):
                return found.take(place)
        return None

    def told(self) -> NDArray[np.int64]:
        """Ids that the algorithm was told, sorted."""
        parts = [
            np.arange(move.first, move.first + move.count) if move.ids is None else move.ids
            for move in self.moves()
            if move.kind == "tell"
        ]
        return np.sort(np.concatenate(parts)).astype(np.int64) if parts else np.empty(0, np.int64)

    def changes(self, archive: str | None = None, after: int = 0) -> Iterator[tuple[int, Change]]:
        """(row number, change) of one archive (default: all) after a row number, for following a run."""
        rows = self.connection.execute(
            "SELECT id, archive, columns FROM changes WHERE id > ? AND (? IS NULL OR archive = ?) ORDER BY id",
            (after, archive, archive),
        )
        for number, name, columns in rows:
            yield number, decode_change(columns, name)

    def archive(self, name: str | None = None) -> Change:
        """The elites of an archive (default: the main one), in key order, folded from its changes."""
        wanted = name if name is not None else next(iter(self.header()["archives"]), "")
        parts = [change for _, change in self.changes(wanted)]
        header = self.header()
        if not parts:
            k, m = len(header["objectives"]), len(header["measures"])
            none = np.empty(0, np.int64)
            return Change(wanted, none, none, np.empty((0, k)), np.empty((0, m)))
        keys = np.concatenate([part.keys for part in parts])[::-1]
        unique, last = np.unique(keys, return_index=True)
        rows = len(keys) - 1 - last
        candidate = np.concatenate([part.candidate for part in parts])[rows]
        held = candidate >= 0
        return Change(
            wanted,
            unique[held],
            candidate[held],
            np.concatenate([part.objectives for part in parts])[rows][held],
            np.concatenate([part.measures for part in parts])[rows][held],
        )

    def genomes(self, candidates: NDArray[np.int64]) -> Any:
        """(n, ...) genomes of the candidates, wherever they were born.

        Raises:
            RunError: a candidate is not in this run.
        """
        return genomes_of(self.connection, self._space(), candidates)

    def metrics(self, candidate: int, reporting: str) -> dict[str, Any]:
        """The further figures of a candidate, first measured at the reporting fidelity; empty without any."""
        return metrics_of(self.connection, candidate, reporting)

    def curve(self) -> list[dict[str, float]]:
        """Points of the curves: seq, evaluations, elapsed and the archives' statistics."""
        rows = self.connection.execute("SELECT seq, evaluations, elapsed, stats FROM curves ORDER BY seq")
        return [{"seq": s, "evaluations": e, "elapsed": t, **_document(stats)} for s, e, t, stats in rows]

    def events(self, kinds: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Events in order, of the given kinds only where some are given."""
        rows = self.connection.execute("SELECT seq, time, kind, detail FROM events ORDER BY id")
        return [
            {"seq": seq, "time": time, "kind": kind, **_document(detail)}
            for seq, time, kind, detail in rows
            if not kinds or kind in kinds
        ]

    def messages(self) -> Iterator[str]:
        """What failed requests had to say."""
        for (columns,) in self.connection.execute("SELECT columns FROM results ORDER BY id"):
            outcomes = decode_outcomes(columns, OPAQUE)
            if outcomes.status is not None:
                bad = is_failure(outcomes.status)
                yield from (note.message for row, note in outcomes.notes.items() if bad[row])

    def workers(self) -> list[dict[str, Any]]:
        """How busy each worker was, a session after the other; see `evo.Run.workers`."""
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        if version < 2:
            return []  # what the messages of such a run took is not known
        rows = self.connection.execute(
            "SELECT session, worker, count(*), sum(seconds), sum(cpu_seconds), min(sent), "
            "max(ended), max(outcome IN ('crash', 'timeout')), max(max(ended)) OVER (PARTITION BY session) "
            "FROM attempts WHERE seconds IS NOT NULL GROUP BY session, worker ORDER BY session, worker"
        )
        return [
            _worker(session, worker, messages, busy, cpu, (own if died else last) - sent)
            for session, worker, messages, busy, cpu, sent, own, died, last in rows
        ]

    def artifact(self, digest: str) -> bytes | None:
        """The content of a small artifact; None when it lies as a file (or is unknown)."""
        row = self.connection.execute("SELECT content FROM artifacts WHERE hash = ?", (digest,)).fetchone()
        return None if row is None else row[0]

    def snapshot(self) -> tuple[int, bytes] | None:
        """The newest snapshot: (number of moves it stands for, blob); None where there is none, or it is harmed."""
        row = self.connection.execute("SELECT seq, columns FROM snapshots ORDER BY seq DESC LIMIT 1").fetchone()
        blob = unseal(row[1]) if row else None
        return None if blob is None else (row[0], blob)

    def _space(self) -> Space:
        if self.space is None:
            raise RunError("reading genomes needs the problem's space: open the run with evo.load(run_dir)")
        return self.space


@whole
def _document(text: str) -> dict[str, Any]:
    document = read_json(text)
    if not isinstance(document, dict):
        raise TypeError(f"expected a JSON object, got {type(document).__name__}")
    return document


@whole
def _move(
    seq: int,
    kind: str,
    n: int,
    first: int,
    count: int,
    ids: bytes | None,
    room: str | None,
    digest: bytes | None,
    budget: float | None,
) -> Move:
    told = None if ids is None else np.frombuffer(ids, dtype=np.int64)
    left = math.inf if budget is None else budget
    return Move(seq, kind, n, first, count, told, read_json(room) if room else {}, digest, left)


def _worker(session: int, worker: int, messages: int, busy: float, cpu: float, elapsed: float) -> dict[str, Any]:
    return {
        "session": session,
        "worker": worker,
        "messages": messages,
        "busy": busy,
        "cpu": cpu,
        "elapsed": elapsed,
        "share": busy / elapsed if elapsed > 0 else 0.0,
    }
