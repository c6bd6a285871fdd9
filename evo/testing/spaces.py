"""What every space promises."""

from __future__ import annotations

import numpy as np

from evo.errors import SpaceError
from evo.records import Genomes
from evo.space import Space
from evo.spaces.json_value import canonical_json, parse_json
from evo.testing.plain import check_spec

__all__ = ["check_space"]


def check_space(space: Space, n: int = 64, seed: int = 0, genomes: Genomes | None = None) -> None:
    """Check a space's promises: drawing, checking, writing, reading, repairing.

    Args:
        space: the space.
        n: how many genomes to try.
        seed: what they are drawn with.
        genomes: (n, ...) what to try instead, for a space that draws none.

    Raises:
        AssertionError: naming the promise that does not hold.
    """
    if genomes is None:
        genomes = space.sample(n, np.random.default_rng(seed))
        _check_sample(space, genomes, n, seed)
    n = len(genomes)
    written = space.encode(genomes)
    _check_inside(space, genomes, written)
    _check_batch(space, space.empty(n), n, "empty")
    _check_encoding(space, genomes, written)
    _check_people(space, genomes, written)
    _check_repair(space, genomes, written)
    check_spec(space)


def _check_batch(space: Space, batch: Genomes, n: int, made_by: str) -> None:
    assert batch.shape == (n, *space.shape), f"{made_by} of {space!r}: expected {(n, *space.shape)}, got {batch.shape}"
    assert batch.dtype == space.dtype, f"{made_by} of {space!r}: expected {space.dtype}, got {batch.dtype}"


def _check_sample(space: Space, genomes: Genomes, n: int, seed: int) -> None:
    _check_batch(space, genomes, n, "sample")
    again = space.sample(n, np.random.default_rng(seed))
    same = space.encode(genomes) == space.encode(again)
    assert same, f"sample of {space!r} is not decided by its random generator"
    _check_batch(space, space.sample(0, np.random.default_rng(seed)), 0, "sample")


def _check_inside(space: Space, genomes: Genomes, written: bytes) -> None:
    try:
        checked = space.check(genomes)
    except SpaceError as error:
        raise AssertionError(f"{space!r} draws genomes outside itself: {error}") from error
    assert space.encode(checked) == written, f"check changes genomes that belong to {space!r}"


def _check_encoding(space: Space, genomes: Genomes, written: bytes) -> None:
    read = space.decode(written, len(genomes))
    _check_batch(space, read, len(genomes), "decode")
    assert space.encode(read) == written, f"{space!r} does not read back what it encoded"
    apart = np.concatenate([genomes[::2], genomes[1::2]])  # other memory, other neighbours
    order = np.argsort(np.r_[0 : len(genomes) : 2, 1 : len(genomes) : 2])
    assert space.encode(apart[order]) == written, f"encode of {space!r} depends on more than the genomes"


def _check_people(space: Space, genomes: Genomes, written: bytes) -> None:
    texts = [canonical_json(space.to_json(genome)) for genome in genomes]
    stacked = space.stack([parse_json(text) for text in texts])
    _check_batch(space, stacked, len(genomes), "stack")
    assert space.encode(stacked) == written, f"{space!r}: to_json and stack lose something of a genome"


def _check_repair(space: Space, genomes: Genomes, written: bytes) -> None:
    once = space.repair(genomes.copy())
    _check_batch(space, once, len(genomes), "repair")
    assert space.encode(once) == written, f"repair changes genomes that belong to {space!r}"
