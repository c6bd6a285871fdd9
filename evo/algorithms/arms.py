"""Arms: several algorithms side by side in one run, on equal parts of one budget."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

from evo.algorithm import Algorithm
from evo.algorithms.lanes import Lane
from evo.algorithms.side_by_side import SideBySide
from evo.archive import Archive
from evo.errors import ConfigError

__all__ = ["Arms"]


class Arms(SideBySide):
    """Runs several algorithms that know nothing of each other, for comparing them under one seed and one budget.

    The requests of an arm bear the source ``arm/NAME``, its archives the names ``arm/NAME/archive``; the main archive
    takes what all of them find. The budget of evaluations is split by shares of what is reserved; without one, no arm
    gets ahead of another by more than a block. An arm that ends leaves the rest of its budget to the others.

    Args:
        arms: name -> algorithm.
        shares: name -> part of the budget, relative to the others'; 1 for those that are not named.
        archive: the main archive; by default one like the first arm's.

    Raises:
        ConfigError: no arms, a name that is empty or has a slash, shares of unknown arms or not above 0.
    """

    def __init__(
        self,
        arms: Mapping[str, Algorithm],
        *,
        shares: Mapping[str, float] | None = None,
        archive: Archive | None = None,
    ) -> None:
        shares = shares or {}
        if not arms:
            raise ConfigError("Arms: expected at least one arm, name -> algorithm")
        for name in arms:
            if not name or "/" in name:
                raise ConfigError(f"Arms: expected names without slashes, got {name!r}")
        for name, share in shares.items():
            if name not in arms or not 0 < share < float("inf"):
                raise ConfigError(f"Arms: expected shares above 0 of {', '.join(arms)}, got {name}: {share!r}")
        self._begin(
            [
                Lane(f"arm/{name}", deepcopy(arm), float(shares.get(name, 1.0)), renames=True)
                for name, arm in arms.items()
            ],
            archive,
        )
