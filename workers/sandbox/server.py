"""The fork server: a process that opens the kit and warms the problem up once, and does each unit in a forked child.

Started by `workers.sandbox.client` as ``python -P -m workers.sandbox.server DESCRIPTOR``, with few variables in its
environment, so that no secret of the worker's is in it or in its children. Threads do not live on in a forked child,
so libraries are told to use as many as the worker does, or one, before they load; and a CUDA context must not be made
in `warm_up`, as no child could use it.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers.sandbox.frames import Gone, Outbox, receive, send
from workers.sandbox.kernel import CHILD_SUBREAPER, PDEATHSIG, prctl
from workers.sandbox.means import Means, enter, settle, wrap

if TYPE_CHECKING:
    from evo.sandbox import Sandbox
    from evo.worker import Message
    from workers.evaluation import Bench

__all__ = ["PACKAGES", "main"]

_NEEDED = ("workers.sandbox.answers", "workers.sandbox.watch", "evo.store.codec", "tempfile", "traceback")

PACKAGES = ("evo", "problems", "operators", "workers")
"""Ours; a folder of the user's of the same name must not stand in front of them."""


def main() -> None:
    """Serve one worker until it hangs up.

    Arguments: the socket's descriptor, how to begin (``auto``, ``bubblewrap``, or ``wrapped`` inside of that), whether
    children may need the network, and what is to stay writable.
    """
    descriptor, begin, network, *writable = sys.argv[1:]
    prctl(PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the master
    own = begin != "bubblewrap" and enter()
    if (own is None and begin == "auto") or begin == "bubblewrap":
        wrap([descriptor, "wrapped", network, *writable], network == "network", writable)
    prctl(PDEATHSIG, signal.SIGKILL)
    control = socket.socket(fileno=int(descriptor))
    try:
        head, body = receive(control)
        _find(head)
        _serve(control, head, body, bool(own) or begin == "wrapped", begin == "wrapped")
    except Gone:
        return


def _serve(control: socket.socket, head: Mapping[str, Any], kit: bytes, private: bool, wrapped: bool) -> None:
    from evo.evaluator import reason_of

    begun = time.monotonic()
    try:
        bench = _bench(head, kit) if kit else None
    except BaseException as error:  # noqa: BLE001 - users' warm_up may raise anything; the worker tells the master
        send(control, {"error": reason_of(error)})
        return
    warm = time.monotonic() - begun
    means = settle(private, wrapped, head["paths"], head["networked"], head["secrets"])
    if not means.pids:
        prctl(CHILD_SUBREAPER, 1)
    for module in _NEEDED:  # imported here once, or by every child again
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what is warm is never garbage: no child shall touch, and so copy, its pages
    from workers.sandbox.probe import probed

    server = _Server(control, bench, means, bool(head["networked"]))
    send(control, {"means": means.describe(), "warm_seconds": warm, "uid": means.uid})
    receive(control)  # the folders are the children's own now; this process can write nowhere
    send(control, probed(means, server.run, head["target"], head["folders"]))
    while True:
        head, body = receive(control)
        server.job(head, body)


def _find(head: Mapping[str, Any]) -> None:
    """Give this process its environment, and the worker's import path with our packages found first."""
    os.environ.pop("PYTHONPATH", None)
    os.environ.update(head["environment"])
    sys.path[:] = [*head["homes"], *head["path"]]
    for name in PACKAGES:
        importlib.import_module(name)
    sys.path[:] = head["path"]


def _bench(head: Mapping[str, Any], kit: bytes) -> Bench:
    from evo.cluster.shipping import unship
    from workers.evaluation import Bench

    opened = unship(kit)
    artifacts = head["artifacts"]
    return Bench(replace(opened, sandbox=False, artifacts=None if artifacts is None else Path(artifacts)))


class _Server:
    """What is the same for all jobs."""

    def __init__(self, control: socket.socket, bench: Bench | None, means: Means, networked: bool) -> None:
        self._control = control
        self._bench = bench
        self._means = means
        self._networked = networked

    def run(self, tasks: Any, at_once: int = 1, outbox: Outbox | None = None) -> Any:
        """Follow tasks to their ends."""
        from workers.sandbox.watch import followed

        waiting = outbox if outbox is not None else Outbox(self._control)
        return followed(tasks, self._means, at_once, self._shared, self._control.fileno(), waiting)

    def _shared(self, limits: Sandbox) -> bool:
        """Whether the server's own network is right for these limits: none at all, or a real one that is allowed."""
        return limits.network or not self._networked

    def job(self, head: Mapping[str, Any], body: bytes) -> None:
        """Serve the rows of a message, each unit in a child."""
        from workers.sandbox.watch import Task

        message: Message
        message, limits, units = pickle.loads(body)
        tasks = [
            Task(number, self._work(message, low, high, folder), limits, deadline, folder)
            for number, (low, high, deadline, folder) in enumerate(units)
        ]
        outbox = Outbox(self._control)
        for ended in self.run(tasks, head["at_once"], outbox):
            outbox.put({name: value for name, value in vars(ended).items() if name != "answer"}, ended.answer)
            outbox.push()
        outbox.put({"number": -1})
        outbox.empty()

    def _work(self, message: Message, low: int, high: int, folder: str) -> Callable[[], bytes]:
        def work() -> bytes:
            from workers.sandbox.answers import encoded

            assert self._bench is not None
            return encoded(*self._bench.serve_into(message, low, high, Path(folder)), self._bench.space)

        return work


if __name__ == "__main__":
    main()
