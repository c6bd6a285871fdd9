"""One sitting of a run: hire workers, drive the master, report, let everything go."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from evo.archive import Elites
from evo.engine.build import Plan
from evo.engine.driver import Driver, Monitor
from evo.engine.rundir import ARTIFACTS
from evo.engine.stopping import Stopping
from evo.errors import ClusterLost, EvoError
from evo.json_text import read_json, write_json
from evo.problem import Best
from evo.records import Change, Results
from evo.redact import redact
from evo.run import Run, load
from evo.scratch import sweep
from evo.store.plain import finite
from evo.worker import Kit

__all__ = ["Sitting"]

START_SECONDS, CLOSE_SECONDS = 300, 60
"""For which workers may keep the master waiting as they are hired and let go: Ray gives itself a minute for a start."""
SHARED_SECONDS = 0.02
"""Where work is done in this process, ticks of less than this share a commit: a crash loses no more work than this."""


class Sitting:
    """From the plan to the end of this sitting."""

    def __init__(
        self,
        plan: Plan,
        monitor: Monitor | None,
        snapshot_seconds: float,
        on_elite: Callable[[Best], None] | None,
        stopping: Stopping | None = None,
    ) -> None:
        self._plan = plan
        self._monitor = monitor
        self._stopping = stopping if stopping is not None else Stopping()
        self._driver = Driver(
            plan.master,
            plan.writer,
            before=plan.before,
            snapshot_seconds=snapshot_seconds,
            monitor=monitor,
            stopping=self._stopping,
        )
        self._on_elite = on_elite
        problem = plan.master.problem
        if plan.directory is not None:
            self.run = load(plan.directory, problem)
        elif plan.reader is not None:
            self.run = Run(plan.reader, problem)
        else:
            self.run = Run(None, problem, live=_Live(plan, self._driver))

    def stop(self) -> None:
        """Drain and end; from any thread."""
        self._stopping.request()

    def sit(self, handle_signals: bool) -> Run:
        """Drive the run to its end, or to an interruption, and return it."""
        plan, driver = self._plan, self._driver
        self._announce()
        driver.write_totals("running", "")
        if self._monitor is not None:
            self._monitor.start(plan.header)
        if self._on_elite is not None:
            plan.master.on_changes = self._elites
        with self._stopping.heard() if handle_signals else nullcontext():
            state, reason = self._work(handle_signals)
        self._report(state, reason)
        if self._monitor is not None:
            self._monitor.finish(self.run)
        return self.run

    def _announce(self) -> None:
        """Tell the supervisor what to watch, and the run file why there was another master before this one."""
        plan, tether = self._plan, self._stopping.tether
        address = plan.crew.address or os.environ.get("RAY_ADDRESS")
        tether.announce(backend=plan.crew.backend, address=address if plan.crew.backend == "ray" else None)
        if plan.writer is not None and tether.restarts:
            with plan.writer.transaction():
                for why in tether.restarts:
                    plan.writer.event(plan.master.seq, "restart", {"why": why})
        if plan.directory is not None:
            tether.begin()

    def _work(self, handle_signals: bool) -> tuple[str, str]:
        """Hire workers, drive, let them go; (state, reason) as the run file has them then."""
        plan, driver, master, stopping = self._plan, self._driver, self._plan.master, self._stopping
        state, reason, begun = "interrupted", "stopped by an error", False
        workers = plan.crew.hire(plan.directory / "ray.log" if plan.directory else None)
        if plan.writer is not None and not workers.restartable:
            plan.writer.patience = SHARED_SECONDS
        self._sweep()
        try:
            # In this process one evaluation may take an hour; workers outside never keep the master so long.
            if workers.restartable:
                stopping.tether.watch(START_SECONDS)
            workers.open(self._kit(), plan.crew.shapes(master.fidelities))
            if handle_signals:
                stopping.listen()
            master.employ(
                workers,
                plan.crew.staff(master.fidelities),
                message_seconds=plan.crew.message_seconds,
                window=plan.crew.window,
                elapsed=driver.elapsed,
            )
            if workers.restartable:
                stopping.tether.watch(0)
            begun = True
            state, reason = driver.drive(handle_signals)
            stopping.closing = True
            driver.snapshot()
        except ClusterLost as error:
            reason = str(error)
            raise
        except EvoError as error:
            state, reason = "failed", str(error)
            raise
        finally:
            stopping.closing = True
            if workers.restartable:
                stopping.tether.watch(CLOSE_SECONDS)
            workers.close()
            self._sweep()
            if begun or plan.before:
                driver.write_totals(state, reason)
            else:
                plan.forget()
            stopping.tether.unwatch()
            stopping.closing = False
        return state, reason

    @property
    def _artifacts(self) -> Path | None:
        directory = self._plan.directory
        return directory / ARTIFACTS if directory else None

    def _sweep(self) -> None:
        """No worker is at work: what is left of files that were being written belongs to those that died."""
        if self._artifacts is not None:
            sweep(self._artifacts)

    def _kit(self) -> Kit:
        master = self._plan.master
        operators = {**master.problem.operators, **master.algorithm.operators}
        return Kit(master.problem, operators, master.seed, self._artifacts, self._plan.crew.sandbox)

    def _report(self, state: str, reason: str) -> None:
        """The problem's own closing figures, once the search itself is over."""
        if state in ("finished", "stopped"):
            try:
                found = dict(self._plan.master.problem.report(self.run.best, self.run))
                self._driver.summary = read_json(write_json(finite(found)))  # or say here that it has no such form
            except Exception as error:  # noqa: BLE001 - the problem's own code; the search itself is safe and returned
                warnings.warn(redact(f"{type(error).__name__} in the problem's report: {error}"), stacklevel=4)
            self._driver.write_totals(state, reason)

    def _elites(self, changes: Sequence[Change], results: Sequence[Results]) -> None:
        assert self._on_elite is not None
        problem = self._plan.master.problem
        for change in changes:
            kept = set(change.candidate.tolist())
            for part in results:
                for row in np.flatnonzero([one in kept for one in part.candidate.tolist()]):
                    self._on_elite(
                        Best(
                            int(part.candidate[row]),
                            part.genomes[row],
                            {o.name: float(v) for o, v in zip(problem.objectives, part.objectives[row], strict=True)},
                            {m.name: float(v) for m, v in zip(problem.measures, part.measures[row], strict=True)},
                            {name: column[row] for name, column in part.metrics.items()},
                        )
                    )


class _Live:
    """What a search without a log shows of itself."""

    def __init__(self, plan: Plan, driver: Driver) -> None:
        self._plan = plan
        self._driver = driver

    @property
    def header(self) -> Mapping[str, Any]:
        return self._plan.header

    @property
    def totals(self) -> Mapping[str, Any]:
        state, reason = self._plan.master.ended or ("running", "")
        return self._driver.totals(state, reason)

    def elites(self) -> Elites:
        return next(iter(self._plan.master.algorithm.archives.values())).elites()
