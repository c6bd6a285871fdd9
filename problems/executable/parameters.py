"""The parameters of a program as a space: real numbers, whole numbers and choices, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from evo.errors import ConfigError
from evo.records import Genomes
from evo.space import ArraySpace
from evo.spaces import Box, Categorical, Integers, Mixed

__all__ = ["RESERVED", "Parameters"]

RESERVED = ("file", "genome", "seed")
"""Placeholders of a command with a meaning of their own."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KINDS = ("reals", "integers", "choices")
_EXPECTED = "expected [low, high], {integers: [low, high]} or {choices: [...]}"


class Parameters(Mixed):
    """Named parameters. People and programs see a genome as a flat object: ``{"x": 0.5, "n": 3, "mode": "fast"}``.

    Args:
        parameters: name -> ``[low, high]`` (or ``{reals: [low, high]}``) for a real number, ``{integers: [low, high]}``
            with both bounds belonging to it, ``{choices: [...]}`` for JSON-like values without an order. With
            ``size: k`` beside it, a parameter is a list of k such values.

    Raises:
        ConfigError: names the parameter, what was expected and what came.

    Example:
        >>> space = Parameters({"x": [-1.0, 1.0], "n": {"integers": [1, 10]}, "mode": {"choices": ["fast", "slow"]}})
        >>> space.to_json(space.stack([{"x": 0.5, "n": 3, "mode": "slow"}])[0])
        {'x': 0.5, 'n': 3, 'mode': 'slow'}
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        if not parameters:
            raise ConfigError(f"parameters: expected one or more, such as x: [-1.0, 1.0]; {_EXPECTED}")
        parts = {name: _part(name, said) for name, said in parameters.items()}
        super().__init__(**parts)
        self.lists = {name for name, said in parameters.items() if isinstance(said, Mapping) and "size" in said}
        """Names of the parameters that are lists."""

    def __repr__(self) -> str:
        return "Parameters(" + ", ".join(f"{name}={part!r}" for name, part in self.parts.items()) + ")"

    def stack(self, values: Sequence[Any]) -> Genomes:
        """A batch (n,) from flat dicts with exactly the parameters as keys. See `Mixed.stack`."""
        return super().stack([self._in_lists(value) for value in values])

    def to_json(self, genome: Any) -> Any:
        """A flat dict: name -> value, or list of values."""
        found = super().to_json(genome)
        return {name: value if name in self.lists else value[0] for name, value in found.items()}

    def _in_lists(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {name: one if name in self.lists else [one] for name, one in value.items()}


def _part(name: Any, described: Any) -> ArraySpace:
    where = f"parameters.{name}"
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in RESERVED:
        raise ConfigError(
            f"{where}: expected a name of letters, digits and _ that does not begin with a digit and is none of "
            + ", ".join(RESERVED)
        )
    given = dict(described) if isinstance(described, Mapping) else {"reals": described}
    size = given.pop("size", 1)
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConfigError(f"{where}.size: expected a whole number of at least 1, got {size!r}")
    if len(given) != 1 or next(iter(given)) not in _KINDS:
        raise ConfigError(f"{where}: {_EXPECTED}, got {described!r}")
    ((kind, values),) = given.items()
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ConfigError(f"{where}: {_EXPECTED}, got {described!r}")
    try:
        if kind == "choices":
            return Categorical(list(values), size)
        if len(values) != 2 or any(isinstance(one, bool) or not isinstance(one, int | float) for one in values):
            raise ConfigError(f"{_EXPECTED}, got {described!r}")
        low, high = values
        return Box(float(low), float(high), size) if kind == "reals" else Integers(low, high, size)
    except ConfigError as error:
        said = re.sub(r"^(Box|Integers|Categorical): ", "", str(error))
        raise ConfigError(f"{where}: {said}") from None
