"""Whole compressions of small models of four families, from a run file to the checkpoint that transformers loads."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine.breaking import StopHere, raising
from engine.worlds import canonical
from tiny_models import VOCABULARY
from tiny_world import SETTINGS, call, write_run_file
from transformers import AutoModelForCausalLM

import evo
from problems.evopress.database import Database
from problems.evopress.problem import EvoPress
from problems.evopress.report import database_of
from problems.evopress.text_source import held_out
from problems.evopress.tokens import encoder

torch.set_num_threads(1)

CASES: dict[str, dict[str, Any]] = {
    "llama fused": {"model": "llama", "pruning": "obs", "fused": True},
    "mistral": {"model": "mistral", "pruning": "wanda"},
    "qwen2": {"model": "qwen2", "pruning": "magnitude"},
    "gpt2": {"model": "gpt2", "pruning": "obs"},
    "llama depth": {"model": "llama", "method": "depth"},
    "gpt2 depth": {"model": "gpt2", "method": "depth"},
    "mistral blocks": {"model": "mistral", "method": "depth", "whole_blocks": True},
    "qwen2 depth": {"model": "qwen2", "method": "depth"},
}
LAYERS = {"gpt2": 12, "llama": 21, "mistral": 21, "qwen2": 21}


SLOW = ("mistral blocks", "qwen2 depth")


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in CASES]
)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    return CASES[request.param]


@pytest.fixture(scope="module")
def run(case: dict[str, Any], worlds: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> evo.Run:
    return compressed(tmp_path_factory.mktemp("run"), worlds, **case)


def compressed(place: Path, worlds: dict[str, Path], **problem: Any) -> evo.Run:
    """A run of a family's model from the command line."""
    paths = {"model": str(worlds[problem["model"]]), "text": str(worlds["text"])}
    file = write_run_file(place / "tiny.yaml", problem=problem | paths)
    assert call("run", file, "--run-dir", place / "run", "--json").json["state"] == "finished"
    return evo.load(place / "run")


def evaluations(run: evo.Run, folder: Path) -> list[dict[str, Any]]:
    """Every measurement of a genome, on whatever tokens."""
    assert call("export", run.dir, "--format", "jsonl", "-o", folder / "all.jsonl").code == 0
    return [json.loads(line) for line in (folder / "all.jsonl").read_text().splitlines()]


def zeros(run: evo.Run, database: Database, genome: list[int]) -> int:
    """Weights that are zero in the levels that a genome chooses, counted one by one."""
    return sum(
        int((database.weight(name, level) == 0).sum())
        for names, level in zip(run.problem.genes.genes, genome, strict=True)
        for name in names
    )


def test_everything_that_was_measured_costs_exactly_the_budget(
    run: evo.Run, case: dict[str, Any], tmp_path: Path
) -> None:
    rows = evaluations(run, tmp_path)
    assert {row["status"] for row in rows} == {"ok"}
    assert {row["fidelity"] for row in rows} == {"rung", "full"}
    genomes = {tuple(row["genome"]) for row in rows}
    assert len(genomes) == (3 if case.get("whole_blocks") else max(6, len(genomes)))
    if case.get("method") == "depth":
        groups = run.problem.genes.groups
        for genome in genomes:
            left_out = [group for group, out in zip(groups, genome, strict=True) if out]
            assert sorted(left_out) == (["block"] if case.get("whole_blocks") else ["attention", "mlp"])
        return
    database = database_of(run.problem, run)
    assert database is not None
    assert len(database.layers) == LAYERS[case["model"]]
    half = sum(math.prod(database.about(name).shape) // 2 for name in database.layers)
    assert {zeros(run, database, list(genome)) for genome in genomes} == {half}
    assert run.summary["budget_target"] == half
    shared = {tuple(one.rpartition(".")[2] for one in names) for names in run.problem.genes.genes if len(names) > 1}
    assert shared == ({("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj")} if case.get("fused") else set())


def test_the_summary_tells_what_was_spent_and_what_was_had_for_it(run: evo.Run, tmp_path: Path) -> None:
    s = run.summary
    assert set(s["ppl"]) == set(s["kl"]) == {"dense", "uniform", "dp", "evo"}
    assert s["kl"]["dense"] == pytest.approx(0.0, abs=1e-6)
    for name in ("uniform", "dp", "evo"):
        assert s["kl"][name] > 0.01
        assert 1 < s["ppl"][name] < math.inf
    assert s["budget_used"] == s["budget_target"] > 0
    whole = SETTINGS["problem"]["full_tokens"]
    first, last = (rung["tokens"] for rung in SETTINGS["algorithm"]["rungs"])
    rows = evaluations(run, tmp_path)
    full = sum(row["fidelity"] == "full" for row in rows)
    assert full >= 1
    assert len(rows) - full > 6
    assert (len(rows) - full) * first + full * whole < s["tokens"] < (len(rows) - full) * last + full * whole
    assert run.counters["reference_tokens"] == SETTINGS["problem"]["calibration_tokens"]


def divergence_and_perplexity(dense: Path, other: Path, rows: np.ndarray) -> tuple[float, float]:
    """In float64, with nothing but transformers."""
    tokens = torch.as_tensor(rows)

    def logs(folder: Path) -> torch.Tensor:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        with torch.inference_mode():
            return model(input_ids=tokens).logits[:, :-1].double().log_softmax(-1)

    p, q = logs(dense), logs(other)
    surprise = -q.gather(-1, tokens[:, 1:, None])
    return float((p.exp() * (p - q)).sum(-1).mean()), float(surprise.mean().exp())


def test_the_checkpoint_reproduces_divergence_and_perplexity(
    run: evo.Run, case: dict[str, Any], worlds: dict[str, Path], tmp_path: Path
) -> None:
    assert call("export", run.dir, "--format", "hf", "-o", tmp_path / "winner").code == 0
    winner, settings = tmp_path / "winner", SETTINGS["problem"]
    rows = held_out(str(worlds["text"]), encoder(str(winner), VOCABULARY), 16, settings["held_out_tokens"]).rows
    kl, ppl = divergence_and_perplexity(worlds[case["model"]], winner, rows)
    assert kl == pytest.approx(run.summary["kl"]["evo"], rel=1e-4)
    assert ppl == pytest.approx(run.summary["ppl"]["evo"], rel=1e-4)
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= {one.name for one in winner.iterdir()}
    if case.get("method") != "depth":
        layers = {layer.name for layer in run.problem.dense.layers}
        weights = AutoModelForCausalLM.from_pretrained(winner).named_modules()
        gone = sum(int((module.weight == 0).sum()) for name, module in weights if name in layers)
        assert gone == run.summary["budget_used"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_runs_and_keeps_the_budget(dtype: str, worlds: dict[str, Path], tmp_path: Path) -> None:
    run = compressed(tmp_path, worlds, model="llama", pruning="wanda", dtype=dtype)
    assert sum(run.failures.values()) == 0
    database = database_of(run.problem, run)
    assert database is not None
    assert {database.weight(name, 0).dtype for name in database.layers} == {getattr(torch, dtype)}
    counted = {zeros(run, database, genome.tolist()) for genome in run.candidates().genomes}
    assert counted == {run.summary["budget_target"]}
    assert abs(run.summary["kl"]["dense"]) < 1e-3
    assert run.summary["kl"]["evo"] > 0.01
    call("export", run.dir, "--format", "hf", "-o", tmp_path / "winner")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "winner", dtype="auto").dtype == getattr(torch, dtype)


# One result -----------------------------------------------------------------------------------------------------------


def problem(worlds: dict[str, Path], family: str = "llama", **changes: Any) -> EvoPress:
    settings = {name: value for name, value in SETTINGS["problem"].items() if name != "type"}
    return EvoPress(
        **settings | {"model": str(worlds[family]), "text": str(worlds["text"]), "pruning": "wanda"} | changes
    )


def search(worlds: dict[str, Path], **options: Any) -> evo.Run:
    rungs = SETTINGS["algorithm"]["rungs"]
    return evo.search(
        problem(worlds), evo.OnePlusLambda(4, rungs=rungs), **{"evaluations": 8, "seed": 3, "log": True} | options
    )


@pytest.fixture(scope="module")
def expected(worlds: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return canonical(search(worlds), tmp_path_factory.mktemp("expected"))


def test_messages_of_one_request_give_the_same_run(worlds: dict[str, Path], expected: bytes, tmp_path: Path) -> None:
    run = search(worlds, run_dir=tmp_path / "run", message_seconds=1e-9, window=5)
    assert canonical(run, tmp_path) == expected


@pytest.mark.parametrize("after", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_was_broken_off_goes_on_to_the_byte(
    after: int, worlds: dict[str, Path], expected: bytes, tmp_path: Path
) -> None:
    with pytest.raises(StopHere):
        search(worlds, run_dir=tmp_path / "run", on_elite=raising(StopHere, after), message_seconds=1e-9)
    stored = evo.load(tmp_path / "run")
    assert stored.state == "interrupted"
    assert 0 < stored.evaluations < 7
    assert canonical(evo.resume(tmp_path / "run"), tmp_path) == expected


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("workers", [1, 4])
def test_ray_workers_give_the_run_that_this_process_gives(
    workers: int, worlds: dict[str, Path], expected: bytes, tmp_path: Path, ray_session: None
) -> None:
    run = search(worlds, run_dir=tmp_path / "run", workers=workers, message_seconds=0.001)
    assert canonical(run, tmp_path) == expected


@pytest.mark.slow
@pytest.mark.ray
def test_paths_may_be_relative_to_where_the_run_was_started(
    worlds: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_session: None
) -> None:
    for name in ("gpt2", "text"):
        (tmp_path / name).symlink_to(worlds[name])
    write_run_file(tmp_path / "tiny.yaml", problem={"model": "gpt2", "text": "text", "method": "depth"})
    monkeypatch.chdir(tmp_path)
    assert call("run", "tiny.yaml", "--json", "workers.backend=ray").json["state"] == "finished"


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("backend", ["inline", "ray"])
def test_a_run_that_was_killed_goes_on_to_the_byte(backend: str, worlds: dict[str, Path], tmp_path: Path) -> None:
    changes = {"model": str(worlds["llama"]), "text": str(worlds["text"]), "pruning": "wanda"}
    file = write_run_file(tmp_path / "tiny.yaml", problem=changes, budget={"evaluations": 200})
    straight = call("run", file, "--run-dir", tmp_path / "straight", "--json")
    assert straight.json["state"] == "finished"
    going = ["run", file, "--run-dir", tmp_path / "killed", f"workers.backend={backend}"]
    for evaluations in (20, 60):
        kill_at(evaluations, tmp_path / "killed", *going)
        going = ["resume", tmp_path / "killed"]
    again = call("resume", tmp_path / "killed", "--json", "--backend", "inline")
    assert again.json["state"] == "finished"
    first, second = evo.load(tmp_path / "straight"), evo.load(tmp_path / "killed")
    assert canonical(second, tmp_path) == canonical(first, tmp_path)


def kill_at(evaluations: int, folder: Path, *arguments: object) -> None:
    """Run the command, and kill it and all that it has started when its run has got so far, but has not ended."""
    command = [sys.executable, "-c", "from evo.cli import main; main()", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    end = time.monotonic() + 100
    while process.poll() is None and time.monotonic() < end and not reached(folder, evaluations):
        time.sleep(0.02)
    alive = process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert alive
    assert evo.load(folder).state == "running"
    assert evaluations <= evo.load(folder).evaluations < 190


def reached(folder: Path, evaluations: int) -> bool:
    try:
        return evo.load(folder).evaluations >= evaluations
    except evo.RunError:  # it has not begun
        return False
