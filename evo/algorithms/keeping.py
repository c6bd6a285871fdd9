"""What algorithms with one main archive share: what to begin with, and offering the results that count."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from evo.archive import Archive
from evo.operator import Operator
from evo.records import Change, Genomes, Requests, Results
from evo.space import Space
from evo.spaces import Box, Categorical, Integers, Mixed

__all__ = ["default_mutation", "founders", "offer"]


def offer(archive: Archive, results: Iterable[Results], reporting: str) -> list[Change]:
    """Add all candidates measured at the reporting fidelity; what changed."""
    changes = []
    for part in results:
        if len(part) and part.requests.fidelity == reporting:
            added = archive.add(part.genomes, part.objectives, part.measures, part.candidate)
            if len(added.change.keys):
                changes.append(added.change)
    return changes


def founders(
    given: Genomes, asked: int, n: int, operator: Operator, space: Space, rng: np.random.Generator
) -> list[Requests]:
    """n requests to begin with, after `asked` others: the given genomes once each, then their children; or random ones.

    Args:
        given: (g, ...) the problem's initial genomes.
        asked: how many founders were asked for before.
        n: how many are wanted now.
        operator: makes the children.
        space: where random genomes are drawn where none are given.
        rng: for children and random genomes.
    """
    if not len(given):
        return [Requests(genomes=space.sample(n, rng), operator="sample")]
    fresh = given[asked : asked + n]
    batches = [Requests(genomes=fresh, operator="initial")] if len(fresh) else []
    if len(fresh) < n:
        parents = given[np.arange(asked + len(fresh), asked + n) % len(given)]
        children = operator.vary([parents] * operator.arity, space, rng)
        batches.append(Requests(genomes=children, operator=operator.label))
    return batches


def default_mutation(space: Space) -> str | dict[str, Any]:
    """A mutation that suits the space: its registered name, or with parameters as a run file would say it.

    For a product of parts: a step of a tenth of the range for real numbers, and one of the other coordinates drawn anew
    on average.

    Raises:
        ConfigError: none does; name one in the configuration.
    """
    from evo.errors import ConfigError

    names = {
        "Box": "gaussian",
        "Integers": "resample",
        "Categorical": "resample",
        "BitMask": "flip",
        "Permutation": "swap",
        "Levels": "level_switch",
    }
    if isinstance(space, Mixed):
        coordinates = sum(int(np.prod(part.shape)) for part in space.parts.values() if not isinstance(part, Box))
        return {
            "type": "per_part",
            "operators": {name: _of_part(part, coordinates) for name, part in space.parts.items()},
        }
    for kind in type(space).__mro__:  # a space derived from one of ours is varied like it
        if kind.__name__ in names:
            return names[kind.__name__]
    raise ConfigError(
        f"algorithm.operator: no default mutation for a {type(space).__name__} space; name an operator that varies it"
    )


def _of_part(part: Space, coordinates: int) -> str | dict[str, Any]:
    """A mutation of one part of a product, in which so many coordinates are no real numbers."""
    if isinstance(part, Box) and np.isfinite(part.low).all() and np.isfinite(part.high).all():
        return {"type": "gaussian", "sigma": (0.1 * (part.high - part.low)).tolist()}
    if isinstance(part, Integers | Categorical):
        return {"type": "resample", "probability": 1 / coordinates}
    return default_mutation(part)
