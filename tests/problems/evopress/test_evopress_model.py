"""Layers, blocks and swaps of four families, against transformers' own forward pass and against plain arithmetic."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import BLOCKS, VOCABULARY, some_tokens
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from evo.errors import ConfigError
from problems.evopress.model import DENSE, Compressible, NotFinite
from problems.evopress.structure import Kind

LAYERS_A_BLOCK = {"gpt2": 4, "llama": 7, "mistral": 7, "qwen2": 7}


def family(model: Compressible) -> str:
    return str(model.model.config.model_type)


def plain(folder: Path, tokens: np.ndarray) -> Tensor:
    """Logits of the model as transformers has it."""
    found = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.inference_mode():
        return found(input_ids=torch.as_tensor(tokens), use_cache=False).logits


def halved(model: Compressible, name: str, key: int) -> Tensor:
    """Other weights for a layer; they depend on the key."""
    kept = torch.rand(model.layer(name).shape, generator=torch.Generator().manual_seed(key)) < 0.5
    return model._dense[name].detach().reshape(model.layer(name).shape) * kept


def same(first: Tensor, second: Tensor) -> bool:
    return bool(torch.equal(first, second))


def test_logits_are_those_of_transformers(model: Compressible, model_folders: dict[str, Path]) -> None:
    found = model.logits(some_tokens())
    assert found.dtype == torch.float32
    assert found.shape == (3, 20, VOCABULARY)
    assert same(found, plain(model_folders[family(model)], some_tokens()))


def test_eager_attention_agrees(model: Compressible, model_folders: dict[str, Path]) -> None:
    eager = Compressible.load(str(model_folders[family(model)]), attention="eager")
    torch.testing.assert_close(eager.logits(some_tokens()), model.logits(some_tokens()), rtol=1e-3, atol=1e-3)


def test_every_matrix_inside_the_blocks_is_a_layer_and_nothing_else(model: Compressible) -> None:
    per_block = LAYERS_A_BLOCK[family(model)]
    assert [layer.block for layer in model.layers] == [i for i in range(BLOCKS) for _ in range(per_block)]
    assert [(part.block, part.kind) for part in model.sub_blocks] == [
        (i, kind) for i in range(BLOCKS) for kind in ("attention", "mlp")
    ]
    for layer in model.layers:
        assert (layer.kind == "attention") == ("attn" in layer.name)
        assert tuple(model.weight(layer.name).shape) == layer.shape
    named = {layer.name for layer in model.layers}
    outside = {name for name, parameter in model.model.named_parameters() if parameter.ndim == 2}
    outside -= {f"{name}.weight" for name in named}
    assert outside <= {
        "lm_head.weight",
        "model.embed_tokens.weight",
        "transformer.wte.weight",
        "transformer.wpe.weight",
    }


def test_shapes_are_outputs_by_inputs_in_every_family(model: Compressible) -> None:
    shapes = {layer.name.rpartition(".")[2]: layer.shape for layer in model.layers if layer.kind == "mlp"}
    if family(model) == "gpt2":
        assert shapes == {"c_fc": (128, 32), "c_proj": (32, 128)}
    else:
        assert shapes == {"gate_proj": (48, 32), "up_proj": (48, 32), "down_proj": (32, 48)}


def test_weights_put_in_are_what_inputs_are_multiplied_with(model: Compressible) -> None:
    for layer in model.layers:
        weights = torch.randn(layer.shape)
        model.set_weight(layer.name, weights)
        inputs = torch.randn(5, layer.shape[1])
        bias = getattr(layer.module, "bias", None)
        expected = inputs @ weights.t() + (0 if bias is None else bias)
        torch.testing.assert_close(layer.module(inputs), expected, rtol=1e-4, atol=1e-4)


def test_a_swap_copies_nothing(model: Compressible) -> None:
    for layer in model.layers:
        weights = torch.randn(layer.shape)
        model.set_weight(layer.name, weights)
        assert model.weight(layer.name).data_ptr() == weights.data_ptr()
        assert same(model.weight(layer.name), weights)


def test_restoring_brings_back_the_dense_models_bits(model: Compressible) -> None:
    before = model.logits(some_tokens())
    for i, layer in enumerate(model.layers):
        model.set_weight(layer.name, torch.randn(layer.shape), key=i)
    model.bypass([(0, "attention"), (2, "mlp"), (1, "attention"), (1, "mlp")])
    assert not same(model.logits(some_tokens()), before)
    model.restore()
    assert same(model.logits(some_tokens()), before)
    assert model.signature() == ((DENSE,) * LAYERS_A_BLOCK[family(model)],) * BLOCKS


def test_tied_embeddings_stay_tied_and_unchanged(model: Compressible) -> None:
    head, embedding = model.model.get_output_embeddings().weight, model.model.get_input_embeddings().weight
    assert (head is embedding) == (family(model) in ("qwen2", "gpt2"))
    before = embedding.clone()
    for layer in model.layers:
        model.set_weight(layer.name, torch.zeros(layer.shape))
    assert model.model.get_output_embeddings().weight is head
    assert model.model.get_input_embeddings().weight is embedding
    assert same(before, embedding)


def test_a_matrix_that_two_layers_share_is_swapped_in_one_of_them_only(model_folders: dict[str, Path]) -> None:
    raw = AutoModelForCausalLM.from_pretrained(model_folders["llama"])
    raw.model.layers[1].mlp.up_proj.weight = raw.model.layers[0].mlp.up_proj.weight
    model = Compressible(raw)
    first, second = "model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj"
    before = model.weight(second).clone()
    model.set_weight(first, torch.zeros(model.layer(first).shape))
    assert same(model.weight(second), before)


def test_only_what_differs_is_swapped(model: Compressible) -> None:
    fetched: list[tuple[str, int]] = []

    def fetch(name: str, key: int) -> Tensor:
        fetched.append((name, key))
        return halved(model, name, key)

    names = [layer.name for layer in model.layers]
    assert model.apply(dict.fromkeys(names, 1), fetch) == len(names)
    assert fetched == [(name, 1) for name in names]
    fetched.clear()
    assert model.apply({**dict.fromkeys(names, 1), names[3]: 2, names[1]: DENSE}, fetch) == 2
    assert fetched == [(names[3], 2)]
    assert model.apply({}, fetch) == len(names) - 1
    assert fetched == [(names[3], 2)]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_however_a_model_got_there_equal_assignments_give_equal_bits(
    data: st.DataObject, model_folders: dict[str, Path]
) -> None:
    chosen = data.draw(st.sampled_from(tiny_models.FAMILIES))
    model = _loaded(chosen, model_folders)
    names = [layer.name for layer in model.layers]
    keys = st.sampled_from([DENSE, 1, 2])
    assignments = data.draw(st.lists(st.dictionaries(st.sampled_from(names), keys), min_size=1, max_size=4))
    for assignment in assignments:
        model.apply(assignment, lambda name, key: halved(model, name, key))
    found, signature = model.logits(some_tokens()), model.signature()
    model.restore()
    model.apply(assignments[-1], lambda name, key: halved(model, name, key))
    assert same(model.logits(some_tokens()), found)
    assert model.signature() == signature


_LOADED: dict[str, Compressible] = {}


def _loaded(family: str, folders: dict[str, Path]) -> Compressible:
    if family not in _LOADED:
        _LOADED[family] = Compressible.load(str(folders[family]))
    return _LOADED[family]


def outputs(model: Compressible, tokens: np.ndarray) -> list[Tensor]:
    """What each block returns."""
    seen: list[Tensor] = []
    model.logits(tokens, seen=lambda _, output: seen.append(output[0] if isinstance(output, tuple) else output))
    return seen


def test_the_residual_stream_passes_a_bypassed_block_unchanged(model: Compressible) -> None:
    model.bypass([(1, "attention"), (1, "mlp")])
    found = outputs(model, some_tokens())
    assert len(found) == BLOCKS
    assert same(found[0], found[1])
    assert not same(found[1], found[2])


@pytest.mark.parametrize("kind", ["attention", "mlp"])
def test_bypassing_a_sub_block_is_zeroing_its_last_matrix(model: Compressible, kind: Kind) -> None:
    last = next(layer for layer in reversed(model.layers) if layer.block == 1 and layer.kind == kind)
    assert last.name.endswith(("o_proj", "down_proj", "c_proj"))
    before = model.logits(some_tokens())
    model.set_weight(last.name, torch.zeros(last.shape))  # whose bias is zero in a new model
    expected = model.logits(some_tokens())
    model.restore()
    model.bypass([(1, kind)])
    found = model.logits(some_tokens())
    assert not same(found, before)
    assert same(found, expected)


def test_bypassing_all_that_is_there_leaves_embedding_and_head(model: Compressible) -> None:
    model.bypass([(part.block, part.kind) for part in model.sub_blocks])
    found = outputs(model, some_tokens())
    assert all(same(found[0], other) for other in found)
    model.bypass()
    assert not same(*outputs(model, some_tokens())[:2])


def test_a_pass_that_starts_behind_a_block_has_the_same_bits(model: Compressible) -> None:
    expected = model.logits(some_tokens())
    for block, output in enumerate(outputs(model, some_tokens())):
        ran: list[int] = []
        found = model.logits(some_tokens(), given=(block, output), seen=lambda i, _, ran=ran: ran.append(i))
        assert same(found, expected)
        assert ran == list(range(block + 1, BLOCKS))
    assert same(model.logits(some_tokens()), expected)


def test_a_pass_that_fails_leaves_the_model_as_it_was(llama: Compressible) -> None:
    before = llama.logits(some_tokens())

    def fail(block: int, _: object) -> None:
        raise RuntimeError(f"block {block}")

    with pytest.raises(RuntimeError, match="block 0"):
        llama.logits(some_tokens(), seen=fail)
    assert same(llama.logits(some_tokens()), before)


def test_signatures_tell_blocks_and_their_contents_apart(llama: Compressible) -> None:
    dense = llama.signature()
    name = llama.layers[8].name
    llama.set_weight(name, llama.weight(name).clone())
    first = llama.signature()
    llama.set_weight(name, llama.weight(name).clone())
    second = llama.signature()
    llama.apply({name: "key"}, lambda *_: llama.weight(name).clone())
    third = llama.signature()
    llama.bypass([(2, "mlp")])
    fourth = llama.signature()
    found: list[tuple[Hashable, ...]] = [dense, first, second, third, fourth]
    assert len(set(found)) == len(found)
    assert {signature[0] for signature in found} == {dense[0]}
    assert {signature[2] for signature in found[:4]} == {dense[2]}


def test_a_half_precision_model_gives_float32_logits_and_takes_any_weights(model_folders: dict[str, Path]) -> None:
    model = Compressible.load(str(model_folders["llama"]), dtype="bfloat16")
    layer = model.layers[0]
    model.set_weight(layer.name, torch.zeros(layer.shape, dtype=torch.float32))
    assert model.weight(layer.name).dtype == torch.bfloat16
    assert model.logits(some_tokens()).dtype == torch.float32


def test_a_compressed_model_is_saved_as_any_other(model: Compressible, tmp_path: Path) -> None:
    for layer in model.layers:
        model.set_weight(layer.name, halved(model, layer.name, 1))
    model.model.save_pretrained(tmp_path)
    torch.testing.assert_close(model.logits(some_tokens()), plain(tmp_path, some_tokens()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_are_refused_and_change_nothing(llama: Compressible, bad: float) -> None:
    before = llama.logits(some_tokens())
    name = llama.layers[0].name
    weights = llama.weight(name).clone()
    weights[3, 4] = bad
    with pytest.raises(NotFinite, match=r"q_proj: the weights of 7 are not finite"):
        llama.apply({name: 7}, lambda *_: weights)
    assert same(llama.logits(some_tokens()), before)
    assert llama.signature()[0] == (DENSE,) * 7


def test_loading_names_what_is_wrong(model_folders: dict[str, Path], tmp_path: Path) -> None:
    good = str(model_folders["llama"])
    with pytest.raises(ConfigError, match="there is no folder"):
        Compressible.load(str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="cannot load"):
        Compressible.load(str(tmp_path))
    with pytest.raises(ConfigError, match=r"dtype: .* got 'float8'"):
        Compressible.load(good, dtype="float8")
    with pytest.raises(ConfigError, match="device: cannot use 'abacus'"):
        Compressible.load(good, device="abacus")


def test_a_checkpoint_without_some_weights_is_refused(model_folders: dict[str, Path], tmp_path: Path) -> None:
    raw = AutoModelForCausalLM.from_pretrained(model_folders["llama"])
    kept = {name: value for name, value in raw.state_dict().items() if name != "model.layers.1.mlp.up_proj.weight"}
    raw.save_pretrained(tmp_path, state_dict=kept)
    with pytest.raises(ConfigError, match=r"holds no weights for 'model\.layers\.1\.mlp\.up_proj\.weight'"):
        Compressible.load(str(tmp_path))


def test_a_model_without_recognisable_blocks_is_refused(model_folders: dict[str, Path]) -> None:
    raw = AutoModelForCausalLM.from_pretrained(model_folders["llama"])
    raw.model.layers = nn.ModuleList([nn.Sequential(nn.Linear(32, 32))])
    with pytest.raises(ConfigError, match="no recognisable decoder blocks"):
        Compressible(raw)


def test_a_model_with_two_stacks_is_refused_unless_one_has_the_configured_size(model_folders: dict[str, Path]) -> None:
    raw = AutoModelForCausalLM.from_pretrained(model_folders["llama"])
    raw.vision = nn.Module()
    raw.vision.layers = nn.ModuleList(list(raw.model.layers)[:2])
    assert len(Compressible(raw).blocks) == BLOCKS
    raw.config.num_hidden_layers = 7
    with pytest.raises(ConfigError, match=r"one list of decoder blocks .* model\.layers, vision\.layers"):
        Compressible(raw)


def test_blocks_without_a_residual_stream_cannot_be_bypassed(llama: Compressible) -> None:
    gate = llama.blocks[1].forward
    run = gate.run  # type: ignore[union-attr]
    gate.run = lambda hidden, **rest: run(hidden * 2, **rest)  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="block 1 changes what passes through it"):
        llama.bypass([(0, "mlp")])
    llama.bypass()


def test_what_is_not_there_is_named(llama: Compressible) -> None:
    with pytest.raises(ConfigError, match="got 'nonsense'"):
        llama.set_weight("nonsense", torch.zeros(1))
    with pytest.raises(ConfigError, match="got 'nonsense'"):
        llama.apply({"nonsense": DENSE}, lambda *_: torch.zeros(1))
    with pytest.raises(ConfigError, match=r"q_proj: expected weights of shape \(32, 32\), got \(32, 31\)"):
        llama.set_weight(llama.layers[0].name, torch.zeros(32, 31))
    with pytest.raises(ConfigError, match="no mlp sub-block in block 3 of 3"):
        llama.bypass([(3, "mlp")])
    with pytest.raises(ConfigError, match="up to 32, got 33"):
        llama.logits(some_tokens(1, 33))


def test_importing_the_world_loads_neither_torch_nor_transformers() -> None:
    import subprocess
    import sys

    code = (
        "import json, sys, problems.evopress; print(json.dumps([m in sys.modules for m in ('torch', 'transformers')]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == [False, False]
