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
from hypothesis import given
from hypothesis import strategies as st
from tiny_world import SETTINGS, call, write_run_file

import evo
from problems.evopress.contestants import contestants, held
from problems.evopress.problem import EvoPress
from problems.evopress.report import database_of
from problems.evopress.sizes import decimals, size_of

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
    assert len(front) == {"sparsity": 9, "left_out": 3}[name]
    assert sum(contest.winner == "evo" for contest in contests) >= {"sparsity": 7, "left_out": 3}[name]
    for contest in contests:
        assert {size_of(run.problem.space, genome) for genome in contest.genomes.values()} == {contest.size}
    for row, contest in zip(front, contests, strict=True):
        assert set(row) == {name, *(f"{who} {what}" for who in ("uniform", "dp", "evo") for what in ("ppl", "kl"))}
        assert (row["evo kl"] is None) == (not contest.winner)
        assert all(value > 0 for key, value in row.items() if key.endswith("kl") and value is not None)
    assert front[0]["uniform kl"] < front[-1]["uniform kl"]


def test_single_figures_are_those_of_the_size_in_the_middle(run: evo.Run) -> None:
    s, name = run.summary, run.problem.measures[0].name
    assert set(s["ppl"]) == set(s["kl"]) == {"dense", "uniform", "dp", "evo"}
    (row,) = [row for row in s["front"] if row["evo kl"] == round(s["kl"]["evo"], 4)]
    middle = (run.problem.measures[0].low + run.problem.measures[0].high) / 2
    won = [other[name] for other in s["front"] if other["evo kl"] is not None]
    assert abs(row[name] - middle) == min(abs(other - middle) for other in won)
    assert row["uniform ppl"] == pytest.approx(s["ppl"]["uniform"], abs=1e-3)
    wanted = [contest.wanted for contest in held(run.problem, run.best, run)]
    assert s["budget_target"] in wanted
    assert min(wanted, key=lambda size: abs(size - s["budget_used"])) == s["budget_target"]


def test_the_sizes_that_are_reported_do_not_depend_on_what_was_found(run: evo.Run) -> None:
    contests = held(run.problem, run.best, run)
    ends = [sum(int(group.totals[end]) for group in run.problem.space.groups.values()) for end in (0, -1)]
    wanted = [contest.wanted for contest in contests]
    assert [wanted[0], wanted[-1]] == ends
    gaps = np.diff(wanted)
    assert gaps.max() - gaps.min() <= 2 * run.problem.space.costs.max()
    for contest in contests:
        assert abs(contest.size - contest.wanted) <= gaps.max() / 2 + 1


def test_each_reported_size_is_exported_into_a_folder_of_its_own(run: evo.Run, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    stored = evo.load(run.dir)
    stored.export("hf", tmp_path / "models")
    assert "calibration" not in vars(stored.problem)  # nothing is measured for it
    name = run.problem.measures[0].name
    front = [row for row in run.summary["front"] if row["evo kl"] is not None]
    folders = sorted((tmp_path / "models").iterdir())
    assert {folder.name for folder in folders} == {f"{name}-{row[name]:.4g}" for row in front}
    for folder, row in zip(folders, front, strict=True):
        AutoModelForCausalLM.from_pretrained(folder)
        levels = json.loads((folder / "levels.json").read_text())["levels"]
        size = size_of(run.problem.space, np.array(levels))
        assert run.problem.genes.share(size) == pytest.approx(row[name], abs=1e-4)
        assert f"| {row[name]} | {row['uniform ppl']} |" in (folder / "README.md").read_text()


def test_sizes_that_are_nearly_equal_are_told_apart(compress: Any, tmp_path: Path) -> None:
    narrow = {"method": "sparsity", "sparsity": [0.58, 0.5805], "pruning": "magnitude"}
    run = compress(MAP | {"shape": [64]}, narrow, 12)
    front = [row["sparsity"] for row in run.summary["front"] if row["evo kl"] is not None]
    assert len({f"{share:.4g}" for share in front}) < len(front) == len(set(front))
    run.export("hf", tmp_path / "models")
    assert {folder.name for folder in (tmp_path / "models").iterdir()} == {f"sparsity-{share}" for share in front}


@given(st.lists(st.floats(0, 1), min_size=1))
def test_shares_are_shown_with_as_few_decimals_as_tell_them_apart(shares: list[float]) -> None:
    digits, different = decimals(shares), set(shares)
    assert len({round(share, digits) for share in different}) == len(different)
    assert digits == 4 or len({round(share, digits - 1) for share in different}) < len(different)


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


def test_an_arm_that_holds_one_size_does_not_win_a_trade_off(compress: Any) -> None:
    searches = arms(line=GRADUAL, grid=MAP | {"shape": [3]}, random={"type": "random", "batch": 4})
    run = compress(searches, RANGES["depth"], 72)
    contests = held(run.problem, run.best, run)
    lines = [contest.genomes["line"] for contest in contests if "line" in contest.genomes]
    (line,) = (view for path, view in run.archives.items() if path.startswith("arm/line/"))
    (grid,) = (view for path, view in run.archives.items() if path.startswith("arm/grid/"))
    assert len(lines) == 1
    assert len(grid.candidate) == 3
    assert line.objectives.min() < grid.objectives.mean()
    assert [contest.winner for contest in contests] == ["grid"] * 3
    front = run.summary["front"]
    assert [row["left_out"] for row in front] == [2, 3, 4]
    for contest, row in zip(contests, front, strict=True):
        for arm in ("line", "random"):
            there = arm in contest.genomes
            own = size_of(run.problem.space, contest.genomes[arm]) if there else None
            assert row[f"{arm} left_out"] == own
            assert [row[f"{arm} ppl"] is None, row[f"{arm} kl"] is None] == [not there] * 2
    assert set(run.summary["ppl"]) == {"dense", "uniform", "dp", "evo", "line", "grid", "random"}
    assert run.summary["kl"]["evo"] == run.summary["kl"]["grid"]


def test_an_arm_is_shown_with_its_own_size_where_it_differs(compress: Any) -> None:
    searches = arms(first=MAP | {"shape": [16]}, second=MAP | {"shape": [5]})
    run = compress(searches, RANGES["sparsity"], 120)
    contests, front = held(run.problem, run.best, run), run.summary["front"]
    winners = {contest.winner for contest in contests} - {""}
    assert len(winners) == 1
    (other,) = {"first", "second"} - winners
    differing = 0
    for contest, row in zip(contests, front, strict=True):
        if contest.winner and other in contest.genomes:
            share = run.problem.genes.share(size_of(run.problem.space, contest.genomes[other]))
            assert row[f"{other} sparsity"] == pytest.approx(share, abs=1e-4)
            differing += row[f"{other} sparsity"] != row["sparsity"]
    assert differing


def test_random_search_alone_is_its_own_winner(compress: Any) -> None:
    problem = {"method": "depth", "drop": 1, "keep": ["*.0.*"]}
    run = compress(arms(random={"type": "random", "batch": 4}), problem, 3)
    assert run.summary["kl"]["evo"] == run.summary["kl"]["random"]
    assert (run.candidates().genomes[:, :2] == 0).all()
