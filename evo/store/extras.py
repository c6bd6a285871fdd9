"""Libraries that come with an extra: imported on use, missed with one line that names the extra."""

from __future__ import annotations

import importlib
from typing import Any

from evo.errors import EvoError

__all__ = ["need"]


def need(module: str, extra: str, purpose: str) -> Any:
    """The module, imported.

    Raises:
        EvoError: it is not installed; says what for and how to get it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise EvoError(f"{purpose} needs {library}: pip install 'evo[{extra}]' ({error})") from error
