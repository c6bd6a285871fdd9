"""A folder with a world in it, and evo commands that leave nothing behind."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import CONFIG, WORLD, Command, canonical

from evo.cli import main


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a run file and its problems; its path is short, because Ray puts sockets below it."""
    place = Path(tempfile.mkdtemp(prefix="evo-", dir="/tmp"))
    (place / "supervised_world.py").write_text(WORLD)
    (place / "small.yaml").write_text(CONFIG)
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Command]]:
    """Starts an evo command in the folder; all of them are ended with the test."""
    commands: list[Command] = []

    def begin(*arguments: object, **environment: str) -> Command:
        commands.append(Command(folder, *arguments, TMPDIR=str(folder), **environment))
        return commands[-1]

    yield begin
    for command in commands:
        command.close()


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The canonical export of the run that nobody disturbs."""
    place = tmp_path_factory.mktemp("expected")
    (place / "supervised_world.py").write_text(WORLD)
    (place / "small.yaml").write_text(CONFIG)
    with pytest.raises(SystemExit) as caught:
        main(["run", str(place / "small.yaml"), "--run-dir", str(place / "run"), "--json"])
    assert not caught.value.code
    return canonical(place / "run", place)
