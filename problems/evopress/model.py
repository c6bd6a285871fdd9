"""Any causal language model of transformers, with the weights of its layers and its sub-blocks ready to be swapped."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from evo.errors import ConfigError
from problems.evopress.gate import Gates, Seen
from problems.evopress.outline import Outline, in_one_line, opening
from problems.evopress.structure import Kind, is_transposed

__all__ = ["DENSE", "Compressible", "NotFinite", "Signature", "present"]

DENSE = None
"""The key of a layer's own weights."""

Signature: TypeAlias = tuple[Hashable, ...]
"""One entry a block: what is in its layers and which of its sub-blocks are bypassed."""


class NotFinite(ValueError):  # noqa: N818 - it names what happened
    """Weights or logits are infinite or not a number, so there is nothing that could be measured."""


def present(device: str) -> str:
    """The device itself, or ``cpu`` where it is a GPU and this machine has none."""
    return "cpu" if torch.device(device).type == "cuda" and not torch.cuda.is_available() else device


class Compressible(Outline):
    """A causal language model whose layers take other weights, and whose sub-blocks can be left out.

    Swapping replaces a pointer: neither the dense weights nor the new ones are copied, unless type or device differ.
    Embeddings and head, tied or not, stay as they are. Nothing here is safe for two threads at once.

    The same state and the same batch of tokens give the same bits, on one machine at one number of threads; the same
    row in another batch need not, because the order of a matrix product's sums depends on its shape.

    Args:
        model: of transformers, as `load` gets it; evaluation mode, no caches.

    Raises:
        ConfigError: no recognisable decoder blocks.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(model.eval().requires_grad_(False))
        self._dense = {layer.name: layer.module.get_parameter("weight") for layer in self.layers}
        self._keys: dict[str, Hashable] = dict.fromkeys(self._named, DENSE)
        self._block_names = [[layer.name for layer in self.layers if layer.block == i] for i in range(len(self.blocks))]
        self._gates = Gates(self.blocks, self.sub_blocks, lambda: self.logits(np.zeros((1, 2), np.int64)))
        self._bypassed: frozenset[tuple[int, Kind]] = frozenset()

    @classmethod
    def load(
        cls, model: str, device: str = "cpu", dtype: str = "float32", trust: bool = False, attention: str | None = None
    ) -> Compressible:
        """A model from a folder, or from the Hugging Face hub by its id.

        Args:
            model: path or id.
            device: as torch names it: ``cpu``, ``cuda``, ``cuda:1``.
            dtype: of weights and arithmetic, whatever they are stored as: float32, float16, bfloat16.
            trust: run Python code that comes with the model. Never needed for families that transformers knows.
            attention: transformers' ``attn_implementation``: ``eager``, ``sdpa``, ...; None: the fastest it can.

        Raises:
            EvoError: transformers is not installed.
            ConfigError: there is no such model, device or dtype, or it has no recognisable decoder blocks.
        """
        with opening(model, device, dtype) as (transformers, kind):
            found, loading = transformers.AutoModelForCausalLM.from_pretrained(
                model,
                dtype=kind,
                trust_remote_code=trust,
                attn_implementation=attention,
                output_loading_info=True,
            )
        for missing in sorted(loading["missing_keys"]):  # they would be drawn at random
            raise ConfigError(f"model: {model!r} holds no weights for {missing!r}")
        try:
            return cls(found.to(device))
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f"device: cannot use {device!r}: {in_one_line(error)}") from error

    def weight(self, name: str) -> Tensor:
        """The weights in a layer now, (outputs, inputs), without copying."""
        module = self.layer(name).module
        weight = module.get_parameter("weight").detach()
        return weight.t() if is_transposed(module) else weight

    def set_weight(self, name: str, tensor: Tensor, key: Hashable | None = None) -> None:
        """Put other weights into a layer.

        Args:
            name: of the layer.
            tensor: (outputs, inputs); its memory is used as it is, and must stay as it is while it is in use. Where the
                model has another device or dtype, a copy there is used, beside the dense weights.
            key: what `apply` and `signature` shall know them by; None: something equal to nothing else.

        Raises:
            ConfigError: no such layer, or another shape.
            NotFinite: a weight is infinite or not a number. (The logits need not show it: fused attention takes scores
                that are no numbers for masked ones.)
        """
        layer = self.layer(name)
        if tuple(tensor.shape) != layer.shape:
            raise ConfigError(f"{name}: expected weights of shape {layer.shape}, got {tuple(tensor.shape)}")
        dense = self._dense[name]
        fitting = tensor.detach().to(device=dense.device, dtype=dense.dtype)
        if not math.isfinite(fitting.sum(dtype=torch.float32).item()):  # in the model's dtype, where it computes
            raise NotFinite(f"{name}: the weights{'' if key is None else f' of {key!r}'} are not finite")
        module = layer.module
        # A parameter of its own: another module may share the one that was there.
        module.weight = nn.Parameter(fitting.t() if is_transposed(module) else fitting, requires_grad=False)
        self._keys[name] = object() if key is None else key

    def apply(self, assignment: Mapping[str, Hashable], fetch: Callable[[str, Any], Tensor]) -> int:
        """Make the model what an assignment says; what is in place already stays.

        Args:
            assignment: layer name to key. Layers it does not name, and those with key `DENSE`, get their own weights.
            fetch: the weights (outputs, inputs) for a name and a key; equal keys must mean equal weights.

        Returns:
            How many layers were swapped.

        Raises:
            ConfigError: a name that is no layer's, or weights of another shape.
            NotFinite: see `set_weight`; that layer and those behind it are as they were.
        """
        for name in assignment.keys() - self._keys.keys():
            self.layer(name)
        different = [name for name, key in self._keys.items() if assignment.get(name, DENSE) != key]
        for name in different:
            key = assignment.get(name, DENSE)
            if key is DENSE:
                self._make_dense(name)
            else:
                self.set_weight(name, fetch(name, key), key)
        return len(different)

    def bypass(self, left_out: Collection[tuple[int, Kind]] = ()) -> None:
        """Leave out exactly these sub-blocks, (block, kind) each: the residual stream passes them unchanged.

        Raises:
            ConfigError: no such sub-block, or a family whose blocks do not add their sub-blocks to a residual stream.
        """
        wanted = frozenset(left_out)
        self._gates.close(wanted)
        self._bypassed = wanted

    def restore(self) -> None:
        """The dense model again, bit for bit: its own weights, and nothing bypassed."""
        for name, key in self._keys.items():
            if key is not DENSE:
                self._make_dense(name)
        self.bypass()

    def signature(self) -> Signature:
        """What the model is now: equal signatures, equal models; equal up to a block, the same results up to there."""
        closed: list[list[str]] = [[] for _ in self.blocks]
        for block, kind in sorted(self._bypassed):
            closed[block].append(kind)
        keys = self._keys
        return tuple(
            (*(keys[name] for name in names), *kinds) for names, kinds in zip(self._block_names, closed, strict=True)
        )

    def logits(
        self,
        tokens: NDArray[Any] | Tensor,
        *,
        given: tuple[int, Any] | None = None,
        seen: Seen | None = None,
    ) -> Tensor:
        """What the model predicts after each token.

        Args:
            tokens: (b, t) whole numbers.
            given: a block and what it returned for these tokens: the blocks up to it do not run.
            seen: told each block that runs, and what it returns.

        Returns:
            (b, t, vocabulary) float32 on the model's device. Not finite where the model is broken: callers look.

        Raises:
            ConfigError: longer sequences than the model was made for.
        """
        rows = torch.as_tensor(tokens, dtype=torch.int64, device=self.model.device)
        if self.context is not None and rows.shape[1] > self.context:
            raise ConfigError(f"tokens: this model reads sequences of up to {self.context}, got {rows.shape[1]}")
        with self._gates.watching(given, seen), torch.inference_mode():
            found: Tensor = self.model(input_ids=rows, use_cache=False).logits
            return found.float()

    def _make_dense(self, name: str) -> None:
        self._named[name].module.weight = self._dense[name]
        self._keys[name] = DENSE
