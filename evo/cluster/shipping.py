"""Shipping: a run's kit as bytes that a worker can open without having the user's files.

What is installed on every machine (our packages, the standard library, site-packages) travels by name. A user's own
modules travel by value: the worker needs neither the file nor its folder.
"""

from __future__ import annotations

import pickle
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import cloudpickle

from evo.cluster.layout import PACKAGES
from evo.errors import WorkerError
from evo.worker import Kit

__all__ = ["ship", "unship", "user_modules"]

_REFUSALS = (
    pickle.PicklingError,
    TypeError,
    AttributeError,
    ValueError,
    NotImplementedError,
    RecursionError,
    RuntimeError,
    OSError,
)
"""What objects raise when they cannot be pickled; each library has its own taste."""

_DEPTH = 4


def ship(kit: Kit) -> bytes:
    """The kit as bytes.

    Raises:
        WorkerError: something in it cannot be pickled; names the attribute, and what to do.
    """
    with _by_value():
        try:
            return bytes(cloudpickle.dumps(kit))
        except _REFUSALS as error:
            where, cause = _in_the_way(kit) or ("the problem", error)
            raise WorkerError(
                f"{where} cannot be sent to a worker ({_one_line(cause)}): make it in warm_up(), which runs on each "
                "worker, or leave it out with __getstate__"
            ) from error


def unship(data: bytes) -> Kit:
    """The kit that `ship` packed."""
    kit: Kit = pickle.loads(data)
    return kit


def user_modules() -> list[ModuleType]:
    """The loaded modules that other machines cannot be expected to have: Python files that nobody installed."""
    return [module for name, module in list(sys.modules.items()) if _is_users(name, module)]


@contextmanager
def _by_value() -> Iterator[None]:
    # The register belongs to the whole process: leave it as it was, or others' pickles would change too.
    before = cloudpickle.list_registry_pickle_by_value()
    added = [module for module in user_modules() if module.__name__ not in before]
    for module in added:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in added:
            cloudpickle.unregister_pickle_by_value(module)


def _is_users(name: str, module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if not file or not file.endswith(".py") or name == "__main__" or getattr(module, "__name__", None) != name:
        return False
    top = name.partition(".")[0]
    if top in PACKAGES or top in sys.stdlib_module_names:
        return False
    return not any(Path(file).is_relative_to(folder) for folder in _installed()) and top not in _distributed()


@cache
def _installed() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return tuple(folders | set(site.getsitepackages()) | {site.getusersitepackages()})


@cache
def _distributed() -> frozenset[str]:
    """Packages that belong to an installed distribution, also those installed in place (``pip install -e``)."""
    return frozenset(packages_distributions())


def _in_the_way(kit: Kit) -> tuple[str, Exception] | None:
    named: dict[str, Any] = {type(kit.problem).__name__: kit.problem}
    named.update({f"operator {name!r}": operator for name, operator in kit.operators.items()})
    for path, value in named.items():
        found = _search(path, value, _DEPTH)
        if found is not None:
            return found
    return None


def _search(path: str, value: Any, depth: int) -> tuple[str, Exception] | None:
    """The innermost part of `value` that cannot be pickled, or None when it can."""
    refusal = _refusal(value)
    if refusal is None or depth == 0:
        return None if refusal is None else (path, refusal)
    for name, part in _parts(path, value):
        found = _search(name, part, depth - 1)
        if found is not None:
            return found
    return path, refusal


def _parts(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((f"{path}[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, list | tuple):
        yield from ((f"{path}[{place}]", part) for place, part in enumerate(value))
    elif isinstance(value, FunctionType):
        reads = [name for name in value.__code__.co_names if name in value.__globals__]
        yield from ((f"the global {name!r} (used by {path})", value.__globals__[name]) for name in reads)
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=False)
        yield from ((f"the variable {name!r} (used by {path})", cell.cell_contents) for name, cell in cells)
    elif isinstance(value, type):
        yield from ((f"{path}.{name}", part) for name, part in vars(value).items() if _own(name, part))
    else:
        held = dict(getattr(value, "__dict__", {}))
        arguments = held.pop("_arguments", {})  # looked at last: an attribute of the same value has the better name
        yield from ((f"{path}.{name}", part) for name, part in held.items())
        yield from ((f"{path}({name}=...)", part) for name, part in arguments.items())
        yield path.removesuffix("()"), type(value)


def _own(name: str, part: Any) -> bool:
    """Whether a class attribute was written by its author; Python's own descriptors never pickle."""
    return isinstance(part, FunctionType) or not (name.startswith("__") or hasattr(type(part), "__set_name__"))


def _refusal(value: Any) -> Exception | None:
    try:
        cloudpickle.dumps(value)
    except _REFUSALS as error:
        return error
    return None


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
