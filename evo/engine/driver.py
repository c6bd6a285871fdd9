"""Drives a master to its end: stops, progress, totals, snapshots. All of it may be missed without losing work."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

from evo.engine.master import Master
from evo.engine.stopping import Stopping
from evo.store.columns import pack
from evo.store.writer import RunWriter

__all__ = ["Driver", "Monitor"]

TOTALS_SECONDS = 0.5
UPDATE_SECONDS = 0.2


class Monitor(Protocol):
    """Watches a run from inside the master's process."""

    def start(self, header: Mapping[str, Any]) -> None:
        """The run begins."""

    def update(self, totals: Mapping[str, Any]) -> None:
        """Where it stands; called a few times a second at most."""

    def finish(self, run: Any) -> None:
        """The run ended, for whatever reason."""


class Driver:
    """One session of a run."""

    def __init__(
        self,
        master: Master,
        writer: RunWriter | None,
        *,
        before: Mapping[str, Any],
        snapshot_seconds: float,
        monitor: Monitor | None,
        stopping: Stopping,
    ) -> None:
        self.master = master
        self._writer = writer
        self._before = before
        """Totals of earlier sessions."""
        self._snapshot_seconds = snapshot_seconds
        self._monitor = monitor
        self._started = time.monotonic()
        self._stopping = stopping
        self.summary: dict[str, Any] = {}
        self._last_update = 0.0
        self._last_totals = 0.0
        self._last_snapshot = self._started
        self._written: Mapping[str, Any] = {}
        """The totals last written."""

    def elapsed(self) -> float:
        """Seconds over all sessions."""
        return float(self._before.get("elapsed", 0.0)) + time.monotonic() - self._started

    def drive(self, handle_signals: bool) -> tuple[str, str]:
        """Tick until the end; returns (state, reason). The log is complete up to the last tick whatever happens."""
        self._stopping.drains = True
        try:
            while self.master.ended is None and not self._stopping.asked:
                self._tick()
            if self.master.ended is None:
                self._drain()
        except KeyboardInterrupt:
            if not handle_signals:
                raise
            return "interrupted", "stopped at once; what was under way is done again on resume"
        finally:
            self._stopping.drains = False
        if self.master.ended is not None:
            return self.master.ended
        return "interrupted", "stopped on request; resumable"

    def _tick(self) -> None:
        self.master.tick()
        self._stopping.tether.beat()
        self._periodically()

    def _drain(self) -> None:
        """What is under way is finished and logged, nothing new is begun."""
        master = self.master
        master.draining = True
        assert master.dispatcher is not None
        while master.dispatcher.in_flight and self._stopping.patient:
            self._tick()

    # Progress ---------------------------------------------------------------------------------------------------------

    def _periodically(self) -> None:
        now = time.monotonic()
        if self._monitor is not None and now - self._last_update >= UPDATE_SECONDS:
            self._last_update = now
            self._monitor.update(self.totals("running", ""))
        if self._writer is None:
            return
        if now - self._last_totals >= TOTALS_SECONDS:
            self._last_totals = now
            self.write_totals("running", "")
        if now - self._last_snapshot >= self._snapshot_seconds:
            self.snapshot()
            self._last_snapshot = time.monotonic()

    def snapshot(self) -> None:
        """Keep a cache of the moves so far."""
        if self._writer is not None and not self.master.torn:
            with self._writer.transaction():
                self._writer.snapshot(self.master.seq, pack(self.master.state()))

    def write_totals(self, state: str, reason: str) -> None:
        """Record how the session ended; after a tick that was broken off, with the counts last written."""
        if self._writer is not None:
            totals = self.totals(state, reason)
            if self.master.torn:
                kept = ("performed", "attempts", "worker_seconds", "cpu_seconds", "elapsed", "workers")
                totals = {**self._written, **{name: totals[name] for name in kept}}
            with self._writer.transaction():
                self._writer.totals({**totals, "state": state, "reason": reason})
            self._written = totals

    def totals(self, state: str, reason: str) -> dict[str, Any]:
        """Where the run stands, for the totals table, monitors and people."""
        master = self.master
        tally = master.tally.document()
        dispatcher = master.dispatcher
        before = self._before
        best = tally["best"]
        return {
            "state": state,
            "reason": reason,
            "evaluations": tally["evaluations"],
            "budget": {"evaluations": master.rules.evaluations, "seconds": master.rules.seconds},
            "expected": master.algorithm.expected,
            "asked": tally["asked"],
            "told": tally["told"],
            "repeats": tally["repeats"],
            "performed": before.get("performed", 0) + (dispatcher.performed if dispatcher else 0),
            "attempts": before.get("attempts", 0) + (dispatcher.attempted if dispatcher else 0),
            "worker_seconds": before.get("worker_seconds", 0.0) + (dispatcher.seconds if dispatcher else 0.0),
            "cpu_seconds": before.get("cpu_seconds", 0.0) + (dispatcher.cpu_seconds if dispatcher else 0.0),
            "failures": tally["failures"],
            "rejected": tally["rejected"],
            "best": best,
            "operators": tally["operators"],
            "costs": tally["costs"],
            "counters": tally["counters"],
            "artifacts": tally["artifacts"],
            "elapsed": self.elapsed(),
            "workers": {
                "alive": dispatcher.alive if dispatcher else 0,
                "busy": dispatcher.busy if dispatcher else 0,
                "lost": before.get("workers", {}).get("lost", 0) + (dispatcher.lost if dispatcher else 0),
            },
            "sandbox": (dispatcher.sandbox if dispatcher else None) or before.get("sandbox"),
            "stats": master.stats(),
            "summary": self.summary,
        }
