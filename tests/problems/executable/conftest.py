from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from programs import Make, X

from problems.executable import Executable


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """An evaluator of ./program in the test's own folder, which is asked for a cost at one x."""

    def build(*arguments: str, **settings: Any) -> Executable:
        settings = {"space": X, "objectives": ["cost"], "folder": str(tmp_path), "deadline": 20.0, **settings}
        return Executable(["./program", *arguments], **settings)

    return build
