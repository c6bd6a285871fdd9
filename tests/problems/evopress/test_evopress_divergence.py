"""Divergence and surprise against torch's own, over the whole vocabulary; and what keeping K of it costs."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import VOCABULARY, some_tokens
from torch import Tensor

from evo.errors import ConfigError
from problems.evopress.divergence import (
    Part,
    Reference,
    _tail,
    build_reference,
    log_probabilities,
    nll,
    perplexity,
)
from problems.evopress.model import Compressible, NotFinite
from problems.evopress.tokens import Tokens

ALL = np.arange(6)


def damaged(model: Compressible, size: float = 0.3) -> None:
    """Noise on two layers."""
    generator = torch.Generator().manual_seed(0)
    for name in (model.layers[1].name, model.layers[-1].name):
        weight = model.weight(name)
        model.set_weight(name, weight + size * torch.randn(weight.shape, generator=generator))


def full_kl(dense: Tensor, other: Tensor) -> Tensor:
    """Over the whole vocabulary, in float64, from the definition."""
    p, q = torch.log_softmax(dense.double(), -1), torch.log_softmax(other.double(), -1)
    return (p.exp() * (p - q)).sum(-1)[:, :-1]


@pytest.fixture
def tokens() -> Tokens:
    return Tokens(some_tokens(6, 12))


@pytest.fixture
def whole(llama: Compressible, tokens: Tokens, tmp_path: Path) -> Reference:
    build_reference(tmp_path / "whole.npy", llama, tokens)
    return Reference(tmp_path / "whole.npy")


def test_with_the_whole_vocabulary_the_divergence_is_the_exact_one(
    model: Compressible, tokens: Tokens, tmp_path: Path
) -> None:
    build_reference(tmp_path / "r", model, tokens, chunk=30)
    reference = Reference(tmp_path / "r")
    assert reference.top == VOCABULARY
    dense = model.logits(tokens.rows)
    damaged(model)
    other = model.logits(tokens.rows)
    found = reference.part(ALL, 12).kl(log_probabilities(other))
    assert found.shape == (6, 11)
    assert float(found.mean()) > 0.01
    torch.testing.assert_close(found.double(), full_kl(dense, other), rtol=1e-4, atol=1e-5)


def test_the_dense_model_does_not_diverge_from_itself(llama: Compressible, tokens: Tokens, whole: Reference) -> None:
    found = whole.part(ALL, 12).kl(log_probabilities(llama.logits(tokens.rows)))
    assert not found.any()  # the same rows in the same chunk: the same bits


@pytest.mark.parametrize("top", [1, 5, 63])
def test_keeping_less_never_gives_more_and_misses_what_is_inside_the_tail_alone(
    llama: Compressible, tokens: Tokens, tmp_path: Path, top: int
) -> None:
    build_reference(tmp_path / "r", llama, tokens, top=top)
    dense = llama.logits(tokens.rows)
    damaged(llama)
    other = llama.logits(tokens.rows)
    reference = Reference(tmp_path / "r")
    assert reference.top == top
    found, exact = reference.part(ALL, 12).kl(log_probabilities(other)).double(), full_kl(dense, other)
    assert bool((found <= exact + 1e-5).all())
    assert bool((found >= -1e-5).all())
    p, q = torch.softmax(dense.double(), -1)[:, :-1], torch.softmax(other.double(), -1)[:, :-1]
    largest, index = p.topk(top)
    kept = q.gather(-1, index)
    tail_p, tail_q = 1 - largest.sum(-1), 1 - kept.sum(-1)
    expected = (largest * (largest / kept).log()).sum(-1) + tail_p * (tail_p / tail_q).log()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@given(seed=st.integers(0, 10**6), spread=st.floats(0.01, 30), top=st.integers(1, 20))
def test_more_kept_means_a_larger_lower_bound(seed: int, spread: float, top: int) -> None:

    generator = torch.Generator().manual_seed(seed)
    dense, other = (log_probabilities(torch.randn(2, 3, 21, generator=generator) * spread) for _ in range(2))
    bounds = []
    for kept in (top, top + 1):
        largest, index = dense[:, :-1].topk(kept)
        tail = _tail(dense[:, :-1], index) if kept < 21 else None
        bounds.append(Part(np.zeros((2, 3), int), largest, tail, index if kept < 21 else None))
    if top + 1 == 21:
        bounds[1] = Part(np.zeros((2, 3), int), dense[:, :-1], None, None)
    less, more = (bound.kl(other).double() for bound in bounds)
    exact = full_kl(dense, other)
    room = 1e-5 * (1 + exact)
    assert bool((less <= more + room).all())
    assert bool((more <= exact + room).all())


def test_probability_that_leaks_out_of_the_top_is_noticed() -> None:
    # Renormalised over the kept ones, these two would be alike.
    dense = torch.tensor([[[5.0, 4.0, 0.0, 0.0]] * 2])
    other = torch.tensor([[[5.0, 4.0, 9.0, 9.0]] * 2])

    logs = log_probabilities(dense)[:, :-1]
    top, index = logs.topk(2)
    found = Part(np.zeros((1, 2), int), top, _tail(logs, index), index).kl(log_probabilities(other))
    assert float(found[0, 0]) > 1.0


def test_a_cut_row_is_the_beginning_of_a_whole_one(llama: Compressible, tokens: Tokens, whole: Reference) -> None:
    damaged(llama)
    found = whole.part(ALL, 12).kl(log_probabilities(llama.logits(tokens.rows)))
    part = whole.part(np.array([4]), 5)
    assert part.tokens.tolist() == tokens.rows[4:5, :5].tolist()
    cut = part.kl(log_probabilities(llama.logits(part.tokens)))
    torch.testing.assert_close(cut, found[4:5, :4], rtol=1e-4, atol=1e-5)


def test_a_row_of_one_token_predicts_nothing(llama: Compressible, whole: Reference) -> None:
    part = whole.part(np.array([2]), 1)
    logs = log_probabilities(llama.logits(part.tokens))
    assert part.kl(logs).shape == nll(logs, part.tokens).shape == (1, 0)


def test_surprise_is_torchs_cross_entropy_of_the_next_token(llama: Compressible, tokens: Tokens) -> None:
    logits = llama.logits(tokens.rows)
    expected = torch.nn.functional.cross_entropy(
        logits[:, :-1].reshape(-1, VOCABULARY), torch.as_tensor(tokens.rows[:, 1:]).reshape(-1), reduction="none"
    )
    torch.testing.assert_close(nll(log_probabilities(logits), tokens.rows).reshape(-1), expected)


def test_perplexity_of_a_fair_choice_is_the_number_of_choices() -> None:
    logs = log_probabilities(torch.zeros(2, 5, 7))
    assert perplexity(float(nll(logs, np.zeros((2, 5), int)).mean())) == pytest.approx(7, rel=1e-6)
    assert perplexity(1e6) == math.inf


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_are_named(bad: float) -> None:
    logits = torch.zeros(1, 3, 4)
    logits[0, 1, 2] = bad
    with pytest.raises(NotFinite, match="logits are not finite"):
        log_probabilities(logits)
    assert issubclass(NotFinite, ValueError)


def test_finite_logits_are_not_refused_however_large_their_sum() -> None:
    logs = log_probabilities(torch.tensor([[[0.0, -3e38, -3e38]] * 2]))
    assert not math.isfinite(logs.sum().item())
    assert bool(torch.isfinite(logs).all())


def test_a_broken_dense_model_makes_no_reference(llama: Compressible, tokens: Tokens, tmp_path: Path) -> None:
    for layer in llama.layers:
        llama.set_weight(layer.name, llama.weight(layer.name) * 1e25)
    with pytest.raises(NotFinite):
        build_reference(tmp_path / "r", llama, tokens)
    assert not (tmp_path / "r").exists()


def test_a_reference_holds_the_tokens_it_was_made_on(tokens: Tokens, whole: Reference) -> None:
    assert whole.tokens.rows.tolist() == tokens.rows.tolist()


def test_a_reference_reads_the_same_from_a_file_and_from_its_bytes(
    llama: Compressible, tokens: Tokens, tmp_path: Path
) -> None:
    for top in (5, 64):
        build_reference(tmp_path / "r", llama, tokens, top=top)
        first, second = (Reference(source).part(ALL, 9) for source in (tmp_path / "r", (tmp_path / "r").read_bytes()))
        assert torch.equal(first.top, second.top)
        assert (first.index is None) == (top == 64)


def test_building_tells_how_far_it_is_and_gives_the_same_bytes_again(
    llama: Compressible, tokens: Tokens, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    for name in ("a", "b"):
        build_reference(tmp_path / name, llama, tokens, chunk=24, progress=lambda *done: told.append(done))
    assert told == [(2, 6), (4, 6), (6, 6)] * 2
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_other_files_and_nothing_kept_are_refused(llama: Compressible, tokens: Tokens, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        Reference(tmp_path / "none")
    (tmp_path / "text").write_text("no array")
    with pytest.raises(ConfigError, match="cannot read"):
        Reference(tmp_path / "text")
    np.save(tmp_path / "other.npy", np.zeros(3))
    with pytest.raises(ConfigError, match="as build_reference makes it"):
        Reference(tmp_path / "other.npy")
    with pytest.raises(ConfigError, match="at least 1 probability"):
        build_reference(tmp_path / "r", llama, tokens, top=0)
