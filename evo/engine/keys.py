"""Equal work is done once: the key of a piece of work, and a compact table of the keys seen."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.json_text import write_json
from evo.problem import Problem
from evo.records import Requests
from evo.spaces.keys import row_keys

__all__ = ["KeyTable", "work_keys"]

_SMALL = 64
"""Below this many keys a loop over a dict beats vectorised search."""
_BUFFER = 4096


def work_keys(problem: Problem, requests: Requests) -> NDArray[np.uint64] | None:
    """(n,) what decides whether two requests are the same work; None where the work makes its own genomes.

    Of the problem's key of the genome (or its canonical bytes), fidelity, params, needs, and the draw where evaluations
    are stochastic. 64 bits: two of a million different works meet with a chance of 3e-8.
    """
    if requests.genomes is None or requests.make is not None:
        return None
    if type(problem).key is Problem.key:
        keys = row_keys(requests.genomes)
    else:
        own = [problem.key(genome) for genome in requests.genomes]
        if any(key is None for key in own):
            keys = row_keys(requests.genomes)
            for row, key in enumerate(own):
                if key is not None:
                    keys[row] = _hash(key)
        else:
            keys = np.array([_hash(key) for key in own if key is not None], dtype=np.uint64)
    context = _hash(write_json([requests.fidelity, dict(requests.params)], canonical=True).encode())
    keys = keys ^ np.uint64(context)
    if requests.needs:
        keys = keys ^ np.array([_hash("\n".join(row).encode()) for row in requests.needs], dtype=np.uint64)
    if problem.stochastic:
        keys = row_keys(np.stack([keys, requests.draws.view(np.uint64)], axis=1))
    return keys


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


class KeyTable:
    """key -> the request that does the work, in 16 bytes a key: sorted runs, merged as they grow."""

    def __init__(self) -> None:
        self._recent: dict[int, int] = {}
        self._runs: list[tuple[NDArray[np.uint64], NDArray[np.int64]]] = []
        self._moved: dict[int, int] = {}
        """Keys whose first request failed for reasons of its own (timeout, crash): who does the work now."""

    def add(self, keys: NDArray[np.uint64], ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) the earlier request of each key, -1 where the key is new and now belongs to its row's request."""
        if len(keys) < _SMALL:
            earlier = np.array(
                [self._add_one(key, request) for key, request in zip(keys.tolist(), ids.tolist(), strict=True)],
                dtype=np.int64,
            )
            if len(self._recent) >= _BUFFER:
                self._flush()
            return earlier
        if self._recent:
            self._flush()
        unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        owner = self._search(unique)
        fresh = owner < 0
        if fresh.any():
            self._runs.append((unique[fresh], ids[first[fresh]]))
            self._merge()
        owner[fresh] = ids[first[fresh]]
        earlier = owner[inverse]
        earlier[earlier == ids] = -1
        return earlier

    def replace(self, key: int, request: int) -> None:
        """The work of `key` is now `request`'s."""
        self._moved[key] = request

    def _add_one(self, key: int, request: int) -> int:
        found = self._moved.get(key, -1)
        if found < 0:
            found = self._recent.get(key, -1)
        if found < 0 and self._runs:
            found = int(self._search(np.array([key], dtype=np.uint64))[0])
        if found < 0:
            self._recent[key] = request
        return found

    def _search(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        owner = np.full(len(keys), -1, dtype=np.int64)
        for run_keys, run_ids in self._runs:
            place = np.minimum(np.searchsorted(run_keys, keys), len(run_keys) - 1)
            hit = run_keys[place] == keys
            owner[hit] = run_ids[place[hit]]
        if self._moved:
            for row, key in enumerate(keys.tolist()):
                owner[row] = self._moved.get(key, owner[row])
        return owner

    def _flush(self) -> None:
        keys = np.fromiter(self._recent.keys(), dtype=np.uint64, count=len(self._recent))
        ids = np.fromiter(self._recent.values(), dtype=np.int64, count=len(self._recent))
        order = np.argsort(keys)
        self._runs.append((keys[order], ids[order]))
        self._recent = {}
        self._merge()

    def _merge(self) -> None:
        # Each run is kept at least four times as long as the next, so a key is merged a few times in all.
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 4 * len(self._runs[-1][0]):
            (old, old_ids), (new, new_ids) = self._runs[-2], self._runs[-1]
            place = np.searchsorted(old, new)
            self._runs[-2:] = [(np.insert(old, place, new), np.insert(old_ids, place, new_ids))]

    def state(self) -> dict[str, Any]:
        """For a snapshot."""
        if self._recent:
            self._flush()
        moved = np.array(list(self._moved.items()), dtype=np.uint64).reshape(-1, 2)
        return {"runs": [{"keys": keys, "ids": ids} for keys, ids in self._runs], "moved": moved}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a `state`."""
        self._recent = {}
        self._runs = [(run["keys"], run["ids"]) for run in state["runs"]]
        self._moved = {int(key): int(request) for key, request in state["moved"]}
