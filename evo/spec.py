"""How an object says, in plain data, how it was made: the key to resuming a run from its file.

Every plug-in (problem, evaluator, operator, archive, algorithm) inherits `Configured`, which remembers the arguments of
its constructor. `spec_of` turns an object into ``{"type": ..., "params": {...}}``; `evo.registry.build` back.
"""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any

import numpy as np

from evo.errors import ConfigError
from evo.redact import named

__all__ = ["Configured", "qualified_name", "spec_of"]


_signature = lru_cache(maxsize=256)(inspect.signature)


class Configured:
    """Base of every plug-in: remembers the arguments that it was constructed with."""

    _arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Note the arguments; unpickling passes none and restores them with the rest of the state."""
        self = super().__new__(cls)
        if args or kwargs:
            try:
                bound = _signature(cls.__init__).bind(self, *args, **kwargs)
            except TypeError:
                return self  # the constructor itself raises the same error, with a better traceback
            self._arguments = dict(list(bound.arguments.items())[1:])
        else:
            self._arguments = {}
        return self


def qualified_name(cls: type) -> str:
    """``module:Class``, the form that configs accept."""
    return f"{cls.__module__}:{cls.__qualname__}"


def spec_of(value: Any, path: str = "") -> Any:
    """`value` as JSON-like data, nested plug-ins as ``{"type", "params"}``.

    Raises:
        ConfigError: an argument has no plain form (a function, an open file); names which.
    """
    if isinstance(value, Configured):
        where = f"{path}.{type(value).__name__}" if path else type(value).__name__
        params = {name: spec_of(item, f"{where}({name})") for name, item in value._arguments.items()}
        return {"type": qualified_name(type(value)), "params": params}
    if isinstance(value, str):
        return named(value, path)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): spec_of(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [spec_of(item, f"{path}[{i}]") for i, item in enumerate(value)]
    raise ConfigError(
        f"{path}: {type(value).__name__} has no plain form, so the run could not be resumed from its file; "
        "pass numbers, text, lists or evo plug-ins, or resume with evo.resume(run_dir, problem=...)"
    )
