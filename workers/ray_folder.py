"""The run's artifacts as seen from other nodes: which of them see the folder, and what travels where one does not."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from evo.errors import RunError, WorkerError
from evo.problem import Problem
from evo.scratch import Scratch
from evo.worker import Kit, Message
from workers.artifacts import INLINE_ARTIFACT, MESSAGE_ARTIFACT, Keeper
from workers.ray_bench import sees

__all__ = ["Folder"]

_PROBE_SECONDS = 60.0


class Folder:
    """A mark in the run's artifacts, which tells whether a process sees the same files.

    Args:
        kit: of the run.
        here: whether all workers run on this machine, as this user.
    """

    def __init__(self, kit: Kit, here: bool) -> None:
        kind = type(kit.problem)
        self.vital = kind.prepare is not Problem.prepare or kind.needs is not Problem.needs
        """Whether the problem's own artifacts lie there, so that no worker can do without."""
        self._folder = kit.artifacts
        self._scratch = Scratch(kit.artifacts)
        self.mark: str | None = None
        """The file to look for; None where nothing is to be found out."""
        if kit.artifacts is not None and not here:
            mark = self._scratch.folder() / secrets.token_hex(8)
            mark.write_text(mark.name)
            self.mark = str(mark)

    def probe(self, nodes: Mapping[str, str]) -> None:
        """Ask the nodes (id -> address) whether they see the folder, where the problem cannot do without it.

        Raises:
            WorkerError: one does not; names the folder, the nodes and the fix.
        """
        if self.mark is None or not self.vital:
            return
        task = ray.remote(num_cpus=0, max_retries=0)(sees)
        asked = {
            task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(self.mark): node
            for node in nodes
        }
        answers, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_PROBE_SECONDS)
        blind = {}
        for answer in answers:
            try:
                blind[nodes[asked[answer]]] = ray.get(answer, timeout=_PROBE_SECONDS)
            except RayError as error:  # that node is going or gone; a worker there would say so again
                logging.getLogger("ray").warning("node %s could not be asked: %s", nodes[asked[answer]], error)
        self._refuse({node: why for node, why in blind.items() if why})

    def kept(self, artifacts: Mapping[str, bytes]) -> dict[str, bytes]:
        """What of the artifacts that came in a message belongs into the run file; large ones become files here.

        Raises:
            RunError: they cannot be written, such as on a full disk.
        """
        if self._folder is None:
            return dict(artifacts)
        large = {digest: content for digest, content in artifacts.items() if len(content) > INLINE_ARTIFACT}
        with self._used("written"):
            Keeper(self._folder, self._scratch).keep(large)
        return {digest: content for digest, content in artifacts.items() if digest not in large}

    def carrying(self, message: Message) -> Message:
        """The message with the large artifacts that it needs, those that can travel, for a worker without folder.

        Raises:
            RunError: they are there, but cannot be read.
        """
        wanted = {digest for row in message.requests.needs for digest in row} - set(message.artifacts)
        if self._folder is None or not wanted:
            return message
        found = {digest: self._folder / digest for digest in sorted(wanted)}
        with self._used("read"):
            small = {
                digest: path.read_bytes()
                for digest, path in found.items()
                if path.is_file() and path.stat().st_size <= MESSAGE_ARTIFACT
            }
        return replace(message, artifacts={**message.artifacts, **small})

    @contextmanager
    def _used(self, how: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(
                f"{self._folder}: artifacts cannot be {how} ({error.strerror or error}); what is logged is safe: make "
                "room, or put the run directory elsewhere, and go on with evo resume"
            ) from error

    def close(self) -> None:
        """Remove the mark."""
        self._scratch.clear()

    def _refuse(self, blind: Mapping[str, Any]) -> None:
        if blind:
            told = "; ".join(f"node {node}: {why}" for node, why in sorted(blind.items()))
            raise WorkerError(
                f"the problem's artifacts lie in {self._folder}, which not every node of the cluster sees ({told}): "
                "put the run directory (--run-dir) on a file system that all nodes share and that workers may write"
            )
