"""The dense model's predictions on the calibration tokens, made once on some worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import EvaluationError
from evo.evaluator import Work
from evo.operator import Births, Operator
from evo.records import Genomes
from evo.space import Space
from problems.evopress.divergence import TOP, build_reference
from problems.evopress.lending import borrowed
from problems.evopress.model import Compressible, NotFinite
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
        """The file, and how many tokens it is about.

        Raises:
            EvaluationError: the model is no causal one, or what it predicts is not finite.
        """
        import torch

        torch.set_num_threads(self.threads)
        loading = self.model, self.device, self.dtype, self.trust
        dense = borrowed(*loading) or Compressible.load(*loading)
        path = work.scratch / "reference.npy"
        _check_causal(dense)
        try:
            build_reference(path, dense, Tokens(self.tokens), self.top)
        except NotFinite as error:
            raise EvaluationError(
                f"model: {self.model!r} cannot be measured even uncompressed, as {self.dtype}: {error}; repair its "
                "weights, or take another dtype"
            ) from error
        return Births(space.empty(0), {"reference_tokens": float(self.tokens.size)}, artifacts={"reference": path})


def _check_causal(model: Compressible) -> None:
    """Raises: EvaluationError: what is predicted after the first token hangs on the second one."""
    first, second = (model.logits(np.array([[0, token]]))[0, 0] for token in (0, 1))
    if bool(((first != second) & first.isfinite() & second.isfinite()).any()):
        raise EvaluationError(
            "model: expected a causal language model, got one whose predictions look at the tokens to come"
        )
