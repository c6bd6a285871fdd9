"""Choices without an order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError, SpaceError
from evo.records import Genomes
from evo.space import ArraySpace
from evo.spaces.integers import nearest_integers
from evo.spaces.json_value import canonical_json, plain

__all__ = ["Categorical"]


class Categorical(ArraySpace):
    """Vectors of choices, held as their positions (codes) in the list of choices.

    `stack` and `to_json` speak in choices, batches in codes; `values` leads from codes to choices. Choices are told
    apart by type, so 1, 1.0, True and "1" are four.

    Args:
        choices: at least one JSON-like value, no two alike.
        size: number of coordinates, each one of the same choices.

    Raises:
        ConfigError: no choices, two alike, one that is not JSON-like, or size below one.

    Example:
        >>> space = Categorical(["relu", "tanh"], size=2)
        >>> space.stack([["tanh", "relu"]])
        array([[1, 0]])
    """

    dtype = np.dtype("<i8")

    def __init__(self, choices: Sequence[Any], size: int = 1) -> None:
        try:
            self.choices: list[Any] = [plain(choice, f"choices[{i}]") for i, choice in enumerate(choices)]
        except SpaceError as error:
            raise ConfigError(f"Categorical: {error}") from None
        self._codes = {canonical_json(choice): code for code, choice in enumerate(self.choices)}
        if not self.choices or len(self._codes) < len(self.choices):
            raise ConfigError(f"Categorical: expected one or more choices, no two alike, got {self.choices!r}")
        if size < 1:
            raise ConfigError(f"Categorical: expected size >= 1, got {size}")
        self.shape = (size,)

    def __repr__(self) -> str:
        return f"Categorical({len(self.choices)} choices, size={self.shape[0]})"

    def values(self, genome: Sequence[int] | NDArray[np.int64]) -> list[Any]:
        """The choices that the codes of one genome stand for."""
        return [self.choices[code] for code in genome]

    def sample(self, n: int, rng: np.random.Generator) -> Genomes:
        """Every choice alike."""
        return rng.integers(len(self.choices), size=(n, *self.shape))

    def stack(self, values: Sequence[Any]) -> Genomes:
        """A batch (n, size) of codes from lists of choices; a single choice may stand for a list of one.

        Raises:
            SpaceError: a list of another length, or a value that is none of the choices.
        """
        batch = self.empty(len(values))
        for row, value in enumerate(values):
            batch[row] = self._encoded(plain(value.tolist() if isinstance(value, np.ndarray) else value), row)
        return batch

    def _encoded(self, value: Any, row: int) -> list[int]:
        (size,) = self.shape
        if size == 1 and canonical_json(value) in self._codes:
            value = [value]
        if not isinstance(value, list) or len(value) != size:
            raise SpaceError(f"genome {row}: expected a list of {size} choices, got {value!r}")
        codes = [self._codes.get(canonical_json(item)) for item in value]
        for item, code in zip(value, codes, strict=True):
            if code is None:
                raise SpaceError(f"genome {row}: {item!r} is none of the choices {self.choices!r}")
        return [code for code in codes if code is not None]

    def repair(self, genomes: Genomes) -> Genomes:
        """The nearest codes; in place where they are whole already."""
        return nearest_integers(genomes, np.int64(0), np.int64(len(self.choices) - 1))

    def outside(self, genomes: Genomes) -> NDArray[np.bool_]:
        """(n,) rows with a code that stands for nothing."""
        return np.asarray(((genomes < 0) | (genomes >= len(self.choices))).any(axis=1))

    def to_json(self, genome: Any) -> Any:
        """The choices, as a list."""
        return self.values(genome)
