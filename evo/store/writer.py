"""The one writer of a run file: the master's, one transaction a tick."""

from __future__ import annotations

import hashlib
import math
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import RunError
from evo.records import Change, Outcomes, Requests
from evo.redact import redacted
from evo.space import Space
from evo.store.codec import encode_change, encode_outcomes, encode_requests
from evo.store.plain import document as text_of

__all__ = ["SCHEMA_VERSION", "Attempt", "RunWriter", "digest", "open_file", "seal", "unseal"]

SCHEMA_VERSION = 2
_STEPS = {
    1: """
        ALTER TABLE attempts ADD COLUMN session INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE attempts ADD COLUMN seconds REAL;
        ALTER TABLE attempts ADD COLUMN cpu_seconds REAL;
        DELETE FROM snapshots; -- they hold the state of an older engine; the moves say the same
    """
}
"""schema version -> what makes a file of it one of the next version."""
_LARGE = 1 << 14
_SEAL = 16
_WIDTHS = (256, 509)
"""Columns of 64-bit words that are summed; two widths without a common divisor, to notice rows that changed places."""
PAGE_BYTES = 8192
"""Larger than SQLite's own choice: blocks of thousands of genomes cost a third less, blocks of one a tenth more."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One message's life, as the attempts table keeps it."""

    worker: int
    low: int
    high: int
    count: int
    delivered: int
    fidelity: str
    sent: float
    ended: float
    outcome: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def digest(blobs: Sequence[bytes]) -> bytes:
    """What a logged ask is compared by when it is repeated: finds changed code, not an adversary."""
    total = hashlib.blake2b(digest_size=16)
    for blob in blobs:
        if len(blob) > _LARGE:  # by sums of its 64-bit words, twenty times as fast
            words = np.frombuffer(blob, dtype="<u8", count=len(blob) // 8)
            for width in _WIDTHS:
                whole = len(words) // width * width
                total.update(np.add.reduce(words[:whole].reshape(-1, width), axis=0).tobytes())
                total.update(words[whole:].tobytes())
            blob = blob[len(words) * 8 :]
        total.update(blob)
    return total.digest()


def seal(blob: bytes) -> bytes:
    """The blob and its digest: a snapshot that was cut short or harmed must not be taken for the state of a run."""
    return blob + hashlib.blake2b(blob, digest_size=_SEAL).digest()


def unseal(sealed: bytes) -> bytes | None:
    """What `seal` was given; None where that is not known to be whole."""
    blob = sealed[:-_SEAL]
    return blob if seal(blob) == sealed else None


def open_file(path: Path | None) -> sqlite3.Connection:
    """A connection ready to write: WAL, one explicit transaction at a time. None keeps the run in memory.

    Raises:
        RunError: the file is newer than this evo, is not a run file, or its folder cannot be written.
    """
    try:
        # The master may be driven from another thread than the one that built it (a notebook's background run).
        connection = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=60, check_same_thread=False)
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")  # of a file still to be made; others keep theirs
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA trusted_schema=OFF")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        foreign = connection.execute("SELECT type FROM sqlite_master WHERE type NOT IN ('table', 'index')").fetchone()
    except sqlite3.DatabaseError as error:
        raise RunError(
            f"{path}: cannot be opened as a run file ({error}); is the folder writable and the disk free?"
        ) from error
    if foreign is not None:  # a run's file may come from anybody, and this would act on what is written
        raise RunError(f"{path}: holds a {foreign[0]}, which evo never writes: this is no run to go on with")
    if version > SCHEMA_VERSION:
        raise RunError(
            f"{path}: written by a newer evo (schema {version}, this evo reads {SCHEMA_VERSION}); upgrade evo to use it"
        )
    if version < SCHEMA_VERSION:
        if version == 0:
            script = files("evo.store").joinpath("schema.sql").read_text()
        else:
            script = "".join(_STEPS[step] for step in range(version, SCHEMA_VERSION))
        # all or nothing: a master killed half-way must leave a file that can be started again
        try:
            connection.executescript(f"BEGIN; {script} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
        except sqlite3.Error as error:
            connection.close()
            verb = "brought up to date" if version else "begun"
            raise RunError(f"{path}: cannot be {verb} ({error}); is the disk full?") from error
    return connection


class RunWriter:
    """Writes the log and the derived tables. Every method but `transaction` must be called inside one."""

    def __init__(self, connection: sqlite3.Connection, space: Space) -> None:
        self.connection = connection
        self._space = space
        self._execute = connection.execute
        self._many = connection.executemany
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        """Rows of this transaction by statement, inserted together at its end."""
        self.patience = 0.0
        """Seconds for which quick ticks may share a transaction. Only where nobody outside this process acts on what is
        logged: a crash then takes back the log and what followed from it together."""
        self._begun: float | None = None
        """When the open transaction began; the file hears of it with its first row."""
        self._lost = False
        (self._session,) = self._execute("SELECT coalesce(max(session) + 1, 0) FROM attempts").fetchone()

    @contextmanager
    def transaction(self, patient: bool = False) -> Iterator[None]:
        """All or nothing; on an error nothing of this tick is kept, nor of others that share its transaction.

        Args:
            patient: may stay open for the next ticks to join, until it is `patience` old or one that is not comes
            along.

        Raises:
            RunError: the file could not be written (disk full, read-only); what was committed before stands.
        """
        try:
            if self._begun is None:
                self._begun = time.monotonic()
            yield
            if not patient or time.monotonic() - self._begun >= self.patience:
                self.flush()
                if self.connection.in_transaction:
                    self._execute("COMMIT")
                self._begun = None
        except sqlite3.Error as error:
            self._roll_back()
            raise RunError(
                f"the run file could not be written ({error}); everything up to the last tick is safe: "
                "free some space, then evo resume"
            ) from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        self._lost = True
        self._begun = None
        self._rows.clear()
        if self.connection.in_transaction:
            self._execute("ROLLBACK")

    def _insert(self, statement: str, row: tuple[Any, ...]) -> None:
        rows = self._rows.get(statement)
        if rows is None:
            rows = self._rows[statement] = []
        rows.append(row)

    def flush(self) -> None:
        """Put what was written so far where this connection's readers find it."""
        if self._rows:
            self._begin()
            for statement, rows in self._rows.items():
                self._many(statement, rows)
            self._rows.clear()

    def _begin(self) -> None:
        if not self.connection.in_transaction:
            self._execute("BEGIN IMMEDIATE")

    def _write(self, statement: str, row: tuple[Any, ...] = ()) -> None:
        """One statement at once, for what is written seldom."""
        self._begin()
        self._execute(statement, row)

    def fold(self) -> None:
        """Move what is in the write-ahead log into the run file, so that the file alone is the run."""
        if not self.connection.in_transaction:
            with suppress(sqlite3.OperationalError):  # on a full disk the two files together are still the run
                self._execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def erase(self) -> None:
        """Take the header and the totals away: there is no run in this file."""
        self._write("DELETE FROM header")
        self._write("DELETE FROM totals")

    def header(self, document: Mapping[str, Any]) -> None:
        """The run's specification; replaces what was there."""
        self._write("INSERT OR REPLACE INTO header VALUES (0, ?)", (text_of(redacted(document)),))

    def ask(
        self, seq: int, n: int, first: int, batches: Sequence[Requests], room: Mapping[str, int], budget: float
    ) -> None:
        """An ask and the requests that it gave."""
        blobs = [encode_requests(batch, self._space) for batch in batches]
        count = sum(map(len, batches))
        self._insert(
            "INSERT INTO moves VALUES (?, 'ask', ?, ?, ?, NULL, ?, ?, ?)",
            (
                seq,
                n,
                first,
                count,
                text_of(dict(room)) if room else None,
                digest(blobs),
                None if math.isinf(budget) else budget,
            ),
        )
        for batch, blob in zip(batches, blobs, strict=True):
            self._insert("INSERT INTO requests VALUES (?, ?, ?, ?)", (int(batch.ids[0]), len(batch), seq, blob))

    def tell(self, seq: int, ids: NDArray[np.int64]) -> None:
        """A tell of these ids, in order."""
        n = len(ids)
        consecutive = n == 1 or (n > 1 and int(ids[-1]) - int(ids[0]) == n - 1 and bool((ids[1:] > ids[:-1]).all()))
        self._insert(
            "INSERT INTO moves VALUES (?, 'tell', ?, ?, ?, ?, NULL, NULL, NULL)",
            (seq, n, int(ids[0]) if n else 0, n if consecutive else 0, None if consecutive else ids.tobytes()),
        )

    def outcomes(self, seq: int, outcomes: Outcomes) -> None:
        """Results as they arrived; `seq` is the next move's number."""
        ids = outcomes.ids
        self._insert(
            "INSERT INTO results (seq, low, high, count, columns) VALUES (?, ?, ?, ?, ?)",
            (seq, int(ids.min()), int(ids.max()), len(ids), encode_outcomes(outcomes, self._space)),
        )

    def changes(self, seq: int, changes: Sequence[Change]) -> None:
        """What a tell changed in the archives."""
        for change in changes:
            if len(change.keys):
                self._insert(
                    "INSERT INTO changes (seq, archive, count, columns) VALUES (?, ?, ?, ?)",
                    (seq, change.archive, len(change.keys), encode_change(change)),
                )

    def curve(self, seq: int, evaluations: float, elapsed: float, stats: Mapping[str, float]) -> None:
        """A point of the curves."""
        self._insert(
            "INSERT OR REPLACE INTO curves VALUES (?, ?, ?, ?)", (seq, evaluations, elapsed, text_of(dict(stats)))
        )

    def totals(self, document: Mapping[str, Any]) -> None:
        """Where the run stands."""
        self._write("INSERT OR REPLACE INTO totals VALUES (0, ?)", (text_of(redacted(document)),))

    def attempt(self, attempt: Attempt) -> None:
        """A message that ended."""
        self._insert(
            "INSERT INTO attempts (worker, low, high, count, delivered, fidelity, sent, ended, outcome, session, "
            "seconds, cpu_seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                attempt.worker,
                attempt.low,
                attempt.high,
                attempt.count,
                attempt.delivered,
                attempt.fidelity,
                attempt.sent,
                attempt.ended,
                attempt.outcome,
                self._session,
                attempt.seconds,
                attempt.cpu_seconds,
            ),
        )

    def event(self, seq: int, kind: str, detail: Mapping[str, Any]) -> None:
        """Something that happened, for people and for stop rules."""
        self._insert(
            "INSERT INTO events (seq, time, kind, detail) VALUES (?, ?, ?, ?)",
            (seq, time.time(), kind, text_of(redacted(detail))),
        )

    def artifact(self, digest: str, size: int, content: bytes | None) -> None:
        """An artifact by hash; content None when it lies as a file."""
        self._insert("INSERT OR IGNORE INTO artifacts VALUES (?, ?, ?)", (digest, size, content))

    def snapshot(self, seq: int, blob: bytes) -> None:
        """A cache of all moves before `seq`; none once a tick was rolled back, for its moves are not logged."""
        if self._lost:
            return
        self._write("DELETE FROM snapshots")
        self._write("INSERT INTO snapshots VALUES (?, ?)", (seq, seal(blob)))
