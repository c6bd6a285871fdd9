"""Ray is only ever used in a process of its own: a driver that loses its cluster is ended by Ray without a word.

Run as ``python -m evo.doctor.ray_child WHAT ARGUMENTS``, it prints one finding a line, as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict

from evo.doctor.finding import Finding, no

__all__ = ["asked", "said"]

_MARK = "finding "


def asked(arguments: Sequence[str], what: str, deadline: float) -> Iterator[Finding]:
    """What the child says, line by line; at the deadline it and all that it started are ended.

    Args:
        arguments: of the child.
        what: for the line that is printed when it does not finish.
        deadline: seconds.
    """
    path = os.pathsep.join(entry for entry in sys.path if entry)
    environment = {"RAY_USAGE_STATS_ENABLED": "0", **os.environ, "PYTHONPATH": path}
    with subprocess.Popen(
        [sys.executable, "-m", __name__, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        env=environment,
        start_new_session=True,
    ) as child:
        watch = _Watch(child, deadline)
        other = ""
        try:
            assert child.stdout is not None
            for line in child.stdout:
                if line.startswith(_MARK):
                    yield Finding(**json.loads(line.removeprefix(_MARK)))
                elif line.strip():
                    other = line.strip()
            code = child.wait()
        finally:
            watch.end()
    if watch.struck:
        remedy = "see whether the cluster is up, and whether ports are closed"
        yield no(what, f"no answer within {deadline:.0f} s", remedy)
    elif code:
        yield no(what, f"ended with code {code}: {other[-300:]}", "look into the logs of Ray (/tmp/ray/session_latest)")


def said(finding: Finding) -> None:
    """In the child: one line."""
    print(_MARK + json.dumps(asdict(finding)), flush=True)


class _Watch:
    """Ends the child's group at a deadline: reading its lines has none."""

    def __init__(self, child: subprocess.Popen[str], deadline: float) -> None:
        self.struck = False
        self._child = child
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._wait, args=(time.monotonic() + deadline,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """The child is not needed any more."""
        self._ended.set()
        self._thread.join()

    def _wait(self, until: float) -> None:
        self.struck = not self._ended.wait(max(0.0, until - time.monotonic()))
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)


def _main() -> None:
    from evo.doctor import ray_nodes

    what, *arguments = sys.argv[1:]
    if what == "start":
        ray_nodes.start()
    else:
        address, nonce_file, nonce = arguments
        ray_nodes.visit(address, nonce_file, nonce)


if __name__ == "__main__":
    _main()
