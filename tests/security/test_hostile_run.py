"""A run directory that somebody else made: it loads, or is refused by a RunError; it never runs or writes anything."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from engine.worlds import Masks
from hypothesis import given, settings
from hypothesis import strategies as st

import evo
from evo.errors import RunError
from evo.store.codec import decode_change, decode_outcomes, decode_requests
from evo.store.columns import pack, unpack
from evo.store.lookup import OPAQUE
from evo.store.reader import FILE_NAME

SPACE = evo.BitMask(10)
DEEP = "[" * 100_000 + "]" * 100_000


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good") / "run"
    evo.search(Masks(), evo.MapElites((6, 6), batch=20), evaluations=100, seed=1, run_dir=folder, snapshot_seconds=0.0)
    return folder


@pytest.fixture
def run(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "run"))


def altered(run: Path, *statements: str, **values: object) -> None:
    with closing(sqlite3.connect(run / FILE_NAME)) as connection, connection:
        for statement in statements:
            connection.execute(statement, values if ":" in statement else ())


def use(run: Path) -> None:
    """All that people do with a run that they were given."""
    held = evo.load(run, Masks())
    held.totals  # noqa: B018
    held.events()
    held.reader.curve()
    list(held.reader.messages())
    held.frame()
    held.archive.genomes  # noqa: B018
    held.export("canonical", run.parent / "out")
    evo.resume(run, Masks(), evaluations=140)


# What lies in the file ------------------------------------------------------------------------------------------------

ALTERATIONS: dict[str, Callable[[Path], None]] = {
    "header no JSON": lambda run: altered(run, "UPDATE header SET document = '{'"),
    "header a list": lambda run: altered(run, "UPDATE header SET document = '[]'"),
    "header deep": lambda run: altered(run, "UPDATE header SET document = :deep", deep=DEEP),
    "header empty": lambda run: altered(run, "UPDATE header SET document = '{}'"),
    "header a number": lambda run: altered(run, "UPDATE header SET document = 5"),
    "totals deep": lambda run: altered(run, "UPDATE totals SET document = :deep", deep=DEEP),
    "no results": lambda run: altered(run, "DROP TABLE results"),
    "text for columns": lambda run: altered(run, "UPDATE results SET columns = 'text'"),
    "nothing for columns": lambda run: altered(run, "UPDATE requests SET columns = zeroblob(0)"),
    "zeros for columns": lambda run: altered(run, "UPDATE requests SET columns = zeroblob(100)"),
    "numbers for columns": lambda run: altered(run, "UPDATE requests SET columns = 7"),
    "endless count": lambda run: altered(
        run, "UPDATE requests SET columns = :blob", blob=pack({"n": 10**12, "genomes": b""})
    ),
    "endless ids": lambda run: altered(
        run,
        "UPDATE results SET columns = :blob",
        blob=pack({"objectives": np.zeros((1, 1)), "measures": np.zeros((1, 2)), "n": 10**12, "span": bytes(24)}),
    ),
    "deep columns": lambda run: altered(
        run, "UPDATE results SET columns = :blob", blob=len(DEEP).to_bytes(4, "little") + DEEP.encode()
    ),
    "objects in columns": lambda run: altered(
        run,
        "UPDATE results SET columns = :blob",
        blob=b'\x21\x00\x00\x00{"v":{"\\u0000":"|O","o":0,"s":[1]}}' + bytes(8),
    ),
    "changes cut": lambda run: altered(run, "UPDATE changes SET columns = substr(columns, 1, 30)"),
    "moves of odd ids": lambda run: altered(run, "UPDATE moves SET ids = :ids WHERE kind = 'tell'", ids=b"abc"),
    "moves of text": lambda run: altered(run, "UPDATE moves SET room = 'x' WHERE kind = 'ask'"),
    "events no JSON": lambda run: altered(run, "UPDATE events SET detail = ']'"),
    "curves no JSON": lambda run: altered(run, "UPDATE curves SET stats = ']'"),
    "no database": lambda run: (run / FILE_NAME).write_bytes(b"\x80\x04c__builtin__\neval\n" * 100) and None,
    "half of the file": lambda run: os.truncate(run / FILE_NAME, (run / FILE_NAME).stat().st_size // 2),
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_a_damaged_run_file_is_refused(alteration: str, run: Path) -> None:
    ALTERATIONS[alteration](run)
    with pytest.raises(RunError):
        use(run)


def test_a_snapshot_that_is_damaged_costs_time_only(run: Path) -> None:
    altered(run, "UPDATE snapshots SET columns = zeroblob(64)")
    use(run)


def test_triggers_and_views_are_not_what_evo_writes(run: Path) -> None:
    altered(run, "CREATE TRIGGER t AFTER INSERT ON moves BEGIN DELETE FROM results; END")
    with pytest.raises(RunError, match="trigger"):
        evo.resume(run, Masks(), evaluations=140)
    altered(run, "DROP TRIGGER t", "ALTER TABLE header RENAME TO held", "CREATE VIEW header AS SELECT * FROM held")
    with pytest.raises(RunError, match="view"):
        evo.resume(run, Masks(), evaluations=140)


@pytest.mark.parametrize(
    "kind", ["os:system", "subprocess:Popen", "builtins:eval", "evo.testing.problems:check_problem"]
)
def test_a_name_that_is_no_problem_is_not_called(kind: str, run: Path) -> None:
    with closing(sqlite3.connect(run / FILE_NAME)) as connection:
        header = json.loads(connection.execute("SELECT document FROM header").fetchone()[0])
    header["spec"]["problem"] = {"type": kind, "params": {"command": "touch called", "args": ["touch", "called"]}}
    altered(run, "UPDATE header SET document = :document", document=json.dumps(header))
    held = evo.load(run)
    assert held.problem is None
    with pytest.raises(RunError, match=r"cannot be imported|is not an evo Problem"):
        evo.resume(run)
    assert not Path("called").exists()


# What lies beside it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lock", "artifacts", "ray.log", "supervisor.log", FILE_NAME])
def test_links_that_lead_out_of_the_run_are_not_followed(name: str, run: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    if name == "artifacts":
        (target / "scratch-abc").mkdir(parents=True)
        shutil.rmtree(run / name)
    else:
        target.write_bytes((run / name).read_bytes() if name == FILE_NAME else b"precious")
        (run / name).unlink(missing_ok=True)
    before = sorted(tmp_path.rglob("*")), target.read_bytes() if target.is_file() else b""
    (run / name).symlink_to(target)
    with pytest.raises(RunError, match="is a link"):
        evo.resume(run, Masks(), evaluations=140)
    (run / name).unlink()
    assert (sorted(tmp_path.rglob("*")), target.read_bytes() if target.is_file() else b"") == before


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "", "a/b", "..", "AB"])
def test_an_artifact_has_a_hash_for_its_name(name: str, run: Path, tmp_path: Path) -> None:
    from evo.records import Requests
    from workers.artifacts import needed

    held = evo.load(run, Masks())
    with pytest.raises(RunError, match="expected a hash"):
        held.artifact_path(name)
    if name:
        with pytest.raises(evo.EvaluationError, match="expected the hash"):
            needed(Requests(np.zeros((1, 2)), needs=[(name,)]), {}, tmp_path)


def test_files_of_a_run_have_the_permissions_that_the_umask_leaves(tmp_path: Path) -> None:
    def modes(mask: int) -> set[int]:
        before = os.umask(mask)
        try:
            folder = tmp_path / f"run-{mask:o}"
            evo.search(Masks(), evo.MapElites((6, 6)), evaluations=50, run_dir=folder)
        finally:
            os.umask(before)
        return {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in [folder, *folder.rglob("*")]}

    assert modes(0o077) == {0}
    assert modes(0o022) == {0o044, 0o055}


# Bytes that nobody packed ---------------------------------------------------------------------------------------------

REAL = pack(
    {
        "objectives": np.arange(4.0).reshape(2, 2),
        "measures": np.zeros((2, 1)),
        "n": 2,
        "span": bytes(24),
        "status": np.zeros(2, np.uint8),
        "metrics": {"text": np.array(["a", {"b": [1]}], dtype=object)},
        "notes": [[0, {"message": "why"}]],
    }
)


def decoded(data: bytes) -> None:
    for decode in (
        lambda: decode_outcomes(data, OPAQUE),
        lambda: decode_outcomes(data, SPACE),
        lambda: decode_requests(data, 0, SPACE),
        lambda: decode_change(data, "elites"),
    ):
        with suppress(RunError):
            decode()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    decoded(data)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_real_columns_with_some_bytes_changed_are_decoded_or_refused(data: st.DataObject) -> None:
    blob = bytearray(REAL)
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    decoded(bytes(blob[: data.draw(st.integers(0, len(blob)))]))


_marks = st.sampled_from(["bytes", "json", "|O"])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | _marks,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["\0", "o", "s", "n", "v", "genomes", "objectives"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(_json, st.binary(max_size=64))
def test_any_header_before_any_bytes_is_decoded_or_refused(header: object, rest: bytes) -> None:
    text = json.dumps(header).encode()
    decoded(len(text).to_bytes(4, "little") + text + rest)


def test_what_was_packed_is_still_unpacked() -> None:
    assert unpack(REAL)["notes"] == [[0, {"message": "why"}]]
    decode_outcomes(REAL, OPAQUE)
