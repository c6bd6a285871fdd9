"""Our four packages have plain names, so a folder of the user's can stand in front of them: this module notices.

On the master the four must lie beside each other. A worker may have them unpacked anywhere, so there each package is
recognised by the fingerprint of its ``__init__.py`` instead of its place.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

import evo
from evo.errors import WorkerError

__all__ = ["PACKAGES", "check_layout", "fingerprints", "root"]

PACKAGES = ("evo", "problems", "operators", "workers")


def root() -> Path:
    """The folder that holds the four packages on this machine: a checkout or site-packages."""
    return Path(evo.__path__[0]).resolve().parent


def fingerprints() -> dict[str, str]:
    """name -> digest of the ``__init__.py`` of each of our packages."""
    return {name: _digest(root() / name / "__init__.py") for name in PACKAGES}


def check_layout() -> None:
    """Make sure that importing each of our names gives our package.

    Raises:
        WorkerError: one does not lie beside `evo`; names the folder in the way, or what is missing.
    """
    for name in PACKAGES:
        ours = root() / name
        if not (ours / "__init__.py").is_file():
            raise WorkerError(f"evo's package {name!r} is missing: expected {ours}; install evo again")
        found = _found(name)
        if found is not None and found != ours.resolve():
            raise WorkerError(
                f"{found} is in the way: evo has a package of its own called {name!r} ({ours}), and Python finds yours "
                f"first; rename that folder, or start the command `evo` from elsewhere"
            )


def _found(name: str) -> Path | None:
    """The folder that `import name` uses, or would use; None when nothing is found."""
    module = sys.modules.get(name)
    spec = module.__spec__ if module is not None else importlib.util.find_spec(name)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin or name).resolve()


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
