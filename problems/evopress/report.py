"""What a search achieved, on text that it has not seen, beside what is had without searching."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evo.problem import Best
from problems.evopress.database import Database
from problems.evopress.divergence import Reference, build_reference
from problems.evopress.genes import Sparsity
from problems.evopress.scoring import Score, score
from problems.evopress.text_source import held_out

if TYPE_CHECKING:
    from problems.evopress.problem import EvoPress

__all__ = ["comparison", "contestants", "database_of", "measured"]


def comparison(problem: EvoPress, best: Best | None, run: Any) -> Mapping[str, Any]:
    """``ppl.*`` and ``kl.*`` of each contestant, tokens spent, budget used and targeted, and all of it as a table."""
    database = database_of(problem, run)
    genomes = contestants(problem, best, run, database)
    scores = measured(problem, genomes, database)
    totals = {name: int(problem.space.totals(genome[None])[0].sum()) for name, genome in genomes.items()}
    target = int(problem.space.totals(np.array([problem.genes.uniform]))[0].sum())
    table = [
        {
            "model": name,
            "budget": totals.get(name, 0),
            "kl": round(found.kl, 5),
            "perplexity": round(found.perplexity, 4),
            "against uniform": f"{found.perplexity / scores['uniform'].perplexity - 1:+.1%}",
        }
        for name, found in scores.items()
    ]
    return {
        "ppl": {name: found.perplexity for name, found in scores.items()},
        "kl": {name: found.kl for name, found in scores.items()},
        "tokens": int(run.costs.get("tokens", 0)),
        "budget_used": totals.get("evo", target),
        "budget_target": target,
        "held_out": table,
    }


def contestants(
    problem: EvoPress, best: Best | None, run: Any, database: Database | None
) -> dict[str, NDArray[np.int64]]:
    """name -> genome: uniform, dp, random (where the run has such an arm) and evo, the winner."""
    found = {"uniform": np.array(problem.genes.uniform), "dp": _additive(problem, database)}
    winner = None if best is None else np.asarray(best.genome)
    for name, archive in run.archives.items():
        kind, _, arm = name.rpartition("/")[0].partition("/")
        if kind != "arm" or not len(archive.candidate):
            continue
        genome = np.asarray(archive.genomes[int(archive.objectives[:, 0].argmin())])
        if arm == "random":
            found["random"] = genome
        else:
            winner = genome
    if winner is not None:
        found["evo"] = winner
    return found


def _additive(problem: EvoPress, database: Database | None) -> NDArray[np.int64]:
    """The best genome if layers did not interact: errors of single layers, added up, under the exact budget."""
    if isinstance(problem.genes, Sparsity):
        assert database is not None
        return problem.space.cheapest(problem.genes.errors(database))
    alone = _alone(problem)
    return problem.space.cheapest([[0.0, kl] for kl in alone])


def _alone(problem: EvoPress) -> list[float]:
    """Divergence with one sub-block (or block) left out, on the calibration tokens."""
    model = problem.dense
    with tempfile.TemporaryDirectory() as folder:
        model.restore()
        rows = problem.calibration.rows[: max(1, problem.full_tokens // problem.length)]
        reference = _reference(problem, rows, Path(folder))
        batch = reference.tokens.everything()
        found = []
        for gene in range(len(problem.space.costs)):
            genome = np.zeros(len(problem.space.costs), np.int64)
            genome[gene] = 1
            problem.genes.putter(model, None, genome)()
            found.append(score(model, reference, batch).kl)
        model.restore()
    return found


def measured(
    problem: EvoPress, genomes: Mapping[str, NDArray[np.int64]], database: Database | None
) -> dict[str, Score]:
    """Scores on held-out tokens, the dense model's first."""
    import torch

    torch.set_num_threads(problem.threads)
    model = problem.dense
    model.restore()
    rows = held_out(problem.text, problem.encode, problem.length, problem.held_out_tokens).rows
    with tempfile.TemporaryDirectory() as folder:
        reference = _reference(problem, rows, Path(folder))
        batch = reference.tokens.everything()
        found = {"dense": score(model, reference, batch)}
        for name, genome in genomes.items():
            problem.genes.putter(model, database, genome)()
            found[name] = score(model, reference, batch)
        model.restore()
    return found


def _reference(problem: EvoPress, rows: NDArray[Any], folder: Path) -> Reference:
    from problems.evopress.tokens import Tokens

    path = folder / "reference.npy"
    build_reference(path, problem.dense, Tokens(rows), problem.top)
    return Reference(path)


def database_of(problem: EvoPress, run: Any) -> Database | None:
    """The levels that a run has built; None for depth."""
    names = sorted((name for name in run.artifacts if name.startswith("levels/")), key=lambda name: int(name[7:]))
    return Database.open([run.artifact(run.artifacts[name]) for name in names]) if names else None
