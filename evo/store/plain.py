"""Values as strict JSON, which knows no NaN and no infinity."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from evo.json_text import write_json

__all__ = ["document", "finite", "line", "plain"]

_document = json.JSONEncoder(allow_nan=False).encode
_line = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def document(value: Any) -> str:
    """`value` as strict JSON, with None for what is not finite."""
    try:
        return _document(value)
    except ValueError:  # rare enough not to look through every value beforehand
        return write_json(finite(value))


def line(value: Any) -> str:
    """`value` in one line, keys sorted, floats by repr; None for NaN, infinities as text."""
    try:
        return _line(value)
    except ValueError:
        return write_json(finite(value, spelled=True), canonical=True)


def finite(value: Any, *, spelled: bool = False) -> Any:
    """`value` with None for what is not finite, and arrays as lists.

    Args:
        value: JSON-like data.
        spelled: infinities as text instead, so that they are not lost.
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) or not spelled else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {str(name): finite(item, spelled=spelled) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item, spelled=spelled) for item in value]
    return value


def plain(value: Any) -> Any:
    """A metric as JSON-like data; None where there is none (NaN fills the rows that have no value)."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and value != value else value
