"""What a search achieved, on text that it has not seen, beside what is had without searching."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evo.problem import Best
from problems.evopress.contestants import Contest, contestants, reference_of
from problems.evopress.database import Database
from problems.evopress.genes import middle
from problems.evopress.model import NotFinite
from problems.evopress.scoring import Score, score
from problems.evopress.sizes import decimals, size_of

if TYPE_CHECKING:
    from problems.evopress.problem import EvoPress

__all__ = ["comparison", "database_of", "digits_of", "measured"]

Scores = dict[str, Score | None]
"""By name of the contestant; None where the logits are not finite."""


def comparison(problem: EvoPress, best: Best | None, run: Any) -> Mapping[str, Any]:
    """``ppl.*`` and ``kl.*`` of each contestant, tokens spent, budget used and targeted, and all of it as a table.

    ``evo`` is the winner among the arms, whatever its name. Of a range these are the figures at the size in the middle,
    and ``front`` is a table of all sizes. A contestant has no figures, None, where its logits are not finite, and where
    it holds nothing of about the size.

    Raises:
        SpaceError: what is compared misses the budget of a group.
    """
    database = database_of(problem, run)
    contests = contestants(problem, best, run, database)
    dense, each = measured(problem, [contest.genomes for contest in contests], database)
    center, won = middle(problem.genes), any(contest.winner for contest in contests)
    able = [i for i, contest in enumerate(contests) if contest.winner or not won]
    place = min(able, key=lambda i: abs(contests[i].size - center))
    contest = contests[place]
    scores: Scores = {"dense": dense} | dict.fromkeys(_names(contests)) | each[place]
    named = {**scores, "evo": scores[contest.winner]} if contest.winner else scores
    uniform = scores["uniform"]
    sizes = {"dense": 0} | {name: size_of(problem.space, genome) for name, genome in contest.genomes.items()}
    table = [
        {
            "model": name,
            "budget": sizes.get(name),
            "kl": found and round(found.kl, 5),
            "perplexity": found and round(found.perplexity, 4),
            "against uniform": found and uniform and f"{found.perplexity / uniform.perplexity - 1:+.1%}",
        }
        for name, found in scores.items()
    ]
    return {
        "ppl": {name: found and found.perplexity for name, found in named.items()},
        "kl": {name: found and found.kl for name, found in named.items()},
        "tokens": int(run.costs.get("tokens", 0)),
        "budget_used": sizes.get(contest.winner),
        "budget_target": contest.wanted,
        "held_out": table,
        **({"front": _front(problem, contests, each)} if problem.measures else {}),
    }


def _front(problem: EvoPress, contests: Sequence[Contest], each: Sequence[Scores]) -> list[dict[str, Any]]:
    """A row a size: the measure, then perplexity and divergence of each contestant.

    The measure is that of the winner, ``uniform`` and ``dp``; other arms come with one of their own.
    """
    measure, digits = problem.measures[0].name, digits_of(problem, contests)
    same = {"uniform", "dp", *(contest.winner for contest in contests)}
    rows = []
    for contest, scores in zip(contests, each, strict=True):
        row: dict[str, Any] = {measure: round(problem.genes.share(contest.size), digits)}
        for name in _names(contests):
            found = scores.get(name)
            if name not in same:
                genome = contest.genomes.get(name)
                size = None if genome is None else size_of(problem.space, genome)
                row[f"{name} {measure}"] = None if size is None else round(problem.genes.share(size), digits)
            row |= {f"{name} ppl": found and round(found.perplexity, 3), f"{name} kl": found and round(found.kl, 4)}
        rows.append(row)
    return rows


def digits_of(problem: EvoPress, contests: Sequence[Contest]) -> int:
    """To how many decimals the measure is shown, so that sizes that differ can be told apart."""
    sizes = {contest.size for contest in contests}
    sizes |= {size_of(problem.space, genome) for contest in contests for genome in contest.genomes.values()}
    return decimals(problem.genes.share(size) for size in sizes)


def _names(contests: Sequence[Contest]) -> list[str]:
    """Of all contestants; ``uniform`` and ``dp`` first, then arms by name."""
    arms = {name for contest in contests for name in contest.genomes} - {"uniform", "dp"}
    return ["uniform", "dp", *sorted(arms)]


def measured(
    problem: EvoPress, contests: Sequence[Mapping[str, NDArray[np.int64]]], database: Database | None
) -> tuple[Score, list[Scores]]:
    """The dense model's score on held-out tokens, and those of all contestants by name."""
    import torch

    torch.set_num_threads(problem.threads)
    model = problem.dense
    model.restore()
    with tempfile.TemporaryDirectory() as folder:
        reference = reference_of(problem, problem.held_out.rows, Path(folder))
        batch = reference.tokens.everything()
        dense = score(model, reference, batch)
        found: list[Scores] = []
        for genomes in contests:
            found.append({})
            for name, genome in genomes.items():
                try:
                    problem.genes.putter(model, database, genome)()
                    found[-1][name] = score(model, reference, batch)
                except NotFinite:
                    found[-1][name] = None
        model.restore()
    return dense, found


def database_of(problem: EvoPress, run: Any) -> Database | None:
    """The levels that a run has built; None for depth."""
    names = sorted((name for name in run.artifacts if name.startswith("levels/")), key=lambda name: int(name[7:]))
    digests = [run.artifacts[name] for name in names]
    return Database.open([run.artifact_path(one) or run.artifact(one) for one in digests]) if names else None
