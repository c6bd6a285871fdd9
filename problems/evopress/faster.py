"""Quicker equals of sub-blocks that most decoder families share: fewer passes over memory, the same bits.

On a processor a small model spends half of a forward pass on moving activations between steps that are not matrix
products. A gated MLP and an attention with rotary positions do with fewer of them. A module gets its equal only where
both return the same bits on random hidden states; all others, and calls with a mask or a cache, run as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["hasten"]

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


def _mlp(module: nn.Module) -> _Equal | None:
    gate, up, down = (_linear(module, f"{name}_proj") for name in ("gate", "up", "down"))
    if gate is None or up is None or down is None:
        return None

    def forward(x: Tensor) -> Tensor:
        found: Tensor = down(functional.silu(gate(x), inplace=True).mul_(up(x)))
        return found

    return _Equal(forward, gate.in_features)


def _attention(module: nn.Module, angles: _Angles) -> _Equal | None:
    query, key, value, out = (_linear(module, f"{name}_proj") for name in "qkvo")
    size, scale = getattr(module, "head_dim", None), getattr(module, "scaling", None)
    if query is None or key is None or value is None or out is None:
        return None
    if not isinstance(size, int) or not isinstance(scale, float) or not getattr(module, "is_causal", False):
        return None
    usual: Callable[..., Any] = module.forward
    config: Any = module.config
    grouped = query.out_features != key.out_features

    def forward(*args: Any, **kwargs: Any) -> Any:
        masked = kwargs.get("attention_mask") is not None or kwargs.get("past_key_values") is not None
        if args or masked or not kwargs.keys() >= _FUSED or config._attn_implementation != "sdpa":
            return usual(*args, **kwargs)
        entering = kwargs["hidden_states"]
        cos, sin = kwargs["position_embeddings"]
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


_FUSED = {"hidden_states", "position_embeddings"}


class _Angles:
    """Rotary positions laid out head by head, once for all blocks of a forward pass: plain products are quicker than
    those that repeat a factor."""

    def __init__(self) -> None:
        self._of: tuple[Tensor, Tensor] | None = None
        self._tables: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def turned(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(b, t, heads, size) with each pair of its two halves turned by the angle of the position."""
        if self._of is None or self._of[0] is not cos or self._of[1] is not sin:
            self._of, self._tables = (cos, sin), {}
        heads, half = x.shape[2], x.shape[3] // 2
        if heads not in self._tables:
            whole, first, second = (
                part.unsqueeze(2).expand(-1, -1, heads, -1) for part in (cos, sin[..., :half], sin[..., half:])
            )
            self._tables[heads] = whole.contiguous(), first.contiguous(), second.contiguous()
        whole, first, second = self._tables[heads]
        found = x * whole
        found[..., :half].sub_(x[..., half:] * first)
        found[..., half:].add_(x[..., :half] * second)
        return found


def _linear(module: nn.Module, name: str) -> nn.Linear | None:
    found = module._modules.get(name)
    return found if isinstance(found, nn.Linear) else None


def _agree(module: nn.Module, equal: _Equal) -> bool:
    """Whether both return the same bits on random hidden states."""
    weight = next(module.parameters())
    hidden = torch.randn(2, _TRIED, equal.width, generator=torch.Generator().manual_seed(0)).to(weight)
    try:
        with torch.inference_mode():
            if equal.angles is None:
                usual, faster = module(hidden), equal.run(hidden)
            else:
                given: dict[str, Any] = {"hidden_states": hidden, "attention_mask": None}
                given["position_embeddings"] = (equal.angles.cos().to(weight), equal.angles.sin().to(weight))
                (usual, *more), (faster, *others) = module(**given), equal.run(**given)
                if more != others:
                    return False
            return torch.equal(usual, faster)
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, NotImplementedError):
        return False  # a namesake that wants something else
