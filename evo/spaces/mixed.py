"""Products of array spaces: a genome of named parts of different kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from evo.errors import ConfigError, SpaceError
from evo.records import Genomes
from evo.space import ArraySpace, Space

__all__ = ["Mixed"]


class Mixed(Space):
    """Records with named parts. A batch (n,) is one structured array, a genome one record: ``genome["name"]``.

    People write and read a genome as a dict of what each part writes and reads.

    Args:
        **parts: name -> array space.

    Raises:
        ConfigError: no parts, or one that is no array space.

    Example:
        >>> space = Mixed(rate=Box(0.0, 1.0, size=2), layer=Categorical(["dense", "conv"]))
        >>> space.to_json(space.stack([{"rate": [0.5, 1], "layer": "conv"}])[0])
        {'rate': [0.5, 1.0], 'layer': ['conv']}
    """

    def __init__(self, /, **parts: ArraySpace) -> None:
        if not parts:
            raise ConfigError("Mixed: expected at least one part, such as rate=Box(0, 1, size=2)")
        for name, part in parts.items():
            if not isinstance(part, ArraySpace):
                raise ConfigError(f"Mixed: expected an array space as part {name!r}, got {part!r}")
        self.parts: Mapping[str, ArraySpace] = dict(parts)
        # packed, not aligned: no bytes between the parts, so equal genomes have equal bytes
        self.dtype = np.dtype([(name, part.dtype, part.shape) for name, part in parts.items()])
        self.continuous = any(part.continuous for part in parts.values())

    def __repr__(self) -> str:
        return "Mixed(" + ", ".join(f"{name}={part!r}" for name, part in self.parts.items()) + ")"

    def sample(self, n: int, rng: np.random.Generator) -> Genomes:
        """Every part drawn by its own space, in the order of the parts."""
        return self._each(n, lambda name, part: part.sample(n, rng))

    def stack(self, values: Sequence[Any]) -> Genomes:
        """A batch (n,) from dicts with exactly the parts as keys.

        Raises:
            SpaceError: naming the genome's position, or the part and what is wrong with it.
        """
        for position, value in enumerate(values):
            if not isinstance(value, Mapping) or set(value) != set(self.parts):
                got = list(value) if isinstance(value, Mapping) else type(value).__name__
                raise SpaceError(f"genome {position}: expected a dict of the parts {list(self.parts)}, got {got}")
        return self._each(len(values), lambda name, part: part.stack([value[name] for value in values]))

    def check(self, genomes: Genomes) -> Genomes:
        """See `Space.check`."""
        batch = np.asarray(genomes)
        if batch.ndim != 1 or set(batch.dtype.names or ()) != set(self.parts):
            raise SpaceError(f"genomes: expected shape (n,) of {self.dtype}, got {batch.shape} of {batch.dtype}")
        checked = self._each(len(batch), lambda name, part: part.check(batch[name]))
        return batch if batch.dtype == self.dtype else checked

    def repair(self, genomes: Genomes) -> Genomes:
        """Every part repaired by its own space, in place."""
        for name, part in self.parts.items():
            genomes[name] = part.repair(genomes[name])
        return genomes

    def encode(self, genomes: Genomes) -> bytes:
        """The records one after another, their parts without gaps."""
        return np.ascontiguousarray(genomes, dtype=self.dtype).tobytes()

    def decode(self, data: bytes, n: int) -> Genomes:
        """See `Space.decode`."""
        return np.frombuffer(data, dtype=self.dtype, count=n)

    def to_json(self, genome: Any) -> Any:
        """A dict of what each part writes."""
        return {name: part.to_json(genome[name]) for name, part in self.parts.items()}

    def _each(self, n: int, column: Callable[[str, ArraySpace], Genomes]) -> Genomes:
        """A batch whose parts are what `column` returns for them; its errors name the part."""
        batch = self.empty(n)
        for name, part in self.parts.items():
            try:
                batch[name] = column(name, part)
            except SpaceError as error:
                raise SpaceError(f"part {name!r}: {error}") from None
        return batch
