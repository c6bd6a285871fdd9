"""Breaks a writer off at one write: the process dies there, or the disk is full from there on."""

from __future__ import annotations

import math
import sqlite3
from random import Random
from typing import Any

from evo.store.writer import RunWriter

__all__ = ["Fuse", "Killed"]

_WRITES = ("INSERT", "DELETE", "COMMIT")


class Killed(BaseException):
    """The master's process dies."""


class Fuse:
    """Takes the writer's statements, and burns down by one with each row that is written.

    Args:
        writer: whose statements.
        rng: draws how long it is.
        chance: that it ends at any one write.
        full: whether the disk is full then; else the process dies, at a commit just before or just after it.
    """

    def __init__(self, writer: RunWriter, rng: Random, chance: float, full: bool) -> None:
        self._left = 1 + int(math.log(1 - rng.random()) / math.log(1 - chance))
        self._full = full
        self._late = rng.random() < 0.5
        self._execute, self._many = writer._execute, writer._many
        writer._execute, writer._many = self.execute, self.many

    def execute(self, statement: str, *rest: Any) -> Any:
        """One statement."""
        if statement.startswith(_WRITES):
            self._left -= 1
            if self._left <= 0:
                if self._late and statement == "COMMIT" and not self._full:
                    self._execute(statement, *rest)
                self._end()
        return self._execute(statement, *rest)

    def many(self, statement: str, rows: list[Any]) -> None:
        """One statement for several rows; the last of them may not be written."""
        if len(rows) >= self._left:
            self._many(statement, rows[: max(0, self._left - 1)])
            self._left = 0
            self._end()
        self._left -= len(rows)
        self._many(statement, rows)

    def _end(self) -> None:
        if self._full:
            raise sqlite3.OperationalError("database or disk is full")
        raise Killed
