"""Whether a command's work is done in this process or in a master below it."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evo.engine.stopping import Stopping

__all__ = ["HANG", "PATIENCE", "RESTARTS", "Hang", "Patience", "Restarts", "Supervision"]

RESTARTS, PATIENCE, HANG = 3, 600.0, 600.0

Restarts = Annotated[
    int,
    typer.Option(min=0, help="How often in a row the master may die without progress and is started again; 0: never."),
]
Patience = Annotated[float, typer.Option(min=0, help="Seconds for which a cluster at a given address may be away.")]
Hang = Annotated[float, typer.Option(min=1, help="Seconds of silence after which a master is killed and resumed.")]


class Supervision:
    """One call of the command line; a context manager that tells the supervisor how it ended.

    Args:
        wanted: False where a program has called: its process is not ours to fork.
    """

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._master: Stopping | None = None

    @staticmethod
    def of(context: typer.Context) -> Supervision:
        """The one that the command was called with."""
        found = context.obj
        return found if isinstance(found, Supervision) else Supervision(wanted=False)

    @property
    def again(self) -> bool:
        """Whether an earlier master of this command has begun the run: what worked then is no bad input now."""
        return self._master is not None and self._master.tether.resumed

    def begin(self, restarts: int, patience: float, hang: float) -> Stopping:
        """From here on this is the master, and whatever comes next may happen again in another one."""
        from evo.engine.stopping import Stopping
        from evo.engine.supervisor import Supervisor

        if self._wanted and restarts > 0 and sys.platform == "linux":
            self._master = Supervisor(restarts, patience, hang).start()
        return self._master if self._master is not None else Stopping()

    def __enter__(self) -> Supervision:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._master is not None:
            code = error.code if isinstance(error, SystemExit) else int(error is not None)
            self._master.tether.close(code if isinstance(code, int) else int(code is not None))
