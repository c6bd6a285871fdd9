"""When two plug-ins measure alike: the digest of their sources and of what they were constructed with."""

from __future__ import annotations

import hashlib
import inspect
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from evo.redact import Filled
from evo.spec import Configured, qualified_name

__all__ = ["version_of"]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def version_of(value: Any) -> str:
    """A digest that is the same in every process, and another one where a class or a constructor argument differs.

    Classes count by the source of all they inherit from, except evo's own bases (a class without readable source by its
    name); arrays by dtype, shape and bytes; plug-ins among the arguments like the plug-in itself.
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in _parts(value, ()):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any, above: tuple[int, ...]) -> Iterator[bytes]:
    """The value as pieces of bytes; each kind begins with its own mark, so that ``1``, ``1.0`` and ``"1"`` differ."""
    value = value.reference if isinstance(value, Filled) else value
    kind = type(value)
    if value is None or kind in (bool, int, float, complex, str):
        yield kind.__name__.encode()
        yield (hex(value) if kind is int else str(value)).encode("utf-8", "surrogatepass")
    elif isinstance(value, bytes | bytearray):
        yield b"bytes"
        yield bytes(value)
    elif isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        yield f"array {value.dtype.descr} {value.shape}".encode()
        yield value.tobytes()
    elif id(value) in above:
        yield b"itself"
    else:
        yield from _compound(value, (*above, id(value)))


def _compound(value: Any, above: tuple[int, ...]) -> Iterator[bytes]:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        yield f"list {len(value)}".encode()
        for item in value:
            yield from _parts(item, above)
    elif isinstance(value, set | frozenset | Mapping):
        pairs = value.items() if isinstance(value, Mapping) else [(item, None) for item in value]
        yield f"{'dict' if isinstance(value, Mapping) else 'set'} {len(pairs)}".encode()
        keyed = [(list(_parts(key, above)), item) for key, item in pairs]
        for key, item in sorted(keyed, key=lambda pair: pair[0]):  # in the order of their pieces, not of insertion
            yield from key
            yield from _parts(item, above)
    elif isinstance(value, type):
        yield from _sources(value)
    elif isinstance(value, os.PathLike) or inspect.ismodule(value):
        yield str(value if isinstance(value, os.PathLike) else value.__name__).encode("utf-8", "surrogatepass")
    elif inspect.isroutine(value):
        yield _source(value)
        if inspect.ismethod(value):
            yield from _parts(value.__self__, above)
    else:
        yield from _sources(type(value))
        if isinstance(value, Configured):
            yield from _parts(value._arguments, above)
        elif getattr(value, "__dict__", None):
            yield from _parts(vars(value), above)
        else:
            yield _ADDRESS.sub("", repr(value)).encode("utf-8", "surrogatepass")


def _sources(cls: type) -> Iterator[bytes]:
    """The source of a class and of what it inherits from, down to evo's own bases."""
    for one in cls.__mro__:
        if one.__module__.partition(".")[0] not in ("evo", "builtins", "abc", "typing"):
            yield _source(one)
    yield qualified_name(cls).encode()


def _source(value: Any) -> bytes:
    try:
        return inspect.getsource(value).encode("utf-8", "surrogatepass")
    except (OSError, TypeError):
        name = f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', type(value).__qualname__)}"
        return name.encode()
