"""The files that a program is and needs: read once, told apart by their content, laid out on every worker.

A worker has them as they were when the search was started, whether it sees the original ones or not: a program that is
compiled anew in the middle of a run changes nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from evo.errors import ConfigError
from evo.registry.modules import beside

__all__ = ["MOST", "Files", "digest_of", "looked_up", "roots"]

MOST = 64 << 20
"""Bytes of all files together; larger data is better placed where every worker sees it."""


@dataclass(frozen=True)
class Files:
    """Some files and folders, by the names they have for the program.

    Use `read` to make one.
    """

    content: tuple[tuple[str, bool, bytes], ...] = field(repr=False)
    """(path below the working folder, whether it can be executed, what is in it), sorted."""
    entries: tuple[str, ...]
    """What was named: files and folders."""

    @cached_property
    def digest(self) -> str:
        """Of all names and contents."""
        digest = hashlib.blake2b(digest_size=16)
        for path, program, data in self.content:
            digest.update(f"{len(path)} {path} {program:d} {len(data)} ".encode("utf-8", "surrogateescape"))
            digest.update(data)
        return digest.hexdigest()

    def write(self, folder: Path) -> None:
        """Lay the files out in an empty folder, for all to read and nobody to write."""
        for path, program, data in self.content:
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
            place.chmod(0o555 if program else 0o444)
        for made in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
            made.chmod(0o755)

    def link(self, source: Path, folder: Path) -> None:
        """Give a working folder what `write` laid out in `source`, without copying it."""
        for entry in self.entries:
            place = folder / entry
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(source / entry)

    @staticmethod
    def read(named: Sequence[str], folder: str | None, mentioned: Sequence[str] = ()) -> Files:
        """Look files up and read them.

        Args:
            named: files and folders: relative to `folder`, and under that name for the program, or anywhere else, and
                then under their last name.
            folder: where relative names begin; None for the folder of the run file, then the current one.
            mentioned: further names, which count where there is such a file.

        Raises:
            ConfigError: there is no such file, it cannot be read, two have one name, or they are too large.
        """
        found: dict[str, Path] = {}
        for place, name in enumerate(named):
            path = looked_up(name, folder)
            if path is None:
                raise ConfigError(f"files[{place}]: there is no {name!r} in {' or '.join(map(str, roots(folder)))}")
            _add(found, _inside(name), path, f"files[{place}]")
        for name in mentioned:
            path = looked_up(name, folder) if _is_local(name) else None
            if path is not None and path.is_file() and not _covered(_inside(name), found):
                _add(found, _inside(name), path, "command")
        content: list[tuple[str, bool, bytes]] = []
        for entry, path in found.items():
            for file, below in _walk(path, entry):
                if sum(len(data) for _, _, data in content) + _size(file) > MOST:
                    raise ConfigError(
                        f"files: more than {MOST >> 20} MiB in all, with {file}; place large data where every worker "
                        "sees it, and give its absolute path to the program as an argument"
                    )
                content.append((below, os.access(file, os.X_OK), _bytes(file)))
        return Files(tuple(sorted(content)), tuple(sorted(found)))


def roots(folder: str | None) -> list[Path]:
    """Where relative names are looked for, in this order."""
    return [Path(folder).absolute()] if folder is not None else list(dict.fromkeys([beside(), Path.cwd()]))


def looked_up(name: str, folder: str | None) -> Path | None:
    """What a name stands for; None where there is nothing."""
    for root in roots(folder):
        if os.path.lexists(root / name):
            return root / name
    return None


def digest_of(file: Path) -> str:
    """Of a program's content; of nothing where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "blake2b").hexdigest()
    except OSError:
        return ""


def _inside(name: str) -> str:
    """What a file is called in the working folder."""
    path = PurePosixPath(os.path.normpath(name))
    return path.name if path.is_absolute() or ".." in path.parts else str(path)


def _is_local(name: str) -> bool:
    path = PurePosixPath(os.path.normpath(name)) if name and len(name) < 4096 and "\0" not in name else None
    return path is not None and not path.is_absolute() and ".." not in path.parts and str(path) != "."


def _covered(entry: str, found: dict[str, Path]) -> bool:
    return any(entry == known or entry.startswith(f"{known}/") for known in found)


def _add(found: dict[str, Path], entry: str, path: Path, where: str) -> None:
    for known in found:
        if entry == known or entry.startswith(f"{known}/") or known.startswith(f"{entry}/"):
            raise ConfigError(
                f"{where}: {path} would be {entry!r} for the program, as is {found[known]}; name one of them"
            )
    found[entry] = path


def _walk(path: Path, entry: str) -> Iterator[tuple[Path, str]]:
    """(file, its name below the working folder) of a file or of everything in a folder."""
    if not path.is_dir():
        yield path, entry
        return
    for folder, inner, files in os.walk(path):
        inner.sort()
        for name in sorted(files):
            file = Path(folder) / name
            yield file, str(PurePosixPath(entry) / file.relative_to(path).as_posix())


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise ConfigError(f"files: {file} cannot be read ({error.strerror})") from None


def _bytes(file: Path) -> bytes:
    if not file.is_file():
        raise ConfigError(f"files: {file} is no ordinary file")
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"files: {file} cannot be read ({error.strerror})") from None
