"""The dense model's predictions on the calibration tokens, made once on some worker."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.evaluator import Work
from evo.operator import Births, Operator
from evo.records import Genomes
from evo.space import Space
from problems.evopress.divergence import TOP, build_reference
from problems.evopress.model import Compressible
from problems.evopress.tokens import Tokens

__all__ = ["Predict"]


class Predict(Operator):
    """Makes no genomes but the artifact ``reference``, as `problems.evopress.divergence.Reference` reads it.

    Args:
        model: path or id.
        tokens: (sequences, length) calibration tokens.
        top: how many probabilities are kept for each position.
        device, dtype, trust: as `Compressible.load`.
        threads: of the arithmetic.
    """

    arity = 0

    def __init__(
        self,
        model: str,
        tokens: NDArray[Any],
        *,
        top: int = TOP,
        device: str = "cpu",
        dtype: str = "float32",
        trust: bool = False,
        threads: int = 1,
    ) -> None:
        self.model, self.tokens, self.top = model, np.asarray(tokens), top
        self.device, self.dtype, self.trust, self.threads = device, dtype, trust, threads

    def make(self, parents: Genomes, args: Mapping[str, Any], space: Space, work: Work) -> Births:
        """The file, and how many tokens it is about."""
        import torch

        torch.set_num_threads(self.threads)
        dense = Compressible.load(self.model, self.device, self.dtype, self.trust)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "reference.npy"
            build_reference(path, dense, Tokens(self.tokens), self.top)
            content = path.read_bytes()
        return Births(space.empty(0), {"reference_tokens": float(self.tokens.size)}, artifacts={"reference": content})
