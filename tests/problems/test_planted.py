"""Planted problems: their optimum against trying everything, and what they report."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as limited
from hypothesis import strategies as st

import evo
from evo.errors import ConfigError
from evo.registry import build
from evo.testing import check_problem, check_space
from problems.planted import Planted, PlantedCoupled, PlantedLevels, PlantedLinear, PlantedNoisy

ALL = [PlantedLinear(), PlantedCoupled(), PlantedNoisy(), PlantedLevels(), PlantedLevels(14, sizes=(4, 1, 14), seed=3)]


def selections(items: int, drop: int) -> list[list[int]]:
    return [[int(item in chosen) for item in range(items)] for chosen in itertools.combinations(range(items), drop)]


@pytest.mark.parametrize("problem", ALL, ids=lambda problem: type(problem).__name__)
def test_it_keeps_a_problems_promises(problem: Planted) -> None:
    check_problem(problem, n=150)
    check_space(problem.space)


@limited(deadline=None)
@given(items=st.integers(2, 9), seed=st.integers(0, 2**32), data=st.data())
def test_a_selections_optimum_is_the_least_of_all(items: int, seed: int, data: st.DataObject) -> None:
    drop = data.draw(st.integers(1, items - 1))
    for problem in (PlantedLinear(items, drop, seed), PlantedCoupled(items, drop, 2.0, seed)):
        damage = problem.values(problem.space.stack(selections(items, drop)))
        assert problem.optimum() == damage.min()
        assert problem.values(problem.worst[None])[0] == damage.max()


@limited(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), sizes=st.sampled_from([(1,), (1, 3), (2, 5, 1)]), mean=st.integers(2, 4))
def test_the_best_allocation_is_the_least_of_all(seed: int, sizes: tuple[int, ...], mean: int) -> None:
    problem = PlantedLevels(5, 2, 5, mean, sizes=sizes, seed=seed)
    size = np.resize(sizes, 5)
    every = np.array(list(itertools.product(range(4), repeat=5)))
    within = every[((every + 2) * size).sum(axis=1) == size.sum() * mean]
    assert problem.optimum() == pytest.approx(problem.values(problem.space.check(within)).min(), rel=1e-12)


def test_the_damage_is_that_of_each_and_of_every_two() -> None:
    problem = PlantedCoupled(6, 3, 1.0, seed=5)
    x = np.array([1, 0, 1, 1, 0, 0])
    assert problem.values(x[None])[0] == pytest.approx(problem.weights @ x + x @ problem.couplings @ x)
    assert (np.tril(problem.couplings) == 0).all()


@pytest.mark.parametrize("samples", [1, 16])
def test_rungs_add_noise_of_each_genome_and_draw_and_the_whole_none(samples: int) -> None:
    problem = PlantedNoisy(0.5, 10, 4, seed=2)
    genomes = problem.space.sample(400, np.random.default_rng(0))
    exact = problem.values(genomes)

    def measured(fidelity: str, draw: int, rows: slice = slice(None)) -> np.ndarray:
        own = genomes[rows]
        work = evo.Work(7, fidelity, np.full(len(own), draw), {"samples": samples})
        return problem.evaluator.evaluate_batch(own, work).objectives[:, 0]

    assert (measured("full", 1) == exact).all()
    noise = measured("rung", 1) - exact
    kinds = np.unique(genomes, axis=0, return_index=True)[1]
    assert noise[kinds].std() == pytest.approx(0.5 * problem.spread / samples**0.5, rel=0.2)
    assert (measured("rung", 1, slice(50, 60)) == measured("rung", 1)[50:60]).all()
    assert (measured("rung", 2) != measured("rung", 1)).all()


@pytest.mark.parametrize(
    ("fidelity", "params", "message"),
    [
        ("rung", {"sample": 16}, "^sample: unknown; a rung has .* samples"),
        ("full", {"samples": 16}, "^samples: unknown"),
        ("rung", {"samples": True}, "^samples: expected a whole number of at least 1, got True"),
        ("rung", {"samples": 0}, "^samples: expected a whole number of at least 1, got 0"),
        ("rung", {"samples": 2.0}, "^samples: expected a whole number of at least 1, got 2.0"),
    ],
)
def test_parameters_that_no_rung_has_are_refused(fidelity: str, params: dict[str, object], message: str) -> None:
    evaluator = PlantedNoisy().evaluator
    evaluator.check("rung", {"samples": 16})
    evaluator.check("full", {})
    with pytest.raises(ConfigError, match=message):
        evaluator.check(fidelity, params)


def test_the_error_is_that_of_each_layers_bits_and_weights() -> None:
    problem = PlantedLevels(3, 2, 4, 3, sizes=(1, 10), spread=0.0)
    assert problem.values(np.array([[0, 1, 2]]))[0] == pytest.approx(1 / 16 + 10 / 64 + 1 / 256)


@pytest.mark.parametrize("kind", [PlantedLinear, PlantedCoupled, PlantedLevels])
def test_the_seed_alone_decides_the_instance(kind: type[Planted]) -> None:
    assert kind(seed=4).optimum() == kind(seed=4).optimum() != kind(seed=5).optimum()


def test_coupling_misleads_whoever_adds_up_single_damages() -> None:
    missed = 0
    for seed in range(10):
        problem = PlantedCoupled(12, 5, coupling=1.0, seed=seed)
        additive = np.zeros(12, dtype=np.int64)
        additive[np.argsort(problem.weights)[:5]] = 1
        missed += problem.values(additive[None])[0] > problem.optimum()
    assert missed >= 9
    assert PlantedCoupled(12, 5, 0.0, 1).best.tolist() == PlantedLinear(12, 5, 1).best.tolist()


@pytest.mark.parametrize(
    ("problem", "found"),
    [
        (PlantedLinear(10, 4), {"gap": 0.0, "gap_share": 0.0}),
        (PlantedCoupled(10, 4), {"gap": 0.0, "gap_share": 0.0}),
        (PlantedLevels(6), {"gap": 0.0, "captured": 1.0}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_search_that_finds_the_optimum_reports_no_gap(problem: Planted, found: dict[str, float]) -> None:
    run = evo.search(problem, evo.Genetic(10), evaluations=180, seed=2)
    assert {name: run.summary[name] for name in found} == found
    assert run.summary["optimum"] == problem.optimum()


def test_shares_are_of_what_there_is_to_gain() -> None:
    levels, linear = PlantedLevels(6), PlantedLinear(8, 3)
    start = levels.space.stack(levels.initial())[0]

    def best(problem: Planted, genome: object) -> evo.Best:
        value = float(problem.values(np.asarray(genome)[None])[0])
        return evo.Best(0, genome, {problem.objectives[0].name: value}, {}, {})

    assert levels.report(best(levels, start), None)["captured"] == pytest.approx(0.0)
    assert linear.report(best(linear, linear.worst), None)["gap_share"] == 1.0
    assert levels.report(None, None) == {"optimum": levels.optimum(), "uniform": levels.values(start[None])[0]}


def test_genomes_are_shown_in_words() -> None:
    assert PlantedLinear(4, 2).show([0, 1, 0, 1]) == "dropped 1, 3 of 4"
    assert PlantedLevels(3).show([0, 1, 2]) == "bits 2 3 4"


@pytest.mark.parametrize("name", ["planted_linear", "planted_coupled", "planted_noisy", "planted_levels"])
def test_configurations_call_it_by_a_short_name(name: str) -> None:
    assert build("problems", {"type": name, "seed": 3}).optimum() != build("problems", name).optimum()


@pytest.mark.parametrize(
    "make",
    [
        lambda: PlantedLinear(4, 4),
        lambda: PlantedLinear(4, 0),
        lambda: PlantedCoupled(40, 20),
        lambda: PlantedCoupled(coupling=-1.0),
        lambda: PlantedNoisy(-0.1),
        lambda: PlantedLevels(0),
        lambda: PlantedLevels(sizes=()),
        lambda: PlantedLevels(sizes=(1, 0)),
        lambda: PlantedLevels(lowest=4),
        lambda: PlantedLevels(spread=-1.0),
    ],
)
def test_instances_that_make_no_sense_are_refused(make: Callable[[], Planted]) -> None:
    with pytest.raises(ConfigError, match="Planted"):
        make()
