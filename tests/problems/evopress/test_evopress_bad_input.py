"""What cannot be compressed is refused in one line that names the key, or counted with its reason; nothing goes on for
ever, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import tiny_world
import torch
from tiny_world import Said, call, write_run_file
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertForMaskedLM,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

import evo
from evo.cli import main

torch.set_num_threads(1)

Refused = Callable[..., str]


@pytest.fixture
def run(worlds: dict[str, Path], tmp_path: Path) -> Callable[..., Said]:
    """A run of a small Llama with some sections of its run file changed."""

    def called(**changes: dict[str, Any]) -> Said:
        common = {"model": str(worlds["llama"]), "text": str(worlds["text"]), "pruning": "wanda"}
        file = write_run_file(tmp_path / "tiny.yaml", **changes | {"problem": common | changes.get("problem", {})})
        return call("run", file, "--run-dir", tmp_path / "run", "--json")

    return called


@pytest.fixture
def refused(run: Callable[..., Said], tmp_path: Path) -> Refused:
    """What is said of a run file that is refused before anything is written."""

    def called(**changes: dict[str, Any]) -> str:
        said = run(**changes)
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith("evo: ")
        assert said.err.count("\n") == 1
        assert not (tmp_path / "run").exists()
        return said.err.removeprefix(f"evo: {tmp_path / 'tiny.yaml'}: ").removeprefix("evo: ").rstrip("\n")

    return called


# Arguments ------------------------------------------------------------------------------------------------------------

NO_CHOICE = "problem: levels: a single combination meets the budget, so there is nothing to search"

ARGUMENTS = [
    ({"method": "width"}, "problem: method: expected one of sparsity, depth, got 'width'"),
    ({"pruning": "random"}, "problem: pruning: expected one of magnitude, wanda, obs, got 'random'"),
    ({"sparsity": 1.5}, "problem: sparsity: expected a share of zeros from 0 to 1"),
    ({"sparsity": -0.1}, "problem: sparsity: expected a share of zeros from 0 to 1"),
    ({"sparsity": float("nan")}, "problem: sparsity: expected a share of zeros from 0 to 1"),
    ({"sparsity": 0}, NO_CHOICE),
    ({"sparsity": 1}, NO_CHOICE),
    ({"levels": 0}, NO_CHOICE),
    ({"step": 1_000_000}, NO_CHOICE),
    ({"levels": -1}, "problem: levels: expected 0 or more, got -1"),
    ({"step": 0}, "problem: step: expected 1 or more, got 0"),
    ({"method": "depth", "drop": 3}, "problem: drop: expected 1 to 2 of 3, got 3"),
    ({"method": "depth", "drop": 0}, "problem: drop: expected 1 to 2 of 3, got 0"),
    ({"length": 1}, "problem: length: expected 2 or more, got 1"),
    ({"length": 0}, "problem: length: expected 2 or more, got 0"),
    ({"length": 64}, "problem: length: expected 2 to 32, the longest that this model reads, got 64"),
    ({"full_tokens": 512}, "problem: full_tokens: expected 16 (length) to 256 (calibration_tokens), got 512"),
    ({"full_tokens": 8}, "problem: full_tokens: expected 16 (length) to 256 (calibration_tokens), got 8"),
    ({"held_out_tokens": 15}, "problem: held_out_tokens: expected 16 or more, got 15"),
    ({"top": 0}, "problem: top: expected 1 or more, got 0"),
    ({"threads": 0}, "problem: threads: expected 1 or more, got 0"),
    ({"dtype": "int8"}, "problem: dtype: expected one of float32, float16, bfloat16, got 'int8'"),
    ({"device": "abacus"}, "problem: device: cannot use 'abacus'"),
    ({"allowed": {"*.q_proj": [5]}}, "problem: allowed: '*.q_proj' names the level 5, but model.layers.0."),
    (
        {"allowed": {"*.q_proj": [0], "*": [1]}},
        "problem: allowed: no level is left for model.layers.0.self_attn.q_proj",
    ),
    ({"allowed": {"*.query": [0]}}, "problem: allowed: '*.query' matches no layer"),
    ({"allowed": {"*": [1]}}, "problem: allowed: with these levels the sparsity cannot be met"),
    ({"allowed": {"*": [0]}}, NO_CHOICE),
    ({"method": "depth", "keep": ["*"]}, "problem: keep: nothing is left to drop"),
    ({"length": 16.5}, "problem.length: expected a valid integer"),
    ({"fused": "perhaps"}, "problem.fused: expected a valid boolean"),
    ({"model": 7}, "problem.model: expected a valid string, got 7; write it in quotes"),
    ({"text": ["a.txt"]}, "problem.text: expected a valid string, got ['a.txt']"),
    ({"calibration_tokens": "many"}, "problem.calibration_tokens: expected a valid integer"),
    ({"sparsty": 0.5}, "problem.sparsty: unknown key; did you mean 'sparsity'?"),
]


@pytest.mark.parametrize(("options", "expected"), ARGUMENTS, ids=str)
def test_an_argument_that_cannot_be_is_named(options: dict[str, Any], expected: str, refused: Refused) -> None:
    assert refused(problem=options).startswith(expected)


# Models and tokenizers ------------------------------------------------------------------------------------------------


def copied(worlds: dict[str, Path], folder: Path, *without: str) -> Path:
    target = shutil.copytree(worlds["llama"], folder / "copied")
    for name in without:
        (target / name).unlink()
    return target


def test_a_model_that_is_not_there_is_named(refused: Refused, tmp_path: Path) -> None:
    for name in (str(tmp_path / "nowhere"), "./nowhere"):
        assert refused(problem={"model": name}) == f"problem: model: there is no folder {name!r}"
    (tmp_path / "file").touch()
    assert "there is no folder" in refused(problem={"model": str(tmp_path / "file")})


def test_an_unknown_id_is_named(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # so that nobody waits for a network
    assert refused(problem={"model": "nobody/nothing"}).startswith("problem: model: cannot load 'nobody/nothing': ")


@pytest.mark.parametrize("content", [None, "{", '{"model_type": "abacus"}'])
def test_a_folder_without_a_language_model_is_named(content: str | None, refused: Refused, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    if content is not None:
        (folder / "config.json").write_text(content)
    assert refused(problem={"model": str(folder)}).startswith(f"problem: model: cannot load {str(folder)!r}: ")


@pytest.mark.slow  # transformers loads everything it knows to say so
def test_a_model_that_translates_is_refused(refused: Refused, tmp_path: Path) -> None:
    shape = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    T5ForConditionalGeneration(T5Config(vocab_size=64, **shape)).save_pretrained(tmp_path / "t5")
    assert "Unrecognized configuration class" in refused(problem={"model": str(tmp_path / "t5")})


def test_a_model_that_looks_ahead_is_refused(run: Callable[..., Said], tmp_path: Path) -> None:
    shape = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16}
    BertForMaskedLM(BertConfig(vocab_size=64, max_position_embeddings=32, **shape)).save_pretrained(tmp_path / "bert")
    tiny_world.save_tokenizer(tmp_path / "bert", 64)
    said = run(problem={"model": str(tmp_path / "bert")})
    assert said.code == 1
    assert said.err.splitlines()[-1].endswith("model: expected a causal language model, got one whose predictions look "
                                              "at the tokens to come")  # fmt: skip


@pytest.mark.parametrize("cut", [None, 5000])
def test_weights_that_are_missing_or_cut_short_are_named(
    cut: int | None, run: Callable[..., Said], worlds: dict[str, Path], tmp_path: Path
) -> None:
    folder = copied(worlds, tmp_path, "model.safetensors")
    if cut is not None:
        content = (worlds["llama"] / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(content[:cut])
    said = run(problem={"model": str(folder)})
    assert said.code == 2
    assert said.err.splitlines()[-1].startswith(f"evo: model: cannot load {str(folder)!r}: ")
    assert "Traceback" not in said.err


def test_a_missing_tokenizer_is_named(refused: Refused, worlds: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(worlds, tmp_path, "tokenizer.json", "tokenizer_config.json")
    said = refused(problem={"model": str(folder)})
    assert said.startswith(f"model: there is no tokenizer in {str(folder)!r}; expected one of tokenizer.json")
    assert said.endswith("(this one has 64): save the tokenizer there")


def test_a_tokenizer_that_cannot_be_read_is_named(refused: Refused, worlds: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(worlds, tmp_path)
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    assert refused(problem={"model": str(folder)}).startswith("model: cannot load the tokenizer of ")


def test_a_tokenizer_of_another_model_is_refused(refused: Refused, worlds: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(worlds, tmp_path)
    tiny_world.save_tokenizer(folder, 72)
    assert "but the model knows 64; it is another model's" in refused(problem={"model": str(folder)})


# Text and tokens ------------------------------------------------------------------------------------------------------


def test_text_that_is_not_there_is_named(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("nowhere.txt", "empty"):
        expected = f"text: expected a text file or a folder of .txt files, got {str(tmp_path / name)!r}"
        assert refused(problem={"text": str(tmp_path / name)}) == expected


def test_text_too_short_for_a_row_is_named(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("a layer of the model")
    said = refused(problem={"text": str(tmp_path / "short.txt")})
    assert said == "length: none of the 1 texts has 16 tokens: give longer texts, or make the rows shorter"


@pytest.mark.parametrize("name", ["calibration_tokens", "held_out_tokens"])
def test_more_text_than_there_is_is_refused_before_the_search(name: str, refused: Refused) -> None:
    said = refused(problem={name: 1_000_000})
    assert said.startswith(f"{name}: expected 1000000, but the text has ")
    assert said.endswith("in rows of 16; ask for fewer")


RUNGS = [
    ({"tokens": 257}, "tokens: expected a whole number from 2 to 256 (calibration_tokens in whole rows), got 257; ask"),
    ({"tokens": 1}, "tokens: expected a whole number from 2 to 256"),
    ({"tokens": "many"}, "tokens: expected a whole number from 2 to 256"),
    ({"tokens": 64.0}, "tokens: expected a whole number from 2 to 256"),
    ({"tokens": True}, "tokens: expected a whole number from 2 to 256"),
    ({}, "tokens: expected a whole number from 2 to 256"),
    ({"tokens": 64, "token": 64}, "token: unknown; a rung has survivors, fidelity, reserve and tokens"),
]


@pytest.mark.parametrize(("params", "expected"), RUNGS, ids=str)
def test_a_rung_that_nobody_can_be_measured_on_is_refused_before_the_search(
    params: dict[str, Any], expected: str, refused: Refused
) -> None:
    rungs = [{"survivors": 2, "tokens": 256}, {"survivors": 1, **params}]
    assert refused(algorithm={"rungs": rungs}).startswith(f"algorithm.rungs[1].{expected}")


# Budgets --------------------------------------------------------------------------------------------------------------


def test_fewer_children_than_lambda_are_said_once_and_the_search_ends_by_its_rule(run: Callable[..., Said]) -> None:
    with pytest.warns(UserWarning, match="a parent has 2 distinct children where 16 are wanted") as told:
        found = run(problem={"method": "depth", "whole_blocks": True}, algorithm={"offspring": 16}).json
    assert len([one for one in told if "distinct children" in str(one.message)]) == 1
    assert found["state"] == "finished"
    assert found["evaluations"] > 5


# What is not finite ---------------------------------------------------------------------------------------------------


def broken(worlds: dict[str, Path], folder: Path, value: float) -> Path:
    """The small Llama with one weight in its second block changed."""
    model = AutoModelForCausalLM.from_pretrained(worlds["llama"])
    model.model.layers[1].mlp.up_proj.weight.data[3, 4] = value
    model.save_pretrained(copied(worlds, folder))
    return folder / "copied"


@pytest.mark.parametrize("method", ["sparsity", "depth"])
@pytest.mark.parametrize("value", [float("nan"), 3e38])
def test_a_dense_model_that_is_not_finite_ends_the_preparation(
    method: str, value: float, run: Callable[..., Said], worlds: dict[str, Path], tmp_path: Path
) -> None:
    said = run(problem={"method": method, "model": str(broken(worlds, tmp_path, value))})
    assert said.code == 1
    last = said.err.splitlines()[-1]
    assert "the problem's preparation failed: EvaluationError: model: " in last
    assert "cannot be measured even uncompressed, as float32: the logits are not finite" in last
    assert last.endswith("repair its weights, or take another dtype")
    assert "Traceback" not in said.err
    assert evo.load(tmp_path / "run").state == "failed"
    with pytest.raises(evo.EvaluationError) as caught:
        main(["--debug", "run", str(tmp_path / "tiny.yaml"), "--run-dir", str(tmp_path / "again"), "--json"])
    assert "build_reference" in str(caught.value.__cause__)


def balanced(folder: Path, *written: float) -> Path:
    """A Llama whose MLPs write these numbers into a channel of their own, which must come to nothing at the end: the
    last norm multiplies it with the largest number there is."""
    config = tiny_models.config("llama")
    config.mlp_bias = True
    torch.manual_seed(7)
    model = LlamaForCausalLM(config)
    model.model.embed_tokens.weight.data[:, 0] = 0
    for layer, number in zip(model.model.layers, written, strict=True):
        layer.self_attn.o_proj.weight.data[0] = 0
        layer.mlp.down_proj.weight.data[0] = 0
        layer.mlp.down_proj.bias.data[:] = 0
        layer.mlp.down_proj.bias.data[0] = number
    model.model.norm.weight.data[0] = torch.finfo(torch.float32).max
    model.save_pretrained(folder / "balanced")
    tiny_world.save_tokenizer(folder / "balanced", tiny_models.VOCABULARY)
    return folder / "balanced"


ALGORITHMS: dict[str, dict[str, Any]] = {
    "one_plus_lambda with rungs": {},
    "one_plus_lambda": {"type": "one_plus_lambda", "offspring": 3},
    "genetic": {"type": "genetic", "population": 4},
    "random": {"type": "random", "batch": 4},
}
REASON = "the logits are not finite: these weights make the model overflow or divide by zero"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_where_no_candidate_is_finite_the_run_ends_and_says_why(
    algorithm: str, run: Callable[..., Said], tmp_path: Path
) -> None:
    said = run(
        problem={"method": "depth", "model": str(balanced(tmp_path, 1000.0, 1000.0, -2000.0))},
        algorithm=ALGORITHMS[algorithm],
        budget={"evaluations": 100_000},
        stop={"failures": 5},
    )
    assert said.code == 1
    kept = evo.load(tmp_path / "run")
    assert (kept.state, kept.best) == ("failed", None)
    assert kept.failures["failed"] >= 5
    assert kept.reason == f"all of the first {kept.failures['failed']} evaluations failed: {REASON}"
    assert said.err.splitlines()[-1] == f"evo: {kept.reason}"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_candidates_that_are_not_finite_fall_out_and_are_counted(
    algorithm: str, run: Callable[..., Said], tmp_path: Path
) -> None:
    """Without the last block the channel comes to nothing as well."""
    found = run(
        problem={"method": "depth", "model": str(balanced(tmp_path, 1000.0, -1000.0, 0.0)), "whole_blocks": True},
        algorithm=ALGORITHMS[algorithm],
        budget={"evaluations": 10},
    ).json
    kept = evo.load(tmp_path / "run")
    assert found["state"] == "finished"
    assert kept.failures["failed"] > 0
    assert {message.splitlines()[0] for message in kept.reader.messages()} == {REASON}
    assert kept.best.genome.tolist() == [0, 0, 1]
    s = kept.summary
    assert s["kl"]["uniform"] is None  # it leaves out the block in the middle
    assert s["ppl"]["dense"] > 1
    assert s["kl"]["evo"] == s["kl"]["dp"] > 0
