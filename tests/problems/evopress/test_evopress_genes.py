"""What genomes mean: sizes and ranges of sizes, levels that are allowed, sub-blocks that must stay."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.errors import ConfigError
from evo.spaces import Levels
from problems.evopress.coding import depth, drop_of, share_of, sparsity
from problems.evopress.counts import zero_counts
from problems.evopress.genes import Sparsity, measured, middle
from problems.evopress.outline import Outline, outline
from problems.evopress.sizes import cheapest_of, size_of, sizes_of, spaced, splits

unhurried = settings(deadline=None)


@pytest.fixture
def model(model_folders: dict[str, Path]) -> Outline:
    """Three blocks of 32 columns: seven layers in each, of 512 to 1536 weights."""
    return outline(str(model_folders["llama"]))


def shares(genes: Sparsity, genome: Any) -> list[float]:
    """Of zeros in each layer."""
    return [
        one.zeros[level] / one.size
        for gene, level in zip(genes.counts, genome.tolist(), strict=True)
        for one in gene
    ]  # fmt: skip


# A range of sparsities ------------------------------------------------------------------------------------------------


@given(
    size=st.integers(1, 500),
    ends=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    step=st.integers(1, 60),
    most=st.integers(0, 9),
)
@unhurried
def test_the_levels_of_a_range_go_from_below_its_lowest_to_beyond_its_highest(
    size: int, ends: tuple[float, float], step: int, most: int
) -> None:
    low, high = sorted(ends)
    counts = zero_counts(size, (low, high), step, most)
    assert set(np.diff(counts.zeros)) <= {step}
    assert counts.zeros[counts.uniform] == round(low * size)
    assert counts.zeros[0] - step < 0 or counts.uniform == most
    beyond = counts.zeros[-1] - most * step  # the level from which the last ones lie beyond the range
    assert counts.zeros[-1] + step > size or round(high * size) <= beyond < round(high * size) + step


def test_a_genome_of_a_range_has_any_share_of_zeros_within_it_and_is_measured_by_it(model: Outline) -> None:
    genes = sparsity(model, (0.3, 0.7), most=3, step=None, fused=False)
    assert genes.measure is not None
    assert (genes.measure.name, genes.measure.low, genes.measure.high) == ("sparsity", 0.3, 0.7)
    genomes = genes.space.sample(50, np.random.default_rng(0))
    found = measured(genes, genomes)
    assert found is not None
    weights = [one.size for gene in genes.counts for one in gene]
    assert found[:, 0].tolist() == pytest.approx([np.average(shares(genes, row), weights=weights) for row in genomes])
    assert 0.3 <= found.min() < 0.35
    assert 0.65 < found.max() <= 0.7


def test_an_exact_budget_has_no_measure(model: Outline) -> None:
    for genes in (sparsity(model, 0.5, 2, None, False), depth(model, 1, False)):
        assert genes.measure is None
        assert measured(genes, genes.space.sample(2, np.random.default_rng(0))) is None


def test_even_genomes_of_a_range_are_as_near_to_one_sparsity_as_levels_allow(model: Outline) -> None:
    genes = sparsity(model, (0.3, 0.7), most=3, step=None, fused=False)
    sizes = spaced(genes.space, 12)
    assert len(sizes) == 12
    assert (sizes[0], sizes[-1]) == (sizes_of(genes.space)[0], sizes_of(genes.space)[-1])
    for size in sizes:
        genome = genes.even(size)
        genes.space.check(genome[None])
        assert size_of(genes.space, genome) == size
        for share, gene in zip(shares(genes, genome), genes.counts, strict=True):
            assert abs(share - genes.share(size)) <= 1.01 * genes.step / gene[0].size


def test_the_even_genome_of_an_exact_budget_is_the_uniform_one(model: Outline) -> None:
    genes = sparsity(model, 0.5, 2, None, False)
    assert shares(genes, genes.even(middle(genes))) == pytest.approx([0.5] * 21, abs=1e-3)


def test_what_people_see_of_a_range_is_steps_from_the_even_genome_of_that_size(model: Outline) -> None:
    genes = sparsity(model, (0.3, 0.7), most=3, step=None, fused=False)
    genome = genes.even(middle(genes))
    assert set(genes.text(genome).split()) == {"+0"} | {name.rpartition(".")[2] for (name,) in genes.genes}
    queries = [place for place, (name,) in enumerate(genes.genes) if name.endswith("q_proj")]
    genome[queries] += [1, -1, 0]
    assert genes.text(genome).splitlines()[0].split() == ["q_proj", "+1", "-1", "+0"]


# A range of depths ----------------------------------------------------------------------------------------------------


def test_a_range_of_depths_is_measured_by_how_many_are_left_out(model: Outline) -> None:
    genes = depth(model, (1, 2), whole_blocks=False)
    assert genes.measure is not None
    assert (genes.measure.name, genes.measure.low, genes.measure.high) == ("left_out", 1.5, 4.5)
    assert sizes_of(genes.space).tolist() == [2, 3, 4]
    assert splits(genes.space, 3) == [{"attention": 1, "mlp": 2}, {"attention": 2, "mlp": 1}]
    found = measured(genes, np.stack([genes.even(size) for size in (2, 3, 4)]))
    assert found is not None
    assert found.tolist() == [[2.0], [3.0], [4.0]]
    assert depth(model, (1, 2), whole_blocks=True).space.totals(np.array([[0, 1, 1]])).tolist() == [[2]]


@given(seed=st.integers(0, 2**32), size=st.integers(3, 9))
@unhurried
def test_the_cheapest_of_a_size_is_the_cheapest_over_all_splits(seed: int, size: int) -> None:
    space = Levels([[0, 1]] * 5 + [[0, 2]] * 3, {"a": (1, 4), "b": (2, 6)}, groups=[*"aaaaabbb"])
    prices = np.random.default_rng(seed).normal(size=(8, 2))
    fitting = [
        choice
        for choice in itertools.product([0, 1], repeat=8)
        if 1 <= sum(choice[:5]) <= 4 and 1 <= sum(choice[5:]) <= 3 and sum(choice[:5]) + 2 * sum(choice[5:]) == size
    ]
    best = min(fitting, key=lambda choice: prices[np.arange(8), choice].sum())
    assert tuple(cheapest_of(space, list(prices), size).tolist()) == best


# Levels that are allowed ----------------------------------------------------------------------------------------------


def test_layers_take_the_levels_that_are_allowed_alone(model: Outline) -> None:
    genes = sparsity(model, 0.5, 2, None, False, {"*.q_proj": [0], "*.down_proj": [-2, 0, 2]})
    drawn = genes.space.sample(300, np.random.default_rng(0)) - genes.even(middle(genes))
    for (name,), steps in zip(genes.genes, drawn.T, strict=True):
        kind = name.rpartition(".")[2]
        assert set(steps.tolist()) == {"q_proj": {0}, "down_proj": {-2, 0, 2}}.get(kind, {-2, -1, 0, 1, 2})


def test_where_patterns_meet_all_of_them_must_allow_a_level(model: Outline) -> None:
    genes = sparsity(model, 0.5, 2, None, False, {"*.mlp.*": [-1, 0, 1], "*.0.mlp.*": [0, 1, 2]})
    legal = {name: own for (name,), own in zip(genes.genes, genes.legal, strict=True)}
    assert legal["model.layers.0.mlp.up_proj"] == (False, False, True, True, False)
    assert legal["model.layers.1.mlp.up_proj"] == (False, True, True, True, False)
    assert legal["model.layers.1.self_attn.q_proj"] == (True,) * 5


def test_fused_layers_take_what_all_of_them_may(model: Outline) -> None:
    genes = sparsity(model, 0.5, 2, None, True, {"*.gate_proj": [-1, 0, 1], "*.up_proj": [0, 1, 2]})
    fused = [own for names, own in zip(genes.genes, genes.legal, strict=True) if names[0].endswith("gate_proj")]
    assert fused == [(False, False, True, True, False)] * 3


def test_without_the_uniform_level_a_search_starts_as_near_to_it_as_is_allowed(model: Outline) -> None:
    genes = sparsity(model, 0.5, 2, None, False, {"*.o_proj": [-1, 2], "*.down_proj": [-2, -1, 1, 2]})
    start = genes.even(middle(genes))
    genes.space.check(start[None])
    assert abs(np.array(shares(genes, start)) - 0.5).max() <= 2.01 * genes.step / 512


ALLOWED = [
    ({"*.w_proj": [0]}, "allowed: '*.w_proj' matches no layer; their names are like 'model.layers.0."),
    ({"*.q_proj": [3]}, "allowed: '*.q_proj' names the level 3, but model.layers.0.self_attn.q_proj has -2 to 2"),
    ({"*.q_proj": []}, "allowed: no level is left for model.layers.0.self_attn.q_proj; '*.q_proj' allows []"),
    ({"*": [1], "*.1.mlp.*": [0]}, "allowed: no level is left for model.layers.1.mlp."),
    ({"*.q_proj": 0}, "allowed: expected a list of whole-numbered levels for '*.q_proj', got 0"),
    ({"*.q_proj": [0.5]}, "allowed: expected a list of whole-numbered levels for '*.q_proj', got [0.5]"),
    (["*.q_proj"], "allowed: expected levels by pattern of layer, as {'*.q_proj': [0]}, got ['*.q_proj']"),
    ({"*": [1]}, "allowed: with these levels the sparsity cannot be met (Levels: no choice of levels costs exactly"),
]


@pytest.mark.parametrize(("allowed", "expected"), ALLOWED, ids=str)
def test_levels_that_cannot_be_allowed_are_named(allowed: Any, expected: str, model: Outline) -> None:
    with pytest.raises(ConfigError) as caught:
        _ = sparsity(model, 0.5, 2, None, False, allowed).space
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_fused_layers_that_share_no_level_are_named(model: Outline) -> None:
    with pytest.raises(ConfigError, match=r"allowed: no level is left that model\.layers\.0\.mlp\.gate_proj, model"):
        sparsity(model, 0.5, 2, None, True, {"*.gate_proj": [0], "*.up_proj": [1]})


# Sub-blocks that must stay --------------------------------------------------------------------------------------------


def test_sub_blocks_that_must_stay_are_never_left_out(model: Outline) -> None:
    genes = depth(model, 1, False, ["*.0.self_attn", "*.2.mlp"])
    left_out = genes.space.sample(200, np.random.default_rng(0)).any(axis=0)
    names = dict(zip([sub.name for sub in model.sub_blocks], left_out.tolist(), strict=True))
    assert sorted(name for name, out in names.items() if not out) == ["model.layers.0.self_attn", "model.layers.2.mlp"]
    genes.space.check(genes.even(2)[None])
    blocks = depth(model, 1, True, ["*.0.self_attn"])
    assert blocks.space.sample(99, np.random.default_rng(0)).any(axis=0).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("drop", "keep", "expected"),
    [
        (1, ["*.9.*"], r"keep: '\*\.9\.\*' matches no sub-block; their names are like 'model\.layers\.0\.self_attn'"),
        (1, "*.0.*", r"keep: expected a list of patterns of sub-blocks"),
        (2, ["*.0.mlp", "*.1.mlp"], r"drop: expected 1 to 1 of 3 \(2 must be kept\), got 2"),
        ((1, 3), None, r"drop: expected 1 to 2 of 3, got 1 to 3"),
        (0, None, r"drop: expected 1 to 2 of 3, got 0"),
    ],
)
def test_what_cannot_be_left_out_is_said(drop: Any, keep: Any, expected: str, model: Outline) -> None:
    with pytest.raises(ConfigError, match=expected):
        depth(model, drop, False, keep)


# A number or two ------------------------------------------------------------------------------------------------------


def test_a_budget_is_a_number_or_two() -> None:
    assert (share_of(0.5), share_of([0.25, 0.75]), drop_of(3), drop_of([1, 4])) == (0.5, (0.25, 0.75), 3, (1, 4))


@pytest.mark.parametrize("given_", [-0.1, 1.5, float("nan"), True, "0.5", [0.5], [0.5, 0.5], [0.7, 0.3], [0.1, 1.1]])
def test_a_share_that_is_none_is_refused(given_: Any) -> None:
    with pytest.raises(ConfigError, match="sparsity: expected"):
        share_of(given_)


@pytest.mark.parametrize("given_", [1.0, True, "3", [3], [2, 2], [3, 1], [1, 2, 3], [1, 2.5]])
def test_a_number_of_sub_blocks_that_is_none_is_refused(given_: Any) -> None:
    with pytest.raises(ConfigError, match="drop: expected"):
        drop_of(given_)


def test_a_range_of_fused_layers_of_unequal_size_is_refused(model: Outline) -> None:
    with pytest.raises(ConfigError, match=r"fused: .* have different numbers of levels; a range needs layers of one"):
        sparsity(model, (0.3, 0.7), 3, None, True)


def test_what_is_allowed_does_not_change_what_a_genome_means(model: Outline) -> None:
    some, every = (sparsity(model, 0.5, 2, None, False, allowed) for allowed in ({"*.q_proj": [0]}, None))
    assert some.legal != every.legal
    assert repr(some) == repr(every)  # so that measurements are shared
