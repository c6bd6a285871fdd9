"""Which levels a layer may take, and which sub-blocks must stay, by patterns of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from evo.errors import ConfigError
from problems.evopress.counts import Counts

__all__ = ["kept", "legal_levels"]


def legal_levels(
    allowed: Mapping[str, Sequence[int]] | None, layers: Mapping[str, Counts]
) -> dict[str, tuple[bool, ...]]:
    """Per layer and level, whether it may be taken: where several patterns match a layer, what all of them allow.

    Args:
        allowed: pattern of layer names (``*.q_proj``) to levels, 0 being the uniform one, or the one at the lowest
            sparsity of a range; None for all levels of all layers.
        layers: name to levels.

    Raises:
        ConfigError: no such mapping, a pattern without a layer, a level that a layer does not have, or a layer that is
            left none.
    """
    legal = {name: (True,) * len(counts.zeros) for name, counts in layers.items()}
    if allowed is not None and not isinstance(allowed, Mapping):
        raise ConfigError(f"allowed: expected levels by pattern of layer, as {{'*.q_proj': [0]}}, got {allowed!r}")
    for pattern, steps in (allowed or {}).items():
        if not isinstance(steps, Sequence) or isinstance(steps, str) or not all(type(step) is int for step in steps):
            raise ConfigError(f"allowed: expected a list of whole-numbered levels for {pattern!r}, got {steps!r}")
        for name in _matching("allowed", pattern, "layer", list(layers)):
            counts = layers[name]
            for step in steps:
                if not 0 <= counts.uniform + step < len(counts.zeros):
                    first, last = -counts.uniform, len(counts.zeros) - 1 - counts.uniform
                    raise ConfigError(f"allowed: {pattern!r} names the level {step}, but {name} has {first} to {last}")
            legal[name] = tuple(own and level - counts.uniform in steps for level, own in enumerate(legal[name]))
            if not any(legal[name]):
                raise ConfigError(f"allowed: no level is left for {name}; {pattern!r} allows {list(steps)}")
    return legal


def kept(keep: Sequence[str] | None, names: Sequence[str]) -> set[str]:
    """The names of those sub-blocks that must stay.

    Raises:
        ConfigError: no list of patterns, or a pattern without a sub-block.
    """
    if keep is None:
        return set()
    if not isinstance(keep, Sequence) or isinstance(keep, str):
        raise ConfigError(f"keep: expected a list of patterns of sub-blocks, such as ['*.0.*'], got {keep!r}")
    return {name for pattern in keep for name in _matching("keep", pattern, "sub-block", names)}


def _matching(key: str, pattern: Any, what: str, names: Sequence[str]) -> list[str]:
    found = [name for name in names if fnmatchcase(name, str(pattern))]
    if not found:
        raise ConfigError(f"{key}: {pattern!r} matches no {what}; their names are like {names[0]!r}")
    return found
