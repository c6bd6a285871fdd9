"""A preparation that makes a large file: the same run wherever it is kept, and when a worker dies while it moves."""

from __future__ import annotations

import hashlib
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evo
from engine.worlds import Weighted, canonical
from evo.operator import Operator

SIZE = 3 << 20
OPTIONS: dict[str, Any] = {"evaluations": 60, "seed": 2}


class WeighIntoFile(Operator):
    """Writes the weights into a large file: into its scratch folder, or where a trap is set into the trap's folder.

    A trap goes off once: the kernel kills the process while it copies the file into the run.
    """

    def __init__(self, trap: Path) -> None:
        self.trap = trap

    def make(self, parents: Any, args: Mapping[str, Any], space: evo.Space, work: evo.Work) -> evo.Births:
        """Weights drawn from the request's own stream, and zeros behind them."""
        path = (self.trap.parent if self.trap.exists() else work.scratch) / "weights"
        with path.open("wb") as file:
            file.write(work.rng(purpose="make").random(14).tobytes())
            file.truncate(SIZE)
        if self.trap.exists():
            self.trap.unlink()
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE // 2, SIZE // 2))
        return evo.Births(space.empty(0), artifacts={"weights": path})


class Heavy(Weighted):
    """Weighted by a large file."""

    def __init__(self, trap: str) -> None:
        self.trap = trap

    @property
    def operators(self) -> Mapping[str, Operator]:
        """What the preparation asks for."""
        return {"weigh": WeighIntoFile(Path(self.trap))}

    def evaluate(self, genome: Any, work: evo.Work) -> evo.Evaluation:
        """The weight of the ones, read where it lies."""
        (content,) = work.needed()
        held = np.frombuffer(content) if isinstance(content, bytes) else np.memmap(content, float, "r")
        return evo.Evaluation([float(held[:14][genome].sum())])


def search(tmp_path: Path, **more: Any) -> evo.Run:
    return evo.search(Heavy(str(tmp_path / "trap")), evo.Genetic(10), **OPTIONS, **more)


def only(folder: Path) -> Path:
    """The one artifact there is, named by its content."""
    (found,) = (folder / "artifacts").iterdir()
    assert found.name == hashlib.blake2b(found.read_bytes(), digest_size=16).hexdigest()
    assert found.stat().st_size == SIZE
    return found


@pytest.mark.ray
def test_a_large_artifact_is_the_same_in_memory_in_a_folder_and_on_ray(ray_session: None, tmp_path: Path) -> None:
    runs = [
        search(tmp_path),
        search(tmp_path, run_dir=tmp_path / "inline"),
        search(tmp_path, run_dir=tmp_path / "ray", backend="ray", workers=1),
        search(tmp_path, backend="ray", workers=1),
    ]
    assert [run.state for run in runs] == ["finished"] * 4
    assert len({canonical(run, tmp_path) for run in runs}) == 1
    digest = runs[0].artifacts["weights"]
    assert len({run.artifact(digest) for run in runs}) == 1
    for run in runs[1:3]:
        assert run.artifact_path(digest) == only(run.dir)
        assert run.reader.artifact(digest) is None
    for run in (runs[0], runs[3]):
        assert run.artifact_path(digest) is None


@pytest.mark.ray
def test_a_worker_that_dies_while_it_hands_a_file_over_is_replaced(ray_session: None, tmp_path: Path) -> None:
    (tmp_path / "trap").touch()
    run = search(tmp_path, run_dir=tmp_path / "run", backend="ray", workers=1)
    assert run.state == "finished"
    assert run.totals["workers"]["lost"] == 1
    assert canonical(run, tmp_path) == canonical(search(tmp_path), tmp_path)
    only(tmp_path / "run")


_DYING = """
from pathlib import Path
from engine.test_large_artifacts import search
search(Path({0!r}), run_dir=Path({0!r}) / "run")
"""


def test_a_run_that_dies_while_it_moves_a_file_is_taken_up_again(tmp_path: Path) -> None:
    (tmp_path / "trap").touch()
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {tests!r})\n{_DYING.format(str(tmp_path))}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == -signal.SIGXFSZ, ran.stderr
    (left,) = (tmp_path / "run" / "artifacts").iterdir()
    assert left.is_dir(), "nothing has a hash for its name"
    run = evo.resume(tmp_path / "run", problem=Heavy(str(tmp_path / "trap")))
    assert run.state == "finished"
    assert canonical(run, tmp_path) == canonical(search(tmp_path), tmp_path)
    assert only(tmp_path / "run") == run.artifact_path(run.artifacts["weights"])


@pytest.mark.parametrize("name", ["../run.evo", "..", "", "weights", "AB", "/etc/hosts", 7])
def test_only_a_hash_is_looked_up(name: Any, tmp_path: Path) -> None:
    run = search(tmp_path, run_dir=tmp_path / "run")
    for look in (run.artifact, run.artifact_path):
        with pytest.raises(evo.RunError, match="expected a hash"):
            look(name)
    with pytest.raises(evo.RunError, match="artifact 00: not in this run"):
        run.artifact("00")
    assert run.artifact_path("00") is None
