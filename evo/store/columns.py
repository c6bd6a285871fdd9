"""The form in which columns lie in the run file: a JSON header, then raw array bytes. Nothing needs unpickling."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.json_text import read_json, write_json

__all__ = ["pack", "unpack"]

_LENGTH = struct.Struct("<I")
_MARK = "\0"
"""Key of a header entry that stands for a buffer; no JSON-like value of a user carries it."""
_SHORT = 1 << 63  # Python writes no integer of thousands of digits
_HEADS = 1024
_LONG = 1 << 14
"""bytes of a header above which it is not kept"""
_heads: dict[Any, bytes] = {}
"""Headers written lately, by structure."""
_plans: dict[bytes, list[tuple[str, Callable[..., Any] | None, Any]]] = {}
"""How the blobs of headers read lately are taken apart."""
_quote = json.encoder.encode_basestring_ascii


def pack(value: Mapping[str, Any]) -> bytes:
    """A nesting of dicts, lists, numbers, text, bytes and arrays as one blob; equal values give equal bytes.

    Structured arrays keep their dtype; arrays of objects are written as JSON.

    Raises:
        TypeError: a value has no such form.
    """
    plain = _structure(value)
    if plain is None:
        return _pack(value)
    structure, buffers = plain
    head = _heads.get(structure)
    if head is None:
        if len(_heads) >= _HEADS:
            _heads.clear()
        packed = _pack(value)
        head = _heads[structure] = packed[: len(packed) - sum(map(len, buffers))]
    return b"".join([head, *buffers])


def _structure(value: Mapping[str, Any]) -> tuple[Any, list[bytes]] | None:
    """(all that the header says, the buffers) of a flat mapping; None for what is nested or has objects inside.

    Block after block has the same header, so it is written once and looked up for the others.
    """
    structure: list[Any] = []
    buffers: list[bytes] = []
    for key, item in value.items():
        kind = type(item)
        if kind is np.ndarray and item.dtype.kind in "biuf":
            structure.append((key, item.dtype, item.shape))
            buffers.append(item.tobytes())
        elif kind is bytes:
            structure.append((key, kind, len(item)))
            buffers.append(item)
        elif kind is str or kind is int or kind is float:
            structure.append((key, kind, item))
        else:
            return None
    return tuple(structure), buffers


def _pack(value: Mapping[str, Any]) -> bytes:
    writer = _Writer()
    texts = {str(key): writer.text(item) for key, item in value.items()}
    header = f"{{{','.join([f'{_quote(key)}:{texts[key]}' for key in sorted(texts)])}}}".encode()
    return b"".join([_LENGTH.pack(len(header)), header, *writer.buffers])


def unpack(data: bytes) -> Any:
    """What `pack` wrote; arrays are read-only views of `data`."""
    (length,) = _LENGTH.unpack_from(data)
    base = _LENGTH.size + length
    head = data[_LENGTH.size : base]
    plan = _plans.get(head)
    if plan is None:
        header = read_json(head)
        plan = _plan(header)
        if plan is None:
            return _restore(header, data, base)
        if len(head) > _LONG:  # nothing that comes again
            return {key: value if kind is None else kind(data, base, *value) for key, kind, value in plan}
        if len(_plans) >= _HEADS:
            _plans.clear()
        _plans[head] = plan
    return {key: value if kind is None else kind(data, base, *value) for key, kind, value in plan}


def _plan(header: Mapping[str, Any]) -> list[tuple[str, Callable[..., Any] | None, Any]] | None:
    """How the values of a flat header are had from the buffers behind it; None for what is nested.

    The counterpart of `_structure`: block after block has the same header, so it is read once.
    """
    plan: list[tuple[str, Callable[..., Any] | None, Any]] = []
    for key, value in header.items():
        if isinstance(value, list) or (isinstance(value, dict) and not isinstance(value.get(_MARK), str)):
            return None
        if not isinstance(value, dict):
            plan.append((key, None, value))
        elif value[_MARK] == "bytes":
            plan.append((key, _bytes, (value["o"], value["n"])))
        elif value[_MARK] != "json":
            plan.append((key, _array, (value["o"], np.dtype(value[_MARK]), math.prod(value["s"]), value["s"])))
        else:
            return None
    return plan


def _bytes(data: bytes, base: int, offset: int, length: int) -> bytes:
    return data[base + offset : base + offset + length]


def _array(data: bytes, base: int, offset: int, dtype: np.dtype[Any], count: int, shape: list[int]) -> NDArray[Any]:
    return np.frombuffer(data, dtype, count, base + offset).reshape(shape)


class _Writer:
    def __init__(self) -> None:
        self.buffers: list[Any] = []
        self._size = 0

    def text(self, value: Any) -> str:
        """The value as JSON. What every block consists of is spelled out here: a tick of one row is mostly this."""
        kind = type(value)
        if kind is np.ndarray and value.dtype.kind in "biuf":
            shape = ",".join(map(str, value.shape))
            buffer = value if value.flags.c_contiguous else value.tobytes()
            return f'{{"\\u0000":"{value.dtype.str}","o":{self._append(buffer, value.nbytes)},"s":[{shape}]}}'
        if kind is bytes:
            return f'{{"\\u0000":"bytes","n":{len(value)},"o":{self._append(value, len(value))}}}'
        if kind is str:
            return _quote(value)
        if (kind is int and -_SHORT < value < _SHORT) or (kind is float and math.isfinite(value)):
            return repr(value)
        return write_json(self.plain(value), canonical=True)

    def plain(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.ndarray):
            if value.dtype.hasobject:
                return {_MARK: "json", "v": self.plain(value.ravel().tolist()), "s": list(value.shape)}
            descr = value.dtype.str if value.dtype.names is None else np.lib.format.dtype_to_descr(value.dtype)
            return {_MARK: descr, "s": list(value.shape), "o": self._append(value.tobytes(), value.nbytes)}
        if isinstance(value, bytes):
            return {_MARK: "bytes", "n": len(value), "o": self._append(value, len(value))}
        if isinstance(value, Mapping):
            return {str(key): self.plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(item) for item in value]
        if isinstance(value, np.generic):
            return value.item()
        raise TypeError(f"cannot be written to a run file: {type(value).__name__}")

    def _append(self, buffer: Any, size: int) -> int:
        offset = self._size
        self.buffers.append(buffer)
        self._size += size
        return offset


def _restore(value: Any, data: bytes, base: int) -> Any:
    if isinstance(value, list):
        return [_restore(item, data, base) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(_MARK)
    if kind is None:
        return {key: _restore(item, data, base) for key, item in value.items()}
    if kind == "bytes":
        return _bytes(data, base, value["o"], value["n"])
    if kind == "json":
        items = np.empty(len(value["v"]), dtype=object)
        for i, item in enumerate(value["v"]):  # one by one: a list of lists must not be taken for rows
            items[i] = _restore(item, data, base)
        return items.reshape(value["s"])
    dtype = np.dtype(kind) if isinstance(kind, str) else np.lib.format.descr_to_dtype([tuple(f) for f in kind])
    return _array(data, base, value["o"], dtype, math.prod(value["s"]), value["s"])
