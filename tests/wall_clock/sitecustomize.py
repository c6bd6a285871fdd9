"""A wall clock that jumps by days, backwards too: on PYTHONPATH it replaces that of a process and all its children.

What Ray asks for itself is answered truly, as its own waits are not ours to judge.
"""

import datetime
import os
import random
import sys
import time

_true = time.time
_rng = random.Random(os.getpid())
_DAY = 86_400.0
_state = {"ahead": 0.0, "asked": 0}


def now() -> float:
    """Seconds since 1970, at some other time each time it is asked."""
    if sys._getframe(1).f_globals.get("__name__", "").partition(".")[0] == "ray":
        return _true()
    _state["asked"] += 1
    _state["ahead"] = _rng.uniform(-5 * _DAY, 5 * _DAY)
    return _true() + _state["ahead"]


class Jumping(datetime.datetime):
    """A datetime whose now is nobody's."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
        return datetime.datetime.fromtimestamp(now(), tz)

    @classmethod
    def utcnow(cls) -> datetime.datetime:  # type: ignore[override]
        return cls.now(datetime.UTC).replace(tzinfo=None)


def _nanoseconds() -> int:
    return int(now() * 1e9)


if __name__ == "sitecustomize":
    time.time, time.time_ns = now, _nanoseconds
