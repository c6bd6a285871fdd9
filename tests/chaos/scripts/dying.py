"""A run that is killed -9 at a moment of its choice: ``dying.py MOMENT AT DIR``.

Moments: ``statement`` (the AT-th SQL statement of this process, whatever it is: making the file, the header, a block of
results, a commit, a snapshot, the reading of a replay), ``snapshot`` and ``fold`` (in the middle of the AT-th one),
``export`` (half-way through writing the canonical form). AT 0 counts and kills nothing: prints how often it came.
"""

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[3]), str(Path(__file__).parents[2])]

from engine.scripts.endless import go

import evo.store.canonical as written
from evo.store.writer import RunWriter

COUNT = 0


def passed(at: int) -> None:
    """The moment came; the AT-th time is the last."""
    global COUNT
    COUNT += 1
    if at == COUNT:
        os.kill(os.getpid(), signal.SIGKILL)


def watch_statements(at: int) -> None:
    """Every connection tells each statement before it is run."""
    connect = sqlite3.connect

    def watched(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        connection.set_trace_callback(lambda statement: passed(at))
        return connection

    sqlite3.connect = watched


def watch(owner: Any, name: str, at: int) -> None:
    """A function tells when it has done its work, before whoever called it goes on."""
    function: Callable[..., Any] = getattr(owner, name)

    def watched(*args: Any, **options: Any) -> Any:
        found = function(*args, **options)
        passed(at)
        return found

    setattr(owner, name, watched)


def main(moment: str, at: int, folder: Path) -> None:
    """Run, or go on, and export."""
    if moment == "statement":
        watch_statements(at)
    elif moment == "export":
        watch(written, "_line", at)
    else:
        watch(RunWriter, moment, at)
    run = go(folder)
    run.export("canonical", folder.with_name("exported"))
    print(COUNT)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
