"""Compressing a language model: which layers lose how many weights, or which sub-blocks are left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evo.errors import ConfigError
from evo.evaluator import Evaluator
from evo.operator import Operator
from evo.problem import Best, Minimize, Problem
from evo.records import BORN, Requests
from evo.store.extras import need

if TYPE_CHECKING:
    from evo.spaces.levels import Levels
    from problems.evopress.genes import Depth, Sparsity
    from problems.evopress.model import Compressible
    from problems.evopress.outline import Outline
    from problems.evopress.tokens import Encoder, Tokens

__all__ = ["TINY", "EvoPress"]

TINY = str(Path(__file__).parent / "tiny")
"""The byte-level model that is shipped."""

METHODS = ("sparsity", "depth")

STARTS = 48
"""Sizes of a range that a search begins with: an archive of up to as many cells is filled from the start."""


class EvoPress(Problem):
    """The compressed model of a given size, or of each size of a range, that predicts most like the dense one.

    A genome is a vector of levels whose total cost is exactly the budget: zeros in each layer (`method: sparsity`), or
    which attention and MLP sub-blocks are left out (`method: depth`). Where the budget is a range, [low, high], the
    whole trade-off is searched at once: the size is a measure, ``sparsity`` (share of zeros) or ``left_out`` (how many
    sub-blocks, all kinds together), for an archive over it. The objective ``kl`` is the divergence from the
    dense model in nats a token, on calibration tokens. At the fidelity ``rung`` it is measured on a random minibatch of
    ``tokens`` tokens, which all candidates of one draw share; at ``full`` on the same `full_tokens` tokens always. The
    report compares on held-out text; of a range, at several sizes (``front``), and its single figures are those of the
    size in the middle.

    Source: Sieberling, Kuznedelev, Kurtic and Alistarh, "EvoPress: Accurate Dynamic Model Compression via Evolutionary
    Search", ICML 2025 (arXiv 2410.14649).

    Args:
        model: ``tiny`` for the model that is shipped, or a causal language model of transformers: a folder or an id.
        method: ``sparsity`` or ``depth``.
        sparsity: share of zeros in the layers inside the blocks, or the lowest and the highest.
        pruning: how a level's weights are made: ``obs``, ``wanda`` or ``magnitude``.
        levels: how many levels there are on either side of the uniform one; of a range, beyond its two ends.
        step: weights between neighbouring levels; by default as published: a square layer's narrower side, from the
            uniform level halfway to its end, in `levels` steps; of a range, a square layer's way from one end to the
            other in twice as many.
        fused: query, key and value share a level, and so do gate and up, as engines that fuse them need it.
        allowed: for kernels that know some levels only: pattern of layer names to the levels that they may take,
            relative to the uniform one (of a range, to the one at its lowest sparsity): ``{"*.q_proj": [0]}``.
        drop: how many sub-blocks of each kind are left out, or the lowest and the highest number.
        whole_blocks: whole blocks are left out instead.
        keep: patterns of the names of sub-blocks that must stay: ``["*.0.*"]``.
        text: a text file or a folder of them; by default the Python standard library's sources.
        length: tokens in a sequence.
        calibration_tokens: to search with.
        full_tokens: of these, for the figure that is reported while it searches.
        held_out_tokens: for the comparison at the end.
        top: probabilities of the dense model that are kept for each position.
        device, dtype: where and how the model computes.
        trust: run code that comes with the model.
        threads: of the arithmetic on each worker.

    Raises:
        ConfigError: an argument is out of its range; there is no such model or text; a budget that cannot be met.
    """

    space: Levels
    stochastic = True
    deduplicate = True

    def __init__(
        self,
        model: str = "tiny",
        method: str = "sparsity",
        *,
        sparsity: float | Sequence[float] = 0.75,
        pruning: str = "obs",
        levels: int = 6,
        step: int | None = None,
        fused: bool = False,
        allowed: Mapping[str, Sequence[int]] | None = None,
        drop: int | Sequence[int] = 3,
        whole_blocks: bool = False,
        keep: Sequence[str] | None = None,
        text: str | None = None,
        length: int = 128,
        calibration_tokens: int = 65_536,
        full_tokens: int = 8_192,
        held_out_tokens: int = 32_768,
        top: int = 512,
        device: str = "cpu",
        dtype: str = "float32",
        trust: bool = False,
        threads: int = 1,
    ) -> None:
        if method not in METHODS:
            raise ConfigError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
        for name in ("torch", "transformers", "safetensors"):
            need(name, "lm", "compressing a language model")
        from problems.evopress.coding import drop_of, share_of
        from problems.evopress.settings import check_arguments, check_model

        folder = TINY if model == "tiny" else model
        self.path = str(Path(folder).resolve()) if Path(folder).is_dir() else folder  # workers have other directories
        for name, given, own in (("allowed", allowed, "sparsity"), ("keep", keep, "depth")):
            if given is not None and method != own:
                raise ConfigError(f"{name}: only with method {own}, got method {method}")
        self.method, self.sparsity, self.pruning = method, share_of(sparsity), pruning
        self.most, self.step, self.fused = levels, step, fused
        self.drop, self.whole_blocks = drop_of(drop), whole_blocks
        self.allowed, self.keep = allowed, keep
        self.text, self.length, self.top = text, length, top
        self.calibration_tokens, self.full_tokens, self.held_out_tokens = (
            calibration_tokens,
            full_tokens,
            held_out_tokens,
        )
        self.device, self.dtype, self.trust, self.threads = device, dtype, trust, threads
        self.objectives = [Minimize("kl")]
        check_arguments(self)
        self.space = self.genes.space
        check_model(self)
        self.measures = [self.genes.measure] if self.genes.measure else []

    @cached_property
    def outline(self) -> Outline:
        """The model without its weights: all that a master needs while it searches."""
        from problems.evopress.outline import outline

        return outline(self.path, self.device, self.dtype, self.trust)

    @cached_property
    def dense(self) -> Compressible:
        """The model with its weights, for reports and exports; loaded on first use.

        On the device of the workers, or on the processor of a machine that only directs them and has no such device.
        """
        from problems.evopress.model import Compressible, present

        return Compressible.load(self.path, present(self.device), self.dtype, self.trust)

    @cached_property
    def genes(self) -> Sparsity | Depth:
        """What a genome means."""
        from problems.evopress.coding import depth, sparsity

        if self.method == "depth":
            return depth(self.outline, self.drop, self.whole_blocks, self.keep)
        return sparsity(self.outline, self.sparsity, self.most, self.step, self.fused, self.allowed)

    @cached_property
    def encode(self) -> Encoder:
        """Text to tokens."""
        from problems.evopress.tokens import encoder

        return encoder(self.path, self.outline.vocabulary, self.trust)

    @cached_property
    def calibration(self) -> Tokens:
        """What it searches with."""
        from problems.evopress.text_source import calibration

        return calibration(self.text, self.encode, self.length, self.calibration_tokens)

    @cached_property
    def held_out(self) -> Tokens:
        """What no search has seen."""
        from problems.evopress.text_source import held_out

        return held_out(self.text, self.encode, self.length, self.held_out_tokens)

    @property
    def _loading(self) -> dict[str, Any]:
        return {"device": self.device, "dtype": self.dtype, "trust": self.trust, "threads": self.threads}

    @property
    def evaluator(self) -> Evaluator:
        """Divergence on minibatches and on the whole."""
        from problems.evopress.evaluator import Divergence

        available = self.calibration_tokens // self.length * self.length
        return Divergence(self.path, self.genes, self.full_tokens, available, **self._loading)

    @cached_property
    def operators(self) -> Mapping[str, Operator]:
        """What the preparation asks for: the dense model's predictions, and the levels of each block."""
        from problems.evopress.predict import Predict

        rows = self.calibration.rows
        found: dict[str, Operator] = {"predict": Predict(self.path, rows, top=self.top, **self._loading)}
        if self.method == "sparsity":
            from problems.evopress.builder import BuildLevels
            from problems.evopress.genes import Sparsity

            assert isinstance(self.genes, Sparsity)
            step = self.genes.step
            found["build_levels"] = BuildLevels(
                self.path, rows, self.pruning, sparsity=self.sparsity, step=step, most=self.most, **self._loading
            )
        return found

    def initial(self) -> Sequence[Any]:
        """The same sparsity everywhere, or sub-blocks evenly spread over the depth; of a range, at many sizes."""
        from problems.evopress.sizes import spaced

        return [self.genes.even(size) for size in spaced(self.space, STARTS)]

    def prepare(self) -> Sequence[Requests]:
        """One request for the predictions, one a block for its levels.

        Raises:
            ConfigError: there is no tokenizer, or there is less text than asked for.
        """
        _ = self.calibration, self.held_out  # what is wrong with them is better said now than at the end
        requests = [Requests(make="predict", args=[{}], fidelity=BORN)]
        if self.method == "sparsity":
            blocks = [{"block": block} for block in range(len(self.outline.blocks))]
            requests.append(Requests(make="build_levels", args=blocks, fidelity=BORN))
        return requests

    def needs(self, fidelity: str, artifacts: Mapping[str, str]) -> tuple[str, ...]:
        """The predictions, then the levels of all blocks."""
        if fidelity not in ("rung", "full"):
            return ()
        blocks = sorted((name for name in artifacts if name.startswith("levels/")), key=lambda name: int(name[7:]))
        return (artifacts["reference"], *(artifacts[name] for name in blocks))

    def report(self, best: Best | None, run: Any) -> Mapping[str, Any]:
        """Dense, uniform, dynamic programming, random search and the winner on held-out text."""
        from problems.evopress.report import comparison

        return comparison(self, best, run)

    def exports(self) -> Mapping[str, Callable[[Any, Path], None]]:
        """``hf``: the winner as a Hugging Face checkpoint in a folder."""
        from problems.evopress.export import write_checkpoint

        return {"hf": lambda run, path: write_checkpoint(self, run, path)}

    def show(self, genome: Any) -> str:
        """A line a kind of layer: steps above or below the uniform level, or an x for what is left out."""
        return self.genes.text(genome)

    def __getstate__(self) -> dict[str, Any]:
        """Without the model and the text, which each process loads for itself."""
        loaded = ("outline", "dense", "encode", "calibration", "held_out", "operators")
        return {name: value for name, value in self.__dict__.items() if name not in loaded}
