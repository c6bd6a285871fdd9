"""One model a worker: operators that run between two evaluations use the one that the evaluator has loaded."""

from __future__ import annotations

import threading
from weakref import WeakValueDictionary

from problems.evopress.model import Compressible

__all__ = ["borrowed", "lent"]


class _Lent(threading.local):
    """Models by how they were loaded, while somebody holds them; no two threads may use one at once."""

    def __init__(self) -> None:
        self.models: WeakValueDictionary[tuple[str, str, str, bool], Compressible] = WeakValueDictionary()


_LENT = _Lent()


def lent(model: str, device: str, dtype: str, trust: bool) -> Compressible:
    """Load a model, and lend it to whoever asks for the same on this thread. It may be made dense in between.

    Raises:
        ConfigError: as `Compressible.load`.
    """
    found = _LENT.models[model, device, dtype, trust] = Compressible.load(model, device, dtype, trust)
    return found


def borrowed(model: str, device: str, dtype: str, trust: bool) -> Compressible | None:
    """A model that is lent, made dense and to be left so; None where there is none."""
    found = _LENT.models.get((model, device, dtype, trust))
    if found is not None:
        found.restore()
    return found
