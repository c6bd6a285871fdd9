"""How tests break a run off from outside: a callback that raises."""

from __future__ import annotations

from collections.abc import Callable

import evo

__all__ = ["StopHere", "raising"]


class StopHere(Exception):
    """What the caller's own code raises in the middle."""


def raising(error: type[BaseException] | None, after: int) -> Callable[[evo.Best], None]:
    """An `on_elite` callback that raises at its `after`-th elite."""
    count = 0

    def stop(best: evo.Best) -> None:
        nonlocal count
        count += 1
        if count == after and error is not None:
            raise error

    return stop
