"""What operators on real vectors ask of a space, and the size of the blocks that they work in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evo.errors import SpaceError
from evo.space import Space
from evo.spaces.box import Box

__all__ = ["BLOCK", "finite_bounds", "require_real"]

BLOCK = 1 << 14
"""Numbers worked on at a time, so that a block and its temporary stay in a core's cache."""


def require_real(space: Space, operator: object) -> None:
    """Refuse a space whose genomes are not real vectors.

    Raises:
        SpaceError: naming the operator and the space.
    """
    if space.dtype.kind != "f":
        raise SpaceError(f"{type(operator).__name__} varies real vectors, got the space {space!r}")


def finite_bounds(space: Space, operator: object) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper bounds, (d,) each.

    Raises:
        SpaceError: the space is no Box, or a bound is infinite.
    """
    if not isinstance(space, Box):
        raise SpaceError(f"{type(operator).__name__} varies real vectors between bounds, got the space {space!r}")
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        raise SpaceError(
            f"{type(operator).__name__} needs finite bounds in every coordinate, got {space!r}; "
            "use Gaussian or IsoLine on an unbounded space"
        )
    return space.low, space.high
