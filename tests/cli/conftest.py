"""Running the command line in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from calling import CONFIG, Evo, Said

from evo.cli import main


@pytest.fixture
def evo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Evo:
    """The evo command, run in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Said(int(caught.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A run file that takes no time."""
    path = tmp_path / "small.yaml"
    path.write_text(CONFIG)
    return path
