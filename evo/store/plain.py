"""Values as strict JSON, which knows no NaN and no infinity."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

__all__ = ["finite", "line", "plain"]

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def line(value: Any) -> str:
    """`value` in one line, keys sorted, floats by repr."""
    try:
        return _ENCODER.encode(value)
    except ValueError:  # rare enough not to look through every value beforehand
        return _ENCODER.encode(finite(value))


def finite(value: Any) -> Any:
    """`value` with NaN as None, infinities as text, and arrays as lists."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {str(name): finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def plain(value: Any) -> Any:
    """A metric as JSON-like data; None where there is none (NaN fills the rows that have no value)."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and value != value else value
