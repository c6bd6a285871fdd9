"""What the README says runs as written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from evo.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_the_example_runs_as_written() -> None:
    pytest.importorskip("matplotlib")
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, Any] = {"__name__": "readme_example"}
    exec(example, names)
    assert names["run"].evaluations == 100_000


def test_the_table_holds_every_command() -> None:
    assert re.findall(r"^\| `evo (\w+)", README, re.MULTILINE) == [*COMMANDS]


def test_every_make_target_that_is_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = README + (ROOT / "CONTRIBUTING.md").read_text() + (ROOT / ".ci" / "run").read_text()
    named = set(re.findall(r"\bmake ([a-z]+)\b(?=[`\n ]* *(?:#|`|$|\n))", texts, re.MULTILINE))
    assert {"demo", "test", "help"} <= named <= targets


def test_every_folder_that_is_named_is_there() -> None:
    rows = README.partition("## Where things are")[2]
    folders = re.findall(r"`([a-z_]+)/`", rows)
    assert folders
    assert all((ROOT / folder).is_dir() for folder in folders)
