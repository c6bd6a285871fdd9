"""How EvoPress's own code evaluates a candidate, written anew from its description, nothing copied.

- Each level of a layer is one file ``LAYER/LEVEL.pth`` with a dense tensor in half precision, read with `torch.load`,
  for every layer whose level is not the one loaded last.
- Candidates come one at a time, in the order in which they were made.
- Sequences go through the model one at a time (its ``batch_size`` is 1 by default).
- The divergence is over the whole vocabulary, from logits of the dense model kept in half precision, one tensor a
  sequence; their softmax is computed anew for each candidate, in chunks of 1024 tokens, without the last position.

What a forward pass of one sequence costs depends on its length: with thousands of tokens, as it was published with,
nothing; with 128, about half of the difference. So the same with batched sequences is measured beside it.

In its favour: the model is transformers' in single precision with fused attention, as on our side (half precision,
which it uses, is several times slower on a processor); the files are in the page cache; nothing is printed, and no
cache of a graphics card is emptied, which it does before each chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from problems.evopress.database import Database
from problems.evopress.genes import Sparsity

__all__ = ["Original", "write_levels"]

CHUNK = 1024


def write_levels(folder: Path, database: Database) -> None:
    """One file a layer and level, as it has them."""
    for name in database.layers:
        (folder / name).mkdir(parents=True)
        for level in range(len(database.levels(name))):
            torch.save(database.weight(name, level).half().clone(), folder / name / f"{level}.pth")


class Original:
    """One process with one model.

    Args:
        model: path.
        genes: what a genome means.
        folder: of `write_levels`.
        batch: sequences in a forward pass: 1 as published, more for comparison.
        load: how a file's tensor is had: `torch.load` as published, or from memory for comparison.
    """

    def __init__(
        self, model: str, genes: Sparsity, folder: Path, batch: int = 1, load: Callable[[Path], Tensor] = torch.load
    ) -> None:
        from transformers import AutoModelForCausalLM

        self.model: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        self.model.eval()
        self.genes, self.folder, self.batch, self.load = genes, folder, batch, load
        self._modules = dict(self.model.named_modules())
        self._loaded: dict[str, int] = {}
        self._rows: Tensor = torch.empty(0)
        self._targets: list[Tensor] = []
        self.swaps = 0

    @torch.no_grad()
    def prepare(self, rows: NDArray[np.int64]) -> None:
        """Cache the dense model's logits of these sequences (n, length); before anything was loaded."""
        assert not self._loaded
        self._rows = torch.as_tensor(rows)
        self._targets = [self.model(row[None], use_cache=False).logits.half() for row in self._rows]

    def __call__(self, genome: NDArray[Any]) -> float:
        """KL of one candidate, nats a token."""
        self._put(genome)
        return self._divergence()

    def _put(self, genome: NDArray[Any]) -> None:
        for names, level in zip(self.genes.genes, genome.tolist(), strict=True):
            for name in names:
                if self._loaded.get(name) != level:
                    weight = self._modules[name].weight
                    weight.data = self.load(self.folder / name / f"{level}.pth").to(weight.dtype)
                    self._loaded[name] = level
                    self.swaps += 1

    @torch.no_grad()
    def _divergence(self) -> float:
        total, tokens = 0.0, 0
        for start in range(0, len(self._rows), self.batch):
            rows = self._rows[start : start + self.batch]
            targets = torch.cat(self._targets[start : start + self.batch])
            logits = self.model(rows, use_cache=False).logits
            ours = logits[:, :-1].reshape(-1, logits.shape[-1])
            theirs = targets[:, :-1].reshape(-1, logits.shape[-1])
            for chunk, dense in zip(torch.split(ours, CHUNK), torch.split(theirs, CHUNK), strict=True):
                total += functional.kl_div(
                    functional.log_softmax(chunk.float(), -1),
                    functional.log_softmax(dense.float(), -1),
                    reduction="sum",
                    log_target=True,
                ).item()
                tokens += len(chunk)
        return total / tokens
