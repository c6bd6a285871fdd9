"""What a language model is made of, without its weights: all that a search needs to know before it measures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from evo.errors import ConfigError
from evo.store.extras import need
from problems.evopress.structure import Layer, decoder_blocks, layers_of, sub_blocks_of

__all__ = ["Outline", "in_one_line", "opening", "outline", "quiet"]

_DTYPES = ("float32", "float16", "bfloat16")


class Outline:
    """The blocks of a causal language model, their sub-blocks and their layers.

    Args:
        model: of transformers; on torch's device ``meta`` there are shapes and no weights.

    Attributes:
        model: what was given.
        blocks: its decoder blocks.
        layers: all weight matrices inside the blocks, block after block, in the model's order.
        sub_blocks: the attention and the MLP of each block, likewise.
        vocabulary: number of tokens.
        context: the longest sequence it was made for, or None where its configuration does not say.

    Raises:
        ConfigError: no recognisable decoder blocks.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        config = model.config.get_text_config()
        prefix, self.blocks = decoder_blocks(model, getattr(config, "num_hidden_layers", None))
        self.layers = layers_of(self.blocks, prefix)
        self.sub_blocks = sub_blocks_of(self.blocks, prefix)
        self.vocabulary = int(config.vocab_size)
        self.context: int | None = getattr(config, "max_position_embeddings", None)
        self._named = {layer.name: layer for layer in self.layers}

    def layer(self, name: str) -> Layer:
        """The layer of this name.

        Raises:
            ConfigError: there is none.
        """
        if name not in self._named:
            raise ConfigError(f"layer: expected one of this model's, such as {next(iter(self._named))!r}, got {name!r}")
        return self._named[name]


def outline(model: str, device: str = "cpu", dtype: str = "float32", trust: bool = False) -> Outline:
    """The outline of what `Compressible.load` would load: from the configuration alone, in a few megabytes.

    Args:
        model: path or id.
        device: is looked at for its form only; this machine need not have it.
        dtype: float32, float16, bfloat16.
        trust: run Python code that comes with the model.

    Raises:
        EvoError: transformers is not installed.
        ConfigError: as loading, but for weights that are missing and a device that cannot be used.
    """
    with opening(model, device, dtype) as (transformers, kind):
        config = transformers.AutoConfig.from_pretrained(model, trust_remote_code=trust)
        with torch.device("meta"):
            found = transformers.AutoModelForCausalLM.from_config(config, dtype=kind, trust_remote_code=trust)
    return Outline(found)


@contextmanager
def opening(model: str, device: str, dtype: str) -> Iterator[tuple[Any, torch.dtype]]:
    """transformers, to open a model with, and the dtype. What goes wrong meanwhile becomes a `ConfigError`."""
    transformers = need("transformers", "lm", "compressing a language model")
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    if dtype not in _DTYPES:
        raise ConfigError(f"dtype: expected one of {', '.join(_DTYPES)}, got {dtype!r}")
    try:
        torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device: cannot use {device!r}: {in_one_line(error)}") from error
    if (Path(model).is_absolute() or model.startswith(".")) and not Path(model).is_dir():
        raise ConfigError(f"model: there is no folder {model!r}")
    try:
        with quiet():
            yield transformers, getattr(torch, dtype)
    except (OSError, ValueError, KeyError, StrictDataclassError, SafetensorError) as error:
        raise ConfigError(f"model: cannot load {model!r}: {in_one_line(error)}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars of transformers."""
    from transformers.utils import logging

    log: Any = logging
    shown = log.is_progress_bar_enabled()
    log.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            log.enable_progress_bar()


def in_one_line(error: BaseException) -> str:
    """The first line, and the next where it announces one."""
    lines = (str(error).strip() or type(error).__name__).splitlines()
    return " ".join(line.strip() for line in lines[: 1 + lines[0].endswith(":")])
