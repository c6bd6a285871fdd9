"""What a model is made of is known from its configuration alone, and mistakes are the same as in loading it."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import FAMILIES
from transformers import GPT2Config, LlamaConfig

import evo
from evo.engine.crew import Crew
from evo.errors import ConfigError
from problems.evopress.model import Compressible
from problems.evopress.outline import outline
from problems.evopress.problem import TINY, EvoPress


@pytest.mark.parametrize("family", FAMILIES)
def test_the_configuration_alone_says_what_the_loaded_model_says(
    family: str, model_folders: dict[str, Path], tmp_path: Path
) -> None:
    loaded = Compressible.load(str(model_folders[family]))
    shutil.copy(model_folders[family] / "config.json", tmp_path)
    before = torch.get_rng_state()
    found = outline(str(tmp_path))
    assert torch.equal(torch.get_rng_state(), before)
    assert found.layers == loaded.layers
    assert found.sub_blocks == loaded.sub_blocks
    assert len(found.blocks) == len(loaded.blocks)
    assert (found.vocabulary, found.context) == (loaded.vocabulary, loaded.context)
    assert {parameter.device.type for parameter in found.model.parameters()} == {"meta"}


def test_the_outline_of_a_model_with_8_billion_weights_takes_hardly_any_memory(tmp_path: Path) -> None:
    LlamaConfig(
        vocab_size=128_256,
        hidden_size=4096,
        intermediate_size=14_336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
    ).save_pretrained(tmp_path)
    found = EvoPress(str(tmp_path), sparsity=0.5)
    assert sum(layer.size for layer in found.outline.layers) == 6_979_321_856
    assert len(found.space.costs) == 32 * 7
    assert found.space.totals(found.space.stack(list(found.initial()))).tolist() == [[6_979_321_856 // 2]]
    assert sum(x.untyped_storage().nbytes() for x in found.outline.model.state_dict().values() if not x.is_meta) == 0


BAD: dict[str, str | None] = {
    "empty": None,
    "no JSON": "{",
    "no type": "{}",
    "unknown type": '{"model_type": "abacus"}',
    "no language model": '{"model_type": "vit"}',
    "encoder and decoder": '{"model_type": "t5"}',
    "odd heads": '{"model_type": "llama", "hidden_size": 10, "num_attention_heads": 3}',
    "wrong kind": '{"model_type": "llama", "hidden_size": "big"}',
    "code of its own": '{"model_type": "x", "auto_map": {"AutoConfig": "a.B", "AutoModelForCausalLM": "a.C"}}',
}


def said(make: Any, *args: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        make(*args)
    return str(caught.value)


_LANGUAGE = ("no language model", "encoder and decoder")
"""To name all language models there are, transformers takes seconds."""


@pytest.mark.parametrize(
    "config", [pytest.param(BAD[name], id=name, marks=[pytest.mark.slow] * (name in _LANGUAGE)) for name in BAD]
)
def test_what_cannot_be_loaded_has_no_outline_for_the_same_reason(config: str | None, tmp_path: Path) -> None:
    model = str(tmp_path)
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    message = said(outline, model)
    assert message.startswith(f"model: cannot load {model!r}: ")
    assert "\n" not in message
    assert len(message) > len(f"model: cannot load {model!r}: ") + 20
    assert message == said(Compressible.load, model) == said(EvoPress, model)


def test_other_arguments_are_refused_alike_before_anything_is_loaded(tmp_path: Path) -> None:
    for arguments, reason in [
        ((str(tmp_path / "none"),), "model: there is no folder"),
        (("./none",), "model: there is no folder"),
        ((TINY, "abacus"), "device: cannot use 'abacus': "),
        ((TINY, "cpu", "float8"), "dtype: expected one of float32, float16, bfloat16, got 'float8'"),
    ]:
        assert said(outline, *arguments) == said(Compressible.load, *arguments)
        assert said(outline, *arguments).startswith(reason)
    assert outline(TINY, "cuda:3").vocabulary == 256, "the master need not have the workers' device"


def test_workers_have_a_gpu_where_the_device_is_one() -> None:
    for device, gpus in [("cpu", 0.0), ("cuda", 1.0), ("cuda:0", 1.0)]:
        problem = EvoPress(device=device)
        (shape,) = Crew.of(1, "ray").shapes(problem.evaluator.fidelities)
        assert shape.gpus == gpus


def test_missing_weights_are_missed_by_the_first_worker(tmp_path: Path) -> None:
    GPT2Config(vocab_size=256, n_embd=8, n_layer=4, n_head=2, n_positions=64).save_pretrained(tmp_path)
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text("a text of bytes, " * 50)
    tokens = {"length": 16, "calibration_tokens": 64, "full_tokens": 64, "held_out_tokens": 64}
    problem = EvoPress(str(tmp_path), "depth", drop=1, text=str(tmp_path), **tokens)
    with pytest.raises(ConfigError, match=r"model: cannot load '.*': .* no file named model\.safetensors"):
        evo.search(problem, evo.Random(), evaluations=4)


def test_a_problem_is_planned_and_shipped_without_weights(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text("a text of bytes, " * 4000)
    problem = EvoPress(sparsity=0.5, calibration_tokens=32_768, held_out_tokens=256, text=str(tmp_path))
    list(problem.prepare())
    problem.initial()
    tokens = problem.calibration.rows.nbytes
    shipped = pickle.dumps((problem, problem.operators), 5)
    assert tokens < len(shipped) < 1.5 * tokens, "the tokens once, and no weights"
    assert "dense" not in vars(problem)
