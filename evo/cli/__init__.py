"""The command line: one file a command. A command knows no world; it reads run files and calls what Python users call.

Modules here import only typer at the top and the rest when their command runs, so that `evo --help` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from traceback import format_exception
from types import TracebackType
from typing import Annotated

import typer

from evo.cli.supervision import Supervision
from evo.errors import ClusterLost, ClusterRefused, EvaluationError, EvoError, WorkerError
from evo.redact import redact

__all__ = ["application", "main"]

COMMANDS = ("run", "resume", "runs", "show", "export", "plot", "list", "check", "doctor", "submit", "schema")
"""Each is a module here with a function of the same name (`list_` where Python has taken it)."""

BAD_INPUT = 2
FAILED = 1
CLUSTER_LOST = 75


def application() -> typer.Typer:
    """The `evo` command with all its subcommands."""
    app = typer.Typer(
        name="evo",
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name in COMMANDS:
        module = import_module(f"evo.cli.{name}")
        app.command(name)(getattr(module, name, None) or getattr(module, f"{name}_"))
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    0 done, 1 the search failed, 2 bad input, 75 the cluster is lost or cannot be reached for now, 130 interrupted (and
    resumable). Called by a program, with arguments, everything stays in this process: it has no supervisor.
    """
    supervision = Supervision(wanted=arguments is None)
    with supervision:
        _call([*(sys.argv[1:] if arguments is None else arguments)], supervision)  # `list` is a command here


def _call(arguments: Sequence[str], supervision: Supervision) -> None:
    try:
        application()(args=arguments, prog_name="evo", obj=supervision)
    except EvoError as error:
        if "--debug" in arguments:
            raise
        print(f"evo: {redact(str(error))}", file=sys.stderr)
        raise SystemExit(_code(error, supervision.again)) from None
    finally:
        sys.excepthook = _traceback  # typer has put its own there


def _code(error: EvoError, again: bool) -> int:
    if isinstance(error, ClusterRefused):
        return BAD_INPUT
    if isinstance(error, ClusterLost) or (again and isinstance(error, WorkerError)):
        return CLUSTER_LOST
    return FAILED if isinstance(error, EvaluationError) else BAD_INPUT


def _traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What Python prints of an error that nobody expected, without the secrets that its message may quote."""
    print(redact("".join(format_exception(kind, error, trace))), end="", file=sys.stderr)


def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Distributed evolutionary search: one small engine, many worlds."""
