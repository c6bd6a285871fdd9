"""Quicker equals of the sub-blocks of Llama, Mistral and Qwen2: fewer passes over memory, the same bits.

On a processor a small model spends half of a forward pass on moving activations between steps that are not matrix
products. A gated MLP and an attention with rotary positions do with fewer of them. Only these families' classes get
equals, as others of the same shape clamp or normalise in between; and only where both return the same bits on random
hidden states, as another version of transformers may have changed them. Calls with a mask or a cache run as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["hasten"]

_FAMILIES = ("Llama", "Mistral", "Qwen2")
"""Of transformers, whose sub-blocks compute what is written here and nothing else."""
_EXPECTED = {"hidden_states", "position_embeddings"}
"""How an attention is called by its block."""
_LAID_OUT = 1 << 20
"""Numbers up to which a table of angles is laid out head by head."""
_TRIED = 5
"""Tokens on which both are tried."""


class _Equal(NamedTuple):
    run: Callable[..., Any]
    width: int
    """Of the hidden states that it takes."""
    angles: Tensor | None = None
    """(1, tokens, size) of rotary positions to try it with; None: it takes none."""


def hasten(blocks: nn.ModuleList) -> int:
    """Give gated MLPs and rotary attention in these blocks their equals, as ``module.forward``.

    Weights stay in the modules that hold them, hooks on them run, and saving knows nothing of it.

    Args:
        blocks: of a model in evaluation mode that gets no gradients.

    Returns:
        How many modules run faster now.
    """
    found, angles = 0, _Angles()
    for module in blocks.modules():
        equal = _mlp(module) or _attention(module, angles)
        if equal is not None and _agree(module, equal):
            module.forward = equal.run
            found += 1
    return found


def _is(module: nn.Module, kind: str) -> bool:
    known = type(module).__module__.startswith("transformers.models.")
    return known and type(module).__name__ in [f"{family}{kind}" for family in _FAMILIES]


def _mlp(module: nn.Module) -> _Equal | None:
    if not _is(module, "MLP"):
        return None
    gate, up, down = _layers(module, "gate", "up", "down")

    def forward(x: Tensor) -> Tensor:
        found: Tensor = down(functional.silu(gate(x), inplace=True).mul_(up(x)))
        return found

    return _Equal(forward, gate.in_features)


def _attention(module: nn.Module, angles: _Angles) -> _Equal | None:
    if not _is(module, "Attention"):
        return None
    query, key, value, out = _layers(module, *"qkvo")
    size, scale = int(module.head_dim), float(module.scaling)  # type: ignore[arg-type]
    usual: Callable[..., Any] = module.forward
    config: Any = module.config
    grouped = query.out_features != key.out_features

    def forward(*args: Any, **kwargs: Any) -> Any:
        masked = kwargs.get("attention_mask") is not None or kwargs.get("past_key_values") is not None
        if args or masked or not kwargs.keys() >= _EXPECTED or config._attn_implementation != "sdpa":
            return usual(*args, **kwargs)
        entering = kwargs["hidden_states"]
        cos, sin = kwargs["position_embeddings"]
        if cos.shape[-1] != size or cos.dtype != entering.dtype:
            return usual(*args, **kwargs)
        heads = (*entering.shape[:-1], -1, size)
        mixed = functional.scaled_dot_product_attention(
            angles.turned(query(entering).view(heads), cos, sin).transpose(1, 2),
            angles.turned(key(entering).view(heads), cos, sin).transpose(1, 2),
            value(entering).view(heads).transpose(1, 2),
            is_causal=True,
            scale=scale,
            enable_gqa=grouped,
        )
        return out(mixed.transpose(1, 2).reshape(*entering.shape[:-1], -1)), None

    return _Equal(forward, query.in_features, torch.linspace(0.0, 3.0, _TRIED * size).view(1, _TRIED, size))


class _Angles:
    """Rotary positions laid out head by head, once for all blocks of a forward pass: plain products are quicker than
    those that repeat a factor. Large ones, and those on another device, are repeated all the same."""

    def __init__(self) -> None:
        self._of: tuple[Tensor, Tensor] | None = None
        self._tables: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def turned(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(b, t, heads, size) with each pair of its two halves turned by the angle of the position."""
        if self._of is None or self._of[0] is not cos or self._of[1] is not sin:
            self._of, self._tables = (cos, sin), {}
        heads, half = x.shape[2], x.shape[3] // 2
        if heads not in self._tables:
            parts = (cos, sin[..., :half], sin[..., half:])
            whole, first, second = (part.unsqueeze(2).expand(-1, -1, heads, -1) for part in parts)
            if whole.numel() <= _LAID_OUT and whole.device.type == "cpu":
                whole, first, second = whole.contiguous(), first.contiguous(), second.contiguous()
            self._tables[heads] = whole, first, second
        whole, first, second = self._tables[heads]
        found = x * whole
        found[..., :half].sub_(x[..., half:] * first)
        found[..., half:].add_(x[..., :half] * second)
        return found


def _layers(module: nn.Module, *names: str) -> list[nn.Linear]:
    found: list[Any] = [module.get_submodule(f"{name}_proj") for name in names]
    return found


def _agree(module: nn.Module, equal: _Equal) -> bool:
    """Whether both return the same bits on random hidden states."""
    weight = next(module.parameters())
    hidden = torch.randn(2, _TRIED, equal.width, generator=torch.Generator().manual_seed(0)).to(weight)
    with torch.inference_mode():
        if equal.angles is None:
            return torch.equal(module(hidden), equal.run(hidden))
        angles = (equal.angles.cos().to(weight), equal.angles.sin().to(weight))
        given: dict[str, Any] = {"hidden_states": hidden, "attention_mask": None, "position_embeddings": angles}
        return torch.equal(module(**given)[0], equal.run(**given)[0])
