"""Calibration tokens as rows of one length, and random minibatches of exactly so many of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from evo.store.extras import need

__all__ = ["Encoder", "Minibatch", "Tokens", "encoder"]

Encoder: TypeAlias = Callable[[str | bytes], NDArray[np.int64]]
"""The tokens (n,) of a text."""

_BYTES = 256
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt")


def encoder(model: str, vocabulary: int, trust: bool = False) -> Encoder:
    """How texts become tokens of a model: by its tokenizer, or as bytes where it has none and knows 256 tokens.

    Args:
        model: path or id, as in `Compressible.load`.
        vocabulary: number of tokens the model knows.
        trust: run Python code that comes with the tokenizer.

    Raises:
        ConfigError: there is no tokenizer, and tokens are not bytes; from the encoder: a token that the model lacks.
    """
    folder = Path(model)
    if folder.is_dir() and not any((folder / name).exists() for name in _TOKENIZER_FILES):
        if vocabulary == _BYTES:
            return _as_bytes
        raise ConfigError(
            f"model: there is no tokenizer in {model!r}; expected one of {', '.join(_TOKENIZER_FILES)}, or a "
            f"vocabulary of {_BYTES}, whose tokens are bytes (this one has {vocabulary}): save the tokenizer there"
        )
    transformers = need("transformers", "lm", "turning text into tokens")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(model, trust_remote_code=trust)
    except (OSError, ValueError, KeyError, ImportError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"model: cannot load the tokenizer of {model!r}: {said}") from error

    def encode(text: str | bytes) -> NDArray[np.int64]:
        found = tokenizer(text if isinstance(text, str) else text.decode("utf-8", "replace"))["input_ids"]
        tokens = np.asarray(found, np.int64)
        if tokens.max(initial=-1) >= vocabulary:
            raise ConfigError(
                f"model: the tokenizer in {model!r} makes the token {tokens.max()}, but the model knows {vocabulary}; "
                "it is another model's"
            )
        return tokens

    return encode


def _as_bytes(text: str | bytes) -> NDArray[np.int64]:
    return np.frombuffer(text.encode() if isinstance(text, str) else text, np.uint8).astype(np.int64)


@dataclass(frozen=True)
class Minibatch:
    """Which rows, and how much of the last of them.

    Attributes:
        rows: (r,) numbers of the rows.
        length: tokens in a row.
        last: tokens taken from the beginning of the last row, 1 to ``length``.
    """

    rows: NDArray[np.int64]
    length: int
    last: int

    @property
    def tokens(self) -> int:
        """How many tokens in all."""
        return (len(self.rows) - 1) * self.length + self.last

    @property
    def predicted(self) -> int:
        """How many tokens are predicted: all but the first of each row."""
        return self.tokens - len(self.rows)

    def chunks(self, tokens: int) -> Iterator[tuple[NDArray[np.int64], int]]:
        """The rows in the order in which they are run, at most so many tokens at a time (but at least one row).

        The division depends on nothing else, so that all candidates are measured with the same arithmetic. A last row
        that was cut comes alone, and not at all where nothing is left to be predicted in it.

        Yields:
            Numbers of rows (c,), and how many tokens of each.
        """
        whole = self.rows if self.last == self.length else self.rows[:-1]
        size = max(1, tokens // self.length)
        for start in range(0, len(whole), size):
            yield whole[start : start + size], self.length
        if 1 < self.last < self.length:
            yield self.rows[-1:], self.last


class Tokens:
    """Text as rows of tokens, all of one length.

    Args:
        rows: (sequences, length) whole numbers from 0 on, a memory map if you like.

    Raises:
        ConfigError: no rows, or rows of fewer than two tokens, in which nothing is predicted.
    """

    def __init__(self, rows: NDArray[Any]) -> None:
        if rows.ndim != 2 or rows.dtype.kind not in "iu" or rows.shape[0] < 1 or rows.shape[1] < 2:
            raise ConfigError(
                f"tokens: expected whole numbers (sequences >= 1, length >= 2), got {rows.dtype} {rows.shape}"
            )
        self.rows = rows

    @classmethod
    def of(cls, texts: Iterable[str | bytes], encode: Encoder, length: int) -> Tokens:
        """Cut each text into rows; what is left at its end is dropped, so that no row holds two texts.

        Args:
            texts: documents.
            encode: as `encoder` gets it.
            length: tokens in a row.

        Raises:
            ConfigError: a length below 2, or no text is that long.
        """
        if length < 2:
            raise ConfigError(f"length: expected at least 2 tokens in a row, got {length}")
        cut = [found[: len(found) // length * length].reshape(-1, length) for found in map(encode, texts)]
        rows = np.concatenate([np.empty((0, length), np.int64), *cut])
        if not len(rows):
            raise ConfigError(
                f"length: none of the {len(cut)} texts has {length} tokens: give longer texts, or make the rows shorter"
            )
        return cls(rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def length(self) -> int:
        """Tokens in a row."""
        return int(self.rows.shape[1])

    @property
    def total(self) -> int:
        """Tokens in all rows."""
        return self.rows.size

    def take(self, rows: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """(r, length) the beginnings of these rows."""
        return np.asarray(self.rows[rows, :length], np.int64)

    def everything(self) -> Minibatch:
        """All rows, in order."""
        return Minibatch(np.arange(len(self)), self.length, self.length)

    def minibatch(self, rng: np.random.Generator, tokens: int) -> Minibatch:
        """Random rows, none twice, the last one cut so that there are exactly so many tokens.

        Args:
            rng: whose state alone decides which; candidates that shall be compared get equal ones.
            tokens: how many, 2 to `total`.

        Raises:
            ConfigError: more tokens than there are, or fewer than two, of which none would be predicted.
        """
        if not 2 <= tokens <= self.total:
            raise ConfigError(
                f"tokens: expected 2 to {self.total} ({len(self)} rows of {self.length}), got {tokens}: "
                "ask for fewer, or give more calibration text"
            )
        count = -(-tokens // self.length)
        rows = rng.choice(len(self), size=count, replace=False).astype(np.int64)
        return Minibatch(rows, self.length, tokens - (count - 1) * self.length)
