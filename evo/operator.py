"""Operators: parents -> children. Mutation, crossover, an emitter's sampling, a language model's rewrite."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evo.evaluator import Work
from evo.records import Genomes
from evo.space import Space
from evo.spec import Configured

__all__ = ["Births", "Enumerator", "Operator"]


@dataclass(frozen=True)
class Births:
    """What `make` produced for one request."""

    genomes: Genomes
    """(c, ...) zero, one or many children, all inside the space."""
    counters: Mapping[str, float] = field(default_factory=dict)
    """Totals of the work done (``{"screened": 4096}``), summed over the run; finite numbers."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """Costs other than seconds: tokens, money; finite numbers."""
    artifacts: Mapping[str, bytes | Path] = field(default_factory=dict)
    """name -> content or file, kept by hash in the run; a large file is best written into `Work.scratch`."""
    message: str = ""
    """Why there are fewer children than asked for."""


class Operator(Configured):
    """Owns nothing but its parameters; all randomness comes from the stream it is handed.

    Override `vary` for variation that is vectorised on the master; override `make` for work that belongs on a worker
    (a rewrite by a language model, a shard of an enumeration), or `make_batch` where several requests are better done
    at once (network calls in flight together). The default `make` varies one set of parents.
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

    def warm_up(self) -> None:
        """Load models, open connections. Called once on each worker, after the evaluator's, before the first `make`.

        Only for operators that work there: the problem's and the algorithm's `operators`.
        """

    def make(self, parents: Genomes, args: Mapping[str, Any], space: Space, work: Work) -> Births:
        """Children of one request. Called by `make_batch`, on a worker.

        Args:
            parents: (p, ...) the genomes that travelled with the request, read-only (or a copy); may be empty.
            args: the request's JSON-like arguments.
            work: draw, parameters and artifacts; ``work.rng(purpose="make")`` is the only source of randomness.
        """
        batches = [parents[i : i + 1] for i in range(self.arity)]
        return Births(self.vary(batches, space, work.rng(purpose="make")))

    def make_batch(
        self, parents: Sequence[Genomes], args: Sequence[Mapping[str, Any]], space: Space, work: Work
    ) -> Sequence[Births | BaseException]:
        """Children of several requests. Called on a worker, once for all requests that it holds at a time.

        How many those are is at least the fidelity's ``concurrency`` where enough wait. Each request must get the same
        children in any batch, so row `i` draws from ``work.rng(i, purpose="make")`` alone. The default calls `make` for
        one after the other, with ``work.one(row)``.

        Args:
            parents: per request, as for `make`.
            args: per request, as for `make`.
            work: one row a request.

        Returns:
            One entry a request: its children, or the exception by which it failed. When the call itself raises, it is
            repeated for each request alone.
        """
        found: list[Births | BaseException] = []
        for row in range(len(args)):
            try:
                found.append(self.make(parents[row], args[row], space, work.one(row)))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the supervision boundary: one request each
                found.append(error)
        return found


class Enumerator(Operator, ABC):
    """Goes through a finite set in an order of its own, rank by rank, and makes a candidate of whatever survives there.

    The set may be cut anywhere: the survivors of ranks a to c are those of a to b and those of b to c, in this order.
    `evo.Enumeration` asks for it shard by shard.
    """

    arity = 0

    @property
    @abstractmethod
    def total(self) -> int:
        """How many ranks there are. Read on the master, so it should be known or quickly counted."""

    @property
    def survivors(self) -> int:
        """The most candidates that one rank can yield; shards are refused that could exceed what a request may hold."""
        return 1

    @abstractmethod
    def make(self, parents: Genomes, args: Mapping[str, Any], space: Space, work: Work) -> Births:
        """The survivors among the ranks from ``args["start"]`` up to but not including ``args["stop"]``.

        What was looked at and turned down on the way belongs into the counters.
        """
