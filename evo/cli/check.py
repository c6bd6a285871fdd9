"""`evo check`: everything that can be known about a run before it is started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from evo.cli.probe import Probe
    from evo.config import RunConfig
    from evo.problem import Problem

__all__ = ["check"]

_TRIAL = 5.0
"""Seconds that the trial search may take."""


def check(
    config: Annotated[Path, typer.Argument(help="The run file (YAML).")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Laid over the file.")] = None,
) -> None:
    """Check a run file, evaluate a few candidates, and forecast how long the run will take."""
    from rich.console import Console
    from rich.text import Text

    from evo.cli import BAD_INPUT
    from evo.cli.probe import probe
    from evo.config import load_config
    from evo.errors import EvaluationError
    from evo.redact import redact

    settings = load_config(config, overrides or ())
    problem, _ = settings.built
    settings.resolved()
    lines = [(True, "run file", _what(settings))]
    try:
        found = probe(problem, settings.seed)
    except EvaluationError as error:  # then there is nothing more to find out
        lines.append((False, "evaluations", str(error)))
    else:
        lines += [*_findings(settings, problem, found), *_trial(settings, found)]
    width = max(len(what) for _, what, _ in lines)
    console = Console(soft_wrap=True, highlight=False)
    for good, what, text in lines:
        mark = ("ok", "green") if good else ("no", "red")
        console.print(Text.assemble(mark, f"  {what.ljust(width)}  {redact(text)}"))
    if not all(good for good, _, _ in lines):
        raise typer.Exit(BAD_INPUT)


def _findings(settings: RunConfig, problem: Problem, found: Probe) -> Iterator[tuple[bool, str, str]]:
    """(whether it is well, what, in words)."""
    from evo.cli.probe import first_line
    from evo.monitor.terminal import duration

    if found.made:
        yield True, "preparation", f"{_seconds(found.preparation)} for {', '.join(found.made)}"
    failed = len(found.failures)
    reason = first_line(next(iter(found.failures.values())).message) if failed else ""
    succeeded = f"{found.n - failed - found.rejected} of {found.n} succeeded"
    rejected = f", {found.rejected} rejected" if found.rejected else ""
    yield failed < found.n, "evaluations", f"{succeeded}{rejected}{f'; {reason}' if failed else ''}"
    yield (
        True,
        "time",
        (
            f"{_seconds(found.alone)} alone, {_seconds(found.batched)} each in a batch of {found.n}, "
            f"{_seconds(found.warm_up)} to warm up"
        ),
    )
    for objective, column in zip(problem.objectives, found.objectives.T, strict=True):
        yield True, f"objective {objective.name}", _range(column)
    for measure, column in zip(problem.measures, found.measures.T, strict=True):
        outside = int(((column < measure.low) | (column > measure.high)).sum())
        beyond = f"; {outside} of {len(column)} outside ({measure.outside})" if outside else ""
        yield True, f"measure {measure.name}", f"{_range(column)}, declared {measure.low:g} to {measure.high:g}{beyond}"
    sizes = ", ".join(map(str, [*found.differing, found.n]))
    differing = ", ".join(f"{rows} rows differ in batches of {size}" for size, rows in found.differing.items() if rows)
    yield (
        not differing,
        "same bits",
        f"in batches of {sizes}"
        if not differing
        else (
            f"{differing}: a matrix product rounds by its batch; declare a group in the fidelity, or sum along each row"
        ),
    )
    yield not found.shipping, "ships", found.shipping or "to another process, and gives the same bits there"
    evaluations, workers = settings.budget.evaluations, _most(settings)
    if evaluations is None:
        yield True, "forecast", f"no budget of evaluations; {found.bytes_each:.0f} bytes of disk each"
    else:
        crew = workers if settings.backend() == "ray" else 1
        hours = duration(found.batched * evaluations / crew)
        yield (
            True,
            "forecast",
            (
                f"{evaluations:,} evaluations: {hours} of evaluating on {crew} worker{'s' * (crew > 1)}, "
                f"{found.bytes_each * evaluations / 1e6:,.1f} MB of disk"
            ),
        )


def _most(settings: RunConfig) -> int:
    """How many workers there may be, as far as the file says."""
    cores = os.cpu_count() or 1
    return sum(one.most or max(one.least, cores) for one in settings.workers.staff()) or cores


def _trial(settings: RunConfig, found: Probe) -> Iterator[tuple[bool, str, str]]:
    """A short search, which meets what only the algorithm and its operators can refuse."""
    from evo.errors import EvoError
    from evo.session import search

    problem, algorithm = settings.built
    block = max(1, algorithm.block)
    if len(found.failures) == found.n or found.preparation + found.alone * block > _TRIAL:
        return
    try:
        run = search(
            problem,
            algorithm,
            evaluations=4 * block,
            seconds=_TRIAL,
            seed=settings.seed,
            backend="inline",
            order=settings.policy(),
            initial=settings.start(),
        )
    except EvoError as error:
        yield False, "trial", str(error)
    else:
        yield (
            run.state != "failed",
            "trial",
            f"a search of {run.evaluations:,.0f} evaluations: {run.reason or run.state}",
        )


def _what(settings: RunConfig) -> str:
    problem, algorithm = settings.built
    return f"problem {_name(problem)}, algorithm {_name(algorithm)}, seed {settings.seed}"


def _name(plug_in: Any) -> str:
    from evo.registry import short_name

    return short_name(type(plug_in))


def _range(column: NDArray[Any] | Sequence[float]) -> str:
    return f"{min(column):.6g} to {max(column):.6g}" if len(column) else "nothing measured"


def _seconds(value: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value / 1e-9:.0f} ns"
