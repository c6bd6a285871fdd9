"""Building level databases: one request a block, on whatever worker is free."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evo.errors import ConfigError, EvaluationError
from evo.evaluator import Work
from evo.operator import Births, Operator
from evo.records import Genomes
from evo.space import Space
from problems.evopress.counts import Share, zero_counts
from problems.evopress.database import LayerLevels, write_block
from problems.evopress.inputs import gram_matrices
from problems.evopress.lending import borrowed
from problems.evopress.model import Compressible
from problems.evopress.pruning import DAMPING, METHODS, output_error, prune

__all__ = ["BuildLevels"]


class BuildLevels(Operator):
    """Makes no genomes but the levels of one block's layers: the artifact ``levels/BLOCK`` for ``{"block": BLOCK}``.

    Inputs come from the dense model, not from one whose earlier blocks are pruned, as published. A block's file has the
    same bits whoever builds it, in whatever order and company, on machines that multiply matrices alike.

    Source: EvoPress, arXiv 2410.14649.

    Args:
        model: path or id, loaded on the worker as ``Compressible.load`` does; or a model, for use in one process.
        tokens: (sequences, length) calibration tokens.
        method: ``obs``, ``wanda`` or ``magnitude``, as in `problems.evopress.pruning`.
        sparsity: share of zeros at the uniform level, or the lowest and the highest of a range.
        step: zeros between neighbouring levels, the same for all layers.
        most: levels on either side of it.
        damping: of ``obs``.
        by_row: of ``wanda``.
        device: where the model runs and the weights are pruned.
        dtype: of the model.
        trust: run code that comes with the model.
        store: dtype of the stored weights; None: the model's own, so that they can be used where they lie.
        batch: sequences in one pass.
        memory: bytes of Gram matrices held at once; blocks that fit beside the one asked for share its pass.
        threads: of the arithmetic, whatever the process has otherwise: bits may depend on it.

    Raises:
        ConfigError: an argument is out of its range.
    """

    arity = 0

    def __init__(
        self,
        model: str | Compressible,
        tokens: NDArray[Any],
        method: str = "obs",
        *,
        sparsity: Share,
        step: int,
        most: int = 6,
        damping: float = DAMPING,
        by_row: bool = True,
        device: str = "cpu",
        dtype: str = "float32",
        trust: bool = False,
        store: str | None = None,
        batch: int = 8,
        memory: int = 1 << 30,
        threads: int = 1,
    ) -> None:
        if method not in METHODS:
            raise ConfigError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
        if store is not None and store not in _STORED:
            raise ConfigError(f"store: expected one of {', '.join(_STORED)}, got {store!r}")
        if damping <= 0 or threads < 1:
            raise ConfigError(f"build_levels: expected damping > 0 and threads >= 1, got {damping} and {threads}")
        zero_counts(1, sparsity, step, most)
        self.model, self.tokens, self.method = model, np.asarray(tokens), method
        self.sparsity, self.step, self.most = sparsity, step, most
        self.damping, self.by_row = damping, by_row
        self.device, self.dtype, self.trust, self.store = device, dtype, trust, store
        self.batch, self.memory, self.threads = batch, memory, threads
        self._loaded: Compressible | None = None
        self._grams: dict[str, Tensor] = {}

    def warm_up(self) -> None:
        """Take the evaluator's model, or load it."""
        self._compressible()

    def make(self, parents: Genomes, args: Mapping[str, Any], space: Space, work: Work) -> Births:
        """The file of block ``args["block"]``, and how many levels and bytes it holds.

        Raises:
            ConfigError: no such block.
            EvaluationError: weights or inputs that are not finite; names the layer.
        """
        block, path = int(args["block"]), work.scratch / "levels"
        with path.open("wb") as file:
            levels = self.build(block, file)
        counters = {"levels": levels, "level_bytes": path.stat().st_size}
        return Births(space.empty(0), counters=counters, artifacts={f"levels/{block}": path})

    def build(self, block: int, file: BinaryIO) -> int:
        """Write one block's file as `problems.evopress.database` reads it, one weight in memory at a time.

        Args:
            block: which.
            file: empty, open for writing bytes.

        Returns:
            How many levels it holds.

        Raises:
            ConfigError, EvaluationError: as `make`.
        """
        with _threads(self.threads):
            model = self._compressible()
            grams = self._inputs(model, block)
            model.restore()
            mine = [layer for layer in model.layers if layer.block == block]
            weights = {layer.name: model.weight(layer.name) for layer in mine}
            dtype = _STORED[self.store] if self.store else next(iter(weights.values())).dtype
            weights = {name: weight.to(dtype) for name, weight in weights.items()}
            layers = [self._levels_of(layer.name, layer.shape) for layer in mine]
            write_block(
                file,
                block,
                layers,
                self._pruned(layers, weights, grams),
                dtype=dtype,
                digest=self._digest(layers, weights, grams),
            )
            return sum(len(layer.zeros) for layer in layers)

    def _levels_of(self, name: str, shape: tuple[int, int]) -> LayerLevels:
        counts = zero_counts(shape[0] * shape[1], self.sparsity, self.step, self.most)
        return LayerLevels(name, shape, counts.zeros, counts.uniform)

    def _pruned(
        self, layers: list[LayerLevels], weights: Mapping[str, Tensor], grams: Mapping[str, Tensor]
    ) -> Iterator[tuple[Tensor, float]]:
        for layer in layers:
            w, gram = weights[layer.name], grams[layer.name]
            if not (bool(w.isfinite().all()) and bool(gram.isfinite().all())):
                raise EvaluationError(f"{layer.name}: weights or inputs on the calibration tokens are not finite")
            for found in prune(self.method, w, gram, layer.zeros, damping=self.damping, by_row=self.by_row):
                yield found, output_error(w, found, gram)

    def _inputs(self, model: Compressible, block: int) -> Mapping[str, Tensor]:
        """Gram matrices of a block's layers, taken from an earlier pass where there was one."""
        names = [layer.name for layer in model.layers if layer.block == block]
        if not names or names[0] not in self._grams:
            self._grams = {}
            self._grams = gram_matrices(model, self.tokens, self._together(model, block), batch=self.batch)
        return {name: self._grams.pop(name) for name in names}  # what has been used is not held any longer

    def _together(self, model: Compressible, block: int) -> list[int]:
        """The blocks from this one on whose Gram matrices fit into memory, at least this one."""
        sizes = [0] * len(model.blocks)
        for layer in model.layers:
            sizes[layer.block] += 8 * layer.shape[1] ** 2
        fitting = [block]
        while fitting[-1] + 1 < len(sizes) and sum(sizes[block : fitting[-1] + 2]) <= self.memory:
            fitting.append(fitting[-1] + 1)
        return fitting

    def _digest(self, layers: list[LayerLevels], weights: Mapping[str, Tensor], grams: Mapping[str, Tensor]) -> str:
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((self.method, self.damping, self.by_row, layers)).encode())
        for layer in layers:
            for tensor in (weights[layer.name], grams[layer.name]):
                digest.update(tensor.cpu().contiguous().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def _compressible(self) -> Compressible:
        if isinstance(self.model, Compressible):
            return self.model
        loading = self.model, self.device, self.dtype, self.trust
        found = borrowed(*loading) or self._loaded
        if found is None:
            found = self._loaded = Compressible.load(*loading)
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Without what a worker loads for itself."""
        return {**self.__dict__, "_loaded": None, "_grams": {}}


_STORED = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads of torch while it lasts, then as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
