"""How fast children are evaluated beside the original's way, and how much of the time is spent in the model.

*speed*: CPU seconds of one process with one thread for the same children of one parent on the same minibatch. Ours is
the evaluator a worker runs, `Divergence.evaluate_batch`, with nothing remembered from before; the original's way is
that of `evopress_original`. They take turns, and the ratio is the median over the rounds of the two times of a round,
so that a machine that is busy for a while does not decide. Beside the published way, and without a target: the same
with its sequences batched like ours (up to 16 of 128 tokens), and with its files read into memory beforehand as well.

*share*: how much of the evaluator's time is spent in `Compressible.logits`, on the same children.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evo.records import Genomes
from problems.evopress.divergence import CHUNK
from problems.evopress.genes import Sparsity
from problems.evopress.report import database_of

from .common import show, verdict
from .evopress_original import Original, write_levels
from .evopress_scene import LENGTH, Scene, scene

RATIO, SHARE, ROUNDING = 3.0, 0.85, 1e-4
TOKENS = (512, 2048, 4096)
FEW, MANY = 16, 64
"""Children of a generation."""


def speed(quick: bool) -> bool:
    """Candidates a second, beside the original's way."""
    torch.set_num_threads(1)
    rows, good = [], True
    with tempfile.TemporaryDirectory() as folder:
        own = scene(Path(folder))
        database = database_of(own.problem, own.run)
        genes = own.problem.genes
        assert database is not None
        assert isinstance(genes, Sparsity)
        write_levels(Path(folder) / "levels", database)
        in_memory = cache(torch.load)
        for tokens, count in (
            [(2048, FEW)] if quick else [(tokens, count) for tokens in TOKENS for count in (FEW, MANY)]
        ):
            children = own.children(count)
            selected = own.evaluator._minibatch(own.evaluator._needed(own.work(1, tokens))[0], own.work(1, tokens), 0)
            read = own.problem.calibration.take(selected.rows, LENGTH)
            ways: dict[str, Callable[[], Any]] = {"ours": partial(ours, own, children, tokens)}
            for name, batch, load in (
                ("original", 1, torch.load),
                ("batched", CHUNK // LENGTH, torch.load),
                ("and in memory", CHUNK // LENGTH, in_memory),
            ):
                other = Original(own.problem.path, genes, Path(folder) / "levels", batch, load)
                other.prepare(read)
                ways[name] = partial(one_by_one, other, children)
            spent, found = turns(ways, 3 if quick or count > FEW else 5)
            ratios = {name: np.median(spent[name] / spent["ours"]) for name in ways}
            apart = max(abs(found[name] - found["ours"]).max() for name in ways)
            met = bool(apart <= ROUNDING and ratios["original"] >= RATIO)
            good &= met
            rates = [f"{count / spent[name].min():.1f}" for name in ("ours", "original")]
            others = [f"{ratios[name]:.2f}x" for name in ("original", "batched", "and in memory")]
            rows.append(
                (
                    f"{tokens} tokens, {count} children",
                    *rates,
                    *others,
                    f"{apart:.0e}",
                    verdict(met),
                )
            )
    columns = ("minibatch", "ours/s", "original/s", "ratio", "batched", "and in memory", "KL apart", "")
    note = f"targets: >= {RATIO:g}x the original's way, the same KL up to {ROUNDING:g} nats"
    show("Candidates per second of CPU, one process, one thread", columns, rows, note)
    return good


def ours(own: Scene, children: Genomes, tokens: int) -> NDArray[np.float64]:
    """KL of each, with nothing remembered."""
    own.evaluator._prefix.forget()
    return own.evaluator.evaluate_batch(children, own.work(len(children), tokens)).objectives[:, 0]


def one_by_one(other: Original, children: Genomes) -> NDArray[np.float64]:
    """KL of each, in the order in which they were made."""
    return np.array([other(child) for child in children])


def turns(ways: dict[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """CPU seconds of each way in each round, and what it found last; a round before the first is not counted."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, Any] = {}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            started = time.process_time()
            found[name] = way()
            if turn:
                spent[name].append(time.process_time() - started)
    return {name: np.array(times) for name, times in spent.items()}, found


def share(quick: bool) -> bool:
    """Of the evaluator's time, what is spent in forward passes."""
    torch.set_num_threads(1)
    rows, good = [], True
    with tempfile.TemporaryDirectory() as folder:
        own = scene(Path(folder))
        model = own.evaluator._model
        inside, logits = [0.0], model.logits

        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            found = logits(*args, **kwargs)
            inside[0] += time.process_time() - started
            return found

        setattr(model, "logits", timed)  # noqa: B010 - of this one model
        for tokens, count in [(512, FEW)] if quick else [(tokens, count) for tokens in TOKENS for count in (FEW, MANY)]:
            children, shares = own.children(count), []
            for _ in range(3 if quick else 5):
                inside[0], started = 0.0, time.process_time()
                ours(own, children, tokens)
                shares.append(inside[0] / (time.process_time() - started))
            found = float(np.median(shares))
            good &= found >= SHARE
            prefix = own.evaluator._prefix
            saved = prefix.blocks_saved / (prefix.blocks_saved + prefix.blocks_run)
            prefix.blocks_saved = prefix.blocks_run = 0
            rows.append((f"{tokens} tokens, {count} children", f"{found:.1%}", f"{saved:.0%}", verdict(found >= SHARE)))
    columns = ("minibatch", "in forward passes", "blocks that need not run", "")
    show("Where the evaluator's time goes", columns, rows, f"target: >= {SHARE:.0%} of the CPU time in forward passes")
    return good
