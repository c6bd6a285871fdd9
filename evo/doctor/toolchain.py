"""Compilers, each tried on a small program, and GPUs, without opening one."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evo.doctor.finding import Finding, Place, no, ok, warn

__all__ = ["compilers", "gpus"]

_PATIENCE = 60.0
"""Seconds for one compilation."""
_SOURCES = {
    "cc": ("hello.c", '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'),
    "gcc": ("hello.c", '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'),
    "g++": ("hello.cpp", '#include <iostream>\nint main() { std::cout << "hello\\n"; }\n'),
    "nvcc": ("hello.cu", "__global__ void hello(int *x) { *x = 1; }\nint main() { return 0; }\n"),
}
_GET = {"nvcc": "install the CUDA toolkit"}
_SMI = ["nvidia-smi", "--query-gpu=index,name,memory.total,memory.used,driver_version", "--format=csv,noheader,nounits"]


def compilers(place: Place) -> Iterator[Finding]:
    """Those that are here must compile; one that is missing matters to problems that compile alone."""
    for name, (file, source) in _SOURCES.items():
        path = shutil.which(name)
        if path is None:
            remedy = _GET.get(name, "apt install build-essential")
            yield warn(f"compiler {name}", "not here: for problems that compile", f"{remedy}, if you need it")
        else:
            yield _compiles(name, path, file, source)


def _compiles(name: str, path: str, file: str, source: str) -> Finding:
    what, remedy = f"compiler {name}", "install it again, with the headers of the C library (libc6-dev)"
    with tempfile.TemporaryDirectory(prefix="evo-doctor-") as folder:
        (Path(folder) / file).write_text(source)
        try:
            built = subprocess.run(
                [path, file, "-o", "hello"], cwd=folder, capture_output=True, text=True, timeout=_PATIENCE, check=False
            )
            if built.returncode:
                said = (built.stderr.strip() or built.stdout.strip()).splitlines()
                return no(what, f"{path} does not compile: {said[-1] if said else built.returncode}", remedy)
            if name == "nvcc":
                return ok(what, f"{path} compiles")
            ran = subprocess.run(
                ["./hello"], cwd=folder, capture_output=True, text=True, timeout=_PATIENCE, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            return no(what, f"{path}: {type(error).__name__}: {error}", remedy)
    if ran.stdout != "hello\n":
        return no(what, f"{path} compiles, but what it made does not run (exit code {ran.returncode})", remedy)
    return ok(what, f"{path} compiles, and it runs")


def gpus(place: Place) -> Iterator[Finding]:
    """What the driver says, and whether torch was built for it."""
    devices = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    if shutil.which("nvidia-smi") is None:
        if devices:
            yield warn("gpus", f"{', '.join(devices)} in /dev, but no nvidia-smi", "install the driver's tools")
        else:
            yield ok("gpus", "none")
        return
    try:
        said = subprocess.run(_SMI, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        yield no("gpus", f"nvidia-smi: {type(error).__name__}: {error}", "see whether the driver hangs: dmesg")
        return
    if said.returncode:
        words = (said.stdout + said.stderr).strip().splitlines()
        yield no("gpus", f"nvidia-smi: {words[0] if words else said.returncode}", "load the driver, or unload its rest")
        return
    for line in said.stdout.strip().splitlines():
        index, name, total, used, driver = [part.strip() for part in line.split(",")]
        yield ok(f"gpu {index}", f"{name}, {used} of {total} MiB taken, driver {driver}")
    yield from _torch()


def _torch() -> Iterator[Finding]:
    try:
        held = version("torch")
    except PackageNotFoundError:
        return
    if "+cpu" in held:
        remedy = "pip install torch from https://download.pytorch.org/whl for your version of CUDA"
        yield warn("torch", f"{held} was built without CUDA, though there is a GPU", remedy)
