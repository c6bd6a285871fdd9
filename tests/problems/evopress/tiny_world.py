"""What a whole run needs beside a model: a tokenizer, text files, a run file, and the command in this process."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from evo.cli import main

__all__ = ["SETTINGS", "Said", "call", "save_texts", "save_tokenizer", "write_run_file"]

_WORDS = ["the", "of", "and", "to", "that", "for", "layer", "weight", "model", "token", "error", "sparse", "prune"]
_WORDS += ["block", "level", "dense", "is", "in", "it", "a"]

SETTINGS: dict[str, Any] = {
    "problem": {
        "type": "evopress",
        "sparsity": 0.5,
        "levels": 2,
        "drop": 1,
        "length": 16,
        "calibration_tokens": 256,
        "full_tokens": 128,
        "held_out_tokens": 256,
        "top": 64,
    },
    "algorithm": {
        "type": "one_plus_lambda",
        "offspring": 4,
        "rungs": [{"survivors": 2, "tokens": 32, "reserve": 0.25}, {"survivors": 1, "tokens": 72, "reserve": 0.5}],
    },
    "seed": 3,
    "budget": {"evaluations": 8},
}
"""A run of two generations; `problem.model` and `problem.text` are missing."""


def _prose(words: int, seed: int) -> str:
    return " ".join(np.random.default_rng(seed).choice(_WORDS, words))


def save_texts(folder: Path) -> Path:
    """Three files of some thousand tokens each, and one that is no text."""
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.txt").write_text(_prose(2000, seed=i))
    (folder / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    return folder


def save_tokenizer(folder: Path, vocabulary: int) -> None:
    """A byte-pair encoding of so many tokens, trained on a few lines."""
    tokenizer = Tokenizer(BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    trainer = BpeTrainer(vocab_size=vocabulary, special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator([_prose(500, seed=9)], trainer)
    assert tokenizer.get_vocab_size() == vocabulary
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(folder)


def write_run_file(path: Path, **changes: dict[str, Any]) -> Path:
    """`SETTINGS` with some sections changed: ``problem={"method": "depth"}``; one with a ``type`` is another one."""
    settings = deepcopy(SETTINGS)
    for section, values in changes.items():
        settings[section] = values if "type" in values else settings.get(section, {}) | values
    path.write_text(yaml.safe_dump(settings))
    return path


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        assert self.code == 0, self.err
        return json.loads(self.out)


def call(*arguments: object) -> Said:
    """The `evo` command, run in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return Said(int(caught.value.code or 0), out.getvalue(), err.getvalue())
