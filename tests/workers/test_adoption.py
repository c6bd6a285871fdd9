"""A worker's process finds our packages whatever lies first on its path, or says what is in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from evo.cluster.layout import fingerprints

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shadow(tmp_path: Path) -> Path:
    """A folder that holds a package `problems` which is not ours."""
    (tmp_path / "problems").mkdir()
    (tmp_path / "problems" / "__init__.py").touch()
    return tmp_path


def adopted(shadow: Path, path: list[str], home: str | None = None, before: str = "") -> list[str]:
    """[complaint, file of `problems.arm` or empty] in a fresh process with only `path` and the shadow on its path."""
    script = f"""
        import importlib.util, json, sys
        spec = importlib.util.spec_from_file_location("bench", {str(ROOT / "workers" / "ray_bench.py")!r})
        bench = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(bench)
        sys.path[:0] = {[str(shadow), *path]!r}
        {before}
        complaint = bench._adopt({fingerprints()!r}, {[home] if home else []!r})
        where = "" if complaint else __import__("problems.arm").arm.__file__
        print(json.dumps([complaint, where]))
        """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-P", "-S", "-c", textwrap.dedent(script)]
    site = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p.endswith("site-packages"))}
    done = subprocess.run(command, env={**environment, **site}, capture_output=True, text=True, check=True)
    answer: list[str] = json.loads(done.stdout)
    return answer


def test_ours_is_taken_from_further_down_the_path(shadow: Path) -> None:
    assert adopted(shadow, [str(ROOT)]) == ["", str(ROOT / "problems" / "arm.py")]


def test_ours_is_taken_from_the_masters_folder(shadow: Path) -> None:
    assert adopted(shadow, [], home=str(ROOT)) == ["", str(ROOT / "problems" / "arm.py")]


def test_packages_unpacked_each_in_its_own_folder_are_found(shadow: Path, tmp_path: Path) -> None:
    folders = []
    for name in fingerprints():
        (tmp_path / f"unpacked_{name}").mkdir()
        (tmp_path / f"unpacked_{name}" / name).symlink_to(ROOT / name)
        folders.append(str(tmp_path / f"unpacked_{name}"))
    complaint, where = adopted(shadow, folders)
    assert complaint == ""
    assert where == str(tmp_path / "unpacked_problems" / "problems" / "arm.py")


def test_where_ours_cannot_be_found_the_folder_in_the_way_is_named(shadow: Path, tmp_path: Path) -> None:
    (tmp_path / "rest").mkdir()
    for name in ("evo", "operators", "workers"):
        (tmp_path / "rest" / name).symlink_to(ROOT / name)
    complaint, _ = adopted(shadow, [str(tmp_path / "rest")])
    assert complaint.startswith(f"{shadow}/problems is in the way on this worker: ")
    assert "\n" not in complaint


def test_a_wrong_package_that_is_already_loaded_is_named(shadow: Path) -> None:
    complaint, _ = adopted(shadow, [str(ROOT)], before="import problems")
    assert complaint.startswith(f"{shadow}/problems is in the way on this worker: ")
