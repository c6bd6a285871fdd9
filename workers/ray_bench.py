"""What lives in the process of a Ray worker: a bench that is handed messages and hands back outcomes, as bytes.

The class travels to the worker by value and needs the standard library only, because its first task is to make sure
that `evo` and its companions are the right ones: Ray puts the driver's folders first on a worker's path, and a folder
called `problems` may stand there. Messages and outcomes are packed by hand: plain pickling is cheaper than Ray's, which
looks at every object for things that these records never hold.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pickle
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.evaluation import Bench

__all__ = ["RayBench", "sees"]


class RayBench:
    """The actor: one bench, one message after the other."""

    def __init__(self, threads: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the master, which ends its workers in order
        for name in ("OMP", "MKL", "OPENBLAS"):  # read when the libraries load, which is later than this
            os.environ[f"{name}_NUM_THREADS"] = str(threads)
        self._bench: Bench | None = None

    def place(self) -> str:
        """The node's id: there is a place."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def warm(
        self, kit: bytes, version: str, marks: dict[str, str], home: str | None, path: Sequence[str], mark: str | None
    ) -> tuple[dict[str, Any], str]:
        """Find our packages, open the kit, warm the problem up.

        Args:
            kit: from `evo.cluster.shipping.ship`.
            version: the master's evo.
            marks: fingerprints of the four packages.
            home: where they lie on the master's machine, None when this may be another one.
            path: the master's import path, for what user modules import late.
            mark: a file that the master has put into the run's artifacts; None where there is none to look for.

        Returns:
            (what the worker says of itself, complaint); the complaint is empty when the worker is ready. Where it does
            not see the run's artifacts, ``artifacts`` says why and it works without.
        """
        import socket

        about: dict[str, Any] = {"node": self.place(), "host": socket.gethostname(), "pid": os.getpid()}
        complaint = _adopt(marks, [home] if home else [])
        if complaint:
            return about, complaint
        sys.path.extend(folder for folder in path if folder not in sys.path)
        import evo

        if evo.__version__ != version:
            return about, f"evo {evo.__version__} is installed on this worker, but the master runs {version}"
        from evo.cluster.shipping import unship
        from workers.evaluation import Bench

        opened = unship(kit)
        blind = sees(mark) if mark is not None else ""
        if blind:
            opened, about["artifacts"] = replace(opened, artifacts=None), blind
        self._bench = Bench(opened, kit)
        return {**about, **self._bench.about}, ""

    def run(self, packed: bytes) -> bytes:
        """Serve a message whose rows are delivered together."""
        message = pickle.loads(packed)
        assert self._bench is not None
        return pickle.dumps(self._bench.serve(message, 0, len(message.requests)), 5)

    def stream(self, packed: bytes) -> Iterator[bytes]:
        """Serve a message chunk by chunk, delivering each as it is done."""
        message = pickle.loads(packed)
        assert self._bench is not None
        for low in range(0, len(message.requests), message.chunk):
            yield pickle.dumps(self._bench.serve(message, low, min(low + message.chunk, len(message.requests))), 5)


def sees(mark: str) -> str:
    """Why a process cannot use the run's artifacts, nothing when it can: it must see the file there and write one."""
    folder = os.path.dirname(mark)
    try:
        with open(mark, "rb") as file:
            if file.read() != os.path.basename(mark).encode():
                return f"{folder} is another folder there"
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return f"{folder}: {error.strerror}"


class _Finder(MetaPathFinder):
    """Imports the four names from where they were found, whatever else lies on the path."""

    def __init__(self, where: dict[str, str]) -> None:
        self.where = where

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.where:
            return None
        return PathFinder.find_spec(fullname, [self.where[fullname]])


def _adopt(marks: dict[str, str], homes: list[str]) -> str:
    """Make the four names mean our packages in this process; returns what stands in the way, or nothing."""
    where = {}
    for name, mark in marks.items():
        loaded = sys.modules.get(name)
        if loaded is not None and not _marked(os.path.dirname(loaded.__file__ or ""), mark):
            return _complaint(name, os.path.dirname(loaded.__file__ or name))
        for folder in [*homes, *sys.path]:
            if _marked(os.path.join(folder, name), mark):
                where[name] = folder
                break
    sys.meta_path.insert(0, _Finder(where))
    for name, mark in marks.items():
        if name in where:
            continue
        spec = importlib.util.find_spec(name)  # installed in place: found by an installer's finder, not on the path
        if spec is None:
            return f"evo's package {name!r} is not on this worker: install the master's evo there"
        found = os.path.dirname(spec.origin or name)
        if not _marked(found, mark):
            return _complaint(name, found)
    return ""


def _complaint(name: str, folder: str) -> str:
    return (
        f"{folder} is in the way on this worker: evo has a package of its own called {name!r} (or that folder holds "
        "another version of evo); rename that folder, start the run from elsewhere, or install the master's evo there"
    )


def _marked(folder: str, mark: str) -> bool:
    try:
        with open(os.path.join(folder, "__init__.py"), "rb") as file:
            return hashlib.blake2b(file.read(), digest_size=16).hexdigest() == mark
    except OSError:
        return False
