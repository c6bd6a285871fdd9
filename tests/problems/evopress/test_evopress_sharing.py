"""One copy of everything large: of files on a machine, and of the model on a worker."""

from __future__ import annotations

import gc
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import some_tokens
from transformers import LlamaConfig, LlamaForCausalLM

import evo
from problems.evopress.database import Database
from problems.evopress.evaluator import Divergence
from problems.evopress.lending import borrowed, lent
from problems.evopress.problem import EvoPress
from problems.evopress.report import database_of

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> EvoPress:
    """A model of bytes whose levels are large enough to be files."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=256, max_position_embeddings=32, **shape)).save_pretrained(folder)
    for i in range(3):
        (folder / f"{i}.txt").write_bytes(np.random.default_rng(i).integers(97, 123, 20_000).astype(np.uint8).tobytes())
    tokens = {"length": 32, "calibration_tokens": 4096, "full_tokens": 256, "held_out_tokens": 256}
    return EvoPress(str(folder), sparsity=0.5, pruning="magnitude", levels=4, top=64, text=str(folder), **tokens)


def mappings(run_dir: Path) -> dict[str, dict[str, int]]:
    """Artifact -> what the kernel says of this process's mapping of it, in kB."""
    text = Path("/proc/self/smaps").read_text()
    pattern = rf"^[0-9a-f]+-[0-9a-f]+ .* {re.escape(str(run_dir))}/artifacts/(\w+)\n((?:[A-Z].*\n)+)"
    found: dict[str, dict[str, int]] = {}
    for name, figures in re.findall(pattern, text, re.M):
        total = found.setdefault(name, {})
        for figure, amount in re.findall(r"^(\w+): +(\d+) kB", figures, re.M):
            total[figure] = total.get(figure, 0) + int(amount)
    return found


def test_levels_and_predictions_are_read_where_they_lie(problem: EvoPress, tmp_path: Path) -> None:
    seen: list[dict[str, dict[str, int]]] = []
    run = evo.search(
        problem,
        evo.Random(4),
        evaluations=8,
        seed=1,
        run_dir=tmp_path / "run",
        on_elite=lambda _: seen.append(mappings(tmp_path / "run")),
    )
    files = {digest for digest in run.artifacts.values() if run.artifact_path(digest)}
    assert len(files) == 1 + 2, "the predictions, and the levels of each block"
    assert set(seen[-1]) == files
    assert all(one["Rss"] > 0 for one in seen[-1].values())
    for figure in ("Anonymous", "Private_Dirty", "Shared_Dirty"):
        assert sum(one[figure] for one in seen[-1].values()) == 0, "no page is a copy"
    gc.collect()
    assert not mappings(tmp_path / "run"), "what the run had mapped is let go"
    database = database_of(problem, run)
    assert isinstance(database, Database)
    assert len(mappings(tmp_path / "run")) == 2, "the report maps the levels too"


# One model a worker ---------------------------------------------------------------------------------------------------


def arguments(folder: Path, dtype: str = "float32") -> tuple[str, str, str, bool]:
    return str(folder), "cpu", dtype, False


def test_a_lent_model_is_borrowed_dense_and_only_under_its_own_arguments(model_folders: dict[str, Path]) -> None:
    mine = lent(*arguments(model_folders["llama"]))
    dense = mine.logits(some_tokens())
    mine.set_weight(mine.layers[0].name, torch.zeros(mine.layers[0].shape))
    mine.bypass([(1, "mlp")])
    assert borrowed(*arguments(model_folders["llama"])) is mine
    assert torch.equal(mine.logits(some_tokens()), dense)
    assert borrowed(*arguments(model_folders["qwen2"])) is None
    assert borrowed(*arguments(model_folders["llama"], "bfloat16")) is None


def test_a_model_is_lent_on_one_thread_and_while_it_is_held(model_folders: dict[str, Path]) -> None:
    mine = lent(*arguments(model_folders["llama"]))
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(borrowed(*arguments(model_folders["llama"]))))
    thread.start()
    thread.join()
    assert found == [None]
    assert mine is not None
    del mine
    gc.collect()
    assert borrowed(*arguments(model_folders["llama"])) is None


def test_operators_use_the_evaluators_model_and_measuring_goes_on_as_before(problem: EvoPress, tmp_path: Path) -> None:
    run = evo.search(problem, evo.Random(2), evaluations=2, seed=1, run_dir=tmp_path / "run")
    needs = problem.needs("full", run.artifacts)
    held = {digest: run.artifact_path(digest) or run.artifact(digest) for digest in needs}
    genomes = problem.space.sample(2, np.random.default_rng(1))

    def measured(at: Divergence) -> list[list[float]]:
        work = evo.Work(1, "full", np.zeros(2, np.int64), {}, held, [needs] * 2)
        return at.evaluate_batch(genomes, work).objectives.tolist()

    evaluator, other = problem.evaluator, problem.evaluator
    assert isinstance(evaluator, Divergence)
    assert isinstance(other, Divergence)
    evaluator.warm_up()
    before = measured(evaluator)
    swapped = evaluator._model.signature()
    for name, args in [("build_levels", {"block": 1}), ("predict", {})]:
        operator = problem.operators[name]
        operator.warm_up()
        work = evo.Work(1, "born", np.zeros(1, np.int64))
        ((made, path),) = operator.make(problem.space.empty(0), args, problem.space, work).artifacts.items()
        assert isinstance(path, Path)
        assert path.read_bytes() == run.artifact(run.artifacts[made])
        assert evaluator._model.signature() != swapped, "it was this model that they used"
        assert measured(evaluator) == before
    other.warm_up()
    assert measured(other) == before
