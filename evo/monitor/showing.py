"""Shows a genome as its problem does, in a process of its own with a deadline.

A problem's `show` may run anything (render a program, load a model) on a genome that nobody has seen before; the
command line must survive that.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evo.run import Run

__all__ = ["shown"]

DEADLINE = 10.0
"""Seconds."""
_LIMIT = 20_000
"""Characters; nobody reads more on a terminal."""


def shown(run: Run, genome: Any, deadline: float = DEADLINE) -> tuple[str, str]:
    """(the genome as text, why it is only JSON: empty when the problem showed it)."""
    if run.problem is None:
        return _as_json(run, genome), "the problem could not be loaded"
    import cloudpickle

    try:
        content = cloudpickle.dumps((run.problem, genome))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        return _as_json(run, genome), f"the problem cannot be shipped ({error})"
    with subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # so that what it starts ends with it
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
    ) as process:
        try:
            text, errors = process.communicate(content, timeout=deadline)
        except subprocess.TimeoutExpired:
            return _as_json(run, genome), f"the problem's show took more than {deadline:g} s"
        finally:
            with suppress(ProcessLookupError):  # it ended by itself, with all its children
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        lines = errors.decode(errors="replace").strip().splitlines()
        return _as_json(run, genome), f"the problem's show failed ({lines[-1] if lines else process.returncode})"
    return text.decode(errors="replace")[:_LIMIT], ""


def _as_json(run: Run, genome: Any) -> str:
    value = genome if run.problem is None else run.problem.space.to_json(genome)
    return json.dumps(value)[:_LIMIT]


def _main() -> None:
    """In the child: show what comes in, keep what the problem prints out of the answer."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    problem, genome = pickle.load(sys.stdin.buffer)
    text = problem.show(genome)
    answer.write(str(text)[:_LIMIT].encode(errors="replace"))
    answer.close()


if __name__ == "__main__":
    _main()
