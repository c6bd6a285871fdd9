"""`evo resume`: go on with an interrupted run, or give a finished one a larger budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evo.cli.supervision import HANG, PATIENCE, RESTARTS, Hang, Patience, Restarts, Supervision

if TYPE_CHECKING:
    from evo.config import RunConfig
    from evo.engine.stopping import Stopping
    from evo.run import Run

__all__ = ["rejoin", "resume", "take_up"]

MAY_CHANGE = ("budget", "stop", "workers", "log")
"""Sections that do not decide what the search is, only how long and where it goes on."""

_LIMITS = ("evaluations", "seconds", "target", "plateau", "failures")
"""Arguments of `evo.resume` with which a run that has ended may go on."""
_STAFF = ("workers.count", "workers.min", "workers.max", "workers.groups", "workers.patience")
_SHAPE = ("workers.cpus", "workers.gpus", "workers.memory", "workers.custom")

_OPTIONS = {
    "budget.evaluations": "evaluations",
    "budget.seconds": "seconds",
    "stop.target": "target",
    "stop.plateau": "plateau",
    "stop.failures": "failures",
    "workers.address": "address",
    "workers.message_seconds": "message_seconds",
    "workers.window": "window",
    "log.snapshot_seconds": "snapshot_seconds",
}
"""Key path -> argument of `evo.resume`. Backend and count go together, as do a worker's resources."""


def resume(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="The run directory.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Of budget, stop, workers and log; the rest stays as it is."),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="How many workers.")] = None,
    backend: Annotated[str | None, typer.Option(help="inline or ray.")] = None,
    address: Annotated[str | None, typer.Option(help="Of a running Ray cluster.")] = None,
    sandbox: Annotated[
        bool | None, typer.Option("--sandbox/--no-sandbox", help="Evaluate in child processes with limits.")
    ] = None,
    restarts: Restarts = RESTARTS,
    patience: Patience = PATIENCE,
    hang: Hang = HANG,
    as_json: Annotated[bool, typer.Option("--json", help="Print nothing but one JSON object, at the end.")] = False,
) -> None:
    """Go on with an interrupted run, or with a finished one on a larger budget."""
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
            found = take_up(run, () if stopping.tether.resumed else [*(overrides or ()), *flags], as_json, stopping)
        close(found, as_json, stopping)


def take_up(run: Path, overrides: Sequence[str], as_json: bool, stopping: Stopping) -> Run:
    """Go on with a stored run, as it is but for the overrides."""
    from evo.store.reader import RunReader

    stopping.tether.announce(run=str(run.absolute()))
    return _go_on(run, changes(run, RunReader.open(run).header(), overrides), as_json, stopping)


def rejoin(run: Path, settings: RunConfig, as_json: bool, stopping: Stopping) -> Run:
    """Go on with the run that these settings began, unless it has ended and they ask for no more.

    Raises:
        ConfigError: the settings are of another search.
    """
    from evo.engine.rundir import Standing
    from evo.json_text import read_json, write_json
    from evo.run import load
    from evo.store.reader import RunReader

    before = _parsed(run, RunReader.open(run).header())
    after = type(settings).model_validate(read_json(write_json(settings.resolved())))
    options = _allowed(run, before, after)
    if Standing.of(run).state in ("finished", "stopped") and not set(options) & set(_LIMITS):
        return load(run.absolute())
    return _go_on(run, options, as_json, stopping)


def _go_on(run: Path, options: dict[str, Any], as_json: bool, stopping: Stopping) -> Run:
    from evo.cli.closing import monitor
    from evo.session import resume as go_on

    return go_on(run, **options, monitor=monitor(as_json), handle_signals=True, stopping=stopping)


def changes(run: Path, header: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Arguments of `evo.resume` for what the overrides change in a stored run.

    Raises:
        ConfigError: they change what the search is, or lift a limit that can only be moved.
    """
    from evo.config import parse_config
    from evo.errors import ConfigError

    stored, before = _stored(header), _parsed(run, header)
    stored.pop("folder", None)
    keys = {path.split("=")[0] for path in overrides}
    shaped = sorted(key for key in keys if _shapes(key))
    if shaped and stored["workers"].get("groups") and "workers.groups" not in keys:
        raise ConfigError(
            f"{run}: {shaped[0]}: this run has workers of {len(stored['workers']['groups'])} kinds; "
            "say what each kind has in workers.groups"
        )
    if keys & {"workers.count", "workers.min", "workers.max", "workers.groups"}:  # another way to say how many
        stored["workers"] = {key: one for key, one in stored["workers"].items() if f"workers.{key}" not in _STAFF}
    return _allowed(run, before, parse_config(stored, overrides, str(run)))


def _parsed(run: Path, header: dict[str, Any]) -> RunConfig:
    """The run's own configuration; its folder is searched for the user's modules from now on."""
    from evo.config import parse_config
    from evo.registry import search_in

    stored = _stored(header)
    folder = stored.pop("folder", None)
    if folder:
        search_in(Path(folder))
    return parse_config(stored, source=str(run))


def _allowed(run: Path, before: RunConfig, after: RunConfig) -> dict[str, Any]:
    from evo.errors import ConfigError

    moved = list(_differences(before.model_dump(), after.model_dump()))
    fixed = [change for change in moved if change[0].split(".")[0] not in MAY_CHANGE]
    if fixed:
        told = ", ".join(f"{path}: {old} -> {new}" for path, old, new in fixed)
        raise ConfigError(
            f"{run}: resuming continues the same search, so this cannot change: {told}; "
            f"start a new run with it (initial.run={run} begins with this run's elites)"
        )
    return {"snapshot_seconds": after.log.snapshot_seconds, **_arguments(after, moved)}


def _arguments(after: RunConfig, moved: Sequence[tuple[str, Any, Any]]) -> dict[str, Any]:
    from evo.errors import ConfigError

    arguments: dict[str, Any] = {}
    staff = after.workers.staff()
    for path, old, new in moved:
        if path.startswith("workers.sandbox."):
            limits = after.workers.sandbox
            said = any(other == "workers.sandbox.on" for other, _, _ in moved)  # else naming a limit turns it on
            arguments["sandbox"] = (limits if said else limits.model_copy(update={"on": True})).said()
            continue
        shape = after.shape() if _shapes(path) else None
        if shape is not None:
            arguments["shape"] = shape
        if (path in _STAFF or shape is not None) and staff:  # said anew, for the shape that the numbers came with
            arguments.update(backend=after.backend(), workers=staff)
        if shape is not None or (path in _STAFF and staff):
            continue
        if path == "workers.patience":
            raise ConfigError(
                f"{path}: {old} -> {new}: it is of a given number of workers; give workers.count, or workers.min and "
                "workers.max, with it"
            )
        if new is None:
            raise ConfigError(
                f"{path}: {old} -> null: a limit can be moved on resuming, not lifted; give a larger number"
            )
        if path == "workers.backend":
            arguments["backend"] = new
        elif path in _OPTIONS:
            arguments[_OPTIONS[path]] = new
        else:
            raise ConfigError(f"{path}: {old} -> {new}: this cannot change on resuming")
    return arguments


def _shapes(path: str) -> bool:
    """Whether the key says what one worker has."""
    return path in _SHAPE or path.startswith("workers.custom.")


def _stored(header: dict[str, Any]) -> dict[str, Any]:
    """The run as a run file would say it: its configuration, where it had one, as later sessions have changed it."""
    from evo.config.sections import staff_words

    spec = header["spec"]
    limits, crew = spec["budget"], spec["workers"]
    stored = {"problem": spec["problem"], "algorithm": spec["algorithm"], **(header.get("config") or {})}
    sandbox = crew.get("sandbox")
    told = {key: crew[key] for key in ("backend", "address", "message_seconds", "window")}
    told |= staff_words(crew["groups"]) if "groups" in crew else {"count": crew["count"]}
    began = stored.get("workers") or {}
    if not crew.get("groups") and "patience" in began:  # the engine keeps it with the numbers that it belongs to
        told["patience"] = began["patience"]
    if told["backend"] not in ("inline", "ray"):
        told["backend"] = None  # workers that a Python program made for itself
    return stored | {
        "name": header["name"],
        "seed": header["seed"],
        "order": spec["order"],
        "budget": {key: limits[key] for key in ("evaluations", "seconds")},
        "stop": {key: limits[key] for key in ("target", "plateau", "failures")},
        "workers": told
        | (crew["shape"] or {})
        | {"sandbox": {"on": True, **sandbox} if isinstance(sandbox, dict) else {"on": sandbox}},
    }


def _differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key path, old, new) of every leaf that differs."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _differences(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif before != after:
        yield path, before, after
