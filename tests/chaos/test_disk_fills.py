"""A disk that is full in the middle of a run: a clear error, nothing lost, and it goes on where there is room again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from engine.scripts import endless

from chaos.worlds import canonical_of

SCRIPT = Path(__file__).parent / "scripts" / "full_tmpfs.py"


def may_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    tried = ["unshare", "--mount", "mount", "-t", "tmpfs", "chaos", "/mnt"]
    return subprocess.run(tried, capture_output=True, timeout=20, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not may_mount(), reason="needs the right to mount a file system")
@pytest.mark.parametrize("size", ["64k", "400k", "800k"])
def test_a_run_whose_disk_is_full_goes_on_once_there_is_room(size: str, tmp_path: Path) -> None:
    command = ["unshare", "--mount", sys.executable, str(SCRIPT), str(tmp_path / "disk"), size]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    error, state = done.stdout.splitlines()[-2:]
    assert error.startswith("RunError: "), done.stdout + done.stderr
    assert "disk" in error or "free some space" in error
    assert state == "finished"
    whole = endless.go(tmp_path / "whole")
    assert (tmp_path / "exported").read_bytes() == canonical_of(whole)
