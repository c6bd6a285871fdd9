"""Files that users' code hands over: the same artifacts as their contents, but large ones are never in memory."""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import Bowl, OneByOne, asked, points, statuses, told

from evo.evaluator import Evaluation, Evaluator, Work
from evo.operator import Births, Operator
from evo.records import BORN, Outcomes, Status
from evo.scratch import Scratch, sweep
from evo.space import Space
from evo.worker import Kit, Message
from workers.artifacts import INLINE_ARTIFACT, Keeper
from workers.evaluation import Bench

LARGE = 64 << 20


def digest_of(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def sparse(path: Path, size: int = LARGE, mark: bytes = b"end") -> Path:
    """A file of this size that takes hardly any disk; it ends with the mark."""
    with path.open("wb") as file:
        file.truncate(size - len(mark))
        file.seek(0, os.SEEK_END)
        file.write(mark)
    return path


def sound(folder: Path) -> list[Path]:
    """What lies in a run's artifacts, each of it named by its content."""
    found = sorted(folder.iterdir())
    for path in found:
        with path.open("rb") as file:
            assert hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest() == path.name
    return found


class Handing(Bowl):
    """Hands over whatever `give` makes of the work, one row after the other."""

    evaluate_batch: Any = None

    def __init__(self, give: Callable[[Work], Mapping[str, Any]]) -> None:
        self.give = give

    def evaluate(self, x: np.ndarray, work: Work) -> Evaluation:
        return Evaluation([0.0], x[:2], artifacts=self.give(work))

    @property
    def evaluator(self) -> Evaluator:
        return OneByOne(self, takes_work=True)


def handed(folder: Path | None, give: Callable[[Work], Mapping[str, Any]], n: int = 1) -> tuple[Outcomes, dict]:
    bench = Bench(Kit(Handing(give), {}, 5, folder))
    return bench.serve(Message(1, asked(points(n)), n, 60.0), 0, n)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's artifacts."""
    path = tmp_path / "artifacts"
    path.mkdir()
    return path


@given(
    size=st.sampled_from([0, 1, 1000, INLINE_ARTIFACT - 1, INLINE_ARTIFACT, INLINE_ARTIFACT + 1, 3 * INLINE_ARTIFACT]),
    seed=st.integers(0, 3),
    inside=st.booleans(),
    shared=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_a_file_is_the_artifact_that_its_content_is(
    tmp_path_factory: pytest.TempPathFactory, size: int, seed: int, inside: bool, shared: bool
) -> None:
    content = np.random.default_rng(seed).bytes(size)
    parent = tmp_path_factory.mktemp("handed")
    found = []
    for name in ("bytes", "file"):
        folder = parent / name
        folder.mkdir()
        scratch = Scratch(folder)
        keeper = Keeper(folder if shared else None, scratch)
        path = (scratch.folder() if inside else parent) / "content"
        path.write_bytes(content)
        assert keeper.keep({"it": content if name == "bytes" else path}) == {"it": digest_of(content)}
        scratch.clear()
        assert path.exists() == (not inside)
        found.append((keeper.small, {file.name: file.read_bytes() for file in sound(folder)}))
    assert found[0] == found[1]
    large = shared and size > INLINE_ARTIFACT
    assert found[0][large] == {digest_of(content): content}
    assert not found[0][not large]


def test_a_large_file_never_passes_through_memory(folder: Path, tmp_path: Path) -> None:
    outside = sparse(tmp_path / "outside", mark=b"out")
    tracemalloc.start()
    try:
        found, small = handed(folder, lambda work: {"in": sparse(work.scratch / "levels"), "out": outside})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < LARGE / 16
    assert statuses(found) == [Status.OK]
    assert not small
    assert {path.name for path in sound(folder)} == set(found.notes[0].artifacts.values())
    assert len(set(found.notes[0].artifacts.values())) == 2
    assert outside.stat().st_size == LARGE


def test_a_file_in_scratch_is_moved_and_one_elsewhere_is_copied(folder: Path, tmp_path: Path) -> None:
    numbers = {}

    def give(work: Work) -> dict[str, Path]:
        paths = {"in": sparse(work.scratch / "file", mark=b"in"), "out": sparse(tmp_path / "file", mark=b"out")}
        (work.scratch / "link").symlink_to(paths["out"])
        numbers.update({name: path.stat().st_ino for name, path in paths.items()})
        return {**paths, "link": work.scratch / "link"}

    found, _ = handed(folder, give)
    hashes = found.notes[0].artifacts
    assert hashes["link"] == hashes["out"] != hashes["in"]
    assert (folder / hashes["in"]).stat().st_ino == numbers["in"]
    assert (folder / hashes["out"]).stat().st_ino != numbers["out"]
    assert (tmp_path / "file").stat().st_ino == numbers["out"]
    assert len(sound(folder)) == 2


def test_a_file_may_have_two_names_and_be_there_already(folder: Path) -> None:
    def give(work: Work) -> dict[str, Path]:
        path = sparse(work.scratch / "file")
        return {"a": path, "b": path}

    found, _ = handed(folder, give, n=2)
    (kept,) = sound(folder)
    before = kept.stat().st_ino
    assert [found.notes[row].artifacts for row in range(2)] == [{"a": kept.name, "b": kept.name}] * 2
    handed(folder, give)
    assert kept.stat().st_ino == before, "others may have it mapped"


@pytest.mark.parametrize("names", [["file", "link"], ["link", "file"]])
def test_a_file_and_a_link_to_it_are_one_artifact(folder: Path, names: list[str]) -> None:
    def give(work: Work) -> dict[str, Path]:
        (work.scratch / "link").symlink_to(sparse(work.scratch / "file"))
        return {name: work.scratch / name for name in names}

    found, _ = handed(folder, give)
    (kept,) = sound(folder)
    assert statuses(found) == [Status.OK]
    assert found.notes[0].artifacts == {"file": kept.name, "link": kept.name}


def test_a_file_with_a_second_name_is_copied_as_it_may_be_written_through_that(folder: Path, tmp_path: Path) -> None:
    def give(work: Work) -> dict[str, Path]:
        path = sparse(work.scratch / "file")
        os.link(path, tmp_path / "other")
        return {"it": path}

    handed(folder, give)
    with (tmp_path / "other").open("r+b") as file:
        file.write(b"other content")
    assert len(sound(folder)) == 1


@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_who_may_read_the_folder_may_read_what_is_in_it_and_nobody_writes_it(
    folder: Path, tmp_path: Path, mode: int
) -> None:
    def give(work: Work) -> dict[str, Any]:
        handle, name = tempfile.mkstemp(dir=work.scratch)
        os.close(handle)
        return {
            "closed": sparse(Path(name), mark=b"closed"),
            "copied": sparse(tmp_path / "file", mark=b"copied"),
            "bytes": bytes(2 * INLINE_ARTIFACT),
        }

    folder.chmod(mode)
    handed(folder, give)
    assert [stat.S_IMODE(path.stat().st_mode) for path in sound(folder)] == [mode & 0o444] * 3


_FORKING = """
import os, sys
from pathlib import Path
from evo.scratch import Scratch

scratch = Scratch(Path(sys.argv[1]))
folder = scratch.folder()
seen = []
for end in (lambda: None, scratch.clear, lambda: globals().pop("scratch")):
    child = os.fork()
    if not child:
        end()
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    seen.append(folder.is_dir())
scratch.clear()
print(*seen, folder.exists())
"""


def test_a_process_forked_from_a_worker_leaves_its_scratch_folders(folder: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", _FORKING, str(folder)], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "True True True False\n"), ran.stderr


def test_each_row_has_a_scratch_folder_of_its_own_which_is_gone_afterwards(folder: Path) -> None:
    seen: list[Path] = []

    def give(work: Work) -> dict[str, Path]:
        assert work.scratch == work.scratch
        assert not list(work.scratch.iterdir())
        seen.append(work.scratch)
        (work.scratch / "file").write_bytes(b"%d" % len(seen))
        return {"it": work.scratch / "file"}

    found, small = handed(folder, give, n=3)
    assert [small[found.notes[row].artifacts["it"]] for row in range(3)] == [b"1", b"2", b"3"]
    assert len(set(seen)) == 3
    assert all(path.is_relative_to(folder) and not path.exists() for path in seen)
    assert not list(folder.iterdir())


def test_work_that_belongs_to_no_run_has_a_scratch_folder_too() -> None:
    work = Work(1, "full", np.array([7, 8]))
    path = work.scratch
    assert path.is_dir()
    assert work.one(1).scratch not in (path, work.one(1).scratch)
    del work
    assert not path.exists()


def test_what_is_no_file_fails_its_row(folder: Path) -> None:
    found, _ = handed(folder, lambda work: {"it": work.scratch})
    assert statuses(found) == [Status.FAILED]
    assert "artifact 'it': expected a file, but " in found.notes[0].message
    assert not sound(folder)


class Writes(Operator):
    """Hands over a file of as many bytes as it is asked for, written into its scratch folder."""

    def make(self, parents: Any, args: Mapping[str, Any], space: Space, work: Work) -> Births:
        path = work.scratch / "file"
        path.write_bytes(b"x" * args["size"])
        return Births(space.empty(0), artifacts={"made": path})


def test_what_operators_make_of_several_requests_is_kept_apart(folder: Path) -> None:
    bench = Bench(Kit(Bowl(), {"writes": Writes()}, 5, folder))
    sizes = [2 << 20, 10, 3 << 20]
    requests = asked(None, make="writes", args=[{"size": size} for size in sizes], fidelity=BORN)
    outcomes, small = bench.serve(Message(1, requests, 3, 60.0), 0, 3)
    expected = [digest_of(b"x" * size) for size in sizes]
    assert [outcomes.notes[row].artifacts["made"] for row in range(3)] == expected
    assert set(small) == {expected[1]}
    assert {path.name for path in sound(folder)} == {expected[0], expected[2]}
    assert told(bench, requests)[0].notes[1].artifacts == outcomes.notes[1].artifacts


# Broken off in the middle ---------------------------------------------------------------------------------------------

_HANDING = """
import resource, signal, sys
from pathlib import Path
from evo.scratch import Scratch
from workers.artifacts import Keeper

folder, source, deadly = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "deadly"
if deadly:  # the kernel kills what writes more; otherwise it is an OSError, as on a disk that is full
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, 8 << 20))
scratch = Scratch(folder)
try:
    Keeper(folder, scratch).keep({"it": source})
except OSError as error:
    scratch.clear()
    print(error.strerror)
"""


@pytest.fixture
def interrupted(folder: Path, tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Hand a file over in a process that can write a part of it only."""
    source = sparse(tmp_path / "source")

    def run(end: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", _HANDING, str(folder), str(source), end]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


def test_a_worker_that_dies_while_copying_leaves_nothing_under_a_hash(
    folder: Path, interrupted: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    assert interrupted("deadly").returncode == -signal.SIGXFSZ
    (left,) = folder.iterdir()
    (partial,) = (path for path in left.rglob("*") if path.is_file())
    assert 0 < partial.stat().st_size < LARGE, "it died in the middle"
    sweep(folder)
    assert not list(folder.iterdir())


def test_a_disk_that_is_full_fails_with_its_reason_and_leaves_nothing(
    folder: Path, interrupted: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    ran = interrupted("gently")
    assert (ran.returncode, ran.stdout) == (0, "File too large\n")
    assert not list(folder.iterdir())
