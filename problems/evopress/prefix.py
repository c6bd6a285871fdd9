"""Forward passes that begin where a model first differs from one that was run before on the same tokens."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from hashlib import blake2b
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from problems.evopress.model import Compressible, Signature

__all__ = ["Prefix", "sharing_order"]

_Key: TypeAlias = tuple[bytes, Signature]

MEMORY = 1 << 28
"""Bytes remembered where nothing else is asked for."""


class Prefix:
    """Remembers what blocks returned, by the tokens read and by what was in the model up to there.

    A model that agrees with an earlier one up to some block starts behind it, from the very numbers computed then, so
    its logits have the same bits as those of a full pass. What was used longest ago is forgotten first. Models that are
    run one after the other in `sharing_order` share the most, and then little memory is enough.

    Args:
        model: one whose dense weights stay as they are.
        memory: bytes that may be remembered; a block returns tokens x width x bytes of a number.

    Attributes:
        blocks_run: how many blocks ran so far.
        blocks_saved: how many did not have to.
    """

    def __init__(self, model: Compressible, memory: int = MEMORY) -> None:
        self.model = model
        self.memory = memory
        self.blocks_run = 0
        self.blocks_saved = 0
        self._found: OrderedDict[_Key, Any] = OrderedDict()
        self._bytes = 0
        self._copies = _overwrites(model)

    def logits(self, tokens: NDArray[Any]) -> Tensor:
        """As `Compressible.logits`: (b, t, vocabulary) float32 for tokens (b, t)."""
        signature = self.model.signature()
        read = np.ascontiguousarray(tokens, np.int64)
        name = blake2b(read.tobytes() + str(read.shape).encode(), digest_size=16).digest()
        given = self._deepest(name, signature)
        saved = 0 if given is None else given[0] + 1
        self.blocks_saved += saved
        self.blocks_run += len(signature) - saved

        def seen(block: int, output: Any) -> None:
            if block + 1 < len(signature):  # behind the last block there is nothing to start
                self._remember((name, signature[: block + 1]), output)

        return self.model.logits(read, given=given, seen=seen)

    def forget(self) -> None:
        """Give the memory back."""
        self._found.clear()
        self._bytes = 0

    def _deepest(self, name: bytes, signature: Signature) -> tuple[int, Any] | None:
        given: tuple[int, Any] | None = None
        for block in range(len(signature) - 2, -1, -1):
            key = (name, signature[: block + 1])
            if key in self._found:
                # All that lead there count as used: what comes next may leave the path anywhere.
                self._found.move_to_end(key)
                given = given or (block, self._kept(self._found[key]))
        return given

    def _remember(self, key: _Key, output: Any) -> None:
        size = sum(part.nbytes for part in _tensors(output))
        self._found[key] = self._kept(output)
        self._bytes += size
        while self._bytes > self.memory:
            _, forgotten = self._found.popitem(last=False)
            self._bytes -= sum(part.nbytes for part in _tensors(forgotten))

    def _kept(self, output: Any) -> Any:
        if not self._copies:
            return output
        if isinstance(output, tuple):
            return tuple(part.clone() if isinstance(part, Tensor) else part for part in output)
        return output.clone()


def sharing_order(signatures: Sequence[Signature]) -> list[int]:
    """An order in which each model follows one that shares with it as many first blocks as any before does.

    Args:
        signatures: of models of the same blocks.

    Returns:
        Positions in ``signatures``.
    """
    ranks: list[dict[Hashable, int]] = [{} for _ in (signatures[0] if signatures else ())]
    keys = [
        tuple(rank.setdefault(entry, len(rank)) for rank, entry in zip(ranks, signature, strict=True))
        for signature in signatures
    ]
    return sorted(range(len(keys)), key=keys.__getitem__)


def _tensors(output: Any) -> list[Tensor]:
    return [part for part in (output if isinstance(output, tuple) else (output,)) if isinstance(part, Tensor)]


def _overwrites(model: Compressible) -> bool:
    """Whether something in the model adds to hidden states in place, so that they have to be copied to be kept."""
    outputs: list[tuple[Tensor, Tensor]] = []

    def seen(_: int, output: Any) -> None:
        outputs.extend((part, part.clone()) for part in _tensors(output))

    model.logits(np.zeros((1, 2), np.int64), seen=seen)
    return not all(torch.equal(now, then) for now, then in outputs)
