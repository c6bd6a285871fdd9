"""A 64-bit key per genome: which genomes are equal, told without comparing them.

The key is a hash of a row's bytes, the same on every machine. It is meant for finding equal work among the candidates
of a run, not against an adversary. Each 64-bit word is mixed by a multiply between two xor-shifts (a bijection), words
are summed with a random odd factor per position, and the sum goes through the finaliser of splitmix64 (Steele, Lea and
Flood, 2014).
"""

from __future__ import annotations

import math
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from evo.errors import SpaceError
from evo.records import Genomes
from evo.spaces.json_value import canonical_json

__all__ = ["row_keys"]

_WORD = np.dtype("<u8")
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_27, _29, _30, _31, _32 = (np.uint64(bits) for bits in (27, 29, 30, 31, 32))
_BLOCK = 1 << 15  # words: two scratch blocks of this size stay in a core's cache


def row_keys(genomes: Genomes) -> NDArray[np.uint64]:
    """(n,) a 64-bit key per row of a batch (n, ...): equal bytes give equal keys, others practically never.

    Bytes decide, so 0.0 and -0.0 differ. JSON-like values (object dtype) are hashed in their canonical form.

    Raises:
        SpaceError: the batch has no leading axis, or is object dtype but not (n,).
    """
    if genomes.ndim == 0:
        raise SpaceError("genomes: expected a batch (n, ...), got a single genome")
    if genomes.dtype.hasobject:
        return _json_keys(genomes)
    words = _words(genomes)
    n, width = words.shape
    factors = _factors(width)
    sums = np.empty(n, dtype=np.uint64)
    step = max(1, _BLOCK // max(1, width))
    mixed, shifted = np.empty((2, min(step, n), width), dtype=np.uint64)
    for start in range(0, n, step):
        block = words[start : start + step]
        z, s = mixed[: len(block)], shifted[: len(block)]
        np.right_shift(block, _32, out=s)
        np.bitwise_xor(block, s, out=z)
        np.multiply(z, _MIX_1, out=z)
        np.right_shift(z, _29, out=s)
        np.bitwise_xor(z, s, out=z)
        np.matmul(z, factors, out=sums[start : start + step])  # integers wrap: exact, whatever the order of summation
    sums += np.uint64(_GOLDEN * (width + 1) % (1 << 64))
    return _finalise(sums)


def _json_keys(genomes: Genomes) -> NDArray[np.uint64]:
    if genomes.ndim != 1 or genomes.dtype != object:
        raise SpaceError(f"genomes: expected JSON-like values of shape (n,), got {genomes.dtype} {genomes.shape}")
    digests = b"".join(blake2b(canonical_json(genome), digest_size=8).digest() for genome in genomes)
    return np.frombuffer(digests, dtype=_WORD).astype(np.uint64)


def _words(genomes: Genomes) -> NDArray[np.uint64]:
    """(n, w) the bytes of each row as little-endian words, the last one padded with zeros."""
    n = len(genomes)
    length = math.prod(genomes.shape[1:])
    size = genomes.dtype.itemsize * length
    raw = np.ascontiguousarray(genomes).reshape(n, length)
    if size % 8:
        padded = np.zeros((n, size + -size % 8), dtype=np.uint8)
        padded[:, :size] = raw.view(np.uint8)
        raw = padded
    return raw.view(_WORD) if size else np.zeros((n, 0), dtype=_WORD)


@lru_cache(maxsize=64)
def _factors(width: int) -> NDArray[np.uint64]:
    """(width,) an odd factor per position: the splitmix64 sequence."""
    positions = np.arange(1, width + 1, dtype=np.uint64)
    return _finalise(positions * np.uint64(_GOLDEN)) | np.uint64(1)


def _finalise(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64, in place."""
    z ^= z >> _30
    z *= _MIX_1
    z ^= z >> _27
    z *= _MIX_2
    z ^= z >> _31
    return z
