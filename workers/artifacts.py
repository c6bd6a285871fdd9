"""What work needs and what it leaves behind: small artifacts travel in messages, large ones are files in the run."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path

from evo.records import Requests

__all__ = ["INLINE_ARTIFACT", "keep", "needed"]

INLINE_ARTIFACT = 1 << 20
"""Artifacts up to this many bytes travel in messages and live in the run file; larger ones become files."""


def needed(requests: Requests, small: Mapping[str, bytes], folder: Path | None) -> dict[str, Path | bytes]:
    """hash -> content or file of what any of the requests needs."""
    found: dict[str, Path | bytes] = {}
    for row in requests.needs:
        for digest in row:
            if digest in small:
                found[digest] = small[digest]
            elif folder is not None:
                found[digest] = folder / digest
    return found


def keep(artifacts: Mapping[str, bytes], kept: dict[str, bytes], folder: Path | None) -> dict[str, str]:
    """name -> hash; small artifacts are put into `kept`, large ones into the run's folder where there is one."""
    hashes = {}
    for name, data in artifacts.items():
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        hashes[name] = digest
        if len(data) <= INLINE_ARTIFACT or folder is None:
            kept[digest] = data
        elif not (folder / digest).exists():
            partial = folder / f"{digest}.{time.monotonic_ns()}"
            partial.write_bytes(data)
            partial.rename(folder / digest)
    return hashes
