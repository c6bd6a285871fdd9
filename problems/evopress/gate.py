"""Gates before the blocks and sub-blocks of a model: they run, are stood in for, or are passed by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from evo.errors import ConfigError
from problems.evopress.faster import hasten
from problems.evopress.structure import Kind, SubBlock, is_matrix

__all__ = ["Gate", "Gates", "Seen"]

Seen: TypeAlias = Callable[[int, Any], None]
"""Told a block's index and what the block returned."""


class Gate:
    """Takes the place of ``module.forward``; open at first. Weights, hooks and saving know nothing of it.

    Args:
        module: a block or sub-block; the hidden states are its first argument, or the one named ``hidden_states``.
        passing: what a closed gate returns: the hidden states as they came (a block), or zeros like them, which leave
            the residual stream as it is when they are added (a sub-block).

    Attributes:
        closed: the module does not run.
        given: returned instead, whatever comes, unless None.
        seen: called with the hidden states that came and what is returned; not for what was given.
        extra: how many more things than the hidden states the module returns (attention weights, a cache): a closed
            gate returns None for each. None where it returns no tuple.
    """

    def __init__(self, module: nn.Module, passing: Literal["hidden", "zeros"]) -> None:
        self.run: Callable[..., Any] = module.forward
        self.passing = passing
        self.closed = False
        self.given: Any = None
        self.seen: Callable[[Tensor, Any], None] | None = None
        self.extra: int | None = None
        module.forward = self  # an attribute of this one module, found before its class's method

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the module returns for these arguments, or what stands in for it."""
        if self.given is not None:
            return self.given
        entering = args[0] if args else kwargs["hidden_states"]
        if self.closed:
            passed = entering if self.passing == "hidden" else torch.zeros_like(entering)
            output = passed if self.extra is None else (passed, *[None] * self.extra)
        else:
            output = self.run(*args, **kwargs)
        if self.seen is not None:
            self.seen(entering, output)
        return output


class Gates:
    """The gates of all blocks and sub-blocks of a model.

    Args:
        blocks: of the model.
        sub_blocks: of the model.
        probe: runs the model once, on a few tokens.
    """

    def __init__(self, blocks: nn.ModuleList, sub_blocks: Sequence[SubBlock], probe: Callable[[], object]) -> None:
        self._probe = probe
        hasten(blocks)
        self._blocks = [Gate(block, "hidden") for block in blocks]
        self._parts = [(part, Gate(part.module, "zeros")) for part in sub_blocks]
        self._bare = {i for i, block in enumerate(blocks) if any(map(is_matrix, block.children()))}
        self._known = False

    def close(self, left_out: Collection[tuple[int, Kind]]) -> None:
        """Close the gates of exactly these sub-blocks, and of blocks of which nothing is left.

        Raises:
            ConfigError: no such sub-block, or the blocks do not add their sub-blocks to a residual stream.
        """
        for block, kind in sorted(set(left_out) - {(part.block, part.kind) for part, _ in self._parts}):
            raise ConfigError(f"bypass: the model has no {kind} sub-block in block {block} of {len(self._blocks)}")
        if left_out and not self._known:
            self._learn()
        for part, gate in self._parts:
            gate.closed = (part.block, part.kind) in left_out
        for i, gate in enumerate(self._blocks):
            inside = [part.closed for of, part in self._parts if of.block == i]
            gate.closed = bool(inside) and all(inside) and i not in self._bare

    @contextmanager
    def watching(self, given: tuple[int, Any] | None, seen: Seen | None) -> Iterator[None]:
        """While it lasts, blocks up to ``given[0]`` do not run but return ``given[1]``; ``seen`` hears of the rest."""
        first = 0 if given is None else given[0] + 1
        for gate in self._blocks[:first]:
            gate.given = given[1] if given is not None else None
        if seen is not None:
            for i, gate in enumerate(self._blocks[first:], first):
                gate.seen = _telling(seen, i)
        try:
            yield
        finally:
            for gate in self._blocks:
                gate.given = gate.seen = None

    def _learn(self) -> None:
        """What each module returns; and that a block that adds nothing to the residual stream leaves it unchanged."""
        everything = [*self._blocks, *(gate for _, gate in self._parts)]
        changed: list[int] = []
        try:
            for gate in everything:
                gate.closed, gate.seen = False, _learning(gate)
            self._probe()
            for _, gate in self._parts:
                gate.closed, gate.seen = True, None
            for i, gate in enumerate(self._blocks):
                gate.seen = None if i in self._bare else _comparing(changed, i)
            self._probe()
        finally:
            for gate in everything:
                gate.closed, gate.seen = False, None
        if changed:
            raise ConfigError(
                "bypass: expected blocks that add attention and MLP to a residual stream; "
                f"without them, block {changed[0]} changes what passes through it"
            )
        self._known = True


def _telling(seen: Seen, block: int) -> Callable[[Tensor, Any], None]:
    return lambda _, output: seen(block, output)


def _learning(gate: Gate) -> Callable[[Tensor, Any], None]:
    def learn(_: Tensor, output: Any) -> None:
        gate.extra = len(output) - 1 if isinstance(output, tuple) else None

    return learn


def _comparing(changed: list[int], block: int) -> Callable[[Tensor, Any], None]:
    def compare(entering: Tensor, output: Any) -> None:
        if not torch.equal(entering, output[0] if isinstance(output, tuple) else output):
            changed.append(block)

    return compare
