"""Sub-blocks that run faster: which they are, and that nobody can tell from the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import BLOCKS, config, some_tokens
from torch import Tensor, nn

from problems.evopress.faster import hasten
from problems.evopress.model import Compressible
from problems.evopress.structure import decoder_blocks


def raw(folder: Path, **more: Any) -> Any:
    """The model as transformers loads it."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, **more)
    return model.eval()


def predicted(model: Any, **more: Any) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = model(input_ids=torch.as_tensor(some_tokens()), use_cache=False, **more).logits
    return logits


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("family", "hastened"), [("gpt2", 0), ("llama", 2), ("mistral", 2), ("qwen2", 2)])
def test_the_families_of_llama_run_faster_and_predict_the_same_bits(
    family: str, hastened: int, dtype: torch.dtype, model_folders: dict[str, Path]
) -> None:
    model = raw(model_folders[family], dtype=dtype)
    expected = predicted(model)
    assert hasten(decoder_blocks(model)[1]) == hastened * BLOCKS
    assert torch.equal(predicted(model), expected)


def test_masks_caches_and_other_attention_run_as_usual(model_folders: dict[str, Path]) -> None:
    mask = torch.ones(3, 20, dtype=torch.int64)
    mask[1, :7] = 0
    for more, given in (({}, {"attention_mask": mask}), ({"attn_implementation": "eager"}, {})):
        model = raw(model_folders["llama"], **more)
        expected = predicted(model, **given)
        assert hasten(decoder_blocks(model)[1]) >= BLOCKS
        assert torch.equal(predicted(model, **given), expected)
    model = raw(model_folders["llama"])
    expected = model.generate(torch.as_tensor(some_tokens()), max_new_tokens=4, do_sample=False, use_cache=True)
    hasten(decoder_blocks(model)[1])
    found = model.generate(torch.as_tensor(some_tokens()), max_new_tokens=4, do_sample=False, use_cache=True)
    assert found.tolist() == expected.tolist()


def test_a_namesake_that_computes_something_else_is_left_alone() -> None:
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    other = config("llama")
    other.hidden_act = "gelu"
    model: Any = AutoModelForCausalLM.from_config(other)  # type: ignore[no-untyped-call]
    model.eval()
    assert hasten(decoder_blocks(model)[1]) == BLOCKS  # the attention only
    for block in decoder_blocks(model)[1]:
        assert "forward" not in block.mlp.__dict__


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("name", "more"), [("NemotronConfig", {}), ("OlmoConfig", {}), ("OlmoConfig", {"clip_qkv": 0.02})], ids=str
)
def test_families_that_turn_or_clamp_otherwise_are_left_alone(
    name: str, more: dict[str, Any], dtype: torch.dtype, tmp_path: Path
) -> None:
    import transformers

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 64}
    configuration = getattr(transformers, name)(**sizes, num_attention_heads=2, num_key_value_heads=2, **more)
    model: Any = transformers.AutoModelForCausalLM.from_config(configuration, dtype=dtype)  # type: ignore[no-untyped-call]
    model.eval().save_pretrained(tmp_path)
    tokens = some_tokens() % 64
    with torch.inference_mode():
        expected = model(input_ids=torch.as_tensor(tokens), use_cache=False).logits.float()
    found = Compressible.load(str(tmp_path), dtype=str(dtype).removeprefix("torch."))
    assert torch.equal(found.logits(tokens), expected)


class LlamaMLP(nn.Module):
    """Named like Llama's, from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = (nn.Linear(8, 8) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.down_proj(nn.functional.silu(self.gate_proj(x)).clamp(max=50.0) * self.up_proj(x))
        return found


def test_a_namesake_from_elsewhere_is_left_alone() -> None:
    assert hasten(nn.ModuleList([LlamaMLP()])) == 0


def test_swapped_weights_are_those_that_compute(llama: Compressible) -> None:
    dense = llama.logits(some_tokens())
    for name in [layer.name for layer in llama.layers]:
        llama.set_weight(name, llama.weight(name) * 0.5)
        changed = llama.logits(some_tokens())
        assert not torch.equal(changed, dense), name
        llama.restore()
    assert torch.equal(llama.logits(some_tokens()), dense)
