"""What a cluster needs to run a search: the run file's folder and our packages, in one folder.

Our packages lie beside the user's files, so that the same folder serves the master and the workers there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evo.cluster.layout import PACKAGES, root
from evo.errors import ConfigError

__all__ = ["LARGEST", "Pack", "pack"]

LARGEST = 100 << 20
"""bytes of the user's files; more belongs where the nodes can read it."""
_MOST_FILES = 10_000

_LEFT_OUT = frozenset({"runs", "venv", "node_modules", "__pycache__", "build", "dist"})
"""Folders that are no part of a program; files and folders whose names begin with a dot (.git, .env) stay here too."""


@dataclass(frozen=True)
class Pack:
    """A folder that is ready to travel."""

    folder: Path
    files: int
    size: int
    """bytes of the user's files."""

    def __str__(self) -> str:
        return f"{self.files} file{'s' * (self.files != 1)}, {self.size / 1e6:.1f} MB"


def pack(source: Path, target: Path) -> Pack:
    """Copy what lies in `source`, and our packages, into the empty folder `target`.

    Raises:
        ConfigError: it is too much, or a file of the user's has the name of one of our packages.
    """
    size = files = 0
    for path in _files(source):
        size, files = size + path.stat().st_size, files + 1
        if size > LARGEST or files > _MOST_FILES:
            raise ConfigError(
                f"{source}: more than {LARGEST >> 20} MB or {_MOST_FILES:,} files beside the run file (reached at "
                f"{path.relative_to(source)}): keep it in a folder of its own, and data where the nodes can read it"
            )
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    for name in PACKAGES:
        shutil.copytree(root() / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    return Pack(target, files, size)


def _files(folder: Path, top: bool = True) -> Iterator[Path]:
    """The files to take, in a steady order; links are followed to files, not to folders."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or (path.is_symlink() and path.is_dir()):
            continue
        if top and _is_named_as_ours(path):
            continue
        if path.is_dir():
            if path.name not in _LEFT_OUT and not (path / "pyvenv.cfg").exists():
                yield from _files(path, top=False)
        elif path.is_file():
            yield path


def _is_named_as_ours(path: Path) -> bool:
    """Whether this is one of our packages, as where the run file lies in evo's own checkout.

    Raises:
        ConfigError: it only has such a name.
    """
    if path.stem not in PACKAGES or not (path.is_dir() or path.suffix == ".py"):
        return False
    if path.resolve() != (root() / path.name).resolve():
        raise ConfigError(
            f"{path} is in the way: evo has a package of its own called {path.stem!r}; rename it, or move the run file "
            "to a folder of its own"
        )
    return True
