"""Compressing the model that is shipped, from the preparation to the checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine.breaking import StopHere, raising
from engine.worlds import canonical

import evo
from problems.evopress.problem import EvoPress
from problems.evopress.report import comparison

SMALL: dict[str, Any] = {
    "length": 64,
    "calibration_tokens": 1024,
    "full_tokens": 256,
    "held_out_tokens": 1024,
    "top": 64,
}
RUNGS = [{"survivors": 2, "tokens": 128, "reserve": 0.5}, {"survivors": 1, "tokens": 256, "reserve": 1.0}]


def problem(method: str, **more: Any) -> EvoPress:
    return EvoPress(method=method, **SMALL, **{"pruning": "magnitude", "levels": 2, "drop": 2} | more)


def search(method: str, **more: Any) -> evo.Run:
    algorithm = evo.OnePlusLambda(4, rungs=RUNGS, initial=2)
    return evo.search(problem(method), algorithm, **{"evaluations": 14, "seed": 3} | more)


@pytest.fixture(scope="module", params=["sparsity", "depth"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> evo.Run:
    return search(request.param, run_dir=tmp_path_factory.mktemp("evopress") / "run")


def test_every_candidate_costs_exactly_the_budget(run: evo.Run) -> None:
    space = run.problem.space
    totals = space.totals(run.candidates().genomes)
    assert len(totals) > 1
    assert (totals == [group.budget for group in space.groups.values()]).all()


def test_the_summary_compares_on_held_out_text(run: evo.Run) -> None:
    s = run.summary
    assert set(s["ppl"]) == set(s["kl"]) == {"dense", "uniform", "dp", "evo"}
    assert s["kl"]["dense"] == pytest.approx(0.0, abs=1e-6)
    assert all(s["kl"][name] > 1e-5 for name in ("uniform", "dp", "evo"))
    assert s["ppl"]["dense"] < s["ppl"]["uniform"]
    assert s["budget_target"] == sum(group.budget for group in run.problem.space.groups.values()) > 0
    assert s["budget_used"] == s["budget_target"]
    assert s["tokens"] == run.costs["tokens"] > 1000
    assert [row["model"] for row in s["held_out"]] == ["dense", "uniform", "dp", "evo"]


def test_a_winner_that_misses_a_budget_is_not_reported(run: evo.Run) -> None:
    space, genome = run.problem.space, run.best.genome
    for forged in genome + np.eye(len(genome), dtype=np.int64):
        if not space.outside(forged[None])[0]:
            with pytest.raises(evo.SpaceError, match=r"row \d+ costs \d+.*, but its budget is \d+"):
                comparison(run.problem, replace(run.best, genome=forged), run)
            break
    else:
        pytest.fail("no level can be raised")


def test_three_of_one_kind_and_one_of_the_other_are_not_two_of_each() -> None:
    run = evo.search(problem("depth"), evo.OnePlusLambda(4, rungs=RUNGS), evaluations=3, seed=3)
    groups, forged = np.array(run.problem.genes.groups), run.best.genome.copy()
    forged[np.flatnonzero((groups == "attention") & (forged == 0))[0]] = 1
    forged[np.flatnonzero((groups == "mlp") & (forged == 1))[0]] = 0
    assert forged.sum() == run.best.genome.sum() == run.summary["budget_target"]
    with pytest.raises(evo.SpaceError, match=r"costs 3 in group 'attention', but its budget is 2"):
        comparison(run.problem, replace(run.best, genome=forged), run)


def test_the_checkpoint_reproduces_the_winners_figures(run: evo.Run, tmp_path: Path) -> None:
    import torch

    from problems.evopress.divergence import Reference, build_reference
    from problems.evopress.model import Compressible
    from problems.evopress.scoring import score
    from problems.evopress.text_source import held_out
    from problems.evopress.tokens import Tokens

    torch.set_num_threads(1)
    run.export("hf", tmp_path / "winner")
    names = {path.name for path in (tmp_path / "winner").iterdir()}
    assert {"config.json", "model.safetensors", "README.md", "levels.json"} <= names
    own = run.problem
    rows = held_out(None, own.encode, own.length, own.held_out_tokens).rows
    build_reference(tmp_path / "dense.npy", Compressible.load(own.path), Tokens(rows), own.top)
    reference = Reference(tmp_path / "dense.npy")
    found = score(Compressible.load(str(tmp_path / "winner")), reference, reference.tokens.everything())
    assert found.kl == pytest.approx(run.summary["kl"]["evo"], abs=1e-4)
    assert found.perplexity == pytest.approx(run.summary["ppl"]["evo"], rel=1e-3)
    assert "| evo |" in (tmp_path / "winner" / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sparsity", "depth"])
def test_a_search_that_was_broken_off_ends_as_if_it_had_not_been(method: str, tmp_path: Path) -> None:
    expected = canonical(search(method), tmp_path)
    with pytest.raises(StopHere):
        search(method, run_dir=tmp_path / "run", on_elite=raising(StopHere, 2))
    assert canonical(evo.resume(tmp_path / "run"), tmp_path) == expected


def test_a_genome_is_measured_alike_alone_and_in_company() -> None:
    run = search("sparsity")
    work = evo.Work(3, "full", np.zeros(3, np.int64), {}, *_needs(run, 3))
    evaluator = run.problem.evaluator
    evaluator.warm_up()
    genomes = run.problem.space.sample(3, np.random.default_rng(0))
    together = evaluator.evaluate_batch(genomes, work).objectives
    alone = [evaluator.evaluate_batch(genomes[i : i + 1], work.one(i)).objectives for i in range(3)]
    assert together.tolist() == np.concatenate(alone).tolist()


def _needs(run: evo.Run, n: int) -> tuple[dict[str, bytes], list[tuple[str, ...]]]:
    needs = run.problem.needs("full", run.artifacts)
    return {digest: run.artifact(digest) for digest in needs}, [needs] * n


BAD = [
    ({"method": "width"}, "method: expected one of sparsity, depth, got 'width'"),
    ({"method": "depth", "drop": 12}, "drop: expected 1 to 11 of 12, got 12"),
    ({"method": "depth", "drop": 0}, "drop: expected 1 to 11 of 12, got 0"),
    ({"sparsity": 1.5}, "sparsity: expected a share of zeros from 0 to 1, got 1.5"),
    ({"full_tokens": 10**6}, "full_tokens: expected 128"),
    ({"model": "./nowhere"}, "model: there is no folder"),
]


@pytest.mark.parametrize(("options", "expected"), BAD, ids=str)
def test_a_mistake_is_one_line_that_names_the_parameter(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(evo.ConfigError) as caught:
        EvoPress(**options)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_more_tokens_than_there_are_fail_the_preparation_with_the_reason() -> None:
    with pytest.raises(evo.ConfigError, match=r"held_out_tokens|calibration_tokens"):
        _ = EvoPress(method="depth", calibration_tokens=10**9, full_tokens=128).calibration
