"""The four small models, saved once, without a tokenizer and with one.

Torch is loaded by those tests only that ask for one.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from problems.evopress.model import Compressible


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Family to folder."""
    import tiny_models

    parent = tmp_path_factory.mktemp("models")
    return {family: tiny_models.save(family, parent) for family in tiny_models.FAMILIES}


@pytest.fixture(scope="session")
def worlds(model_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Family to the folder of its model with a tokenizer; ``text`` to a folder of text files."""
    import tiny_models
    import tiny_world

    parent = tmp_path_factory.mktemp("worlds")
    found = {family: shutil.copytree(folder, parent / family) for family, folder in model_folders.items()}
    for folder in found.values():
        tiny_world.save_tokenizer(folder, tiny_models.VOCABULARY)
    return found | {"text": tiny_world.save_texts(parent / "text")}


@pytest.fixture(params=["gpt2", "llama", "mistral", "qwen2"])
def model(request: pytest.FixtureRequest, model_folders: dict[str, Path]) -> Compressible:
    """One of each family, loaded from disk."""
    from problems.evopress.model import Compressible

    return Compressible.load(str(model_folders[request.param]))


@pytest.fixture
def llama(model_folders: dict[str, Path]) -> Compressible:
    """A Llama, where one family is enough."""
    from problems.evopress.model import Compressible

    return Compressible.load(str(model_folders["llama"]))
