"""Pruning: exact counts, and removal of weights against the formulas written out one weight at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.errors import ConfigError, EvaluationError
from problems.evopress.counts import published_step, zero_counts

torch = pytest.importorskip("torch")
from problems.evopress import pruning  # noqa: E402
from problems.evopress.pruning import METHODS, inverse_factor, magnitude, obs, output_error, prune, wanda  # noqa: E402

torch.set_num_threads(1)
unhurried = settings(deadline=None)


def layer(out: int, width: int, seed: int = 0, tokens: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (out, width) and the Gram matrix of inputs that hang together as those of a network do."""
    rng = np.random.default_rng(seed)
    spread = rng.normal(size=(width, width)) * np.exp(-np.arange(width) / 4)[:, None]
    inputs = rng.normal(size=(tokens or 4 * width, width)) @ spread + 0.3 * rng.normal(size=(1, width))
    return torch.from_numpy(rng.normal(size=(out, width))).float(), torch.from_numpy(inputs.T @ inputs)


@given(
    method=st.sampled_from(METHODS),
    out=st.integers(1, 9),
    width=st.integers(1, 9),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
    coarse=st.booleans(),
)
@unhurried
def test_there_are_exactly_as_many_zeros_as_asked_for(
    method: str, out: int, width: int, share: float, seed: int, dtype: torch.dtype, coarse: bool
) -> None:
    w, gram = layer(out, width, seed)
    w = (w.round() + 3 * w.sign() if coarse else w).to(dtype)  # coarse: many ties, none of them zero
    zeros = round(share * w.numel())
    found = next(prune(method, w, gram, [zeros]))
    assert (found == 0).sum() == zeros
    assert found.shape == w.shape
    assert found.dtype == dtype
    assert found.is_contiguous()


@given(method=st.sampled_from(METHODS), seed=st.integers(0, 99), zeros=st.integers(0, 40))
@unhurried
def test_weights_that_were_zero_go_first(method: str, seed: int, zeros: int) -> None:
    w, gram = layer(5, 8, seed)
    w[w.abs() < 0.3] = 0
    before = int((w == 0).sum())
    found = next(prune(method, w, gram, [zeros]))
    if zeros >= before:
        assert (found == 0).sum() == zeros
        assert bool((found[w == 0] == 0).all())
    elif method == "obs":  # it moves weights, so zeros that stay need not stay zeros
        assert bool((w[found == 0] == 0).all())
    else:
        assert torch.equal(found, w)


@given(method=st.sampled_from(METHODS), seed=st.integers(0, 99))
@unhurried
def test_no_zeros_leave_every_bit(method: str, seed: int) -> None:
    w, gram = layer(4, 6, seed)
    found = next(prune(method, w, gram, [0]))
    assert found.numpy().tobytes() == w.numpy().tobytes()
    assert found.data_ptr() != w.data_ptr()
    assert output_error(w, found, gram) == 0


@pytest.mark.parametrize("method", METHODS)
def test_all_zeros_lose_the_whole_output(method: str) -> None:
    w, gram = layer(4, 6)
    found = next(prune(method, w, gram, [w.numel()]))
    assert bool((found == 0).all())
    assert output_error(w, found, gram) == pytest.approx(1)


@given(method=st.sampled_from(METHODS), seed=st.integers(0, 99), counts=st.lists(st.integers(0, 35), min_size=1))
@unhurried
def test_a_level_does_not_depend_on_the_others(method: str, seed: int, counts: list[int]) -> None:
    w, gram = layer(5, 7, seed)
    w.requires_grad_()
    for zeros, found in zip(counts, prune(method, w, gram, counts), strict=True):
        assert found.numpy().tobytes() == next(prune(method, w, gram, [zeros])).numpy().tobytes()


@pytest.mark.parametrize("shape", [(13, 71), (64, 100)])
def test_a_level_does_not_depend_on_how_many_are_worked_on_at_a_time(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    w, gram = layer(*shape)
    counts = range(0, w.numel(), 97)
    at_once = list(prune("obs", w, gram, counts))
    monkeypatch.setattr(pruning, "_TOGETHER", 1)
    for found, alone in zip(at_once, prune("obs", w, gram, counts), strict=True):
        assert torch.equal(found, alone)


@given(seed=st.integers(0, 99), zeros=st.integers(0, 40))
@unhurried
def test_magnitude_removes_the_smallest(seed: int, zeros: int) -> None:
    w, _ = layer(5, 8, seed)
    found = magnitude(w, zeros)
    kept, gone = w[found != 0].abs(), w[found == 0].abs()
    assert bool((found[found != 0] == w[found != 0]).all())
    assert not len(gone) or not len(kept) or gone.max() <= kept.min()


@given(seed=st.integers(0, 99), zeros=st.integers(0, 40))
@unhurried
def test_wanda_removes_the_smallest_products_of_each_row(seed: int, zeros: int) -> None:
    w, gram = layer(5, 8, seed)
    norms = gram.diagonal().sqrt()
    found = wanda(w, norms, zeros)
    scores = w.double().abs() * norms
    by_row = (found == 0).sum(dim=1)
    assert by_row.max() - by_row.min() <= 1
    for row, score in zip(found, scores, strict=True):
        assert set(score[row == 0].tolist()) == set(score.sort().values[: int((row == 0).sum())].tolist())
    anywhere = wanda(w, norms, zeros, by_row=False)
    assert set(scores[anywhere == 0].tolist()) == set(scores.flatten().sort().values[:zeros].tolist())


@given(width=st.integers(1, 70), seed=st.integers(0, 20))
@settings(deadline=None, max_examples=30)
def test_the_factor_is_that_of_the_damped_inverse(width: int, seed: int) -> None:
    _, gram = layer(1, width, seed)
    factor = inverse_factor(gram, 0.05)
    damped = gram + 0.05 * gram.diagonal().mean() * torch.eye(width)
    assert bool((factor.tril(-1) == 0).all())
    torch.testing.assert_close(factor.T @ factor, torch.linalg.inv(damped), rtol=1e-7, atol=1e-9)


def removed_one_by_one(w: np.ndarray, damped: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """The weights of `gone` taken out from left to right, each by the formula of the optimal brain surgeon."""
    found = w.copy()
    for i in range(w.shape[1]):
        inverse = np.linalg.inv(damped[i:, i:])  # of what is still free to move
        for row in np.flatnonzero(gone[:, i]):
            found[row, i:] -= found[row, i] / inverse[0, 0] * inverse[0]
            found[row, i] = 0
    return found


@given(
    out=st.integers(1, 5),
    width=st.integers(1, 12),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
    columns=st.sampled_from([1, 3, 32]),
)
@unhurried
def test_obs_is_the_formula_one_weight_at_a_time(out: int, width: int, share: float, seed: int, columns: int) -> None:
    w, gram = layer(out, width, seed)
    w, zeros = w.double(), round(share * out * width)
    damped = (gram + 0.01 * gram.diagonal().mean() * torch.eye(width)).numpy()
    diagonal = np.array([np.linalg.inv(damped[i:, i:])[0, 0] for i in range(width)])
    order = np.argsort((w.numpy() ** 2 / diagonal).ravel(), kind="stable")
    gone = np.zeros(out * width, dtype=bool)
    gone[order[:zeros]] = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pruning, "_COLUMNS", columns)
        found = obs(w, gram, zeros)
    expected = removed_one_by_one(w.numpy(), damped, gone.reshape(out, width))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_obs_loses_less_of_the_output_than_magnitude_and_wanda(share: float) -> None:
    lost = dict.fromkeys(METHODS, 0.0)
    for seed in range(20):
        w, gram = layer(24, 40, seed)
        for method in METHODS:
            lost[method] += output_error(w, next(prune(method, w, gram, [round(share * w.numel())])), gram)
    assert lost["obs"] < 0.7 * min(lost["wanda"], lost["magnitude"])


@given(seed=st.integers(0, 99), zeros=st.integers(0, 40))
@unhurried
def test_no_mask_can_be_filled_better_than_by_least_squares(seed: int, zeros: int) -> None:
    w, gram = layer(5, 8, seed)
    w = w.double()
    found = obs(w, gram, zeros, damping=1e-9)
    best = torch.zeros_like(w)
    for row in range(5):
        kept = found[row] != 0
        best[row, kept] = torch.linalg.solve(gram[kept][:, kept], gram[kept] @ w[row])
    assert output_error(w, best, gram) <= output_error(w, found, gram) + 1e-9


def test_inputs_that_were_always_zero_cost_nothing_and_go_first() -> None:
    w, gram = layer(6, 8)
    w[:, 3] *= 100
    gram[3], gram[:, 3] = 0, 0
    for method in ("wanda", "obs"):
        found = next(prune(method, w, gram, [6]))
        assert bool((found[:, 3] == 0).all())
        assert output_error(w, found, gram) == 0
    nothing = torch.zeros_like(gram)
    assert (obs(w, nothing, 10) == 0).sum() == 10
    assert output_error(w, obs(w, nothing, 10), nothing) == 0


def test_what_stays_is_not_rounded_to_zero() -> None:
    w = torch.tensor([[1e-9, 1.0], [-2e-9, 2.0]], dtype=torch.float64)
    tiny = obs(w, torch.eye(2), 0).half()
    assert (tiny == 0).sum() == 2  # what a plain conversion would do
    w16 = torch.tensor([[6e-8, 1.0], [-6e-8, 2.0]], dtype=torch.float16)
    gram = torch.tensor([[1.0, 0.999], [0.999, 1.0]])
    for zeros in range(5):
        assert (obs(w16, gram, zeros) == 0).sum() == zeros


def test_bad_input_is_named() -> None:
    w, gram = layer(3, 4)
    with pytest.raises(ConfigError, match="one of magnitude, wanda, obs"):
        next(prune("random", w, gram, [1]))
    with pytest.raises(ConfigError, match="zeros must be 0 to 12"):
        magnitude(w, 13)
    with pytest.raises(ConfigError, match="do not fit a Gram matrix"):
        obs(w, gram[:3, :3], 1)
    with pytest.raises(ConfigError, match="and a Gram matrix"):
        next(prune("obs", w, None, [1]))
    with pytest.raises(EvaluationError, match="not finite"):
        magnitude(w * np.nan, 1)
    with pytest.raises(EvaluationError, match="not positive definite"):
        obs(w, -gram, 1)


@given(size=st.integers(1, 500), sparsity=st.floats(0, 1), step=st.integers(1, 60), most=st.integers(0, 9))
@unhurried
def test_levels_are_a_step_apart_as_far_as_they_fit(size: int, sparsity: float, step: int, most: int) -> None:
    counts = zero_counts(size, sparsity, step, most)
    middle = round(sparsity * size)
    asked = [middle + level * step for level in range(-most, most + 1)]
    assert list(counts.zeros) == [zeros for zeros in asked if 0 <= zeros <= size]
    assert counts.zeros[counts.uniform] == middle


def test_levels_as_published_and_levels_that_cannot_be() -> None:
    assert zero_counts(4096 * 4096, 0.7, 1_000_000, 8).uniform == 8
    assert len(zero_counts(4096 * 4096, 0.7, 1_000_000, 8).zeros) == 8 + 1 + 5
    assert len(zero_counts(1024 * 4096, 0.7, 1_000_000, 8).zeros) == 2 + 1 + 1
    assert published_step(0.75, 6, 64) == 85
    for size, sparsity, step, most in [(10, 1.1, 1, 1), (10, float("nan"), 1, 1), (0, 0.5, 1, 1), (9, 0.5, 0, 1)]:
        with pytest.raises(ConfigError):
            zero_counts(size, sparsity, step, most)
