"""Workers, masters and a node die while one search goes on, on a standing cluster: the benchmark's short form."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]


def marked(mark: str) -> list[psutil.Process]:
    """Processes, wherever they were put, that came from one that had this in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("CHAOS_TEST") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_nothing_is_lost_or_counted_twice_whatever_dies(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    mark = uuid.uuid4().hex
    try:
        done = subprocess.run(
            [sys.executable, str(ROOT / "benchmarks" / "chaos.py"), "--quick"],
            env={**os.environ, "PYTHONPATH": str(ROOT), "CHAOS_TEST": mark, "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert marked(mark) == []
    finally:
        for process in marked(mark):
            process.kill()
