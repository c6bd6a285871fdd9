"""Varying the parts of a product, each by an operator of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evo.errors import ConfigError, SpaceError
from evo.operator import Operator
from evo.records import Genomes
from evo.space import Space
from evo.spaces.mixed import Mixed

__all__ = ["PerPart"]


class PerPart(Operator):
    """Applies to every named part of an `evo.spaces.Mixed` genome its own operator.

    Parts without one stay the first parent's. The arity is the largest among the operators; one of smaller arity gets
    the first parents.

    Args:
        **operators: part -> operator, as in ``PerPart(rate=Gaussian(0.1), layer=Resample())``.

    Raises:
        ConfigError: no operators, or one that is none.
        SpaceError: from `vary`, on a space that is not `Mixed` or lacks a named part.
    """

    def __init__(self, /, **operators: Operator) -> None:
        if not operators:
            raise ConfigError("PerPart: expected at least one part=operator")
        for part, operator in operators.items():
            if not isinstance(operator, Operator):
                raise ConfigError(f"PerPart: expected an operator for part {part!r}, got {operator!r}")
        self.operators = dict(operators)
        self.arity = max(operator.arity for operator in operators.values())

    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        """One child of each row of the parents, (n,) records."""
        if not isinstance(space, Mixed):
            raise SpaceError(f"PerPart varies the parts of a Mixed space, got {space!r}")
        unknown = sorted(set(self.operators) - set(space.parts))
        if unknown:
            raise SpaceError(f"PerPart: the space has the parts {list(space.parts)}, not {unknown}")
        children = np.array(parents[0])
        for name, operator in self.operators.items():
            own = [batch[name] for batch in parents[: operator.arity]]
            children[name] = operator.vary(own, space.parts[name], rng)
        return space.repair(children)
