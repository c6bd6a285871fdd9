"""Operators: parents -> children. Mutation, crossover, an emitter's sampling, a language model's rewrite."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evo.evaluator import Work
from evo.records import Genomes
from evo.space import Space
from evo.spec import Configured

__all__ = ["Births", "Operator"]


@dataclass(frozen=True)
class Births:
    """What `make` produced for one request."""

    genomes: Genomes
    """(c, ...) zero, one or many children."""
    counters: Mapping[str, float] = field(default_factory=dict)
    """Totals of the work done (``{"screened": 4096}``), summed over the run."""
    costs: Mapping[str, float] = field(default_factory=dict)
    artifacts: Mapping[str, bytes | Path] = field(default_factory=dict)
    """name -> content or file"""
    message: str = ""
    """Why there are fewer children than asked for."""


class Operator(Configured):
    """Owns nothing but its parameters; all randomness comes from the stream it is handed.

    Override `vary` for variation that is vectorised on the master; override `make` for work that belongs on a worker
    (a rewrite by a language model, a shard of an enumeration). The default `make` varies one set of parents.
    """

    arity: int = 1
    """How many parents a child has."""
    name: str = ""
    """How statistics call it; empty means the class's name in snake case."""

    @property
    def label(self) -> str:
        """The name that statistics and lineage use."""
        return self.name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()

    def vary(self, parents: Sequence[Genomes], space: Space, rng: np.random.Generator) -> Genomes:
        """Children of `arity` aligned batches of parents, each (n, ...). Called on the master, once per block.

        Returns:
            (n, ...) children inside the space (``space.repair`` has been applied); parents are left untouched.
        """
        raise NotImplementedError(f"{type(self).__name__} varies nothing on the master; ask for it with make=")

    def make(self, parents: Genomes, args: Mapping[str, Any], space: Space, work: Work) -> Births:
        """Children of one request, on a worker.

        Args:
            parents: (p, ...) the genomes that travelled with the request; may be empty.
            args: the request's JSON-like arguments.
            work: draw, parameters and artifacts; ``work.rng(purpose="make")`` is the only source of randomness.
        """
        batches = [parents[i : i + 1] for i in range(self.arity)]
        return Births(self.vary(batches, space, work.rng(purpose="make")))
