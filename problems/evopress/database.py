"""Level databases: the pruned weights of every layer at every level, one file a block, mapped into memory.

A file is a safetensors file, which any tool opens: a tensor ``LAYER/LEVEL`` each, and ``LAYER/errors`` (levels,) in
float64. What it holds and what it was built from stands in its metadata under ``evo.levels``.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from evo.errors import ConfigError, RunError

__all__ = ["Database", "LayerLevels", "Level", "write_block"]

_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_KEY = "evo.levels"
_ALIGNMENT = 64
_LARGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class Level:
    """One choice for a layer."""

    zeros: int
    """Weights set to zero."""
    error: float
    """Share of the layer's output that is lost on the calibration tokens (`problems.evopress.pruning.output_error`)."""


@dataclass(frozen=True)
class LayerLevels:
    """What a file holds of one layer."""

    name: str
    shape: tuple[int, int]
    """(out, in)"""
    zeros: tuple[int, ...]
    """Per level, densest first."""
    uniform: int
    """The level at the target sparsity."""


def write_block(
    file: BinaryIO,
    block: int,
    layers: Sequence[LayerLevels],
    levels: Iterable[tuple[Tensor, float]],
    *,
    dtype: torch.dtype,
    digest: str,
) -> None:
    """Write one block's file from its start, holding one weight at a time.

    Args:
        file: empty, open for writing bytes.
        block: which block of the model.
        layers: in the model's order.
        levels: for each layer, for each of its levels: weight (out, in) of `dtype`, and relative output error.
        dtype: float16, bfloat16, float32 or float64.
        digest: what the weights were built from, in a few characters.

    Raises:
        ConfigError: a dtype that the format does not know, or a weight that does not fit its layer.
    """
    if dtype not in _NAMES:
        raise ConfigError(f"levels: expected a dtype among {', '.join(map(str, _NAMES))}, got {dtype}")
    entries: dict[str, Any] = {}
    offset = 0
    for layer in layers:
        size = math.prod(layer.shape) * dtype.itemsize
        for name, kind, shape, length in [
            *((f"{layer.name}/{level}", _NAMES[dtype], layer.shape, size) for level in range(len(layer.zeros))),
            (f"{layer.name}/errors", "F64", (len(layer.zeros),), 8 * len(layer.zeros)),
        ]:
            entries[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + length]}
            offset += length
    about = {"block": block, "digest": digest, "layers": [asdict(layer) for layer in layers]}
    text = json.dumps({"__metadata__": {_KEY: json.dumps(about)}, **entries}).encode()
    text += b" " * (-(len(text) + 8) % _ALIGNMENT)
    file.write(len(text).to_bytes(8, "little") + text)
    rest = iter(levels)
    for layer in layers:
        errors = []
        for _ in layer.zeros:
            weight, error = next(rest)
            if weight.shape != layer.shape or weight.dtype != dtype:
                raise ConfigError(
                    f"levels: {layer.name} is {layer.shape} of {dtype}, got {tuple(weight.shape)} of {weight.dtype}"
                )
            file.write(weight.detach().cpu().contiguous().view(torch.uint8).numpy().data)
            errors.append(error)
        file.write(np.array(errors, dtype="<f8").tobytes())


class Database:
    """The levels of all layers, read where they lie: opening reads the headers only, a weight is a view of the file.

    Processes of one machine share the pages of a file. What somebody writes into a weight stays in that process and
    never reaches the file.
    """

    def __init__(self, blocks: Sequence[_Block]) -> None:
        self._blocks = sorted(blocks, key=lambda block: block.number)
        self._of: dict[str, _Block] = {}
        for block in self._blocks:
            for name in block.layers:
                if name in self._of:
                    raise ConfigError(f"levels: layer {name!r} is in two of the files")
                self._of[name] = block

    @classmethod
    def open(cls, sources: Path | str | bytes | Sequence[Path | str | bytes]) -> Database:
        """From files (in any order), from a folder of ``*.safetensors``, or from contents, which are copied once.

        Raises:
            RunError: no file, or one that cannot be read, is no level file, or is cut short.
            ConfigError: two files hold the same layer.
        """
        if isinstance(sources, str | Path) and Path(sources).is_dir():
            sources = sorted(Path(sources).glob("*.safetensors"))
        many = [sources] if isinstance(sources, str | Path | bytes) else list(sources)
        if not many:
            raise RunError("levels: no files to open")
        return cls([_Block(source) for source in many])

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers, in the order of the model."""
        return tuple(self._of)

    @property
    def digests(self) -> tuple[str, ...]:
        """What each block was built from, in the order of the model."""
        return tuple(block.digest for block in self._blocks)

    def about(self, layer: str) -> LayerLevels:
        """Shape and zero counts of one layer.

        Raises:
            ConfigError: no such layer.
        """
        return self._block(layer).layers[layer]

    def levels(self, layer: str) -> tuple[Level, ...]:
        """Zeros and error of each level, densest first."""
        return tuple(map(Level, self.about(layer).zeros, self.errors(layer)))

    def uniform(self, layer: str) -> int:
        """The level at the target sparsity."""
        return self.about(layer).uniform

    def errors(self, layer: str) -> tuple[float, ...]:
        """The relative output error of each level."""
        return self._block(layer).errors(layer)

    def weight(self, layer: str, level: int) -> Tensor:
        """(out, in) the weight at one level: a view of the file, not a copy. Do not write into it.

        Raises:
            ConfigError: no such layer or level.
        """
        count = len(self.about(layer).zeros)
        if not 0 <= level < count:
            raise ConfigError(f"levels: {layer} has levels 0 to {count - 1}, got {level}")
        return self._block(layer).tensor(f"{layer}/{level}")

    def _block(self, layer: str) -> _Block:
        if layer not in self._of:
            raise ConfigError(f"levels: no layer {layer!r}; there are {', '.join(self._of)}")
        return self._of[layer]


class _Block:
    """One file, or its content."""

    def __init__(self, source: Path | str | bytes) -> None:
        self._name = "levels in memory" if isinstance(source, bytes) else f"levels in {source}"
        self._data: Any = bytearray(source) if isinstance(source, bytes) else _mapped(Path(source), self._name)
        length = int.from_bytes(self._data[:8], "little")
        if not 2 <= length <= min(len(self._data) - 8, _LARGEST_HEADER):
            raise RunError(f"{self._name}: no safetensors file")
        try:
            header = json.loads(self._data[8 : 8 + length])
            about = json.loads(header.pop("__metadata__")[_KEY])
            self.number, self.digest = int(about["block"]), str(about["digest"])
            self.layers = {
                one["name"]: LayerLevels(one["name"], (*one["shape"],), (*one["zeros"],), one["uniform"])
                for one in about["layers"]
            }
            self._entries = {
                name: (_DTYPES[one["dtype"]], tuple(one["shape"]), 8 + length + one["data_offsets"][0])
                for name, one in header.items()
            }
            end = 8 + length + max(one["data_offsets"][1] for one in header.values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{self._name}: not a file of levels ({type(error).__name__}: {error})") from error
        if end != len(self._data):
            raise RunError(f"{self._name}: {len(self._data)} bytes, expected {end}; it was cut short or added to")

    def tensor(self, name: str) -> Tensor:
        """A view; it keeps the mapping alive."""
        dtype, shape, offset = self._entries[name]
        return torch.frombuffer(self._data, dtype=dtype, count=math.prod(shape), offset=offset).view(shape)

    def errors(self, layer: str) -> tuple[float, ...]:
        """Read, not mapped: they need not be aligned."""
        _, (count,), offset = self._entries[f"{layer}/errors"]
        return tuple(np.frombuffer(self._data[offset : offset + 8 * count], dtype="<f8").tolist())


def _mapped(path: Path, name: str) -> mmap.mmap:
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        raise RunError(f"{name}: cannot be opened: {error}") from error
