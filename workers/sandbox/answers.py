"""What a child says of its work, as bytes; and back, by a reader that takes nothing in them on trust.

The form is the run file's, so nothing is unpickled. Whatever does not fit what was asked is refused as a whole.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from evo.records import BORN, MAX_CANDIDATES, Note, Outcomes, Requests, Status
from evo.space import Space
from evo.store.codec import decode_outcomes, encode_outcomes
from evo.store.columns import unpack
from workers.artifacts import INLINE_ARTIFACT
from workers.checking import column

__all__ = ["Answer", "GarbledError", "decoded", "encoded"]

_MARK = b"evo-answer-1\n"
_MAY_SAY = {Status.OK, Status.FAILED, Status.INVALID, Status.REJECTED}
_DIGEST = re.compile(r"[0-9a-f]{32}\Z")
_LENGTH = struct.Struct("<Q")
_HEAD, _HEAD_ROW = 2 << 20, 512 << 10
"""bytes of the head of an answer, and further ones for each row; what is larger belongs into artifacts"""
_ITEMS, _ITEMS_ROW, _ITEMS_MOST = 250_000, 1_000, 500_000
"""How many values may be in a head, or in genomes that are JSON: reading takes microseconds for each."""
_LONG_NUMBER = re.compile(rb"[0-9]{20001}")
_MESSAGE = 1 << 16
"""characters of a reason that are kept"""
_BUFFER = re.compile(rb'"\\u0000"\s*:')
_PLACE = rb'"o":\d{1,12},"s":\[[\d,]{0,40}\]\}'
_PLAIN = (
    rb'"bytes","n":\d{1,12},"o":\d{1,12}\}',
    rb'"json","s":\[[\d,]{0,40}\],"v":\[',
    rb'"[<>|]?[biufSU]\d{1,6}",' + _PLACE,
)
"""Every form in which `pack` writes that a value is had from a buffer."""


class GarbledError(ValueError):
    """An answer that no honest child gives; says what is wrong with it."""


class Answer:
    """Outcomes, and what came with them."""

    def __init__(self, outcomes: Outcomes, small: dict[str, bytes], large: set[str]) -> None:
        self.outcomes = outcomes
        self.small = small
        """hash -> content"""
        self.large = large
        """Hashes of artifacts that lie in the child's folder, if it tells the truth."""


def encoded(outcomes: Outcomes, small: Mapping[str, bytes], space: Space) -> bytes:
    """The answer of a child."""
    outcomes.notes = {
        row: replace(note, message=note.message[:_MESSAGE]) if len(note.message) > _MESSAGE else note
        for row, note in outcomes.notes.items()
    }
    named = {digest for note in outcomes.notes.values() for digest in note.artifacts.values()}
    contents = [content for digest, content in sorted(small.items()) if digest in named]
    parts = [encode_outcomes(outcomes, space), *contents]
    return b"".join([_MARK, *(piece for part in parts for piece in (_LENGTH.pack(len(part)), part))])


def decoded(
    data: bytes, requests: Requests, space: Space, widths: tuple[int, int], largest: int = INLINE_ARTIFACT
) -> Answer:
    """What a child answered to `requests`.

    Args:
        data: what it wrote, any bytes at all.
        requests: what it was asked.
        space: of the genomes.
        widths: numbers of objectives and measures.
        largest: bytes of an artifact that may travel with it.

    Raises:
        GarbledError: it does not answer what was asked.
    """
    if not data.startswith(_MARK):
        raise GarbledError("it does not begin as one")
    try:
        first, *contents = _parts(data)
        _harmless(first, len(requests), space)
        _need(all(len(one) <= largest for one in contents), "an artifact is too large to travel with it")
        outcomes = decode_outcomes(first, space)
        small = {hashlib.blake2b(one, digest_size=16).hexdigest(): one for one in contents}
        _check(outcomes, requests, space, (0, 0) if requests.fidelity == BORN else widths)
        named = {digest for note in outcomes.notes.values() for digest in note.artifacts.values()}
        _need(small.keys() <= named, "it holds what no note names")
        return Answer(outcomes, small, named - small.keys())
    except GarbledError:
        raise
    except (Exception, RecursionError) as error:
        raise GarbledError(f"{type(error).__name__} in reading it") from error


def _parts(data: bytes) -> list[bytes]:
    parts, place = [], len(_MARK)
    while place < len(data):
        _need(place + _LENGTH.size <= len(data), "it breaks off")
        (size,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size + size
        _need(place <= len(data), "it breaks off")
        parts.append(data[place - size : place])
    return parts


def _harmless(data: bytes, n: int, space: Space) -> None:
    """Refuse what would cost this process dearly to read: a long head, values without end, made-up kinds of arrays."""
    (size,) = struct.unpack_from("<I", data)
    _need(size <= _HEAD + n * _HEAD_ROW, "its head is too long: large values belong into artifacts")
    head = data[4 : 4 + size]
    _few(head, n)
    kinds = list(_PLAIN)
    if space.dtype.names is not None:
        descr = json.dumps(np.lib.format.dtype_to_descr(space.dtype), separators=(",", ":")).encode()
        kinds.append(re.escape(descr) + b"," + _PLACE)
    known = re.findall(rb'\{"\\u0000":(?:' + b"|".join(kinds) + b")", head)
    _need(len(known) == len(_BUFFER.findall(head)), "it holds arrays of another kind")
    told = unpack(data)
    _need(isinstance(told, dict) and told.get("n", n) == n, "it answers other requests")
    genomes = told.get("genomes")
    if space.dtype.hasobject and isinstance(genomes, bytes):
        _few(genomes, n)


def _few(text: bytes, n: int) -> None:
    """Refuse JSON that would take long to read."""
    items = sum(map(text.count, (b",", b"[", b"{")))
    _need(items <= min(_ITEMS + n * _ITEMS_ROW, _ITEMS_MOST), "it holds too many values: they belong into artifacts")
    _need(not _LONG_NUMBER.search(text), "it holds a number of too many digits")


def _need(holds: Any, what: str) -> None:
    if not holds:
        raise GarbledError(what)


def _check(outcomes: Outcomes, requests: Requests, space: Space, widths: tuple[int, int]) -> None:
    """Make sure of all that the engine takes for granted, and bring columns to the types it expects."""
    n = len(requests)
    _need(_is(outcomes.ids, np.int64, (n,)) and (outcomes.ids == requests.ids).all(), "it answers other requests")
    outcomes.ids = requests.ids
    _need(outcomes.same_as is None, "it refers to other work")
    status = outcomes.status
    if status is not None:
        _need(_is(status, np.uint8, (n,)) and {*status.tolist()} <= _MAY_SAY, "its status is none")
    c = n
    _need((outcomes.owner is None) == (requests.make is None), "it has candidates where there are none")
    _need((outcomes.genomes is None) == (requests.make is None), "it has genomes where there are none")
    if outcomes.owner is not None and outcomes.genomes is not None:
        owner = outcomes.owner
        c = len(owner)
        _need(_is(owner, np.int64, (c,)), "its candidates belong to nobody")
        _need(((owner >= 0) & (owner < n)).all() and (owner[1:] >= owner[:-1]).all(), "its candidates are in disorder")
        _need(not c or np.bincount(owner).max() <= MAX_CANDIDATES, "it has too many candidates")
        _need(len(outcomes.genomes) == c, "it has genomes without measurements")
        outcomes.genomes = space.check(outcomes.genomes) if c else space.empty(0)
        _need(status is None or not c or (status[owner] == Status.OK).all(), "what failed has candidates")
    for name, width in zip(("objectives", "measures"), widths, strict=True):
        values = getattr(outcomes, name)
        _need(_is(values, np.float64, (c, width)), f"its {name} have the wrong shape")
        values = np.array(values)
        if outcomes.owner is None and status is not None:
            values[status != Status.OK] = np.nan
            _need(np.isfinite(values[status == Status.OK]).all(), f"its {name} are not finite")
        else:
            _need(np.isfinite(values).all(), f"its {name} are not finite")
        setattr(outcomes, name, values)
    outcomes.metrics = {_text(name): _metric(values, c) for name, values in outcomes.metrics.items()}
    outcomes.notes = {_row(row, n): _note(note) for row, note in outcomes.notes.items()}


def _is(values: Any, dtype: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(values, np.ndarray) and values.dtype == dtype and values.shape == shape


def _metric(values: Any, c: int) -> np.ndarray[Any, Any]:
    odd: dict[int, str] = {}
    plain = column("metric", values, c, odd, ())
    _need(not odd, "its metrics are not plain")
    return plain


def _row(row: Any, n: int) -> int:
    _need(type(row) is int and 0 <= row < n, "its notes belong to nobody")
    return int(row)


def _text(value: Any) -> str:
    _need(isinstance(value, str), "a name is no text")
    return str(value)


def _note(note: Note) -> Note:
    for amounts in (note.counters, note.costs):
        for name, amount in amounts.items():
            _text(name)
            _need(type(amount) in (int, float) and math.isfinite(amount), "an amount is no finite number")
    for name, digest in note.artifacts.items():
        _need(isinstance(digest, str) and _DIGEST.match(digest), f"artifact {_text(name)!r} has no hash")
    return Note(_text(note.message)[:_MESSAGE], dict(note.counters), dict(note.costs), dict(note.artifacts))
