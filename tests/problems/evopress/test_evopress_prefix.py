"""Passes that begin behind what was run before: the same bits, and as little work as the sharing allows."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import BLOCKS, FAMILIES, some_tokens
from torch import Tensor

from evo.errors import ConfigError
from problems.evopress.divergence import Reference, build_reference
from problems.evopress.model import Compressible, NotFinite
from problems.evopress.prefix import Prefix, sharing_order
from problems.evopress.scoring import Score, score, score_many
from problems.evopress.structure import Kind
from problems.evopress.tokens import Tokens

State = tuple[dict[str, int], list[tuple[int, Kind]]]

BROKEN, HUGE = 98, 99
"""Keys of weights that are not numbers, and of finite ones that make the activations overflow."""

_LOADED: dict[str, Compressible] = {}


def loaded(family: str, folders: dict[str, Path]) -> Compressible:
    if family not in _LOADED:
        _LOADED[family] = Compressible.load(str(folders[family]))
    _LOADED[family].restore()
    return _LOADED[family]


def weights(model: Compressible, name: str, key: int) -> Tensor:
    shape = model.layer(name).shape
    size = {BROKEN: math.nan, HUGE: 1e30}.get(key, 0.3)
    return torch.randn(shape, generator=torch.Generator().manual_seed(key)) * size


def put(model: Compressible, state: State) -> None:
    model.apply(state[0], lambda name, key: weights(model, name, key))
    model.bypass(state[1])


@st.composite
def states(draw: st.DrawFn, model: Compressible) -> State:
    names = st.sampled_from([layer.name for layer in model.layers])
    parts = st.sampled_from([(part.block, part.kind) for part in model.sub_blocks])
    return draw(st.dictionaries(names, st.integers(1, 2), max_size=3)), draw(st.lists(parts, max_size=2))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_whatever_ran_before_the_bits_are_those_of_a_full_pass(
    data: st.DataObject, model_folders: dict[str, Path]
) -> None:
    model = loaded(data.draw(st.sampled_from(FAMILIES)), model_folders)
    prefix = Prefix(model, memory=data.draw(st.sampled_from([0, 10_000, 1 << 20])))
    for _ in range(data.draw(st.integers(1, 5))):
        put(model, data.draw(states(model)))
        tokens = some_tokens(2, 10, seed=data.draw(st.integers(0, 1)))
        assert torch.equal(prefix.logits(tokens), model.logits(tokens))


def test_a_model_starts_at_the_first_block_that_differs(model: Compressible) -> None:
    prefix = Prefix(model)
    prefix.logits(some_tokens())
    assert (prefix.blocks_run, prefix.blocks_saved) == (BLOCKS, 0)
    last = next(layer for layer in model.layers if layer.block == 2)
    put(model, ({last.name: 1}, []))
    prefix.logits(some_tokens())
    assert (prefix.blocks_run, prefix.blocks_saved) == (BLOCKS + 1, 2)
    put(model, ({}, [(1, "mlp")]))
    prefix.logits(some_tokens())
    assert (prefix.blocks_run, prefix.blocks_saved) == (BLOCKS + 3, 3)


def test_other_tokens_start_anew(llama: Compressible) -> None:
    prefix = Prefix(llama)
    square = some_tokens(4, 4)
    for tokens in (square, square.reshape(2, 8), some_tokens(4, 4, seed=1)):
        assert torch.equal(prefix.logits(tokens), llama.logits(tokens))
    assert prefix.blocks_saved == 0


def test_what_was_used_longest_ago_is_forgotten_first(llama: Compressible) -> None:
    one = 3 * 20 * 32 * 4  # bytes that a block returns for some_tokens()
    prefix = Prefix(llama, memory=2 * one)
    first, second = some_tokens(seed=1), some_tokens(seed=2)
    prefix.logits(first)
    prefix.logits(first)
    assert prefix.blocks_saved == 2
    prefix.logits(second)
    prefix.logits(first)
    assert prefix.blocks_saved == 2
    prefix.forget()
    prefix.logits(first)
    assert prefix.blocks_saved == 2


def test_blocks_that_add_in_place_do_not_spoil_what_is_remembered(llama: Compressible) -> None:
    for block in llama.blocks:
        gate = block.forward
        run = gate.run  # type: ignore[union-attr]
        gate.run = lambda hidden, run=run, **rest: hidden.add_(run(hidden, **rest))  # type: ignore[union-attr]
    expected = llama.logits(some_tokens())
    prefix = Prefix(llama)
    for _ in range(3):
        assert torch.equal(prefix.logits(some_tokens()), expected)
    assert prefix.blocks_saved == 2 * (BLOCKS - 1)


def agreeing(first: tuple[object, ...], second: tuple[object, ...]) -> int:
    """How many first blocks two models share."""
    return next((i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b), len(first))


@given(signatures=st.lists(st.tuples(*[st.sampled_from([None, "a", 1])] * 4), max_size=12))
def test_in_sharing_order_each_shares_with_the_one_before_as_much_as_with_any_earlier(
    signatures: list[tuple[object, ...]],
) -> None:
    order = sharing_order(signatures)  # type: ignore[arg-type]
    assert sorted(order) == list(range(len(signatures)))
    for position in range(1, len(order)):
        shared = [agreeing(signatures[order[earlier]], signatures[order[position]]) for earlier in range(position)]
        assert shared[-1] == max(shared)


@pytest.fixture
def reference(llama: Compressible, tmp_path: Path) -> Reference:
    build_reference(tmp_path / "r", llama, Tokens(some_tokens(8, 10)))
    return Reference(tmp_path / "r")


def moves(model: Compressible, chosen: list[State]) -> list[Callable[[], None]]:
    return [lambda state=state: put(model, state) for state in chosen]  # type: ignore[misc]


def test_a_score_is_the_mean_over_all_predicted_tokens(llama: Compressible, reference: Reference) -> None:
    put(llama, ({llama.layers[2].name: 1}, [(1, "mlp")]))
    batch = reference.tokens.minibatch(np.random.default_rng(0), 57)
    found = score(llama, reference, batch, chunk=20)
    kls: list[float] = []
    surprises: list[float] = []
    for i, row in enumerate(batch.rows):
        read = reference.tokens.rows[row : row + 1, : 10 if i < len(batch.rows) - 1 else batch.last].astype(int)
        logs = torch.log_softmax(llama.logits(read).double(), -1)[0]
        kept = reference.part(np.array([row]), read.shape[1]).top.double()[0]
        kls += (kept.exp() * (kept - logs[:-1])).sum(-1).tolist()
        surprises += (-logs[:-1].gather(-1, torch.as_tensor(read[0, 1:, None]))[:, 0]).tolist()
    assert found.positions == len(kls) == 57 - 6
    assert found.kl == pytest.approx(np.mean(kls), rel=1e-4)
    assert found.nll == pytest.approx(np.mean(surprises), rel=1e-5)
    assert found.perplexity == pytest.approx(math.exp(np.mean(surprises)), rel=1e-4)


def test_a_last_fragment_of_one_token_contributes_nothing(llama: Compressible, reference: Reference) -> None:
    put(llama, ({llama.layers[2].name: 1}, []))
    cut = reference.tokens.minibatch(np.random.default_rng(0), 41)
    assert cut.last == 1
    found = score(llama, reference, cut)
    assert found.positions == 36
    assert math.isfinite(found.kl)
    assert math.isfinite(found.nll)


def test_company_changes_no_bit_of_a_score(llama: Compressible, reference: Reference) -> None:
    names = [layer.name for layer in llama.layers]
    chosen: list[State] = [
        ({names[-1 - i]: 1 + i % 2, names[-1 - (5 * i) % 12]: 1}, [(i % BLOCKS, "mlp")] if i % 3 == 0 else [])
        for i in range(8)
    ]
    batch = reference.tokens.minibatch(np.random.default_rng(0), 57)
    alone = []
    for move in moves(llama, chosen):
        move()
        alone.append(score(llama, reference, batch, chunk=20))
    assert len(set(alone)) == len(chosen)
    prefix = Prefix(llama)
    assert score_many(llama, moves(llama, chosen), reference, batch, chunk=20, prefix=prefix) == alone
    assert prefix.blocks_saved > 0
    again = score_many(llama, moves(llama, chosen[::-1]), reference, batch, chunk=20, prefix=Prefix(llama, memory=0))
    assert again == alone[::-1]


def test_a_broken_candidate_fails_alone(llama: Compressible, reference: Reference) -> None:
    down = next(layer.name for layer in reversed(llama.layers) if layer.name.endswith("down_proj"))
    up = next(layer.name for layer in reversed(llama.layers) if layer.name.endswith("up_proj"))
    huge = {down: HUGE, up: HUGE}
    batch = reference.tokens.everything()
    chosen: list[State] = [({}, []), ({down: BROKEN}, []), ({down: 1}, []), (huge, [])]
    found = score_many(llama, moves(llama, chosen), reference, batch, chunk=20)
    assert [type(one) for one in found] == [Score, NotFinite, Score, NotFinite]
    assert str(found[1]) == f"{down}: the weights of {BROKEN} are not finite"
    llama.restore()
    assert score(llama, reference, batch, chunk=20) == found[0]
    put(llama, (huge, []))
    with pytest.raises(NotFinite, match="logits are not finite"):
        score(llama, reference, batch)


def test_nobody_to_measure_is_no_error(llama: Compressible, reference: Reference) -> None:
    assert score_many(llama, [], reference, reference.tokens.everything()) == []


def test_a_minibatch_of_other_tokens_is_refused(llama: Compressible, reference: Reference) -> None:
    for rows, length in ((9, 10), (8, 9)):
        with pytest.raises(ConfigError, match="8 rows of 10"):
            score(llama, reference, Tokens(some_tokens(rows, length)).everything())
