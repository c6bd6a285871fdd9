"""The whole trade-off between size and divergence in one run, and several searches side by side in one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine.breaking import StopHere, raising
from engine.worlds import canonical
from tiny_world import SETTINGS, call, write_run_file

import evo
from problems.evopress.contestants import contestants
from problems.evopress.problem import EvoPress
from problems.evopress.report import database_of
from problems.evopress.sizes import size_of

torch.set_num_threads(1)

MAP = {"type": "map_elites", "shape": [8], "batch": 8}
RANGES: dict[str, dict[str, Any]] = {
    "sparsity": {"method": "sparsity", "sparsity": [0.3, 0.7], "pruning": "magnitude"},
    "depth": {"method": "depth", "drop": [1, 2]},
}
GRADUAL = {"type": "one_plus_lambda", "offspring": 4, "rungs": [{"survivors": 1, "tokens": 32, "reserve": 0.25}]}


@pytest.fixture(scope="module")
def compress(worlds: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Compresses a small Llama, from a run file."""

    def called(algorithm: dict[str, Any], problem: dict[str, Any], evaluations: int) -> evo.Run:
        folder = tmp_path_factory.mktemp("run")
        paths = {"model": str(worlds["llama"]), "text": str(worlds["text"])}
        budget = {"evaluations": evaluations}
        file = write_run_file(folder / "tiny.yaml", problem=problem | paths, algorithm=algorithm, budget=budget)
        said = call("run", file, "--run-dir", folder / "run", "--json")
        assert said.json["state"] == "finished"
        return evo.load(folder / "run")

    return called


@pytest.fixture(scope="module", params=RANGES)
def run(request: pytest.FixtureRequest, compress: Any) -> evo.Run:
    shape = {"sparsity": [8], "depth": [3]}[request.param]
    found: evo.Run = compress(MAP | {"shape": shape}, RANGES[request.param], 80)
    return found


# A range --------------------------------------------------------------------------------------------------------------


def test_the_archive_is_filled_by_the_uniform_models_alone_and_then_gets_better(run: evo.Run) -> None:
    measured = run.candidates()
    starts = len(run.problem.initial())
    edges = np.linspace(
        *np.array([(m.low, m.high) for m in run.problem.measures])[0], run.archive.description["shape"][0] + 1
    )
    cell = np.digitize(measured.measures[:starts, 0], edges[1:-1])
    assert set(cell.tolist()) == set(range(len(edges) - 1))
    first = {own: measured.objectives[:starts][cell == own, 0].min() for own in set(cell.tolist())}
    last = dict(zip(run.archive.keys.tolist(), run.archive.objectives[:, 0].tolist(), strict=True))
    assert first.keys() == last.keys()
    assert all(last[own] <= first[own] for own in first)
    assert any(last[own] < first[own] for own in first)


def test_the_measure_is_the_size(run: evo.Run) -> None:
    found = run.candidates()
    sizes = run.problem.space.totals(found.genomes).sum(axis=1)
    assert found.measures[:, 0].tolist() == [run.problem.genes.share(size) for size in sizes.tolist()]
    assert len(set(sizes.tolist())) > 2


def test_the_front_compares_everyone_at_the_same_size(run: evo.Run) -> None:
    contests = contestants(run.problem, run.best, run, database_of(run.problem, run))
    front = run.summary["front"]
    name = run.problem.measures[0].name
    assert [row[name] for row in front] == [round(run.problem.genes.share(one.size), 4) for one in contests]
    assert len(front) == {"sparsity": 8, "left_out": 3}[name]  # nine, but of eight cells two are nearest to one elite
    for contest in contests:
        assert {size_of(run.problem.space, genome) for genome in contest.genomes.values()} == {contest.size}
    for row in front:
        assert set(row) == {name, *(f"{who} {what}" for who in ("uniform", "dp", "evo") for what in ("ppl", "kl"))}
        assert min(value for key, value in row.items() if key.endswith("kl")) > 0
    assert front[0]["uniform kl"] < front[-1]["uniform kl"]


def test_single_figures_are_those_of_the_size_in_the_middle(run: evo.Run) -> None:
    s, name = run.summary, run.problem.measures[0].name
    assert set(s["ppl"]) == set(s["kl"]) == {"dense", "uniform", "dp", "evo"}
    (row,) = [row for row in s["front"] if row["evo kl"] == round(s["kl"]["evo"], 4)]
    middle = (run.problem.measures[0].low + run.problem.measures[0].high) / 2
    assert abs(row[name] - middle) == min(abs(other[name] - middle) for other in s["front"])
    assert row["uniform ppl"] == pytest.approx(s["ppl"]["uniform"], abs=1e-3)
    assert s["budget_used"] == s["budget_target"]


def test_each_reported_size_is_exported_into_a_folder_of_its_own(run: evo.Run, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    run.export("hf", tmp_path / "models")
    name, front = run.problem.measures[0].name, run.summary["front"]
    folders = sorted((tmp_path / "models").iterdir())
    assert {folder.name for folder in folders} == {f"{name}-{row[name]:.4g}" for row in front}
    for folder, row in zip(folders, front, strict=True):
        AutoModelForCausalLM.from_pretrained(folder)
        levels = json.loads((folder / "levels.json").read_text())["levels"]
        size = size_of(run.problem.space, np.array(levels))
        assert run.problem.genes.share(size) == pytest.approx(row[name], abs=1e-4)
        assert f"| {row[name]} | {row['uniform ppl']} |" in (folder / "README.md").read_text()


@pytest.mark.slow
def test_a_trade_off_that_was_broken_off_ends_as_if_it_had_not_been(worlds: dict[str, Path], tmp_path: Path) -> None:
    small = SETTINGS["problem"] | RANGES["sparsity"] | {"model": str(worlds["llama"]), "text": str(worlds["text"])}
    problem = EvoPress(**{name: value for name, value in small.items() if name != "type"})

    def search(**more: Any) -> evo.Run:
        return evo.search(problem, evo.MapElites([8], batch=8), evaluations=64, seed=3, **more)

    expected = canonical(search(), tmp_path)
    with pytest.raises(StopHere):
        search(run_dir=tmp_path / "run", on_elite=raising(StopHere, 12))
    assert canonical(evo.resume(tmp_path / "run"), tmp_path) == expected


# Arms -----------------------------------------------------------------------------------------------------------------


def arms(**more: Any) -> dict[str, Any]:
    return {"type": "arms", "arms": more}


def test_every_arm_is_compared_by_its_name(compress: Any) -> None:
    searches = arms(
        evo=GRADUAL,
        islands={"type": "islands", "count": 2, "algorithm": GRADUAL},
        genetic={"type": "genetic", "population": 4},
        random={"type": "random", "batch": 4},
    )
    run = compress(searches, {"method": "depth", "drop": 1}, 48)
    names = [row["model"] for row in run.summary["held_out"]]
    assert names == ["dense", "uniform", "dp", "evo", "genetic", "islands", "random"]
    assert set(run.summary["ppl"]) == set(run.summary["kl"]) == set(names)
    (contest,) = contestants(run.problem, run.best, run, None)
    assert contest.winner == "evo"
    for name in ("evo", "islands", "genetic", "random"):
        held = [view for path, view in run.archives.items() if path.startswith(f"arm/{name}/")]
        kl = [(value, place, i) for place, view in enumerate(held) for i, value in enumerate(view.objectives[:, 0])]
        _, place, i = min(kl)
        assert contest.genomes[name].tolist() == held[place].genomes[i].tolist()


def test_without_an_arm_of_this_name_evo_is_the_best_that_is_not_random(compress: Any) -> None:
    searches = arms(random={"type": "random", "batch": 4}, first=GRADUAL, dense={"type": "genetic", "population": 4})
    run = compress(searches, {"method": "depth", "drop": 1}, 24)
    names = [row["model"] for row in run.summary["held_out"]]
    assert names == ["dense", "uniform", "dp", "arm/dense", "first", "random"]
    (contest,) = contestants(run.problem, run.best, run, None)
    kl = {
        name: min(float(view.objectives.min()) for path, view in run.archives.items() if path.startswith(f"arm/{arm}/"))
        for name, arm in (("first", "first"), ("arm/dense", "dense"))
    }
    assert kl[contest.winner] == min(kl.values())
    assert run.summary["kl"]["evo"] == run.summary["kl"][contest.winner]
    assert "evo" not in names


def test_random_search_alone_is_its_own_winner(compress: Any) -> None:
    problem = {"method": "depth", "drop": 1, "keep": ["*.0.*"]}
    run = compress(arms(random={"type": "random", "batch": 4}), problem, 3)
    assert run.summary["kl"]["evo"] == run.summary["kl"]["random"]
    assert (run.candidates().genomes[:, :2] == 0).all()
