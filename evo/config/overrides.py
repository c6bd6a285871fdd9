"""``key.path=value`` on the command line, laid over a run file's data."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from evo.config.text import parse
from evo.errors import ConfigError

__all__ = ["apply_overrides", "split_override"]


def split_override(text: str) -> tuple[list[str], Any]:
    """The keys and the value of one override; the value is read as YAML.

    Raises:
        ConfigError: no ``=``, an empty key, or a value that is not YAML.
    """
    path, equals, value = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"override {text!r}: expected key=value, such as budget.evaluations=1000")
    return keys, parse(value, f"override {text!r}")


def apply_overrides(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of `data` with the overrides laid over it, in order.

    A key under a plug-in that was given by its name alone makes a mapping of it: ``algorithm.operator.iso_sigma=0.2``
    over ``operator: iso_line``.

    Raises:
        ConfigError: an override is malformed, or goes through something that has no keys.
    """
    data = copy.deepcopy(data)
    for text in overrides:
        keys, value = split_override(text)
        node: Any = data
        for depth, key in enumerate(keys):
            node = _inside(node, key)
            if depth == len(keys) - 1:
                node[_index(node, key, text)] = value
                break
            index = _index(node, key, text)
            child = node.get(index) if isinstance(node, dict) else node[index]
            if child is None:
                child = {}
            elif isinstance(child, str):
                child = {"type": child}
            elif not isinstance(child, dict | list):
                raise ConfigError(f"override {text!r}: {'.'.join(keys[: depth + 1])} is {child!r} and has no keys")
            node[index] = child
            node = child
    return data


def _inside(node: Any, key: str) -> Any:
    """The mapping of a plug-in's parameters, where they are written under ``params``."""
    if (
        isinstance(node, dict)
        and set(node) == {"type", "params"}
        and key not in node
        and isinstance(node["params"], dict)
    ):
        return node["params"]
    return node


def _index(node: Any, key: str, text: str) -> Any:
    if isinstance(node, dict):
        return key
    if not key.isdecimal() or int(key) >= len(node):
        raise ConfigError(f"override {text!r}: expected a position from 0 to {len(node) - 1} for {key!r}")
    return int(key)
