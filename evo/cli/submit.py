"""`evo submit`: run a search as a job of a Ray cluster, follow it, and go on with it when the command is repeated."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evo.cluster.jobs import Job, Jobs
    from evo.config import RunConfig

__all__ = ["submit"]


def submit(
    config: Annotated[Path, typer.Argument(help="The run file (YAML); its folder travels to the cluster.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Laid over the file, such as budget.evaluations=1000."),
    ] = None,
    address: Annotated[str, typer.Option(envvar="RAY_API_SERVER_ADDRESS", help="http://HEAD:8265.")] = "",
    run_dir: Annotated[
        str | None, typer.Option(help="On the head, absolute, outliving the job. Default: ~/evo-runs/NAME.")
    ] = None,
    follow: Annotated[bool, typer.Option(help="Show the job's output until it ends.")] = True,
    stop: Annotated[bool, typer.Option("--stop", help="Interrupt the job of this run instead.")] = False,
) -> None:
    """Run a search on a Ray cluster, as a job. Repeated, it follows the job that runs, or goes on with the run.

    Keys and tokens that evaluators need belong into the environment of `ray start` on the nodes: what is submitted can
    be read by everyone who may look at the cluster's dashboard.
    """
    from evo.cluster.jobs import Jobs, exit_code, last
    from evo.config import load_config
    from evo.errors import ConfigError

    if not address:
        raise ConfigError("--address: expected the cluster's dashboard, such as http://HEAD:8265")
    settings = load_config(config, overrides or ())
    settings.built  # noqa: B018 - whatever is wrong with it is said here, not on the cluster
    place = _place(run_dir, settings.name)
    jobs = Jobs(address)
    job = last(jobs.of(place))
    if stop:
        _stop(jobs, job, place)
        return
    if job is not None and not job.over:
        _say(f"{job.id} is at work on {place}: following it")
    else:
        job = _begin(jobs, settings, config, overrides or [], place, job.number + 1 if job is not None else 1)
    if not follow:
        _say("repeat the command to follow it; --stop ends it, so that it can be taken up again")
        return
    try:
        jobs.follow(job.id, _write)
        ended = jobs.ended(job.id)
    except KeyboardInterrupt:
        _say(f"{job.id} goes on without us; repeat the command to follow it, with --stop to interrupt it")
        return
    raise typer.Exit(exit_code(ended))


def _place(run_dir: str | None, name: str) -> str:
    from evo.errors import ConfigError

    if run_dir is None:
        return f"~/evo-runs/{name}"
    if not run_dir.startswith(("/", "~/")):
        raise ConfigError(f"--run-dir {run_dir}: expected an absolute path, on the cluster's head")
    return run_dir.rstrip("/")


def _begin(jobs: Jobs, settings: RunConfig, config: Path, overrides: list[str], place: str, number: int) -> Job:
    from evo.cluster.packing import pack

    source = config.resolve().parent
    with TemporaryDirectory(prefix="evo-submit-") as folder:
        packed = pack(source, Path(folder))
        _say(f"sending {source} ({packed}; without runs, environments and files that begin with a dot) and evo itself")
        job = jobs.submit(place, _entrypoint(settings, config, overrides, place), packed.folder, number)
    _say(f"{job.id} {'goes on with' if number > 1 else 'begins'} the run {place} (on the head of {jobs.address})")
    return job


def _entrypoint(settings: RunConfig, config: Path, overrides: list[str], place: str) -> str:
    """The shell command of the job; the cluster that it is a job of is the one that its workers are of."""
    said = [*overrides, "workers.backend=ray"] if settings.workers.backend is None else overrides
    words = [config.name, *said, "--auto-resume"]
    home = '"$HOME"/' + shlex.quote(place.removeprefix("~/")) if place.startswith("~/") else shlex.quote(place)
    python = '"$(command -v python || command -v python3)"'
    return f"exec {python} -m evo run {shlex.join(words)} --run-dir {home}"


def _stop(jobs: Jobs, job: Job | None, place: str) -> None:
    if job is None or job.over:
        _say(f"no job is at work on {place}")
        return
    jobs.stop(job.id)
    ended = jobs.ended(job.id)
    _say(f"{job.id}: {ended.status.lower()}; the same command without --stop goes on with the run")


def _say(text: str) -> None:
    print(f"evo: {text}", file=sys.stderr, flush=True)


def _write(text: str) -> None:
    print(text, end="", flush=True)
