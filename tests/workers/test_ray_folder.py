"""Artifacts on the master's side: a disk that takes or gives nothing is said with the folder and the reason."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from evo.errors import RunError
from evo.records import Requests
from evo.worker import Kit, Message
from problems.arm import Arm

pytest.importorskip("ray")

from workers.artifacts import INLINE_ARTIFACT, Keeper
from workers.ray_folder import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(Kit(Arm(5), {}, 0, tmp_path), here=True)


def test_a_full_disk_under_artifacts_is_said(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Keeper, "keep", full)
    with pytest.raises(RunError, match="artifacts cannot be written") as caught:
        folder.kept({"ab": b"x" * (INLINE_ARTIFACT + 1)})
    assert str(tmp_path) in str(caught.value)
    assert "No space left on device" in str(caught.value)


def test_artifacts_whose_folder_is_gone_are_said(tmp_path: Path) -> None:
    folder = Folder(Kit(Arm(5), {}, 0, tmp_path / "gone"), here=True)
    content = b"x" * (INLINE_ARTIFACT + 1)
    with pytest.raises(RunError, match=r"gone: artifacts cannot be written \(No such file or directory\)"):
        folder.kept({hashlib.blake2b(content, digest_size=16).hexdigest(): content})


def test_an_artifact_that_cannot_be_read_is_said(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Path) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / "ab").write_bytes(b"content")
    requests = Requests(genomes=np.zeros((1, 5)), ids=np.arange(1), needs=[("ab",)])
    monkeypatch.setattr(Path, "read_bytes", broken)
    with pytest.raises(RunError, match=r"artifacts cannot be read \(Input/output error\)"):
        folder.carrying(Message(0, requests, 1, 10.0))
