"""The corpus: the Python standard library's own sources, one document a file, split by file.

Every machine that runs Python has this text, so nothing is downloaded. Left out are tests and their data, installed
packages, generated tables and help texts (`encodings`, `pydoc_data`), and files that differ from machine to machine. A
hash of a file's relative path decides its split, so a file is in the same split under every Python version; the texts
differ between versions, and `digest` tells them apart.
"""

from __future__ import annotations

import hashlib
import sysconfig
from collections.abc import Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError

__all__ = ["SPLITS", "Split", "corpus", "digest", "files", "split_of", "windows"]

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

_TESTS = {"test", "tests", "idle_test"}
_INSTALLED = {"site-packages", "dist-packages", "__pycache__"}
_GENERATED = {"encodings", "pydoc_data"}
_FOLDERS_LEFT_OUT = _TESTS | _INSTALLED | _GENERATED
_NAMES_LEFT_OUT = ("_sysconfigdata", "sitecustomize", "usercustomize")
_VALIDATION, _TEST = 5, 5  # percent of the files


def files(split: Split) -> list[str]:
    """The relative paths (with forward slashes) of a split's files, sorted."""
    _check(split)
    return [name for name in _names() if split_of(name) == split]


def corpus(split: Split) -> list[NDArray[np.uint8]]:
    """The documents of a split, one array of bytes a file, in the order of `files`. Empty files are left out."""
    root = _root()
    texts = (np.frombuffer((root / name).read_bytes(), dtype=np.uint8) for name in files(split))
    return [text for text in texts if len(text)]


def digest(split: Split | None = None) -> str:
    """16 hex digits of the paths and contents of a split, or of the whole corpus."""
    root, sha = _root(), hashlib.sha256()
    for name in _names() if split is None else files(split):
        content = (root / name).read_bytes()
        sha.update(f"{name}\0{len(content)}\0".encode() + content)
    return sha.hexdigest()[:16]


def split_of(name: str) -> Split:
    """Which split the file with this relative path belongs to: about 90 / 5 / 5 percent of the files."""
    percent = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") * 100 >> 64
    if percent < _VALIDATION:
        return "validation"
    return "test" if percent < _VALIDATION + _TEST else "train"


def windows(documents: Sequence[NDArray[np.uint8]], length: int) -> NDArray[np.uint8]:
    """(n, length) the documents cut from their beginnings into windows that do not overlap; shorter rests are dropped.

    Raises:
        ConfigError: a length below 2, which predicts nothing, or no document that long.
    """
    if length < 2:
        raise ConfigError(f"windows of text: expected length >= 2, got {length}")
    pieces = [text[: len(text) // length * length].reshape(-1, length) for text in documents]
    cut = np.concatenate(pieces) if pieces else np.empty((0, length), dtype=np.uint8)
    if not len(cut):
        raise ConfigError(f"windows of text: no document has {length} bytes; take a smaller length")
    return cut


def _root() -> Path:
    return Path(sysconfig.get_path("stdlib"))


@cache
def _names() -> tuple[str, ...]:
    root = _root()
    paths = (PurePosixPath(path.relative_to(root).as_posix()) for path in root.rglob("*.py") if path.is_file())
    return tuple(sorted(str(path) for path in paths if _is_text(path)))


def _is_text(path: PurePosixPath) -> bool:
    return _FOLDERS_LEFT_OUT.isdisjoint(path.parts[:-1]) and not path.name.startswith(_NAMES_LEFT_OUT)


def _check(split: str) -> None:
    if split not in SPLITS:
        raise ConfigError(f"corpus: expected a split of {', '.join(SPLITS)}, got {split!r}")
