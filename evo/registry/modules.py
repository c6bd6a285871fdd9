"""Finding the class behind ``module:Class``, in the user's own folders too, and noticing when a folder hides another.

The import names `evo`, `problems`, `operators` and `workers` are ours. A user's folder of such a name can hide ours, or
be hidden by it; both are said in one line that names the folder.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evo.cluster.layout import PACKAGES, root
from evo.errors import ConfigError

__all__ = ["beside", "load", "nearest", "search_in", "searched"]

_folders: list[Path] = []
_latest: list[Path] = []


def search_in(folder: Path) -> None:
    """Let ``module:Class`` find the user's modules in `folder`; what is installed goes before it."""
    _latest[:] = [folder.resolve()]
    _also(folder)


def beside() -> Path:
    """Where the run file lies that was read last, and with it what it names; the current folder where none was."""
    return _latest[0] if _latest else Path.cwd()


def _also(folder: Path) -> None:
    folder = folder.resolve()
    if folder not in _folders:
        _folders.append(folder)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def searched() -> tuple[Path, ...]:
    """The user's folders so far: where a worker must look too."""
    return tuple(_folders)


def load(name: str, where: str = "") -> Any:
    """What ``module:Class`` names.

    Raises:
        ConfigError: there is no such module or class, or it cannot be imported; `where` begins the message.
    """
    module, _, path = name.partition(":")
    if module == "__main__" or "<locals>" in path:
        raise ConfigError(
            f"{where}{path} was defined in a script, a notebook or a function, so its name cannot be imported: "
            "move it to a module, or resume with evo.resume(run_dir, problem=...)"
        )
    _also(Path.cwd())
    found: Any = _import(module, where)
    for part in path.split("."):
        if not hasattr(found, part):
            classes = [key for key, value in vars(found).items() if isinstance(value, type)]
            raise ConfigError(f"{where}module {module!r} has no class {path!r}{nearest(path, classes)}")
        found = getattr(found, part)
    return found


def nearest(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'operator'?"``, or nothing when no known name is near."""
    spellings = {word.lower(): word for word in known}
    close = difflib.get_close_matches(name.lower(), spellings, n=1, cutoff=0.6)
    return f"; did you mean {spellings[close[0]]!r}?" if close else ""


def _import(module: str, where: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise ConfigError(f"{where}importing {module!r} needs {error.name!r}, which is not installed") from error
        top = module.partition(".")[0]
        for folder in _folders:
            taken = [place for place in (folder / top, folder / f"{top}.py") if place.exists()]
            if taken and top in PACKAGES and folder != root():
                raise ConfigError(
                    f"{where}{taken[0]} has the name of evo's own package {top!r}, which hides it: rename it"
                ) from error
        raise ConfigError(
            f"{where}there is no module {module!r} among the installed packages, nor in "
            + ", ".join(map(str, _folders))
        ) from error
    except (ImportError, SyntaxError) as error:
        raise ConfigError(f"{where}importing {module!r} failed: {error}") from error
