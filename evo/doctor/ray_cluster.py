"""A cluster: reached, and each of its nodes looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec

from evo.doctor.finding import Finding, Place
from evo.doctor.ray_child import asked

__all__ = ["VISITING", "cluster"]

VISITING = 120.0
"""Seconds for all nodes together."""


def cluster(place: Place) -> Iterator[Finding]:
    """Every node of the cluster at the address."""
    if place.address is None or find_spec("ray") is None:
        return
    nonce = os.urandom(8).hex()
    file = place.existing / f".evo-doctor-{nonce}"
    with suppress(OSError):  # another check says so; no node will see it
        file.write_text(nonce)
    try:
        yield from asked(["visit", place.address, str(file), nonce], "cluster", VISITING - 5.0)
    finally:
        with suppress(OSError):
            file.unlink()
