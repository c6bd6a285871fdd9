"""Waiting for a cluster that is away, without loading Ray: whether anybody listens there."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Away"]

_LONGEST = 30.0
_CONNECT = 5.0


@dataclass
class Away:
    """A cluster since it was lost.

    Args:
        address: ``host:port``, ``ray://host:port``, or a name that only Ray understands, for which Ray is asked.
        patience: seconds for which it may be away.
    """

    address: str
    patience: float
    pause: float = 0.0
    """Seconds to wait before it is tried again."""
    _since: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        """Whether it has been away for too long."""
        return time.monotonic() - self._since > self.patience

    def waiting(self, why: str) -> Iterator[str]:
        """A line before each `pause`, until somebody listens; one at least where it was tried before, in vain."""
        vain = self.pause > 0
        while (vain or not listens(self.address)) and not self.over:
            vain = False
            self.pause = min(max(1.0, 2 * self.pause), _LONGEST)
            left = max(0.0, self.patience - (time.monotonic() - self._since))
            yield (
                f"the Ray cluster at {self.address} is away ({why}); trying again in {self.pause:g} s, "
                f"for {left:.0f} s more (--patience)"
            )
        self.pause = max(self.pause, 0.5)


def listens(address: str) -> bool:
    """Whether a connection is taken there; True for an address without a port."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return True
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT):
            return True
    except OSError:
        return False
