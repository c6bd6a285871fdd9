"""JSON that holds integers of any length: Python's own refuses those of thousands of digits, one way and the other."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

__all__ = ["read_json", "write_json"]

_LONG = 640  # digits; Python never limits integers shorter than this
_write = json.JSONEncoder().encode
_write_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def write_json(value: Any, *, canonical: bool = False) -> str:
    """`value` in ASCII; NaN and infinities as Python writes them, which `read_json` takes.

    Args:
        value: dicts, lists, tuples, text, numbers, bools and None.
        canonical: keys sorted, no spaces.

    Raises:
        TypeError: a part is none of these.
    """
    try:
        return (_write_canonical if canonical else _write)(value)
    except ValueError:  # the length of an integer: rare enough not to look for it beforehand
        return _long(value, canonical)


def read_json(text: str | bytes) -> Any:
    """What `write_json` wrote.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return json.loads(text, parse_int=_integer)


def _long(value: Any, canonical: bool) -> str:
    comma, colon = (",", ":") if canonical else (", ", ": ")
    if isinstance(value, dict):
        texts = {
            key if isinstance(key, str) else write_json(key): _long(item, canonical) for key, item in value.items()
        }
        keys = sorted(texts) if canonical else texts
        return "{" + comma.join([f"{json.dumps(key)}{colon}{texts[key]}" for key in keys]) + "}"
    if isinstance(value, list | tuple):
        return "[" + comma.join([_long(item, canonical) for item in value]) + "]"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{Decimal(value):f}"
    return json.dumps(value)


def _integer(digits: str) -> int:
    return int(digits) if len(digits) < _LONG else int(Decimal(digits))
