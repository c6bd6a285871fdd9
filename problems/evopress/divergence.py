"""How far a compressed model's predictions are from the dense model's, which are kept in one file.

Kept for each position: the natural logarithms of the dense model's K largest probabilities, which tokens they belong
to, and the logarithm of what is left for all others, the tail. The divergence is that of two distributions over K + 1
outcomes, the tail being one of them. It is exact where K is the whole vocabulary, and never more than the exact one
otherwise: putting outcomes together loses information (the log sum inequality). Probability that leaks out of the K is
noticed, unlike where both sides are renormalised over the K.

The last position of a row is left out throughout: what follows it is not known.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evo.errors import ConfigError
from problems.evopress.model import Compressible, NotFinite
from problems.evopress.tokens import Tokens

__all__ = [
    "CHUNK",
    "TOP",
    "NotFinite",
    "Part",
    "Reference",
    "build_reference",
    "log_probabilities",
    "nll",
    "perplexity",
]

TOP = 512
"""How many probabilities are kept where nothing else is asked for: as good as all of them (EvoPress's README)."""

CHUNK = 2048
"""Tokens that a model reads at a time: fewer leave more of the time to calls."""


def log_probabilities(logits: Tensor) -> Tensor:
    """Natural logarithms of probabilities, float32, of logits (..., vocabulary).

    Raises:
        NotFinite: a logit is infinite or not a number.
    """
    logs = torch.log_softmax(logits.float(), dim=-1)
    # One sum is quicker than looking at each; only where it overflowed does it tell nothing.
    if not math.isfinite(logs.sum().item()) and not bool(torch.isfinite(logs).all()):
        raise NotFinite("the logits are not finite: these weights make the model overflow or divide by zero")
    return logs


def nll(logs: Tensor, tokens: NDArray[np.int64]) -> Tensor:
    """Surprise at each token but the first of its row, in nats: (b, t - 1).

    Args:
        logs: (b, t, vocabulary) as `log_probabilities` gives them.
        tokens: (b, t) what was read.
    """
    following = torch.as_tensor(tokens[:, 1:], device=logs.device)
    return -logs[:, :-1].gather(-1, following[..., None])[..., 0]


def perplexity(mean_nll: float) -> float:
    """exp of the mean surprise in nats; infinite where that does not fit into a float."""
    return math.exp(mean_nll) if mean_nll < 709.0 else math.inf


@dataclass(frozen=True)
class Part:
    """What the dense model predicts in some rows, in memory and on the model's device; see `Reference.part`.

    Attributes:
        tokens: (b, t) what was read.
        top: (b, t - 1, K) logarithms of the largest probabilities.
        tail: (b, t - 1) logarithm of what is left, or None where K is the whole vocabulary.
        index: (b, t - 1, K) which tokens they belong to, or None likewise: they are in order.
    """

    tokens: NDArray[np.int64]
    top: Tensor
    tail: Tensor | None
    index: Tensor | None

    def kl(self, logs: Tensor) -> Tensor:
        """KL(dense, model) in nats for each position but the last: (b, t - 1).

        Args:
            logs: (b, t, vocabulary) of the model, as `log_probabilities` gives them.
        """
        logs = logs[:, :-1]
        if self.tail is None or self.index is None:
            return self._over_top(logs)
        return self._over_top(logs.gather(-1, self.index)) + _term(self.tail, _tail(logs, self.index))

    def _over_top(self, logs: Tensor) -> Tensor:
        return ((self.top - logs).mul_(self.shares)).sum(dim=-1)

    @cached_property
    def shares(self) -> Tensor:
        """(b, t - 1, K) the largest probabilities themselves."""
        return self.top.exp()


class Reference:
    """The dense model's predictions on calibration tokens, memory-mapped from the file that `build_reference` writes.

    Args:
        file: its path, or its content.

    Attributes:
        tokens: the calibration tokens they were made on.
        top: K, how many probabilities are kept for each position.

    Raises:
        ConfigError: no such file, or it is something else.
    """

    def __init__(self, file: str | Path | bytes) -> None:
        try:
            # A memory map: processes on one machine share one copy.
            records = np.load(io.BytesIO(file)) if isinstance(file, bytes) else np.load(file, mmap_mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise ConfigError(f"reference: cannot read the dense model's predictions: {error}") from error
        if (records.dtype.names or ())[:2] != ("tokens", "top"):
            raise ConfigError(
                "reference: expected a file of the dense model's predictions, as build_reference makes it"
            )
        self._records = records
        self.tokens = Tokens(records["tokens"])
        self.top = int(records["top"].shape[-1])

    def part(self, rows: NDArray[np.int64], length: int, device: str | torch.device = "cpu") -> Part:
        """The predictions in the beginnings of some rows; read once for all candidates that are measured on them.

        Args:
            rows: (b,) numbers of rows.
            length: tokens of each, at least 2.
            device: where the model is.
        """
        whole = "index" not in (self._records.dtype.names or ())
        return Part(
            self.tokens.take(rows, length),
            self._field("top", rows, length).to(device),
            None if whole else self._field("tail", rows, length).to(device),
            None if whole else self._field("index", rows, length).to(device=device, dtype=torch.int64),
        )

    def _field(self, name: str, rows: NDArray[np.int64], length: int) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(self._records[name][rows, : length - 1]))


def build_reference(
    path: str | Path,
    model: Compressible,
    tokens: Tokens,
    top: int = TOP,
    chunk: int = CHUNK,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Run the model, as it is now, over all tokens, and write what it predicts: 4 (or 8) bytes x K a token.

    Args:
        path: of the file, which is there only once it is whole.
        model: the dense model.
        tokens: calibration tokens.
        top: K; the whole vocabulary where that is smaller.
        chunk: tokens the model reads at a time, as in `Minibatch.chunks`.
        progress: told how many rows are done, and of how many.

    Raises:
        ConfigError: a K below 1.
        NotFinite: the dense model's own logits are not finite.
    """
    if top < 1:
        raise ConfigError(f"top: expected at least 1 probability to be kept, got {top}")
    top = min(top, model.vocabulary)
    partial = Path(f"{path}.partial")
    records = np.lib.format.open_memmap(
        partial, mode="w+", dtype=_record(tokens.length, top, model.vocabulary), shape=(len(tokens),)
    )
    for rows, length in tokens.everything().chunks(chunk):
        read = tokens.take(rows, length)
        logs = log_probabilities(model.logits(read))[:, :-1]
        records["tokens"][rows] = read
        if top == model.vocabulary:
            records["top"][rows] = logs.cpu().numpy()
        else:
            largest, index = logs.topk(top, dim=-1)
            records["top"][rows], records["index"][rows] = largest.cpu().numpy(), index.cpu().numpy()
            records["tail"][rows] = _tail(logs, index).cpu().numpy()
        if progress is not None:
            progress(int(rows[-1]) + 1, len(tokens))
    records.flush()
    partial.replace(path)


def _record(length: int, top: int, vocabulary: int) -> np.dtype[np.void]:
    """One row of tokens; what is alike lies together, so that the beginning of a row is one piece."""
    fields: list[Any] = [("tokens", np.int32, (length,)), ("top", np.float32, (length - 1, top))]
    if top < vocabulary:
        fields += [("tail", np.float32, (length - 1,)), ("index", np.int32, (length - 1, top))]
    return np.dtype(fields)


def _tail(logs: Tensor, index: Tensor) -> Tensor:
    """Logarithm of the probability of everything but the tokens in ``index``; 1 - sum would cancel."""
    return logs.scatter(-1, index, -math.inf).logsumexp(dim=-1)


def _term(dense: Tensor, other: Tensor) -> Tensor:
    """p (log p - log q); 0 where p is 0."""
    return torch.nn.functional.kl_div(other, dense, reduction="none", log_target=True)
