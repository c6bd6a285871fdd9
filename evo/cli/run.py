"""`evo run`: start a search from a run file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evo.cli.supervision import HANG, PATIENCE, RESTARTS, Hang, Patience, Restarts, Supervision

if TYPE_CHECKING:
    from evo.config import RunConfig
    from evo.engine.stopping import Stopping
    from evo.run import Run

__all__ = ["claim", "run"]

OVERLAP = 10.0
"""Seconds for which the run's last master may still be ending when the same command line comes again."""


def run(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="The run file (YAML).")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Laid over the file, such as budget.evaluations=1000."),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="How many workers.")] = None,
    backend: Annotated[str | None, typer.Option(help="inline or ray.")] = None,
    address: Annotated[str | None, typer.Option(help="Of a running Ray cluster.")] = None,
    run_dir: Annotated[Path | None, typer.Option(help="Default: runs/NAME-1, or the next number free.")] = None,
    sandbox: Annotated[
        bool | None, typer.Option("--sandbox/--no-sandbox", help="Evaluate in child processes with limits.")
    ] = None,
    auto_resume: Annotated[
        bool, typer.Option("--auto-resume", help="Begin, or go on where a run is in --run-dir (default: runs/NAME).")
    ] = False,
    restarts: Restarts = RESTARTS,
    patience: Patience = PATIENCE,
    hang: Hang = HANG,
    as_json: Annotated[bool, typer.Option("--json", help="Print nothing but one JSON object, at the end.")] = False,
) -> None:
    """Start a search from a run file."""
    from evo.cli.closing import close, diverted, interruptible

    stopping = Supervision.of(context).begin(restarts, patience, hang)
    given = {
        "workers.count": workers,
        "workers.backend": backend,
        "workers.address": address,
        "workers.sandbox": sandbox,
    }
    flags = [f"{key}={value}" for key, value in given.items() if value is not None]
    with interruptible(stopping):
        with diverted(as_json):
            found = _search(config, [*(overrides or ()), *flags], run_dir, auto_resume, as_json, stopping)
        close(found, as_json, stopping)


def _search(
    config: Path, overrides: Sequence[str], run_dir: Path | None, auto: bool, as_json: bool, stopping: Stopping
) -> Run:
    from evo.cli.resume import rejoin, take_up
    from evo.config import load_config
    from evo.engine.rundir import began, held

    tether = stopping.tether
    claimed = tether.directory  # by an earlier master of this command
    if claimed is not None and began(claimed) and (tether.resumed or not auto):
        return take_up(claimed, (), as_json, stopping)
    settings = load_config(config, overrides)
    _check_ends(config, settings)
    if auto and claimed is None:
        claimed = run_dir or Path("runs") / settings.name
        held(claimed, seconds=OVERLAP)
        if not began(claimed):
            _occupy(claimed)
    directory = claimed or claim(run_dir, settings.name)
    tether.announce(run=str(directory.absolute()))
    if auto and began(directory):
        return rejoin(directory, settings, as_json, stopping)
    return _fresh(config, settings, directory, as_json, stopping)


def _check_ends(config: Path, settings: RunConfig) -> None:
    from evo.errors import ConfigError

    _, algorithm = settings.built
    budget, stop = settings.budget, settings.stop
    if not any((algorithm.ends, budget.evaluations, budget.seconds, stop.plateau)) and stop.target is None:
        raise ConfigError(
            f"{config}: budget: the search would never end; "
            "set budget.evaluations, budget.seconds, stop.target or stop.plateau"
        )


def _fresh(config: Path, settings: RunConfig, directory: Path, as_json: bool, stopping: Stopping) -> Run:
    from evo.cli.closing import monitor
    from evo.engine.rundir import clear
    from evo.errors import EvoError
    from evo.session import search

    problem, algorithm = settings.built
    resolved = {**settings.resolved(), "folder": str(config.parent.resolve())}  # where the user's modules are
    budget, stop, crew = settings.budget, settings.stop, settings.workers
    try:
        return search(
            problem,
            algorithm,
            evaluations=budget.evaluations,
            seconds=budget.seconds,
            seed=settings.seed,
            workers=crew.staff(),
            backend=settings.backend(),
            address=crew.address,
            order=settings.policy(),
            run_dir=directory,
            name=settings.name,
            initial=settings.start(),
            target=stop.target,
            plateau=stop.plateau,
            failures=stop.failures,
            monitor=monitor(as_json),
            snapshot_seconds=settings.log.snapshot_seconds,
            shape=settings.shape(),
            sandbox=crew.sandbox.said(),
            message_seconds=crew.message_seconds,
            window=crew.window,
            config=resolved,
            handle_signals=True,
            stopping=stopping,
        )
    except (EvoError, KeyboardInterrupt):
        clear(directory)
        raise


def claim(run_dir: Path | None, name: str) -> Path:
    """A directory of our own for a new run: the given one, or ``runs/<name>-<n>`` for the first free n.

    Raises:
        ConfigError: there is something in the given one, or no directory can be made there.
    """
    from evo.errors import ConfigError

    if run_dir is not None:
        _occupy(run_dir)
        return run_dir
    try:
        return _next_free(Path("runs"), name)
    except OSError as error:
        raise ConfigError(f"runs: no run directory can be made here ({error.strerror}); use --run-dir") from error


def _occupy(directory: Path) -> None:
    """Make it; one that a master left which never began is as good as new."""
    from evo.engine.rundir import vacant
    from evo.errors import ConfigError

    try:
        if directory.exists() and not (directory.is_dir() and vacant(directory)):
            raise ConfigError(
                f"--run-dir {directory}: exists and is not empty; continue it with evo resume {directory}, "
                "or choose another directory"
            )
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{directory}: no run directory can be made here ({error.strerror}); use --run-dir"
        ) from error


def _next_free(runs: Path, name: str) -> Path:
    runs.mkdir(parents=True, exist_ok=True)
    n = 1
    while True:
        candidate = runs / f"{name}-{n}"
        try:
            candidate.mkdir()  # made and claimed in one step: two runs started together get two directories
        except FileExistsError:
            n += 1
        else:
            return candidate
