"""Laws of reading what a child says: no bytes break the reader, and what an honest child says comes through whole."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo import BORN, Box, Json, Requests, Sandbox, Status
from evo.errors import EvaluationError
from evo.records import Note, Outcomes
from evo.scratch import Scratch
from workers.artifacts import Keeper
from workers.evaluation import KEPT
from workers.sandbox.answers import GarbledError, decoded, encoded
from workers.sandbox.folder import given_back, removed
from workers.sandbox.joining import joined
from workers.sandbox.processes import folder_bytes, unnamed, unnamed_bytes
from workers.sandbox.reasons import verdict

SPACE = Json()
MARK = b"evo-answer-1\n"


def asked(n: int = 2, **more: Any) -> Requests:
    return Requests(SPACE.stack([1] * n), fidelity="full", ids=np.arange(5, 5 + n), **more)


def outcomes(n: int = 2, **more: Any) -> Outcomes:
    columns: dict[str, Any] = {"objectives": np.ones((n, 1)), "measures": np.zeros((n, 2)), **more}
    return Outcomes(np.arange(5, 5 + n), **columns)


def read(data: bytes, requests: Requests | None = None) -> Outcomes:
    return decoded(data, requests or asked(), SPACE, (1, 2)).outcomes


def hash_of(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


HONEST = encoded(
    outcomes(
        metrics={"loss": np.array([0.5, np.nan]), "text": np.array(["a", {"b": [1]}], dtype=object)},
        status=np.array([Status.OK, Status.OK], dtype=np.uint8),
        notes={1: Note("why", {"tried": 1}, {"tokens": 2.5}, {"model": "0" * 32, "log": hash_of(b"content")})},
    ),
    {hash_of(b"content"): b"content", hash_of(b"nobody's"): b"nobody's"},
    SPACE,
)


def test_what_an_honest_child_says_comes_through_whole() -> None:
    answer = decoded(HONEST, asked(), SPACE, (1, 2))
    found = answer.outcomes
    assert found.objectives.tolist() == [[1.0], [1.0]]
    assert found.metrics["loss"].tolist()[0] == 0.5
    assert found.metrics["text"].tolist() == ["a", {"b": [1]}]
    assert found.notes[1].costs == {"tokens": 2.5}
    assert answer.small == {hash_of(b"content"): b"content"}
    assert answer.large == {"0" * 32}


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_break_the_reader(data: bytes, marked: bool) -> None:
    with pytest.raises(GarbledError):
        read((MARK if marked else b"") + data)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_change_of_an_honest_answer_breaks_the_reader(data: st.DataObject) -> None:
    changed = bytearray(HONEST)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    try:
        found = read(bytes(changed))
    except GarbledError:
        return
    assert found.objectives.shape == (2, 1)
    assert np.isfinite(found.objectives).all()
    assert found.ids.tolist() == [5, 6]


def framed(head: Any, body: bytes = b"") -> bytes:
    text = (head if isinstance(head, str) else json.dumps(head)).encode()
    part = len(text).to_bytes(4, "little") + text + body
    return MARK + len(part).to_bytes(8, "little") + part


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["\0", "o", "s", "n", "v"]), inner),
    max_leaves=8,
)
FIELDS = ["objectives", "measures", "n", "span", "ids", "status", "owner", "same_as", "metrics", "genomes", "notes"]


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.binary(max_size=64))
def test_no_head_of_the_right_form_breaks_the_reader(head: dict[str, Any], body: bytes) -> None:
    with pytest.raises(GarbledError):
        read(framed(head, body))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (outcomes(n=3), "other requests"),
        (outcomes(objectives=np.ones((2, 2))), "objectives have the wrong shape"),
        (outcomes(objectives=np.full((2, 1), np.nan)), "objectives are not finite"),
        (outcomes(measures=np.full((2, 2), np.inf)), "measures are not finite"),
        (outcomes(status=np.array([3, 0], dtype=np.uint8)), "its status is none"),
        (outcomes(status=np.array([77, 0], dtype=np.uint8)), "its status is none"),
        (outcomes(same_as=np.array([1, 1])), "other work"),
        (outcomes(notes={9: Note("x")}), "belong to nobody"),
        (outcomes(notes={0: Note(artifacts={"a": "../../etc/passwd"})}), "no hash"),
        (outcomes(notes={0: Note(costs={"a": float("inf")})}), "no finite number"),
        (outcomes(owner=np.array([0, 1]), genomes=SPACE.stack([1, 2])), "candidates where there are none"),
    ],
)
def test_what_was_not_asked_is_refused(given: Outcomes, complaint: str) -> None:
    with pytest.raises(GarbledError, match=complaint):
        read(encoded(given, {}, SPACE))


def test_numbers_without_end_and_endless_ranges_cost_nothing() -> None:
    with pytest.raises(GarbledError):
        read(framed({"n": 1 << 60, "objectives": [], "measures": []}))
    with pytest.raises(GarbledError, match="too many digits"):
        read(framed('{"n": %s}' % ("7" * 200_000)))


def test_content_is_kept_only_where_a_note_names_it_and_it_is_small() -> None:
    more = len(b"content").to_bytes(8, "little")
    with pytest.raises(GarbledError, match="what no note names"):
        read(HONEST + more + b"CONTENT")
    with pytest.raises(GarbledError, match="too large to travel"):
        decoded(HONEST, asked(), SPACE, (1, 2), 6)


BLANKS = '"measures":{"\\u0000":"<f8","o":16,"s":[2,0]},"n":2,"objectives":{"\\u0000":"<f8","o":0,"s":[2,1]}'
BODY = bytes(16) + struct.pack("<qdd", 5, 0.0, 0.0)


def metric(form: str) -> str:
    """The head of an answer with one metric, in a form of our own."""
    return '{"metrics":{"m":' + form + "}," + BLANKS + ',"span":{"\\u0000":"bytes","n":24,"o":16}}'


def column_of(values: str) -> str:
    return metric('{"\\u0000":"json","s":[2],"v":[VALUES]}'.replace("VALUES", values))


def test_what_would_take_long_to_read_is_refused_at_once() -> None:
    found = decoded(framed(column_of("1,[2]"), BODY), asked(), SPACE, (1, 0)).outcomes
    assert found.metrics["m"].tolist() == [1.0, [2]]  # the form is right: what is refused below is so for its size
    begun = time.monotonic()
    for head in (
        column_of(f"1,[{','.join(['[]'] * 5_000_000)}]"),
        column_of(f"1,[{','.join(['[]'] * 300_000)}]"),
        column_of('1,"' + "x" * (8 << 20) + '"'),
        metric('{"\\u0000":"' + ",".join(["f8"] * 500_000) + '","o":0,"s":[2]}'),
        metric('{"\\u0000":"O","o":0,"s":[2]}'),
        metric('{"\\u0000":[["a","<f8"]],"o":0,"s":[2]}'),
        metric('{"\\u0000":"<f8","o":0,"s":[2],"\\u0000":"f8,f8"}'),
        metric('{"\\u0000":"<f8","o":0,"s":[' + ",".join(["9"] * 200_000) + "]}"),
    ):
        with pytest.raises(GarbledError, match=r"too long|too many|another kind"):
            decoded(framed(head, BODY), asked(), SPACE, (1, 0))
    assert time.monotonic() - begun < 10


@pytest.mark.slow
def test_the_most_that_may_be_said_is_read_in_seconds() -> None:
    begun = time.monotonic()
    decoded(framed(column_of(f"1,[{','.join(['[]'] * 120_000)}]"), BODY), asked(), SPACE, (1, 0))
    assert time.monotonic() - begun < 10


def test_a_reason_without_end_is_cut_by_the_child_itself() -> None:
    said = outcomes(status=np.array([Status.FAILED, Status.OK], dtype=np.uint8), notes={0: Note("\n" * (20 << 20))})
    said.objectives[0] = np.nan
    assert len(read(encoded(said, {}, SPACE)).notes[0].message) == 1 << 16


def test_children_are_checked_like_everything_that_enters_a_space() -> None:
    space = Box(-1.0, 1.0, size=2)
    requests = Requests(make="litter", args=[{}], fidelity=BORN, ids=np.array([5]))
    owner = np.array([0, 0])
    for genomes, fine in ((np.zeros((2, 2)), True), (np.full((2, 2), 7.0), False)):
        data = encoded(
            Outcomes(np.array([5]), np.empty((2, 0)), np.empty((2, 0)), owner=owner, genomes=genomes), {}, space
        )
        if fine:
            assert decoded(data, requests, space, (1, 2)).outcomes.owner is not None
        else:
            with pytest.raises(GarbledError, match="SpaceError"):
                decoded(data, requests, space, (1, 2))


# Folders --------------------------------------------------------------------------------------------------------------


def nested(top: Path, depth: int) -> None:
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


def test_a_folder_is_removed_however_deep_it_is(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    nested(top, 2000)
    (top / "closed").mkdir(mode=0)
    (top / "link").symlink_to(tmp_path)
    (tmp_path / "stays").write_text("here")
    removed(top)
    assert [path.name for path in tmp_path.iterdir()] == ["stays"]


def test_a_deep_nest_counts_as_too_much(tmp_path: Path) -> None:
    nested(tmp_path, 200)
    assert folder_bytes(str(tmp_path), 1 << 40) > 1 << 40


def test_only_a_file_of_the_childs_own_that_holds_what_its_name_says_is_kept(tmp_path: Path) -> None:
    run, folder = tmp_path / "run", tmp_path / "folder"
    for path in (run, folder, folder / KEPT):
        path.mkdir()
    secret = tmp_path / "secret"
    secret.write_bytes(b"s")
    digest = "0" * 32
    keeper = Keeper(run, Scratch(run))
    for make in (
        lambda at: None,
        lambda at: at.symlink_to(secret),
        lambda at: at.hardlink_to(secret),
        lambda at: os.mkfifo(at),
        lambda at: at.mkdir(),
        lambda at: at.write_bytes(b"something else"),
    ):
        place = folder / KEPT / digest
        make(place)
        with pytest.raises(EvaluationError, match=f"artifact {digest}"):
            given_back(folder, digest, keeper, None)
        if place.is_dir():
            place.rmdir()
        else:
            place.unlink(missing_ok=True)
    assert list(run.iterdir()) == []


def test_names_that_ours_could_be_do_not_keep_a_folder_alive(tmp_path: Path) -> None:
    top = tmp_path / "top"
    for number in range(5):
        (top / f"evo-{number}" / "a" / "b").mkdir(parents=True)
        (top / f"evo-{number}" / "a" / "b" / "file").write_text("x")
    removed(top)
    assert not top.exists()


def test_what_no_path_reaches_counts_as_too_much(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(18):
        os.mkdir("d" * 250, dir_fd=here)
        inner = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    try:
        assert folder_bytes(str(tmp_path), 1 << 40) > 1 << 40
    finally:
        removed(tmp_path)


@pytest.mark.parametrize("mapped", [False, True])
def test_files_without_a_name_are_found_open_or_mapped(tmp_path: Path, mapped: bool) -> None:
    size = 4 << 20
    before = unnamed([os.getpid()])
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    handle = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.write(handle, bytes(size))
    place = libc.mmap(None, ctypes.c_size_t(size), 1, 1, handle, ctypes.c_long(0)) if mapped else None
    (tmp_path / "file").unlink()
    try:
        if mapped:
            os.close(handle)
        assert unnamed_bytes([os.getpid()], before) >= size
        assert unnamed_bytes([os.getpid()], unnamed([os.getpid()])) == 0
    finally:
        if mapped:
            libc.munmap(ctypes.c_void_p(place), ctypes.c_size_t(size))
        else:
            os.close(handle)
    assert unnamed_bytes([os.getpid()], before) < size


# Words ----------------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(["answer", "exit", "signal", "deadline", "memory", "output", "files", "processes", "garbled"]),
    st.text(max_size=30),
    st.text(max_size=2000),
)
def test_every_end_has_a_verdict_that_begins_with_the_word_sandbox(how: str, detail: str, tail: str) -> None:
    status, reason = verdict(how, detail, Sandbox(), tail)
    assert status in (Status.FAILED, Status.CRASHED, Status.TIMEOUT)
    assert reason.startswith("sandbox: ")


@given(st.integers(1, 5), st.integers(0, 5))
def test_joined_parts_are_the_whole(n: int, cut: int) -> None:
    whole = outcomes(n, metrics={"a": np.arange(n, dtype=np.float64)}, notes={n - 1: Note("last")})
    cut = min(cut, n)
    parts = [part for part in (whole.take(np.arange(cut)), whole.take(np.arange(cut, n))) if len(part.ids)]
    found = joined(parts)
    assert found.ids.tolist() == whole.ids.tolist()
    assert found.metrics["a"].tolist() == whole.metrics["a"].tolist()
    assert found.notes.keys() == whole.notes.keys()
