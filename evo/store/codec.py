"""Records as blobs and back: requests, outcomes, changes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from evo.errors import RunError
from evo.records import Change, Note, Outcomes, Requests
from evo.space import Space
from evo.store.columns import pack, unpack

__all__ = [
    "decode_change",
    "decode_outcomes",
    "decode_requests",
    "encode_change",
    "encode_outcomes",
    "encode_requests",
    "whole",
]

_P = ParamSpec("_P")
_T = TypeVar("_T")

_MOST = 1 << 26
"""Rows of one batch: more is no count, but an attempt to fill the memory."""
_DAMAGE = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(RecursionError, MemoryError, struct.error),
)
"""What bytes that nobody packed make the decoders raise."""


def whole(decode: Callable[_P, _T]) -> Callable[_P, _T]:
    """A decoder that refuses what is not in a run file's form: cut, altered, or made by somebody else.

    Raises:
        RunError: says what was found.
    """

    @wraps(decode)
    def decoded(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return decode(*args, **kwargs)
        except _DAMAGE as error:
            raise RunError(f"the run file is damaged: {type(error).__name__}: {error}") from error

    return decoded


_BLANK = Requests()
_SPAN, _SPAN_OF_1 = struct.Struct("<qdd"), struct.Struct("<qd")
"""First id, seconds and processor seconds of outcomes with consecutive ids; schema 1 has no processor seconds."""


def encode_requests(requests: Requests, space: Space) -> bytes:
    """A batch without its ids, which the table's key carries; the same bytes are hashed for replay."""
    columns: dict[str, Any] = {"n": len(requests)}
    for name in ("operator", "source", "fidelity", "reserve", "make"):
        value = getattr(requests, name)
        if value != getattr(_BLANK, name):
            columns[name] = value
    for name in ("parents", "candidate", "draw"):
        value = getattr(requests, name)
        if value is not None:
            columns[name] = value
    if requests.genomes is not None:
        columns["genomes"] = space.encode(requests.genomes)
    if requests.params:
        columns["params"] = dict(requests.params)
    if requests.needs:
        columns["needs"] = [list(row) for row in requests.needs]
    if requests.args:
        columns["args"] = list(requests.args)
    if requests.inputs:
        columns["inputs"] = [{"n": len(row), "genomes": space.encode(row)} for row in requests.inputs]
    return pack(columns)


@whole
def decode_requests(data: bytes, first: int, space: Space) -> Requests:
    """The batch whose first id is `first`."""
    columns = unpack(data)
    n = _count(columns.pop("n"))
    if "genomes" in columns:
        columns["genomes"] = space.decode(columns["genomes"], n)
    if "needs" in columns:
        columns["needs"] = [tuple(row) for row in columns["needs"]]
    if "inputs" in columns:
        columns["inputs"] = [space.decode(row["genomes"], row["n"]) for row in columns["inputs"]]
    return Requests(**columns, ids=np.arange(first, first + n, dtype=np.int64))


def encode_outcomes(outcomes: Outcomes, space: Space) -> bytes:
    """Outcomes as they are logged."""
    columns: dict[str, Any] = {"objectives": outcomes.objectives, "measures": outcomes.measures}
    ids = outcomes.ids
    n = len(ids)
    if n == 1 or (n and int(ids[-1]) - int(ids[0]) == n - 1 and (ids[1:] - ids[:-1] == 1).all()):
        columns["n"] = n
        span = int(ids[0]), outcomes.seconds, outcomes.cpu_seconds
        columns["span"] = _SPAN.pack(*span)  # as bytes, so that block after block looks alike
    else:
        columns["ids"], columns["seconds"], columns["cpu_seconds"] = ids, outcomes.seconds, outcomes.cpu_seconds
    for name in ("status", "owner", "same_as"):
        value = getattr(outcomes, name)
        if value is not None:
            columns[name] = value
    if outcomes.metrics:
        columns["metrics"] = dict(outcomes.metrics)
    if outcomes.genomes is not None:
        columns["genomes"] = space.encode(outcomes.genomes)
    if outcomes.notes:
        columns["notes"] = [[int(row), _note(note)] for row, note in sorted(outcomes.notes.items())]
    return pack(columns)


@whole
def decode_outcomes(data: bytes, space: Space) -> Outcomes:
    """What `encode_outcomes` wrote."""
    columns = unpack(data)
    if "span" in columns:
        span = columns.pop("span")
        if len(span) == _SPAN.size:
            first, columns["seconds"], columns["cpu_seconds"] = _SPAN.unpack(span)
        else:
            first, columns["seconds"] = _SPAN_OF_1.unpack(span)
        columns["ids"] = np.arange(first, first + _count(columns.pop("n")), dtype=np.int64)
    if "genomes" in columns:
        columns["genomes"] = space.decode(columns["genomes"], len(columns["objectives"]))
    if "notes" in columns:
        columns["notes"] = {row: Note(**note) for row, note in columns["notes"]}
    return Outcomes(**columns)


def _count(n: Any) -> int:
    if type(n) is not int or not 0 <= n <= _MOST:
        raise ValueError(f"expected a number of rows, got {n!r}")
    return n


def _note(note: Note) -> dict[str, Any]:
    return {f.name: getattr(note, f.name) for f in fields(Note) if getattr(note, f.name)}


def encode_change(change: Change) -> bytes:
    """A change without its archive's name, which is a column of the table."""
    return pack(
        {
            "keys": change.keys,
            "candidate": change.candidate,
            "objectives": change.objectives,
            "measures": change.measures,
        }
    )


@whole
def decode_change(data: bytes, archive: str) -> Change:
    """What `encode_change` wrote."""
    return Change(archive=archive, **unpack(data))
