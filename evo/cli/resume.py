"""`evo resume`: go on with an interrupted run, or give a finished one a larger budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from evo.config import RunConfig

__all__ = ["resume"]

MAY_CHANGE = ("budget", "stop", "workers", "log")
"""Sections that do not decide what the search is, only how long and where it goes on."""

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
    run: Annotated[Path, typer.Argument(help="The run directory.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Of budget, stop, workers and log; the rest stays as it is."),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="How many workers.")] = None,
    backend: Annotated[str | None, typer.Option(help="inline or ray.")] = None,
    address: Annotated[str | None, typer.Option(help="Of a running Ray cluster.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print nothing but one JSON object, at the end.")] = False,
) -> None:
    """Go on with an interrupted run, or with a finished one on a larger budget."""
    from evo.cli.closing import close, diverted, monitor
    from evo.session import resume as go_on
    from evo.store.reader import RunReader

    given = {"workers.count": workers, "workers.backend": backend, "workers.address": address}
    flags = [f"{key}={value}" for key, value in given.items() if value is not None]
    with diverted(as_json):
        header = RunReader.open(run).header()
        options = changes(run, header, [*(overrides or ()), *flags])
        found = go_on(run, **options, monitor=monitor(as_json), handle_signals=True)
    close(found, as_json)


def changes(run: Path, header: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Arguments of `evo.resume` for what the overrides change in a stored run.

    Raises:
        ConfigError: they change what the search is, or lift a limit that can only be moved.
    """
    from evo.config import parse_config
    from evo.errors import ConfigError
    from evo.registry import search_in

    stored = _stored(header)
    folder = stored.pop("folder", None)
    if folder:
        search_in(Path(folder))
    before, after = parse_config(stored, source=str(run)), parse_config(stored, overrides, str(run))
    moved = list(_differences(before.model_dump(), after.model_dump()))
    fixed = [change for change in moved if change[0].split(".")[0] not in MAY_CHANGE]
    if fixed:
        told = ", ".join(f"{path}: {old} -> {new}" for path, old, new in fixed)
        raise ConfigError(
            f"{run}: resuming continues the same search, so this cannot change: {told}; "
            f"start a new run with it (initial.run={run} begins with this run's elites)"
        )
    return _arguments(after, moved)


def _arguments(after: RunConfig, moved: Sequence[tuple[str, Any, Any]]) -> dict[str, Any]:
    from evo.errors import ConfigError

    arguments: dict[str, Any] = {}
    for path, old, new in moved:
        if new is None:
            raise ConfigError(
                f"{path}: {old} -> null: a limit can be moved on resuming, not lifted; give a larger number"
            )
        if path in _OPTIONS:
            arguments[_OPTIONS[path]] = new
        elif path in ("workers.backend", "workers.count"):
            arguments.update(backend=after.backend(), workers=after.workers.count)
        else:
            arguments["shape"] = after.shape()
    return arguments


def _stored(header: dict[str, Any]) -> dict[str, Any]:
    """The run as a run file would say it: its configuration, where it had one, as later sessions have changed it."""
    spec = header["spec"]
    limits, crew = spec["budget"], spec["workers"]
    stored = {"problem": spec["problem"], "algorithm": spec["algorithm"], **(header.get("config") or {})}
    told = {key: crew[key] for key in ("backend", "count", "address", "message_seconds", "window")}
    if told["backend"] not in ("inline", "ray"):
        told["backend"] = None  # workers that a Python program made for itself
    return stored | {
        "name": header["name"],
        "seed": header["seed"],
        "order": spec["order"],
        "budget": {key: limits[key] for key in ("evaluations", "seconds")},
        "stop": {key: limits[key] for key in ("target", "plateau", "failures")},
        "workers": told | (crew["shape"] or {}),
    }


def _differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key path, old, new) of every leaf that differs."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _differences(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif before != after:
        yield path, before, after
