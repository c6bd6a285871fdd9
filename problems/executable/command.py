"""The command line of a program: arguments with placeholders, and how values are written into them."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

from evo.errors import ConfigError, EvaluationError
from evo.json_text import write_json

__all__ = ["Command", "text_of"]

Piece = tuple[str, str | None]
"""Literal text, and the placeholder that follows it."""


class Command:
    """Arguments in which ``{name}`` stands for a value; ``{{`` and ``}}`` are braces. No shell reads them.

    Args:
        arguments: the program, then its arguments.

    Raises:
        ConfigError: there is no program, or braces that do not match; names the argument.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        if isinstance(arguments, str) or not arguments or not all(isinstance(one, str) for one in arguments):
            raise ConfigError(
                f'command: expected a list of texts, the program first, such as ["./simulate", "--x", "{{x}}"], got '
                f"{arguments!r}"
            )
        self._arguments = [_pieces(argument, f"command[{place}]") for place, argument in enumerate(arguments)]
        self.program = "".join(text for text, _ in self._arguments[0])
        """The first argument, which has no placeholders."""
        if not self.program or any(name for _, name in self._arguments[0]):
            raise ConfigError(f"command[0]: expected the name of a program, without placeholders, got {arguments[0]!r}")
        self.names = frozenset(name for pieces in self._arguments for _, name in pieces if name)
        """The placeholders."""
        self.fixed = ["".join(text for text, _ in one) for one in self._arguments if not any(name for _, name in one)]
        """The arguments without placeholders, the program among them."""

    def filled(self, values: Mapping[str, Any]) -> list[str]:
        """The arguments with a value in each placeholder.

        Raises:
            EvaluationError: there is no value for a placeholder.
        """
        missing = sorted(self.names - set(values))
        if missing:
            raise EvaluationError(
                f"the command names {{{missing[0]}}}, but the genome has {', '.join(values) or 'no keys'}"
            )
        return [
            "".join(text + (text_of(values[name]) if name else "") for text, name in pieces)
            for pieces in self._arguments
        ]


def text_of(value: Any) -> str:
    """A value as an argument: text as it is, a float so that it reads back to the same bits, a list of plain values
    with commas, everything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and not any(isinstance(one, list | dict) for one in value):
        return ",".join(map(text_of, value))
    return write_json(value, canonical=True)


def _pieces(argument: str, where: str) -> list[Piece]:
    try:
        parsed = list(string.Formatter().parse(argument))
    except ValueError as error:
        raise ConfigError(f"{where}: {error} in {argument!r}; a brace that is meant is written twice: {{{{") from None
    pieces: list[Piece] = []
    for text, name, form, conversion in parsed:
        if name is not None and (form or conversion or not name.isidentifier()):
            raise ConfigError(
                f"{where}: expected {{name}} as a placeholder in {argument!r}; a brace that is meant is "
                "written twice: {{"
            )
        pieces.append((text, name))
    return pieces
