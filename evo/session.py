"""The front door: start a search, take one up again, or let one run in the background."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evo.algorithm import Algorithm
from evo.engine.build import Plan, continued, fresh
from evo.engine.crew import Crew, Group
from evo.engine.driver import Monitor
from evo.engine.order import Order, order_from
from evo.engine.rules import Rules
from evo.engine.sitting import Sitting
from evo.engine.stopping import Stopping
from evo.errors import ConfigError
from evo.evaluator import Resources
from evo.problem import Best, Problem
from evo.run import Run
from evo.sandbox import Sandbox, sandbox_from
from evo.worker import Workers

__all__ = ["Search", "resume", "search", "start"]


def search(
    problem: Problem,
    algorithm: Algorithm | None = None,
    *,
    evaluations: float | None = None,
    seconds: float | None = None,
    seed: int = 0,
    workers: int | str | Group | Sequence[Group] | Workers | None = None,
    backend: str | None = None,
    address: str | None = None,
    shape: Resources | None = None,
    sandbox: bool | Sandbox | None = None,
    order: Order | str | None = None,
    run_dir: Path | str | None = None,
    name: str | None = None,
    initial: Any = None,
    target: float | None = None,
    plateau: float | None = None,
    failures: int = 100,
    on_elite: Callable[[Best], None] | None = None,
    monitor: Monitor | None = None,
    log: bool = True,
    snapshot_seconds: float = 60.0,
    message_seconds: float = 0.1,
    window: int = 2,
    config: dict[str, Any] | None = None,
    handle_signals: bool = True,
    stopping: Stopping | None = None,
) -> Run:
    """Search until the budget is spent or a rule stops it, and return the run.

    Where the process itself dies (its memory, its machine, Ray's head, with which Ray ends its driver), `resume` takes
    the run up from its directory. Nothing does that by itself here: the command line has a supervisor, a program has
    not.

    Args:
        problem: what is searched.
        algorithm: how; by default `MapElites` for a problem with measures, else `Genetic`.
        evaluations: budget in distinct evaluations; an algorithm that ends by itself (`Enumeration`) needs none.
        seconds: budget in wall time.
        seed: all randomness follows from it.
        workers: None for this process, a number or ``"ray"`` for Ray actors, a `Group` for a number that follows
            the work and the room there is, several for several kinds of workers, or workers of your own.
        backend: ``"inline"`` or ``"ray"``, where `workers` does not say.
        address: of a running Ray cluster.
        shape: what each worker occupies; by default enough for every fidelity.
        sandbox: True or limits: every evaluation runs in a child process of its own, whose crash, endless loop or
            hunger for memory costs that candidate alone; False: none does; None: as the problem's fidelities say.
        order: ``"strict"`` (the default: the same run for any number of workers), ``"arrival"``, or a policy object.
        run_dir: where the run file goes; None keeps the log in memory.
        name: the run's name; by default its directory's.
        initial: genomes to start from (a sequence as ``space.stack`` takes it, or an array), a `Run` or a run directory
            whose elites to start from.
        target: stop when the first objective is at least as good.
        plateau: stop after so many evaluations without a gain.
        failures: stop when so many evaluations failed and none ever succeeded.
        on_elite: called with every candidate that enters an archive.
        monitor: watches the run (``evo.monitor.terminal.Terminal()``).
        log: False keeps no log at all: no frame, no export, no resume, no looking for equal work.
        snapshot_seconds: how often a cache of the replay is written.
        message_seconds: work that one message to a worker should hold.
        window: messages a worker holds.
        config: the resolved configuration, kept in the header.
        handle_signals: one Ctrl-C drains and returns a resumable run (state ``interrupted``), a second stops at once.
            SIGTERM and SIGHUP drain for 10 s at most.
        stopping: a supervisor's: what it asks, and what it watches.

    Raises:
        ConfigError: a parameter is wrong, or there is no budget for an algorithm that never ends by itself.
        RunError: the run directory cannot be used or written.
        WorkerError: workers cannot be had, or the problem cannot be shipped to them.
        ClusterLost: Ray is gone or cannot be reached for now; the run can be resumed.

    Example:
        >>> import evo
        >>> class Bowl(evo.Problem):
        ...     space = evo.Box(-1.0, 1.0, size=2)
        ...     objectives = [evo.Minimize("height")]
        ...     def evaluate(self, x):
        ...         return evo.Evaluation(objectives=[(x**2).sum()])
        >>> evo.search(Bowl(), evaluations=2000, seed=1).best.objectives["height"] < 0.01
        True
    """
    rules = Rules(evaluations, seconds, target, plateau, failures)
    if (evaluations, seconds, target, plateau) == (None,) * 4 and not (algorithm is not None and algorithm.ends):
        raise ConfigError("no budget: give evaluations=, seconds=, target= or plateau=")
    if not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"seed: expected a whole number of at least 0, got {seed!r}")
    crew = Crew.of(
        workers,
        backend,
        address=address,
        shape=shape,
        sandbox=sandbox_from(sandbox),
        message_seconds=message_seconds,
        window=window,
    )
    plan = fresh(
        problem,
        algorithm,
        seed=seed,
        order=order_from(order),
        rules=rules,
        crew=crew,
        initial=initial,
        run_dir=None if run_dir is None else Path(run_dir),
        name=name,
        log=log,
        config=config,
    )
    with plan:
        return Sitting(plan, monitor, snapshot_seconds, on_elite, stopping).sit(handle_signals)


def resume(
    run_dir: Path | str,
    problem: Problem | None = None,
    algorithm: Algorithm | None = None,
    *,
    evaluations: float | None = None,
    seconds: float | None = None,
    workers: int | str | Group | Sequence[Group] | Workers | None = None,
    backend: str | None = None,
    address: str | None = None,
    shape: Resources | None = None,
    sandbox: bool | Sandbox | None = None,
    target: float | None = None,
    plateau: float | None = None,
    failures: int | None = None,
    on_elite: Callable[[Best], None] | None = None,
    monitor: Monitor | None = None,
    snapshot: bool = True,
    snapshot_seconds: float = 60.0,
    message_seconds: float | None = None,
    window: int | None = None,
    handle_signals: bool = True,
    stopping: Stopping | None = None,
) -> Run:
    """Take a run up where its log ends, on any number of workers; what is not given stays as it was.

    Args:
        run_dir: the run's directory.
        problem: needed only when its class cannot be imported by name (a notebook's).
        algorithm: likewise.
        evaluations: a larger budget, to go on after the end.
        snapshot: False repeats every move, to show that the cached snapshot says the same.

    The other arguments are those of `search`.

    Raises:
        RunError: there is no run, another master is at work on it, or it is newer than this evo.
        ReplayMismatch: the code asks for other work than the log holds; names the first request.
    """
    changes = {
        "evaluations": evaluations,
        "seconds": seconds,
        "target": target,
        "plateau": plateau,
        "failures": failures,
    }
    crew = {
        "address": address,
        "shape": shape,
        "sandbox": sandbox_from(sandbox),
        "message_seconds": message_seconds,
        "window": window,
    }
    plan = continued(
        Path(run_dir),
        problem,
        algorithm,
        rules={name: value for name, value in changes.items() if value is not None},
        workers=workers,
        backend=backend,
        crew={name: value for name, value in crew.items() if value is not None},
        snapshot=snapshot,
    )
    with plan:
        return Sitting(plan, monitor, snapshot_seconds, on_elite, stopping).sit(handle_signals)


class Search:
    """A search in the background: watch `run`, call `stop`, `wait` for the end."""

    def __init__(self, plan: Plan, sitting: Sitting) -> None:
        self._sitting = sitting
        self._plan = plan
        self._error: BaseException | None = None
        self.run = sitting.run
        """The run as it stands; its properties read the present state."""
        self._thread = threading.Thread(target=self._work, name="evo-search", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            with self._plan:
                self._sitting.sit(handle_signals=False)
        except Exception as error:  # noqa: BLE001 - carried to the caller's thread, raised by wait()
            self._error = error

    @property
    def running(self) -> bool:
        """Whether it is still going on."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Drain and end; the run can be resumed."""
        self._sitting.stop()

    def wait(self, timeout: float | None = None) -> Run:
        """The run, when it has ended or after `timeout` seconds; raises what the search raised."""
        self._thread.join(timeout)
        if self._error is not None:
            raise self._error
        return self.run


def start(
    problem: Problem,
    algorithm: Algorithm | None = None,
    *,
    evaluations: float | None = None,
    seconds: float | None = None,
    seed: int = 0,
    workers: int | str | None = None,
    order: Order | str | None = None,
    run_dir: Path | str | None = None,
    initial: Sequence[Any] | None = None,
    target: float | None = None,
    plateau: float | None = None,
    on_elite: Callable[[Best], None] | None = None,
) -> Search:
    """Begin a search in the background and return at once: for notebooks. Arguments as in `search`.

    Without `run_dir` the run file lies in a temporary directory, so that the run can be read while it is written.
    """
    directory = Path(run_dir) if run_dir is not None else Path(tempfile.mkdtemp(prefix="evo-")) / "run"
    plan = fresh(
        problem,
        algorithm,
        seed=seed,
        order=order_from(order),
        rules=Rules(evaluations, seconds, target, plateau),
        crew=Crew.of(workers, None),
        initial=initial,
        run_dir=directory,
        name=None,
        log=True,
        config=None,
    )
    return Search(plan, Sitting(plan, None, 60.0, on_elite))
