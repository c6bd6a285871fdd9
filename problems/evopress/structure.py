"""Where a decoder-only language model keeps its blocks, their sub-blocks and their layers, found by structure.

The blocks are the outermost list of modules of which some member has a child named after attention. Inside a block,
each child that holds weight matrices is a sub-block: attention where its name says so, MLP otherwise. This finds
Llama's, Mistral's and Qwen2's ``model.layers`` and GPT-2's ``transformer.h`` alike, and needs no table of families.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from evo.errors import ConfigError

__all__ = ["Kind", "Layer", "SubBlock", "decoder_blocks", "is_matrix", "is_transposed", "layers_of", "sub_blocks_of"]

Kind = Literal["attention", "mlp"]


@dataclass(frozen=True)
class Layer:
    """A weight matrix inside a block.

    Attributes:
        name: of the module in the model, ``model.layers.0.self_attn.q_proj``.
        block: index of its block, 0 first.
        kind: of the sub-block it is part of.
        shape: outputs and inputs, in this order for every family.
        module: what holds the matrix; for hooks that look at its inputs.
    """

    name: str
    block: int
    kind: Kind
    shape: tuple[int, int]
    module: nn.Module = field(repr=False, compare=False)

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.shape[0] * self.shape[1]


@dataclass(frozen=True)
class SubBlock:
    """The attention or the MLP of a block: what is added to the residual stream in one go."""

    name: str
    block: int
    kind: Kind
    module: nn.Module = field(repr=False, compare=False)


def is_transposed(module: nn.Module) -> bool:
    """Whether the module keeps its matrix as (inputs, outputs): GPT-2's ``Conv1D``, transformers' own class."""
    return type(module).__name__ == "Conv1D"


def is_matrix(module: nn.Module) -> bool:
    """Whether the module multiplies by one matrix ``weight``: a linear layer, or GPT-2's ``Conv1D``."""
    return isinstance(module, nn.Linear) or is_transposed(module)


def decoder_blocks(model: nn.Module, count: int | None = None) -> tuple[str, nn.ModuleList]:
    """The name and the list of a model's decoder blocks.

    Args:
        model: a causal language model.
        count: how many blocks its configuration speaks of; decides where several lists look like blocks.

    Raises:
        ConfigError: nothing in it looks like decoder blocks, or more than one list does.
    """
    found: dict[str, nn.ModuleList] = {}
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if not inside and isinstance(module, nn.ModuleList) and any(map(_has_attention, module)):
            found[name] = module
    if len(found) > 1:
        found = {name: blocks for name, blocks in found.items() if len(blocks) == count} or found
    family = type(model).__name__
    if not found:
        raise ConfigError(
            f"model: {family} has no recognisable decoder blocks: expected a list of modules, each with a child whose "
            "name contains 'attn' or 'attention'"
        )
    if len(found) > 1:
        raise ConfigError(f"model: expected one list of decoder blocks in {family}, found {', '.join(found)}")
    return found.popitem()


def sub_blocks_of(blocks: nn.ModuleList, prefix: str) -> list[SubBlock]:
    """Block after block, the children that hold matrices, in the order of the model."""
    return [
        SubBlock(f"{prefix}.{index}.{name}", index, _kind(name), child)
        for index, block in enumerate(blocks)
        for name, child in block.named_children()
        if not is_matrix(child) and any(map(is_matrix, child.modules()))
    ]


def layers_of(blocks: nn.ModuleList, prefix: str) -> list[Layer]:
    """Block after block, all matrices, in the order of the model."""
    return [
        Layer(f"{prefix}.{index}.{name}", index, _kind(name.partition(".")[0]), _shape(module), module)
        for index, block in enumerate(blocks)
        for name, module in _matrices(block)
    ]


def _matrices(block: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return ((name, module) for name, module in block.named_modules() if is_matrix(module))


def _shape(module: nn.Module) -> tuple[int, int]:
    first, second = module.get_parameter("weight").shape
    return (second, first) if is_transposed(module) else (first, second)


def _has_attention(block: nn.Module) -> bool:
    return any(_names_attention(name) for name, _ in block.named_children())


def _names_attention(name: str) -> bool:
    return "attn" in name.lower() or "attention" in name.lower()


def _kind(name: str) -> Kind:
    return "attention" if _names_attention(name) else "mlp"
