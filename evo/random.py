"""Randomness that belongs to moves and draws, never to processes.

Variation on the master draws from (run seed, move); work on a worker draws from (run seed, purpose, draw). Nothing
depends on which worker, which attempt or which order of arrival, so a repeated piece of work repeats its bits.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

__all__ = ["draw_rng", "move_rng"]

_MOVE = 0
_DRAW = 1
_LARGEST_WORD = 2**32 - 1


def move_rng(seed: int, seq: int) -> np.random.Generator:
    """The stream of one logged move: vectorised variation on the master (one generator per block, not per child)."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(_words(seed, _MOVE, seq))))


def draw_rng(seed: int, purpose: str, draw: int) -> np.random.Generator:
    """The stream of one draw on a worker; equal draws under one purpose are common random numbers."""
    return np.random.Generator(
        np.random.SFC64(np.random.SeedSequence(_words(seed, _DRAW, zlib.crc32(purpose.encode()), draw)))
    )


def _words(*numbers: int) -> Any:
    """The numbers as a seed; small ones in the form that numpy takes in fastest, to the same effect."""
    return np.array(numbers, dtype=np.uint32) if min(numbers) >= 0 and max(numbers) <= _LARGEST_WORD else numbers
