"""The winner as a checkpoint that transformers loads: weights, configuration, tokenizer, and a card that says how."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evo.errors import RunError
from problems.evopress.contestants import held
from problems.evopress.database import Database
from problems.evopress.outline import quiet
from problems.evopress.report import database_of, digits_of

if TYPE_CHECKING:
    from problems.evopress.problem import EvoPress

__all__ = ["write_checkpoint"]


def write_checkpoint(problem: EvoPress, run: Any, path: Path) -> None:
    """Write the winner into a folder; of a range, its models at the sizes that are reported, each into one of its own.

    Sub-blocks that are left out are not removed from the architecture: the weights by which they write into the
    residual stream are zero, so that any software that loads the architecture runs the compressed model.

    Raises:
        RunError: the run has no winner yet.
        SpaceError: what it has found misses the budget of a group.
    """
    database = database_of(problem, run)
    contests = held(problem, run.best, run)
    if not any(contest.winner for contest in contests):
        raise RunError("this run has measured nothing yet: there is no winner to export")
    table = run.summary.get("front" if problem.measures else "held_out", [])
    digits = digits_of(problem, contests)
    for number, contest in enumerate(contests):
        if not contest.winner:
            continue
        folder, rows = path, table
        if problem.measures:
            name, share = problem.measures[0].name, round(problem.genes.share(contest.size), digits)
            folder, rows = path / f"{name}-{share:.{digits}g}", table[number : number + 1]
        _write(problem, run, contest.genomes[contest.winner], database, folder, rows)


def _write(
    problem: EvoPress, run: Any, genome: Any, database: Database | None, path: Path, table: Sequence[Mapping[str, Any]]
) -> None:
    model = problem.dense
    model.restore()
    problem.genes.putter(model, database, genome)()
    if problem.method == "depth":
        _silence(model, genome, problem)
    path.mkdir(parents=True, exist_ok=True)
    with quiet():
        model.model.save_pretrained(path)
    source = Path(problem.path)
    if source.is_dir():
        for file in source.iterdir():
            if file.name.startswith("tokenizer") or file.name in (
                "vocab.json",
                "merges.txt",
                "special_tokens_map.json",
            ):
                shutil.copy(file, path / file.name)
    levels = {"method": problem.method, "levels": genome.tolist(), "genes": _names(problem)}
    (path / "levels.json").write_text(json.dumps(levels, indent=1), encoding="utf-8")
    (path / "README.md").write_text(_card(problem, run, genome, table), encoding="utf-8")
    problem.__dict__.pop("dense")  # its weights may have been changed for good


def _silence(model: Any, genome: Any, problem: EvoPress) -> None:
    """Zero the last layer of each sub-block that is left out, and run it again."""
    import torch

    left_out = {part for parts, out in zip(problem.genes.genes, genome.tolist(), strict=True) if out for part in parts}
    model.bypass(())
    for block, kind in left_out:
        last = [layer for layer in model.layers if (layer.block, layer.kind) == (block, kind)][-1]
        model.set_weight(last.name, torch.zeros_like(model.weight(last.name)))
        bias = getattr(last.module, "bias", None)
        if bias is not None:
            bias.zero_()


def _names(problem: EvoPress) -> list[Any]:
    return [list(map(str, gene)) if isinstance(gene, tuple) else str(gene) for gene in problem.genes.genes]


def _card(problem: EvoPress, run: Any, genome: Any, rows: Sequence[Mapping[str, Any]]) -> str:
    table = "\n".join(f"| {' | '.join(str(value) for value in row.values())} |" for row in rows)
    head = f"| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}\n" if rows else ""
    return (
        f"# A compressed model\n\nMade from `{Path(problem.path).name}` by `{problem.method}`: the winner of the run "
        f"`{run.name}`, seed {run.seed}.\n\nOn held-out text:\n\n{head}{table}\n\nLevels:\n\n"
        f"```\n{problem.show(genome)}\n```\n"
    )
