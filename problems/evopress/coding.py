"""The genes of a model: which layers or sub-blocks share one, and which levels there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evo.errors import ConfigError
from problems.evopress.allowed import kept, legal_levels
from problems.evopress.counts import Share, published_step, range_step, zero_counts
from problems.evopress.genes import Depth, Sparsity
from problems.evopress.outline import Outline

__all__ = ["depth", "drop_of", "share_of", "sparsity"]

_FUSED = ({"q_proj", "k_proj", "v_proj"}, {"gate_proj", "up_proj"})
"""Projections that inference engines run as one, so that they have to share a level."""


def sparsity(model: Outline, target: Share, most: int, step: int | None, fused: bool, allowed: Any = None) -> Sparsity:
    """The genes of a model's layers.

    Args:
        model: without weights.
        target: share of zeros, or the lowest and the highest.
        most: levels on either side of it.
        step: zeros between two levels; None for the default.
        fused: query, key and value share a gene, and so do gate and up.
        allowed: as `problems.evopress.allowed.legal_levels`.

    Raises:
        ConfigError: arguments out of range, or fused layers whose levels do not agree.
    """
    groups: dict[Any, list[Any]] = {}
    for layer in model.layers:
        last = layer.name.rpartition(".")[2]
        group = next((i for i, names in enumerate(_FUSED) if fused and last in names), layer.name)
        groups.setdefault((layer.block, group), []).append(layer)
    if step is None:
        hidden = min(model.layers[0].shape)
        step = range_step(*target, most, hidden) if isinstance(target, tuple) else published_step(target, most, hidden)
    counts = {layer.name: zero_counts(layer.size, target, step, most) for layer in model.layers}
    each = legal_levels(allowed, counts)
    legal = []
    for layers in groups.values():
        own = [counts[layer.name] for layer in layers]
        names = ", ".join(layer.name for layer in layers)
        if len({(one.uniform, len(one.zeros)) for one in own}) > 1:
            fix = "a range needs layers of one size" if isinstance(target, tuple) else "lower step or levels"
            raise ConfigError(f"fused: {names} have different numbers of levels; {fix}")
        legal.append(tuple(map(all, zip(*(each[layer.name] for layer in layers), strict=True))))
        if not any(legal[-1]):
            raise ConfigError(f"allowed: no level is left that {names} may all take, as fused layers have to")
    return Sparsity(
        tuple(tuple(layer.name for layer in layers) for layers in groups.values()),
        tuple(tuple(counts[layer.name] for layer in layers) for layers in groups.values()),
        step,
        target,
        tuple(legal),
    )


def depth(model: Outline, drop: int | tuple[int, int], whole_blocks: bool, keep: Any = None) -> Depth:
    """The genes of a model's sub-blocks or blocks.

    Raises:
        ConfigError: fewer are there than are to be left out, or a pattern in `keep` matches nothing.
    """
    parts: dict[Any, list[Any]] = {}
    for sub in model.sub_blocks:
        parts.setdefault(sub.block if whole_blocks else (sub.block, sub.kind), []).append(sub)
    groups = tuple("block" if whole_blocks else str(key[1]) for key in parts)
    names = kept(keep, [sub.name for sub in model.sub_blocks])
    stays = tuple(any(sub.name in names for sub in part) for part in parts.values())
    droppable = [group for group, stay in zip(groups, stays, strict=True) if not stay]
    most = min(min(groups.count(group) - 1, droppable.count(group)) for group in groups)
    low, high = drop if isinstance(drop, tuple) else (drop, drop)
    if not 0 < low <= high <= most:
        of = min(groups.count(group) for group in groups)
        free = f" ({of - most} must be kept)" if any(stays) else ""
        got = drop if low == high else f"{low} to {high}"
        if most < 1:
            raise ConfigError(f"keep: nothing is left to drop among the {of} of a kind{free}; keep fewer")
        raise ConfigError(f"drop: expected 1 to {most} of {of}{free}, got {got}")
    return Depth(tuple(tuple((sub.block, sub.kind) for sub in part) for part in parts.values()), groups, drop, stays)


def share_of(given: Any) -> Share:
    """`sparsity` as it is given: a share of zeros, or the lowest and the highest.

    Raises:
        ConfigError: neither.
    """
    if not _is_pair(given):
        if not _is_share(given):
            raise ConfigError(f"sparsity: expected a share of zeros from 0 to 1, got {given!r}")
        return float(given)
    low, high = given
    if not (_is_share(low) and _is_share(high) and low < high):
        raise ConfigError(f"sparsity: expected [low, high] with 0 <= low < high <= 1, got {given!r}")
    return float(low), float(high)


def drop_of(given: Any) -> int | tuple[int, int]:
    """`drop` as it is given: a number, or the lowest and the highest.

    Raises:
        ConfigError: neither.
    """
    ends = tuple(given) if _is_pair(given) else (given,)
    if not all(type(end) is int for end in ends) or sorted(set(ends)) != list(ends):
        raise ConfigError(f"drop: expected a whole number, or [low, high] with low < high, got {given!r}")
    return ends if len(ends) == 2 else ends[0]


def _is_pair(given: Any) -> bool:
    return isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 2


def _is_share(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given <= 1
