"""Shows genomes as their problem does, in a process of its own with a deadline.

A problem's `show` may run anything (render a program, load a model) on a genome that nobody has seen before; the
command line must survive that.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from evo.json_text import read_json, write_json
from evo.redact import redact

if TYPE_CHECKING:
    from evo.run import Run

__all__ = ["shown", "shown_all"]

DEADLINE = 10.0
"""Seconds for one genome."""
_LIMIT = 20_000
"""Characters; nobody reads more on a terminal."""


def shown(run: Run, genome: Any, deadline: float = DEADLINE) -> tuple[str, str]:
    """(the genome as text, why it is only JSON: empty when the problem showed it)."""
    return shown_all(run, [genome], deadline)[0]


def shown_all(run: Run, genomes: Sequence[Any], deadline: float = DEADLINE) -> list[tuple[str, str]]:
    """For each genome what `shown` says; one process for all of them, and `deadline` seconds for each."""
    if run.problem is None:
        return [(_as_json(run, genome), "the problem could not be loaded") for genome in genomes]
    import cloudpickle

    try:
        content = cloudpickle.dumps((run.problem, list(genomes)))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        why = f"the problem cannot be shipped ({error})"
        return [(_as_json(run, genome), why) for genome in genomes]
    answers, missing = _asked(content, deadline)
    found = []
    for row, genome in enumerate(genomes):
        text, failure = answers[row] if row < len(answers) else ("", missing)
        found.append((_as_json(run, genome), redact(f"the problem's show {failure}")) if failure else (text, ""))
    return found


def _asked(content: bytes, deadline: float) -> tuple[list[tuple[str, str]], str]:
    """((text, failure) of each genome that the child got to, what happened to the others)."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write(content)
        given.seek(0)
        with subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,  # so that what it starts ends with it
            env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        ) as process:
            assert process.stdout is not None
            answers, late = _answers(process.stdout.fileno(), deadline)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.0 if late else deadline)
            with suppress(ProcessLookupError):  # it ended by itself, with all its children
                os.killpg(process.pid, signal.SIGKILL)
        if late:
            return answers, f"took more than {deadline:g} s"
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
        return answers, f"failed ({lines[-1] if lines else process.returncode})"


def _answers(channel: int, deadline: float) -> tuple[list[tuple[str, str]], bool]:
    """(what the child answered, one line a genome; whether the next answer was overdue)."""
    answers: list[tuple[str, str]] = []
    unread = b""
    until = time.monotonic() + deadline
    while select.select([channel], [], [], max(0.0, until - time.monotonic()))[0]:
        read = os.read(channel, 1 << 16)
        if not read:
            return answers, False
        *lines, unread = (unread + read).split(b"\n")
        answers += [(text, failure) for text, failure in map(read_json, lines)]
        if lines:
            until = time.monotonic() + deadline
    return answers, True


def _as_json(run: Run, genome: Any) -> str:
    value = genome if run.problem is None else run.problem.space.to_json(genome)
    return write_json(value)[:_LIMIT]


def _main() -> None:
    """In the child: show what comes in, keep what the problem prints out of the answers."""
    with os.fdopen(os.dup(1), "w") as channel:
        os.dup2(2, 1)
        problem, genomes = pickle.load(sys.stdin.buffer)
        for genome in genomes:
            try:
                answer = str(problem.show(genome))[:_LIMIT], ""
            except Exception as error:  # noqa: BLE001 - the supervision boundary: users' code may raise anything
                answer = "", redact(f"failed ({type(error).__name__}: {error})")[:_LIMIT]
            print(write_json(answer), file=channel, flush=True)


if __name__ == "__main__":
    _main()
