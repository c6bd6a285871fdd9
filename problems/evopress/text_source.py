"""Where calibration and held-out tokens come from: files of the user's, or the Python standard library's sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from evo.errors import ConfigError
from problems.evopress import text
from problems.evopress.tokens import Encoder, Tokens

__all__ = ["calibration", "held_out"]

_SEED = 20241018  # which rows are taken is part of the problem, not of a run


def calibration(source: str | None, encode: Encoder, length: int, tokens: int) -> Tokens:
    """Rows to search with: of the training split, or of the first nine tenths of the user's text files.

    Args:
        source: a text file, or a folder of ``*.txt`` files; None: the standard library's sources.
        encode: text to tokens.
        length: tokens in a row.
        tokens: how many in all, a multiple of `length` after rounding down.

    Raises:
        ConfigError: no such text, or less of it.
    """
    return _rows("calibration_tokens", _texts(source, "train"), encode, length, tokens)


def held_out(source: str | None, encode: Encoder, length: int, tokens: int) -> Tokens:
    """Rows that no search has seen: of the test split, or of the last tenth of the user's text files."""
    return _rows("held_out_tokens", _texts(source, "test"), encode, length, tokens)


def _rows(name: str, texts: Iterator[bytes], encode: Encoder, length: int, tokens: int) -> Tokens:
    wanted = tokens // length
    if wanted < 1:
        raise ConfigError(f"{name}: expected at least one row of {length} tokens, got {tokens}")
    held: list[bytes] = []
    size = 0
    for piece in texts:  # several times as much as is wanted, so that rows come from many documents
        held.append(piece)
        size += len(piece)
        if size > 64 * tokens + (1 << 20):
            break
    if not held:
        raise ConfigError(f"{name}: there is no text")
    rows = Tokens.of(held, encode, length).rows
    if len(rows) < wanted:
        raise ConfigError(
            f"{name}: expected {tokens}, but the text has {len(rows) * length} in rows of {length}; ask for fewer"
        )
    chosen = np.random.default_rng(_SEED).choice(len(rows), wanted, replace=False)
    return Tokens(np.ascontiguousarray(rows[np.sort(chosen)]))


def _texts(source: str | None, split: text.Split) -> Iterator[bytes]:
    if source is None:
        documents = text.corpus(split)
        order = np.random.default_rng(_SEED).permutation(len(documents))
        yield from (documents[i].tobytes() for i in order)
        return
    path = Path(source)
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise ConfigError(f"text: expected a text file or a folder of .txt files, got {source!r}")
    for file in files:
        content = file.read_bytes()
        cut = len(content) * 9 // 10
        yield content[:cut] if split == "train" else content[cut:]
