"""`evo run`: start a search from a run file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evo.run import Run

__all__ = ["claim", "run"]


def run(
    config: Annotated[Path, typer.Argument(help="The run file (YAML).")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Laid over the file, such as budget.evaluations=1000."),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="How many workers.")] = None,
    backend: Annotated[str | None, typer.Option(help="inline or ray.")] = None,
    address: Annotated[str | None, typer.Option(help="Of a running Ray cluster.")] = None,
    run_dir: Annotated[Path | None, typer.Option(help="Default: runs/NAME-1, or the next number free.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print nothing but one JSON object, at the end.")] = False,
) -> None:
    """Start a search from a run file."""
    from evo.cli.closing import close, diverted

    given = {"workers.count": workers, "workers.backend": backend, "workers.address": address}
    flags = [f"{key}={value}" for key, value in given.items() if value is not None]
    with diverted(as_json):
        found = _search(config, [*(overrides or ()), *flags], run_dir, as_json)
    close(found, as_json)


def _search(config: Path, overrides: Sequence[str], run_dir: Path | None, as_json: bool) -> Run:
    from evo.cli.closing import monitor
    from evo.config import load_config
    from evo.errors import ConfigError, EvoError
    from evo.session import search

    settings = load_config(config, overrides)
    problem, algorithm = settings.built
    resolved = {**settings.resolved(), "folder": str(config.parent.resolve())}  # where the user's modules are
    budget, stop, crew = settings.budget, settings.stop, settings.workers
    if not any((algorithm.ends, budget.evaluations, budget.seconds, stop.plateau)) and stop.target is None:
        raise ConfigError(
            f"{config}: budget: the search would never end; "
            "set budget.evaluations, budget.seconds, stop.target or stop.plateau"
        )
    directory = claim(run_dir, settings.name)
    try:
        return search(
            problem,
            algorithm,
            evaluations=budget.evaluations,
            seconds=budget.seconds,
            seed=settings.seed,
            workers=crew.count,
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
            message_seconds=crew.message_seconds,
            window=crew.window,
            config=resolved,
            handle_signals=True,
        )
    except EvoError:
        with suppress(OSError):  # it is not empty: a run began, and stays
            directory.rmdir()
        raise


def claim(run_dir: Path | None, name: str) -> Path:
    """An empty directory of our own for a new run: the given one, or ``runs/<name>-<n>`` for the first free n.

    Raises:
        ConfigError: the given one is not empty, or no directory can be made there.
    """
    from evo.errors import ConfigError

    try:
        if run_dir is None:
            return _next_free(Path("runs"), name)
        if run_dir.is_dir() and not any(run_dir.iterdir()):
            return run_dir
        if run_dir.exists():
            raise ConfigError(
                f"--run-dir {run_dir}: exists and is not empty; continue it with evo resume {run_dir}, "
                "or choose another directory"
            )
        run_dir.mkdir(parents=True)
        return run_dir
    except OSError as error:
        place = run_dir or Path("runs")
        raise ConfigError(f"{place}: no run directory can be made here ({error.strerror}); use --run-dir") from error


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
