"""What goes into each layer of a dense model on calibration tokens, as Gram matrices."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from evo.errors import ConfigError
from problems.evopress.model import Compressible

__all__ = ["gram_matrices"]


class _Enough(Exception):  # noqa: N818 - it ends a pass through the model, nothing went wrong
    """The last block of interest has run."""


def gram_matrices(
    model: Compressible, tokens: NDArray[Any], blocks: Collection[int], *, batch: int = 8
) -> dict[str, Tensor]:
    """X'X of each layer's inputs X (positions, in), over all positions: in float32 within a pass, summed in float64.

    The model is made dense before and left so. No block behind the last of `blocks` runs, and a layer gets the same
    bits whichever blocks are asked for with its own.

    Args:
        model: whose layers are looked at.
        tokens: (sequences, length) whole numbers.
        blocks: of which blocks.
        batch: sequences in one pass.

    Returns:
        layer name -> (in, in) on the model's device.

    Raises:
        ConfigError: no tokens, no blocks, or a block that the model does not have.
    """
    if tokens.ndim != 2 or not tokens.size or batch < 1:
        raise ConfigError(f"calibration: expected tokens (sequences, length) and a batch, got {tokens.shape}, {batch}")
    if not blocks or not all(0 <= block < len(model.blocks) for block in blocks):
        raise ConfigError(f"block: expected some of 0 to {len(model.blocks) - 1}, got {sorted(blocks)}")
    model.restore()
    wanted = [layer for layer in model.layers if layer.block in blocks]
    device = next(iter(model.model.parameters())).device
    sums = {layer.name: torch.zeros((layer.shape[1],) * 2, dtype=torch.float64, device=device) for layer in wanted}
    latest = _Latest()
    hooks = [layer.module.register_forward_pre_hook(_adding(sums[layer.name], latest)) for layer in wanted]
    last = max(blocks)

    def stop(block: int, _: Any) -> None:
        if block == last:
            raise _Enough

    try:
        for start in range(0, len(tokens), batch):
            try:
                model.logits(tokens[start : start + batch], seen=stop)
            except _Enough:
                latest.forget()
    finally:
        for hook in hooks:
            hook.remove()
    return sums


class _Latest:
    """The product of the inputs seen last: query, key and value share theirs, so do gate and up."""

    def __init__(self) -> None:
        self._inputs: Tensor | None = None
        self._product: Tensor | None = None

    def product(self, inputs: Tensor) -> Tensor:
        if self._product is None or inputs is not self._inputs:
            rows = inputs.reshape(-1, inputs.shape[-1]).float()
            self._inputs, self._product = inputs, (rows.T @ rows).double()
        return self._product

    def forget(self) -> None:
        self._inputs = self._product = None


def _adding(total: Tensor, latest: _Latest) -> Callable[[Any, tuple[Tensor, ...]], None]:
    def add(_: Any, inputs: tuple[Tensor, ...]) -> None:
        total.add_(latest.product(inputs[0]))

    return add
