"""How much a search gains on text that it has not seen, and how two workers share one.

*search* runs `configs/evopress_sparsity.yaml` with the sparsity and the budget below, on two Ray workers: 400
evaluations of 4096 tokens for the search and as much for random search beside it. Smaller measurements count by what
they read, an eighth or a half; how many measurements that were in all stands in the table. All figures are of 32,768
held-out tokens, from the runs' own reports.

*parallel* does the configuration's run on one and on two Ray workers of one Ray: CPU seconds and busy shares are those
that the workers measure themselves, from a worker's first message to the last of all, the preparation included.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import evo
from evo.config import load_config

from .common import ray_here, show, verdict

CONFIG = Path(__file__).parents[2] / "configs" / "evopress_sparsity.yaml"
SPARSITY, EVALUATIONS, SEEDS = 0.58, 400, 5
LEAST, AIM = (-0.03, -0.10), (-0.06, -0.20)
WINDOW = (1.25, 1.4)
"""Between these the uniform model's perplexity has to lie, over the dense model's."""
CPU, BUSY = 1.15, 0.9


def run(overrides: Sequence[str], workers: int, folder: str) -> evo.Run:
    """The configuration's search on so many Ray workers."""
    settings = load_config(CONFIG, [f"problem.sparsity={SPARSITY}", *overrides])
    problem, algorithm = settings.built
    return evo.search(
        problem,
        algorithm,
        evaluations=settings.budget.evaluations,
        seed=settings.seed,
        order=settings.policy(),
        workers=workers,
        run_dir=Path(folder) / "run",
        handle_signals=False,
    )


def search(quick: bool) -> bool:
    """Held-out perplexity and divergence against uniform, seed by seed."""
    rows, least, aimed, ahead, window = [], 0, 0, 0, True
    seeds = range(1, 2 if quick else SEEDS + 1)
    arms = len(load_config(CONFIG).algorithm["arms"])
    with ray_here():
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                done = run([f"seed={seed}", f"budget.evaluations={arms * EVALUATIONS}"], 2, folder)
                found, measured = done.summary, int(done.totals["performed"])
            ppl, kl = found["ppl"], found["kl"]
            against = ppl["evo"] / ppl["uniform"] - 1, kl["evo"] / kl["uniform"] - 1
            best = all(one["evo"] < min(one["dp"], one["random"]) for one in (ppl, kl))
            least += all(map(below, against, LEAST))
            aimed += all(map(below, against, AIM))
            ahead += best
            window &= WINDOW[0] <= ppl["uniform"] / ppl["dense"] <= WINDOW[1]
            assert found["budget_used"] == found["budget_target"]
            names = ("uniform", "dp", "random", "evo")
            figures = [f"{ppl[name]:.3f} / {kl[name]:.3f}" for name in names]
            gains = [f"{part:+.1%}" for part in against]
            reached = verdict(all(map(below, against, LEAST)))
            rows.append((f"seed {seed}", measured, f"{ppl['dense']:.3f}", *figures, *gains, reached))
    needed = len(seeds) - 1 if len(seeds) > 1 else 1
    good = window and least >= needed and ahead >= needed
    note = (
        f"held-out perplexity / KL; target: -3 % and -10 % in {needed} of {len(seeds)}: {least}, the aim of -6 % and "
        f"-20 %: {aimed}; below dp and random: {ahead}; uniform within {WINDOW[0]}-{WINDOW[1]} x dense: {window}"
    )
    columns = ("", "measurements", "dense", "uniform", "dp", "random", "evo", "perplexity", "KL", "")
    show(f"{SPARSITY:.0%} zeros, {EVALUATIONS} evaluations an arm: {verdict(good)}", columns, rows, note)
    return bool(good)


def below(value: float, limit: float) -> bool:
    """Whether it is at most that."""
    return value <= limit


def parallel(quick: bool) -> bool:
    """The same search on one and on two workers."""
    overrides = [f"budget.evaluations={80 if quick else 320}"]
    rows, cpu, found = [], {}, {}
    with ray_here():
        for count in (1, 2):
            with tempfile.TemporaryDirectory() as folder:
                done = run(overrides, count, folder)
                totals, workers = done.totals, done.workers()
                found[count] = done.summary["ppl"]
            cpu[count] = sum(worker["cpu"] for worker in workers)
            shares = [worker["share"] for worker in workers]
            busy = ", ".join(f"{share:.1%}" for share in shares)
            wall, kl = f"{totals['elapsed']:.1f} s", f"{found[count]['evo']:.6f}"
            rows.append((f"{count} worker{'s' * (count > 1)}", wall, f"{cpu[count]:.1f} s", busy, kl))
    ratio = cpu[2] / cpu[1]
    good = ratio <= CPU and min(shares) >= BUSY and found[1] == found[2]
    note = f"CPU {ratio:.2f}x (target {CPU}), each busy >= {BUSY:.0%}, the same found: {verdict(good)}"
    columns = ("", "wall", "CPU of workers", "busy", "perplexity")
    show("One search on one and on two Ray workers", columns, rows, note)
    return bool(good)
