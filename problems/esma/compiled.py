"""One way of compiling a kernel: for one signature, when its module is imported, from the cache on disk if it can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from evo.store.extras import need

__all__ = ["compiled", "read", "types", "write"]

numba: Any = need("numba", "esma", "the search for continued fractions")
types: Any = numba.types

_F = TypeVar("_F", bound=Callable[..., Any])


def read(dtype: Any, ndim: int = 1) -> Any:
    """The type of a contiguous array that is only read: it takes writable arrays too, so one signature is enough."""
    return types.Array(dtype, ndim, "C", readonly=True)


def write(dtype: Any, ndim: int = 1) -> Any:
    """The type of a contiguous array that is written."""
    return types.Array(dtype, ndim, "C")


def compiled(signature: Any) -> Callable[[_F], _F]:
    """Compile the decorated function for ``signature`` now, without Python objects; call it before its first caller.

    The cache on disk notices changes of the function's own file only, not of kernels in other files that it calls.
    """

    def compile_now(function: _F) -> _F:
        try:
            kernel: _F = numba.njit(signature, cache=True)(function)
        except RuntimeError:  # numba finds no place to write its cache
            kernel = numba.njit(signature)(function)
        return kernel

    return compile_now
