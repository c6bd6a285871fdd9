"""Randomly initialised models of four families, saved to disk as their trained relatives are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, MistralConfig, Qwen2Config

torch.set_num_threads(1)

VOCABULARY = 64
BLOCKS = 3
CONTEXT = 32

_SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.3,  # large enough for every weight to matter
}
_SHAPE_GPT2: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "n_embd": 32,
    "n_layer": BLOCKS,
    "n_head": 4,
    "n_positions": CONTEXT,
    "initializer_range": 0.3,
    "bos_token_id": 0,
    "eos_token_id": 0,
}

FAMILIES = ("gpt2", "llama", "mistral", "qwen2")


def config(family: str) -> Any:
    """A fresh configuration."""
    if family == "gpt2":
        return GPT2Config(**_SHAPE_GPT2)
    if family == "llama":
        return LlamaConfig(**_SHAPE)
    if family == "mistral":
        return MistralConfig(**_SHAPE, sliding_window=8)
    return Qwen2Config(**_SHAPE, tie_word_embeddings=True)


def save(family: str, folder: Path) -> Path:
    """A random model of a family in a folder of its own."""
    torch.manual_seed(FAMILIES.index(family))
    target = folder / family
    AutoModelForCausalLM.from_config(config(family)).save_pretrained(target)
    return target


def some_tokens(rows: int = 3, length: int = 20, seed: int = 0) -> NDArray[np.int64]:
    """(rows, length) random tokens."""
    return np.random.default_rng(seed).integers(0, VOCABULARY, (rows, length))
