"""Models measured against the dense one on a minibatch: divergence and surprise, means over the same positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from evo.errors import ConfigError
from problems.evopress.divergence import CHUNK, Part, Reference, log_probabilities, nll, perplexity
from problems.evopress.model import Compressible, NotFinite, Signature
from problems.evopress.prefix import Prefix, sharing_order
from problems.evopress.tokens import Minibatch

__all__ = ["Score", "score", "score_many"]


@dataclass(frozen=True)
class Score:
    """Means over all predicted tokens of a minibatch.

    Attributes:
        kl: KL(dense, model) in nats; rounding can make it a little less than 0 where there is no difference.
        nll: surprise in nats.
        positions: how many predicted tokens.
    """

    kl: float
    nll: float
    positions: int

    @property
    def perplexity(self) -> float:
        """exp of the mean surprise."""
        return perplexity(self.nll)


class _Sum:
    """Sums in float64, chunk after chunk in the order of the minibatch, so that they have the same bits every time."""

    def __init__(self) -> None:
        self.kl = self.nll = 0.0
        self.positions = 0

    def add(self, logits: Tensor, part: Part) -> None:
        logs = log_probabilities(logits)
        divergence = part.kl(logs)
        self.kl += divergence.double().sum().item()
        self.nll += nll(logs, part.tokens).double().sum().item()
        self.positions += divergence.numel()

    def mean(self) -> Score:
        return Score(self.kl / self.positions, self.nll / self.positions, self.positions)


def score(model: Compressible, reference: Reference, batch: Minibatch, chunk: int = CHUNK) -> Score:
    """Measure the model as it is now.

    Args:
        model: compressed or not.
        reference: what the dense model predicts.
        batch: of the reference's tokens.
        chunk: tokens that are read at a time. Scores to be compared need the same: it can change their last bits.

    Raises:
        NotFinite: the model's logits are not finite.
        ConfigError: the minibatch is not one of the reference's tokens, or predicts nothing.
    """
    _check(model, reference, batch)
    total = _Sum()
    for rows, length in batch.chunks(chunk):
        part = reference.part(rows, length, model.model.device)
        total.add(model.logits(part.tokens), part)
    return total.mean()


def score_many(
    model: Compressible,
    candidates: Sequence[Callable[[], object]],
    reference: Reference,
    batch: Minibatch,
    chunk: int = CHUNK,
    prefix: Prefix | None = None,
) -> list[Score | NotFinite]:
    """Measure many compressed models on one minibatch; each starts at the first block that no other has run already.

    A candidate's score has the same bits as that of `score`, whatever company it is in.

    Args:
        model: that the candidates change; afterwards it is as one of them left it.
        candidates: each brings the model into one state, by `Compressible.apply` and `Compressible.bypass`.
        reference: what the dense model predicts.
        batch: of the reference's tokens.
        chunk: as for `score`.
        prefix: of the same model; what it remembers outlasts this call. None: one for this call alone.

    Returns:
        For each candidate its score, or why its weights or logits cannot be measured.

    Raises:
        ConfigError: as `score`; whatever else a candidate raises comes out as it is.
    """
    _check(model, reference, batch)
    running = prefix or Prefix(model)
    failed: dict[int, NotFinite] = {}
    signatures: dict[int, Signature] = {}
    for i, put in enumerate(candidates):
        try:
            put()
            signatures[i] = model.signature()
        except NotFinite as error:
            failed[i] = error
    order = [list(signatures)[i] for i in sharing_order(list(signatures.values()))]
    totals = [_Sum() for _ in candidates]
    for rows, length in batch.chunks(chunk):
        part = reference.part(rows, length, model.model.device)
        for i in order:
            if i not in failed:
                candidates[i]()
                try:
                    totals[i].add(running.logits(part.tokens), part)
                except NotFinite as error:
                    failed[i] = error
    return [failed.get(i) or total.mean() for i, total in enumerate(totals)]


def _check(model: Compressible, reference: Reference, batch: Minibatch) -> None:
    tokens = reference.tokens
    if batch.length != tokens.length or int(batch.rows.max(initial=-1)) >= len(tokens) or batch.predicted < 1:
        raise ConfigError(
            f"tokens: expected a minibatch of the reference's {len(tokens)} rows of {tokens.length} that predicts "
            f"something, got {len(batch.rows)} rows of {batch.length}, the last of {batch.last}"
        )
    if reference.top > model.vocabulary:
        raise ConfigError(
            f"reference: it is of a model that knows {reference.top} tokens or more, this one {model.vocabulary}"
        )
