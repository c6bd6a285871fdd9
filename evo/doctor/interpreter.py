"""Python, evo, its packages and extras, and folders that stand in front of them."""

from __future__ import annotations

import importlib.util
import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires, version

from evo.doctor.finding import Finding, Place, no, ok, warn

__all__ = ["LEAST_PYTHON", "extras", "layout", "needs_of", "packages", "python", "satisfies"]

LEAST_PYTHON = (3, 11)

PURPOSES: Mapping[str, str] = {
    "ray": "workers in processes of their own, clusters",
    "fast": "large archives",
    "plot": "pictures (evo plot)",
    "frame": "Run.frame and parquet files",
    "torch": "problems that compute with tensors",
    "optuna": "Optuna's samplers",
    "esma": "formulas for constants",
    "lm": "compressing language models",
}
"""extra -> what for; those that only develop evo are not looked for."""

_NEED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*([^;]*?)\s*(?:;.*extra\s*==\s*['\"]([^'\"]+)['\"].*)?$")
_MODULES = {"pyyaml": "yaml", "python-flint": "flint"}
"""Distribution -> module, where the names differ."""

_FALLBACK = ("numpy", "pydantic", "typer", "rich", "cloudpickle", "PyYAML")
"""What evo needs, where no metadata says so: in a checkout that is not installed."""


def python(place: Place) -> Iterator[Finding]:
    """The interpreter and evo."""
    import evo
    from evo.cluster.layout import root

    text = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < LEAST_PYTHON:
        yield no("python", text, "evo needs Python 3.11 or newer: make an environment with one")
    else:
        yield ok("python", text)
    yield ok("evo", f"{evo.__version__} ({root()})")


def packages(place: Place) -> Iterator[Finding]:
    """What evo cannot do without."""
    complaints = [one for name, bounds in needs_of(None) if (one := _complaint(name, bounds))]
    if complaints:
        yield no("packages", "; ".join(complaints), "pip install evo")
    else:
        yield ok("packages", ", ".join(f"{name} {version(name)}" for name, _ in needs_of(None)))


def extras(place: Place) -> Iterator[Finding]:
    """What is needed for some things only."""
    complete = []
    for extra, purpose in PURPOSES.items():
        needs = needs_of(extra)
        complaints = [one for name, bounds in needs if (one := _complaint(name, bounds))]
        if complaints:
            yield warn(
                f"extra {extra}",
                f"{'; '.join(complaints)}: for {purpose}",
                f"pip install 'evo[{extra}]', if you need it",
            )
        elif needs:
            complete.append(extra)
    if complete:
        yield ok("extras", ", ".join(complete))


def layout(place: Place) -> Iterator[Finding]:
    """Folders that have the names of evo's packages."""
    from evo.cluster.layout import PACKAGES, check_layout
    from evo.errors import WorkerError

    try:
        check_layout()
    except WorkerError as error:
        yield no("shadowed packages", str(error), "rename the folder, or start the command elsewhere")
    else:
        yield ok("shadowed packages", f"none: {', '.join(PACKAGES)} are evo's own")


def needs_of(extra: str | None) -> Sequence[tuple[str, str]]:
    """(distribution, bounds of its version) that evo needs, or one of its extras."""
    try:
        lines = requires("evo") or []
    except PackageNotFoundError:
        return [(name, "") for name in _FALLBACK] if extra is None else []
    found = [match.groups() for line in lines if (match := _NEED.match(line))]
    return [(name, bounds) for name, bounds, of in found if of == extra and name.lower() != "evo"]


def satisfies(held: str, bounds: str) -> bool:
    """Whether a version is within bounds such as ``>=2.13,<2.14``; others than these two are not looked at."""
    for bound in bounds.split(","):
        match = re.fullmatch(r"\s*(>=|<)\s*([0-9.]+)\s*", bound)
        if match and (_numbers(held) >= _numbers(match[2])) != (match[1] == ">="):
            return False
    return True


def _complaint(name: str, bounds: str) -> str:
    """Why a distribution does not do; empty where it does."""
    module = _MODULES.get(name.lower(), name.replace("-", "_"))
    try:
        held = version(name)
    except PackageNotFoundError:
        return f"{name} is missing"
    if not _can_be_imported(module):
        return f"{name} {held} is installed, but cannot be imported"
    return "" if satisfies(held, bounds) else f"{name} {held} is here, {bounds} is needed"


def _can_be_imported(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _numbers(text: str) -> tuple[int, ...]:
    found = re.match(r"[0-9]+(\.[0-9]+)*", text)
    numbers = tuple(map(int, found[0].split("."))) if found else ()
    return numbers + (0,) * (4 - len(numbers))
