"""One operator after another."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from evo.errors import ConfigError
from evo.operator import Operator
from evo.records import Genomes
from evo.space import Space

__all__ = ["Chain"]


class Chain(Operator):
    """Applies operators in turn: usually a crossover, then a mutation of its children.

    Its arity is the first operator's. Its name joins theirs: ``Chain(SBX(), Polynomial())`` is ``sbx+polynomial``.

    Args:
        first: meets the parents.
        then: the operator, or operators, that vary its children further; of arity one.

    Raises:
        ConfigError: one that follows needs more than one parent, or none follows.
    """

    def __init__(self, first: Operator, then: Operator | Sequence[Operator]) -> None:
        self.first = first
        self.then = [then] if isinstance(then, Operator) else list(then)
        if not self.then:
            raise ConfigError("Chain: expected at least one operator to follow the first")
        for operator in self.then:
            if operator.arity != 1:
                raise ConfigError(
                    f"Chain: {_name(operator)} needs {operator.arity} parents; only the first operator may have several"
                )
        self.arity = first.arity
        self.name = "+".join(_name(operator) for operator in (first, *self.then))

    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        """One child of each row of the parents, varied by every operator."""
        children = self.first.vary(parents, space, rng)
        for operator in self.then:
            children = operator.vary((children,), space, rng)
        return children


def _name(operator: Operator) -> str:
    return operator.name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(operator).__name__).lower()
