"""The space: what a genome is, how batches of genomes are held, checked, repaired, and written down.

A batch is always one numpy array with a leading axis n: numeric for arrays, structured for mixed products, object for
JSON-like values. So taking rows, joining batches and shipping them is the same for every world.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import SpaceError
from evo.records import Genomes
from evo.spec import Configured

__all__ = ["ArraySpace", "Space"]


class Space(Configured, ABC):
    """What a genome is."""

    dtype: np.dtype[Any]
    """Of a batch."""
    shape: tuple[int, ...] = ()
    """Of one genome; a batch is (n, *shape)."""
    continuous: bool = False
    """True when equal genomes practically never meet, so that looking for them is not worth it."""

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> Genomes:
        """(n, *shape) genomes drawn at random, all inside the space."""

    @abstractmethod
    def stack(self, values: Sequence[Any]) -> Genomes:
        """A checked batch from genomes as people write them (lists, dicts, arrays).

        Raises:
            SpaceError: naming the genome's position, what was expected and what came.
        """

    @abstractmethod
    def check(self, genomes: Genomes) -> Genomes:
        """The batch in the space's dtype, refused when its shape or a value does not belong.

        Raises:
            SpaceError: naming the argument, expected and received shape, or the first bad row and value.
        """

    @abstractmethod
    def repair(self, genomes: Genomes) -> Genomes:
        """The nearest batch inside the space (clipped, rounded); may work in place. Operators call it last."""

    @abstractmethod
    def encode(self, genomes: Genomes) -> bytes:
        """The canonical form of a batch: equal genomes give equal bytes on every machine. Nothing needs unpickling."""

    @abstractmethod
    def decode(self, data: bytes, n: int) -> Genomes:
        """The batch of n genomes that `encode` wrote."""

    @abstractmethod
    def to_json(self, genome: Any) -> Any:
        """One genome as JSON-like data that `stack` takes back without loss."""

    def empty(self, n: int) -> Genomes:
        """A batch of n unset genomes."""
        return np.empty((n, *self.shape), dtype=self.dtype)


class ArraySpace(Space):
    """A space whose genomes are numeric arrays of one shape: bytes are their own canonical form."""

    def stack(self, values: Sequence[Any]) -> Genomes:
        """See `Space.stack`."""
        rows = []
        for position, value in enumerate(values):
            row = np.asarray(value)
            if row.shape != self.shape:
                raise SpaceError(f"genome {position}: expected shape {self.shape}, got {row.shape}")
            rows.append(row)
        return self.check(np.stack(rows)) if rows else self.empty(0)

    def check(self, genomes: Genomes) -> Genomes:
        """See `Space.check`."""
        batch = np.asarray(genomes)
        if batch.ndim == 0 or batch.shape[1:] != self.shape:
            expected = "(n" + "".join(f", {size}" for size in self.shape) + ")"
            raise SpaceError(f"genomes: expected shape {expected}, got {batch.shape}")
        if batch.dtype != self.dtype:
            if batch.dtype.kind not in "biuf":
                raise SpaceError(f"genomes: expected {self.dtype} values, got {batch.dtype}")
            cast = batch.astype(self.dtype)
            if self.dtype.kind in "biu" and not np.array_equal(cast, batch):
                raise SpaceError(f"genomes: expected whole numbers ({self.dtype}), got {batch.dtype} with fractions")
            batch = cast
        bad = self.outside(batch)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise SpaceError(f"genomes: row {row} lies outside the space {self}: {batch[row]!r}")
        return batch

    def outside(self, genomes: Genomes) -> NDArray[np.bool_]:
        """(n,) which rows do not belong to the space."""
        return np.zeros(len(genomes), dtype=bool)

    def encode(self, genomes: Genomes) -> bytes:
        """See `Space.encode`."""
        return np.ascontiguousarray(genomes, dtype=self.dtype).tobytes()

    def decode(self, data: bytes, n: int) -> Genomes:
        """See `Space.decode`."""
        return np.frombuffer(data, dtype=self.dtype).reshape((n, *self.shape))

    def to_json(self, genome: Any) -> Any:
        """See `Space.to_json`."""
        return np.asarray(genome).tolist()
