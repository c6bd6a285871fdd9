"""JSON-like values of any shape: trees, text, programs. A batch is an object array."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from evo.errors import SpaceError
from evo.json_text import read_json, write_json
from evo.records import Genomes
from evo.space import Space

__all__ = ["Json", "canonical_json", "parse_json", "plain"]

_Path = tuple["_Path", Any] | None  # the way to a part, written out only where something is wrong with it


def canonical_json(value: Any) -> bytes:
    """The one spelling of a JSON-like value: sorted keys, no spaces, ASCII, integers of any length, floats by repr.

    Equal bytes mean equal values of equal types; ``1`` and ``1.0`` differ, as do ``0.0`` and ``-0.0``.

    Raises:
        SpaceError: a part is NaN or infinite, or neither dict with text keys, list, tuple, text, number, bool nor None.
    """
    return write_json(plain(value), canonical=True).encode("ascii")


def plain(value: Any, name: str = "genome") -> Any:
    """A copy of `value` in exact JSON types: tuples become lists, numpy scalars Python's.

    Raises:
        SpaceError: as `canonical_json`; names the bad part, such as ``genome['left'][0]``.
    """
    return _plain(value, (None, name))


def _plain(value: Any, path: _Path) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise SpaceError(f"{_name(path)}: expected a finite number, got {value}")
        return float(value)
    if isinstance(value, list | tuple):
        return [_plain(item, (path, i)) for i, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise SpaceError(f"{_name(path)}: expected text keys, got {key!r}")
        return {str(key): _plain(item, (path, key)) for key, item in value.items()}
    kinds = "dict, list, text, number, bool or None"
    raise SpaceError(f"{_name(path)}: expected a JSON-like value ({kinds}), got {type(value).__name__} {value!r}")


def _name(path: _Path) -> str:
    steps = []
    while path is not None:
        path, step = path
        steps.append(step)
    return str(steps[-1]) + "".join(f"[{step!r}]" for step in reversed(steps[:-1]))


def parse_json(data: bytes) -> Any:
    """The value that `canonical_json` wrote."""
    return read_json(data)


class Json(Space):
    """Any JSON-like value. Subclass it to say more: override `sample_one` to draw one, `check_one` to refuse one.

    A batch is an object array of shape (n,). `check`, `stack` and `repair` copy what they are given into exact JSON
    types (tuples become lists), so a batch is never tied to the caller's objects.

    Example:
        >>> space = Json()
        >>> space.encode(space.stack([{"op": "+", "args": (1, 2.5)}]))
        b'[{"args":[1,2.5],"op":"+"}]'
    """

    dtype = np.dtype(object)
    shape = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def sample_one(self, rng: np.random.Generator) -> Any:
        """One genome drawn at random. Override it, or give the problem an `initial`."""
        raise SpaceError(
            f"{self!r} does not know how to draw a genome: override sample_one in a subclass of Json, "
            "or let the problem's initial() return the first genomes"
        )

    def check_one(self, genome: Any) -> None:
        """Raise `SpaceError` where a JSON-like value is no genome of this space. Override it; the default takes all."""

    def sample(self, n: int, rng: np.random.Generator) -> Genomes:
        """(n,) genomes from `sample_one`."""
        return self.stack([self.sample_one(rng) for _ in range(n)])

    def stack(self, values: Sequence[Any]) -> Genomes:
        """See `Space.stack`."""
        batch = self.empty(len(values))
        for row, value in enumerate(values):
            genome = plain(value, f"genome {row}")
            self.check_one(genome)
            batch[row] = genome
        return batch

    def check(self, genomes: Genomes) -> Genomes:
        """See `Space.check`."""
        if np.ndim(genomes) != 1:
            raise SpaceError(f"genomes: expected shape (n,), got {np.shape(genomes)}")
        return self.stack(list(genomes))

    def repair(self, genomes: Genomes) -> Genomes:
        """The same genomes, checked: what is nearest to a malformed tree is not for a general space to say."""
        return self.check(genomes)

    def encode(self, genomes: Genomes) -> bytes:
        """One canonical JSON list."""
        return canonical_json(list(genomes))

    def decode(self, data: bytes, n: int) -> Genomes:
        """See `Space.decode`."""
        values = parse_json(data)
        if len(values) != n:
            raise SpaceError(f"data: expected {n} genomes, got {len(values)}")
        batch = self.empty(n)
        for row, value in enumerate(values):
            batch[row] = value
        return batch

    def to_json(self, genome: Any) -> Any:
        """A copy in exact JSON types."""
        return plain(genome)
