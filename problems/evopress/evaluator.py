"""How a compressed model is measured: its divergence from the dense one on calibration tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError, EvaluationError
from evo.evaluator import Evaluations, Evaluator, Fidelity, Resources, Work
from evo.records import Genomes
from problems.evopress.database import Database
from problems.evopress.divergence import NotFinite, Reference
from problems.evopress.genes import Depth, Sparsity, measured
from problems.evopress.lending import lent
from problems.evopress.prefix import Prefix
from problems.evopress.scoring import score_many
from problems.evopress.tokens import Minibatch

__all__ = ["Divergence"]


class Divergence(Evaluator):
    """KL divergence from the dense model in nats a token, its surprise beside it.

    At ``rung`` on the minibatch of ``tokens`` tokens that the draw selects, the same for all rows of one draw; at
    ``full`` on the first `full` tokens, the same always. A row gets the same bits in any company: candidates differ in
    where their forward passes begin, not in their arithmetic.

    Args:
        model: path or id.
        genes: what a genome means.
        full: tokens at the fidelity that is reported.
        available: calibration tokens, the most that a rung can ask for.
        device, dtype, trust: as `Compressible.load`.
        threads: of the arithmetic; the last bits may depend on it.
    """

    def __init__(
        self,
        model: str,
        genes: Sparsity | Depth,
        full: int,
        available: int,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        trust: bool = False,
        threads: int = 1,
    ) -> None:
        self.model, self.genes, self.full, self.available = model, genes, full, available
        self.device, self.dtype, self.trust, self.threads = device, dtype, trust, threads
        self._opened: tuple[tuple[str, ...], Reference, Database | None] | None = None

    @property
    def fidelities(self) -> Mapping[str, Fidelity]:
        """A rung on any minibatch, and the whole; on a GPU, where the device is one."""
        either = Fidelity(Resources(gpus=float(self.device.startswith("cuda"))))  # Ray hides GPUs that nobody asked for
        return {"rung": either, "full": either}

    def check(self, fidelity: str, params: Mapping[str, Any]) -> None:
        """A rung has ``tokens``, as many as there are at most, and nothing else; ``full`` has no parameters.

        Raises:
            ConfigError: as `Evaluator.check`.
        """
        for name in params:
            if (fidelity, name) != ("rung", "tokens"):
                raise ConfigError(f"{name}: unknown; a rung has survivors, fidelity, reserve and tokens")
        tokens = params.get("tokens")
        if fidelity == "rung" and (type(tokens) is not int or not 2 <= tokens <= self.available):
            raise ConfigError(
                f"tokens: expected a whole number from 2 to {self.available} (calibration_tokens in whole rows), "
                f"got {tokens!r}; ask for fewer, or raise problem.calibration_tokens"
            )

    def version(self) -> str:
        """See `Evaluator.version`: what weights and text are measured is in the artifacts that it needs."""
        return f"evopress-2:{self.model}:{self.genes}:{self.full}:{self.dtype}"

    def warm_up(self) -> None:
        """Load the model, and lend it to the operators of this worker."""
        import torch

        torch.set_num_threads(self.threads)
        self._model = lent(self.model, self.device, self.dtype, self.trust)
        self._prefix = Prefix(self._model)

    def evaluate_batch(self, genomes: Genomes, work: Work) -> Evaluations:
        """Divergence of each; those whose logits are not finite have failed."""
        reference, database = self._needed(work)
        n = len(genomes)
        values, surprise = np.full((n, 1), np.nan), np.full(n, np.nan)
        failures: dict[int, str] = {}
        costs = {}
        for rows in _by_draw(work.draws) if work.fidelity == "rung" else [np.arange(n)]:
            batch = self._minibatch(reference, work, int(rows[0]))
            put = [self.genes.putter(self._model, database, genomes[row]) for row in rows]
            for row, score in zip(
                rows.tolist(), score_many(self._model, put, reference, batch, prefix=self._prefix), strict=True
            ):
                costs[row] = {"tokens": float(batch.tokens)}
                if isinstance(score, NotFinite):
                    failures[row] = str(score)
                else:
                    values[row, 0], surprise[row] = score.kl, score.nll
        sizes = measured(self.genes, genomes)
        return Evaluations(values, sizes, metrics={"nll": surprise}, failures=failures, costs=costs)

    def _minibatch(self, reference: Reference, work: Work, row: int) -> Minibatch:
        if work.fidelity == "rung":
            return reference.tokens.minibatch(work.rng(row, "minibatch"), int(work.params["tokens"]))
        whole = reference.tokens.everything()
        tokens = min(self.full, whole.tokens)
        rows = -(-tokens // whole.length)
        return Minibatch(whole.rows[:rows], whole.length, tokens - (rows - 1) * whole.length)

    def _needed(self, work: Work) -> tuple[Reference, Database | None]:
        """The artifacts, opened once: the reference first, then the levels of each block."""
        if not work.needs or not work.needs[0]:
            raise EvaluationError(
                "the dense model's predictions are missing: this evaluator works on prepared runs only"
            )
        if self._opened is None or self._opened[0] != work.needs[0]:
            first, *levels = work.needed(0)
            self._prefix.forget()
            self._model.restore()
            self._opened = (work.needs[0], Reference(first), Database.open(levels) if levels else None)
        return self._opened[1:]

    def __getstate__(self) -> dict[str, Any]:
        """Without what a worker opens for itself."""
        return {key: value for key, value in self.__dict__.items() if key not in ("_model", "_prefix")} | {
            "_opened": None
        }


def _by_draw(draws: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows of equal draws, in order of first appearance."""
    _, first, group = np.unique(draws, return_index=True, return_inverse=True)
    return [np.flatnonzero(group == place) for place in np.argsort(first)]
