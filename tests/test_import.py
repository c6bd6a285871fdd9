"""`import evo` is light: numpy is the only library of others that it loads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SCRIPT = """
import sys
before = set(sys.modules)  # what the interpreter itself loads, .pth files included
{statement}
loaded = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(*sorted(loaded - set(sys.stdlib_module_names)))
"""


def loaded_by(statement: str) -> set[str]:
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(statement=statement)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(found.stdout.split())


OURS = {"evo", "operators", "problems", "workers"}


def test_import_evo_loads_numpy_alone() -> None:
    assert loaded_by("import evo") - OURS == {"numpy"}


def test_the_registry_resolves_names_without_pydantic() -> None:
    loaded = loaded_by("import evo.registry; evo.registry.resolve('operators', 'iso_line')")
    assert loaded - OURS == {"numpy"}


@pytest.mark.parametrize("heavy", ["ray", "torch", "pandas", "matplotlib", "plotly", "pydantic", "cloudpickle"])
def test_the_command_line_loads_nothing_heavy_before_it_is_needed(heavy: str) -> None:
    assert heavy not in loaded_by("import evo.cli; evo.cli.application()")
