"""Raising a level here and lowering one there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evo.errors import ConfigError, SpaceError
from evo.operator import Operator
from evo.records import Genomes
from evo.space import Space
from evo.spaces.levels import Levels

__all__ = ["LevelSwitch"]


class LevelSwitch(Operator):
    """Exchanges a step up in one gene for a step down in another that costs as much, so that budgets are kept exactly.

    Where a budget is a range, some switches are one step alone, up or down, that stays within it.

    The number of switches is the smaller of two numbers drawn from 1 to `most`. Both genes belong to one group, which
    is drawn in proportion to its steps. A step goes to the next level that can occur under the budget, up or down. No
    child equals its parent. Where no step cancels another, one change is made up for by as few as possible.

    Source: Sieberling, Kuznedelev, Kurtic and Alistarh, "EvoPress", ICML 2025; theirs pairs steps of equal cost only,
    as here with ``trades=0``.

    Args:
        most: largest number of switches.
        trades: how often a switch sets one step off against several of another cost, where a group has such; otherwise
            genes of one size never give anything to genes of another size.
        steps: how often a switch is one step alone, where a budget is a range; nothing for exact budgets.

    Raises:
        ConfigError: fewer than one switch, or trades or steps not in [0, 1].
        SpaceError: from `vary`, on a space that is no `Levels` or holds a single genome.
    """

    def __init__(self, most: int = 3, trades: float = 0.05, steps: float = 0.5) -> None:
        if most < 1:
            raise ConfigError(f"LevelSwitch: expected most >= 1, got {most}")
        if not (0 <= trades <= 1 and 0 <= steps <= 1):
            raise ConfigError(f"LevelSwitch: expected trades and steps in [0, 1], got {trades} and {steps}")
        self.most = most
        self.trades = trades
        self.steps = steps

    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        """One child of each row of ``parents[0]``, (n, genes)."""
        if not isinstance(space, Levels) or space.rigid:
            raise SpaceError(f"LevelSwitch varies levels that a budget leaves some choice, got the space {space!r}")
        children = space.repair(np.array(parents[0]))
        n = len(children)
        times = np.minimum(rng.integers(1, self.most + 1, n), rng.integers(1, self.most + 1, n))
        for child, parent, switches in zip(children, parents[0], times.tolist(), strict=True):
            for _ in range(switches):
                space.switches.move(child, rng, self.trades, self.steps)
            if np.array_equal(child, parent):  # the last switch took the others back
                space.switches.move(child, rng, self.trades, self.steps)
        return children
