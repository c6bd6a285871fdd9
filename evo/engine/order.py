"""Order is a policy: when to ask, when to tell, and what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from evo.engine.ledger import Batch, Ledger
from evo.errors import ConfigError

__all__ = ["Arrival", "Ask", "Order", "Strict", "Tell", "order_from"]


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask for n requests."""

    n: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell all that has arrived of these batches."""

    batches: list[Batch]


@dataclass(frozen=True)
class Strict:
    """Ask always for `block`; ask block j when exactly blocks 0..j-lag were told, each in one tell in id order.

    The run then depends on nothing but its seed: not on the number of workers, not on the order of arrival. Both
    numbers are in the resolved specification and never follow the workers. `block` 0 takes the algorithm's own.

    block x lag requests are in flight: enough of them keep the workers busy, too many make the search stale
    (``benchmarks/qd.py --lags`` prints what that costs).
    """

    block: int = 0
    lag: int = 2

    def __post_init__(self) -> None:
        if self.block < 0 or self.lag < 1:
            raise ConfigError(f"order: strict needs block >= 1 (or 0: the algorithm's) and lag >= 1, got {self}")

    def next(self, ledger: Ledger, room: float, starved: bool, free: int) -> Ask | Tell | None:
        """The move that is due, None to wait. `starved`: the last ask gave nothing and nothing was told since."""
        if len(ledger.blocks) < self.lag and room >= 1 and not starved:
            return Ask(int(min(self.block, room)))
        if ledger.blocks and ledger.oldest.waiting == 0:
            return Tell(list(ledger.oldest.batches))
        return None

    def describe(self) -> dict[str, Any]:
        """For the run's header."""
        return {"type": "strict", "block": self.block, "lag": self.lag}


@dataclass(frozen=True)
class Arrival:
    """Tell what has come, ask for what there is room for: never waits; replayable from its log, not from its seed."""

    def next(self, ledger: Ledger, room: float, starved: bool, free: int) -> Ask | Tell | None:
        """The move that is due, None to wait. `free`: how many more requests the workers could hold."""
        if ledger.arrived:
            return Tell(ledger.arrived)
        n = int(min(room, free))
        if n >= 1 and not starved:
            return Ask(n)
        return None

    def describe(self) -> dict[str, Any]:
        """For the run's header."""
        return {"type": "arrival"}


Order = Strict | Arrival


def order_from(value: Order | str | dict[str, Any] | None) -> Order:
    """The policy that a name, a header entry or nothing stands for.

    Raises:
        ConfigError: no such policy.
    """
    if value is None:
        return Strict()
    if isinstance(value, Strict | Arrival):
        return value
    entry = {"type": value} if isinstance(value, str) else dict(value)
    kind = entry.pop("type", "strict")
    if kind == "strict":
        return Strict(**{name: int(number) for name, number in entry.items() if number is not None})
    if kind == "arrival":
        return Arrival()
    raise ConfigError(f"order: expected 'strict' or 'arrival', got {kind!r}")


def told_ids(tell: Tell) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The ids a tell covers, in the order it is told."""
    return np.concatenate(
        [
            batch.requests.ids
            if batch.untold == len(batch.requests)
            else np.sort(np.concatenate([part.ids for part in batch.arrived]))
            for batch in tell.batches
        ]
    )
