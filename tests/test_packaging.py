"""What is installed is what lies in the tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from evo.cluster.layout import PACKAGES
from evo.registry import BUILT_IN, KINDS, resolve

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DATA = {".py", ".md", ".sql", ".typed", ".safetensors", ".json", ".csv"}


def test_the_registrys_table_is_the_projects_entry_points() -> None:
    declared = {group.removeprefix("evo."): points for group, points in PROJECT["entry-points"].items()}
    assert declared == BUILT_IN
    assert set(declared) <= set(KINDS)


def test_every_entry_point_is_what_its_group_says() -> None:
    for kind, names in BUILT_IN.items():
        for name in names:
            resolve(kind, name)


def test_torch_is_asked_for_by_its_own_extras_alone() -> None:
    extras = PROJECT["optional-dependencies"]
    assert {name for name, needs in extras.items() if any(need.startswith("torch") for need in needs)} == {
        "torch",
        "bench",
        "lm",
    }
    assert not any(name in need for need in extras["all"] for name in ("torch", "bench", "lm"))


def test_the_constraints_pin_everything_that_is_asked_for() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(line.count("==") == 1 and "/" not in line for line in lines)
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    needs = [*PROJECT["dependencies"], *(need for extra in PROJECT["optional-dependencies"].values() for need in extra)]
    names = {_name(need) for need in needs} - {"evo"}
    assert names <= pinned


@pytest.mark.slow
def test_the_wheel_holds_the_tree(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in (*PACKAGES, "pyproject.toml", "README.md"):
        origin = ROOT / name
        if origin.is_dir():
            shutil.copytree(origin, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(origin, source / name)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        points = next(archive.read(name).decode() for name in archive.namelist() if name.endswith("entry_points.txt"))
    tree = {
        str(path.relative_to(source))
        for name in PACKAGES
        for path in (source / name).rglob("*")
        if path.is_file() and path.suffix in DATA | {""}
    }
    assert held == tree
    assert all({f"{package}/__init__.py", f"{package}/py.typed"} <= held for package in PACKAGES)
    for kind, names in BUILT_IN.items():
        assert f"[evo.{kind}]" in points
        assert all(f"{name} = {target}" in points for name, target in names.items())
    assert "evo = evo.cli:main" in points


def _name(need: str) -> str:
    for mark in "[<>=;, ":
        need = need.partition(mark)[0]
    return need.lower().replace("_", "-")
