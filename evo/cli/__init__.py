"""The command line: one file a command. A command knows no world; it reads run files and calls what Python users call.

Modules here import only typer at the top and the rest when their command runs, so that `evo --help` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from evo.errors import EvaluationError, EvoError

__all__ = ["application", "main"]

COMMANDS = ("run", "resume", "runs", "show", "export", "plot", "list", "check", "schema")
"""Each is a module here with a function of the same name (`list_` where Python has taken it)."""

BAD_INPUT = 2
FAILED = 1


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
    """Run the command line and exit: 0 done, 1 the search failed, 2 bad input, 130 interrupted (and resumable)."""
    arguments = [*(sys.argv[1:] if arguments is None else arguments)]  # `list` is a command here
    try:
        application()(args=arguments, prog_name="evo")
    except EvoError as error:
        if "--debug" in arguments:
            raise
        print(f"evo: {error}", file=sys.stderr)
        raise SystemExit(FAILED if isinstance(error, EvaluationError) else BAD_INPUT) from None


def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Distributed evolutionary search: one small engine, many worlds."""
