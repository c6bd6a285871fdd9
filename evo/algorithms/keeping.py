"""What algorithms with one main archive share: offering it the results that count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from evo.archive import Archive
from evo.problem import Problem
from evo.records import Change, Genomes, Results
from evo.space import Space

__all__ = ["default_mutation", "offer", "starting_points"]


def offer(archive: Archive, results: Iterable[Results], reporting: str) -> list[Change]:
    """Add all candidates measured at the reporting fidelity; what changed."""
    changes = []
    for part in results:
        if len(part) and part.requests.fidelity == reporting:
            added = archive.add(part.genomes, part.objectives, part.measures, part.candidate)
            if len(added.change.keys):
                changes.append(added.change)
    return changes


def starting_points(problem: Problem, n: int, rng: np.random.Generator) -> tuple[Genomes, bool]:
    """n genomes to begin with: (the problem's initial ones in turn, True), or (random ones, False)."""
    given: Sequence[object] = problem.initial()
    if len(given) == 0:
        return problem.space.sample(n, rng), False
    stacked = problem.space.stack(given)
    return stacked[np.arange(n) % len(stacked)], True


def default_mutation(space: Space) -> str:
    """The registered name of a mutation that suits the space.

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
    }
    kind = type(space).__name__
    if kind not in names:
        raise ConfigError(
            f"algorithm.operator: no default mutation for a {kind} space; name an operator that varies it"
        )
    return names[kind]
