"""What ties a master to the supervisor that started it: one page of memory that both see.

Memory rather than a pipe, because neither side may ever wait for the other: a supervisor that is stopped must not stop
its master, and a master that hangs must not stop its supervisor. A master without a supervisor has a page of its own.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["Tether"]

_BEATS, _WATCHED, _BEGUN, _CODE, _INTERRUPTS, _URGENT, _LENGTH = range(7)
"""Places of the numbers, 8 bytes each and written at once; the text follows."""
_TEXT = 8 * 16
_SIZE = 4 * mmap.PAGESIZE


class Tether:
    """Made by the supervisor before it forks the master.

    Args:
        restarts: why earlier masters of this run ended, as far as the run file does not say so yet.
        directory: of the run, where an earlier master has claimed it.
        begun: whether an earlier master has put all that this command asks for into the run file.
        supervised: False for a master that nobody watches.
    """

    def __init__(
        self,
        restarts: Sequence[str] = (),
        directory: Path | None = None,
        begun: bool = False,
        supervised: bool = False,
    ) -> None:
        self.restarts = restarts
        self.directory = directory
        self.resumed = begun
        self.supervised = supervised
        self._page = mmap.mmap(-1, _SIZE)  # shared with children
        self._numbers = memoryview(self._page).cast("Q")

    # The master's side ------------------------------------------------------------------------------------------------

    def beat(self) -> None:
        """The loop goes on."""
        self._numbers[_BEATS] += 1

    def watch(self, least: int) -> None:
        """From now on a silence of so many seconds at least, and of what the user says, means that the master hangs."""
        self._numbers[_BEATS] += 1
        self._numbers[_WATCHED] = least + 1

    def unwatch(self) -> None:
        """From now on the master may be silent for as long as it likes."""
        self._numbers[_WATCHED] = 0

    def announce(self, **facts: Any) -> None:
        """Say where the run is (`run`), and of which kind its workers are (`backend`, `address`)."""
        content = json.dumps({**self.facts, **facts}).encode()
        self._numbers[_LENGTH] = 0
        self._page[_TEXT : _TEXT + len(content)] = content
        self._numbers[_LENGTH] = len(content)

    def begin(self) -> None:
        """The run file holds all that the command asked for, and why there were restarts."""
        self._numbers[_BEGUN] = 1

    def close(self, code: int) -> None:
        """The master ends in order, with this exit code."""
        self._numbers[_CODE] = code + 1

    # The supervisor's side --------------------------------------------------------------------------------------------

    @property
    def beats(self) -> int:
        """Grows as long as the loop goes on."""
        return self._numbers[_BEATS]

    @property
    def least(self) -> int | None:
        """Seconds of silence below which the master does not hang; None where it may be silent."""
        return self._numbers[_WATCHED] - 1 if self._numbers[_WATCHED] else None

    @property
    def begun(self) -> bool:
        """Whether the run file holds what the command asked for."""
        return bool(self._numbers[_BEGUN])

    @property
    def code(self) -> int | None:
        """The exit code of a master that has ended, or is ending, in order."""
        return self._numbers[_CODE] - 1 if self._numbers[_CODE] else None

    @property
    def facts(self) -> dict[str, Any]:
        """What was announced."""
        length = self._numbers[_LENGTH]
        found: dict[str, Any] = json.loads(self._page[_TEXT : _TEXT + length]) if length else {}
        return found

    def interrupt(self) -> None:
        """One SIGINT more has come to the supervisor."""
        self._numbers[_INTERRUPTS] += 1

    def hurry(self) -> None:
        """The supervisor was asked to end soon (SIGTERM, SIGHUP)."""
        self._numbers[_URGENT] = 1

    @property
    def interrupts(self) -> int:
        """SIGINTs that came to the supervisor."""
        return self._numbers[_INTERRUPTS]

    @property
    def urgent(self) -> bool:
        """Whether the supervisor was asked to end soon."""
        return bool(self._numbers[_URGENT])
