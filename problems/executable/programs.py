"""Whether a file can be started as a program, said once and before the first candidate."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import struct
from pathlib import Path

__all__ = ["cannot_start", "found"]

_MACHINES = {"x86_64": 62, "aarch64": 183}
"""Machine -> its number in the head of an ELF file; others are not looked at."""
_PT_INTERP = 3


def found(program: str, path: str | None) -> Path | None:
    """Where a program lies: an absolute path, or a name to be looked up in `path` (as in ``PATH``)."""
    place = shutil.which(program, path=path)
    if place is not None:
        return Path(place)
    return Path(program) if os.path.isabs(program) else None


def cannot_start(file: Path, path: str | None = None) -> str:
    """Why a file cannot be started on this machine and what to do; empty where nothing speaks against it.

    Looks at the file alone: its kind, its mode, the interpreter that its first line or its ELF head names.

    Args:
        file: the program.
        path: where ``/usr/bin/env`` will look for an interpreter, as in ``PATH``.
    """
    try:
        mode = file.stat().st_mode
        with file.open("rb") as opened:
            head = opened.read(1 << 16) if stat.S_ISREG(mode) else b""
    except IsADirectoryError:
        return f"{file} is a folder, not a program"
    except FileNotFoundError:
        return f"there is no file {file}"
    except OSError as error:
        if not os.access(file, os.X_OK):
            return f"{file} cannot be read or executed ({error.strerror})"
        return ""  # a program that may be started and not be read
    if not stat.S_ISREG(mode):
        return f"{file} is {'a folder' if stat.S_ISDIR(mode) else 'no ordinary file'}, not a program"
    if not mode & 0o111:
        hint = f", or name its interpreter: [python3, {file.name}, ...]" if file.suffix == ".py" else ""
        return f"{file} is not executable: chmod +x {file.name}{hint}"
    if not os.access(file, os.X_OK):
        return f"{file} may not be executed here (owner, mode, or a file system mounted noexec: set TMPDIR elsewhere)"
    if head.startswith(b"#!"):
        return _script(file, head, path)
    if head.startswith(b"\x7fELF"):
        return _binary(file, head)
    if not head.strip():
        return f"{file} is empty"
    if b"\0" not in head[:512]:
        return f"{file} is text without a first line that names its interpreter, such as #!/bin/sh"
    return ""


def _script(file: Path, head: bytes, path: str | None) -> str:
    line = head[2:].partition(b"\n")[0].decode(errors="replace")
    if line.endswith("\r"):
        return f"{file} has the line ends of Windows, with which its first line names no interpreter: save it with \\n"
    words = line.split()
    if not words:
        return f"the first line of {file} names no interpreter; expected one such as #!/bin/sh"
    if not os.access(words[0], os.X_OK):
        return f"the first line of {file} names the interpreter {words[0]}, which is not here; try #!/usr/bin/env"
    if os.path.basename(words[0]) == "env" and len(words) > 1 and not words[1].startswith("-"):
        name = words[1]
        if "=" not in name and shutil.which(name, path=path) is None:
            return f"the first line of {file} asks for {name}, which is not found in PATH ({path}): install it"
    return ""


def _binary(file: Path, head: bytes) -> str:
    if len(head) < 64 or head[4] != 2:  # 32 bits: not looked into
        return ""
    order = "<" if head[5] == 1 else ">"
    machine = struct.unpack_from(order + "H", head, 18)[0]
    ours = _MACHINES.get(platform.machine())
    if ours is not None and machine in _MACHINES.values() and machine != ours:
        kind = next(name for name, number in _MACHINES.items() if number == machine)
        return f"{file} was built for {kind}, this machine is {platform.machine()}: build it here"
    offset = struct.unpack_from(order + "Q", head, 32)[0]
    size, count = struct.unpack_from(order + "HH", head, 54)
    for entry in range(offset, min(offset + size * count, len(head) - 56), size or 56):
        if struct.unpack_from(order + "I", head, entry)[0] == _PT_INTERP:
            start, length = (
                struct.unpack_from(order + "Q", head, entry + 8)[0],
                struct.unpack_from(order + "Q", head, entry + 32)[0],
            )
            loader = head[start : start + length].rstrip(b"\0").decode(errors="replace")
            if loader and not os.path.exists(loader):
                return f"{file} needs {loader}, which is not here: it was built for another system; build it here"
    return ""
