"""The genetic algorithm: whose children, who stays, and who waits for whom."""

import numpy as np
import pytest
from engine.worlds import Bowl, Broken, Masks, Noisy, canonical

import evo
from operators.discrete import Flip
from operators.real import SBX, Gaussian


def search(problem=None, evaluations=600, seed=4, **options):
    options = {"population": 20, **options}
    return evo.search(problem or Bowl(), evo.Genetic(**options), evaluations=evaluations, seed=seed)


def generations(run):
    """The asks that gave something, as (first, count), with how many requests were told before each."""
    told, found = 0, []
    for move in run.reader.moves():
        if move.kind == "tell":
            told += move.n
        elif move.count:
            found.append((move.first, move.count, told))
    return found


@pytest.mark.parametrize("elitism", [0, 1, 5])
def test_a_generation_is_bred_when_the_one_before_it_was_told(elitism):
    asked = generations(search(elitism=elitism))
    first, *rest = asked
    assert first == (0, 20, 0)
    for start, _, told in rest:
        assert told == start
    assert {count for _, count, _ in rest[:-1]} == {20 - elitism}


def test_a_generation_asked_for_in_small_blocks_is_still_one_generation():
    run = evo.search(Bowl(), evo.Genetic(20, elitism=0), evaluations=200, seed=1, order=evo.Strict(3, 2))
    parents = [(batch.ids[0], batch.parents) for batch in run.reader.requests() if batch.parents is not None]
    for first, row in parents:
        generation = (first // 20) * 20
        assert ((row >> 20) < generation).all()
        assert ((row >> 20) >= generation - 20).all()  # without elitism the parents are the last generation


def test_elitism_keeps_the_best_and_without_it_they_may_be_lost():
    def best_parents(elitism):
        run = search(elitism=elitism, mutation=Gaussian(1.0))
        heights = run.frame().set_index("request")["height"]
        return [
            heights.loc[: batch.ids[0] - 1].idxmin() in (batch.parents >> 20)
            for batch in run.reader.requests()
            if batch.parents is not None and batch.ids[0] >= 200
        ]

    assert np.mean(best_parents(1)) > 0.7  # one of twenty, drawn twice for each of nineteen tournaments
    assert np.mean(best_parents(0)) < 0.5


def test_a_tournament_prefers_the_better():
    def mean_of_parents(size):
        run = search(Masks(), tournament=size, mutation=Flip(0.5), elitism=0, evaluations=400)
        frame = run.frame().set_index("request")["ones"]
        parents = np.concatenate([b.parents[:, 0] >> 20 for b in run.reader.requests() if b.parents is not None])
        return frame.loc[parents].mean()

    assert mean_of_parents(1) + 0.5 < mean_of_parents(4)


def test_steady_state_breeds_without_waiting():
    asked = generations(search(selection="steady"))
    assert all(told < start for start, _, told in asked[1:])


def members(problem, evaluations=400, **options):
    algorithm = evo.Genetic(20, selection="steady", **options)
    run = evo.search(problem, algorithm, evaluations=evaluations, seed=3)
    return algorithm._members, run


def test_steady_state_drops_the_worst():
    held, run = members(Bowl())
    assert len(held) == 20
    assert np.sort(-held.quality).tolist() == np.sort(run.frame()["height"])[:20].tolist()


def test_ageing_drops_the_oldest_and_so_forgets_lucky_measurements():
    held, run = members(Noisy(), ageing=True)
    assert (held.candidate >> 20).tolist() == list(range(380, 400))
    assert held.quality.min() < np.sort(run.frame()["value"])[-20]


def test_crossover_has_two_parents_and_its_share():
    run = search(crossover=SBX(), crossover_rate=0.75, evaluations=1000)
    told = {name: entry["told"] for name, entry in run.totals["operators"].items()}
    assert set(told) == {"sample", "sbx+gaussian", "gaussian"}
    assert 0.68 < told["sbx+gaussian"] / (told["sbx+gaussian"] + told["gaussian"]) < 0.82
    two = [batch for batch in run.reader.requests() if batch.operator == "sbx+gaussian"]
    assert {batch.parents.shape[1] for batch in two} == {2}


@pytest.mark.parametrize("options", [{}, {"selection": "steady"}, {"crossover": SBX()}])
def test_the_same_seed_is_the_same_run_and_another_is_not(options, tmp_path):
    one, again, other = (search(seed=seed, **options) for seed in (4, 4, 5))
    assert canonical(one, tmp_path) == canonical(again, tmp_path)
    assert canonical(one, tmp_path) != canonical(other, tmp_path)
    assert one.best.objectives["height"] < 0.01


@pytest.mark.parametrize("selection", ["generational", "steady"])
def test_while_everything_fails_it_goes_on_sampling(selection):
    run = evo.search(Broken(), evo.Genetic(10, selection=selection), evaluations=100, failures=1000)
    assert (run.state, len(run.archive), run.failures["failed"]) == ("failed", 0, 100)
    assert set(run.totals["operators"]) == {"sample"}


@pytest.mark.parametrize("selection", ["generational", "steady"])
def test_failures_never_become_parents(selection):
    run = search(Masks(), selection=selection, mutation=Flip(0.3))
    frame = run.frame().set_index("request")
    parents = np.concatenate(
        [batch.parents[:, 0] >> 20 for batch in run.reader.requests() if batch.parents is not None]
    )
    assert (frame["status"] != "ok").any()
    assert (frame.loc[parents, "status"] == "ok").all()


@pytest.mark.parametrize("selection", ["generational", "steady"])
def test_given_genomes_enter_the_population(selection):
    best = np.zeros((1, 3))
    algorithm = evo.Genetic(10, selection=selection, mutation=Gaussian(0.001))
    run = evo.search(Bowl(), algorithm, evaluations=100, seed=1, initial=best)
    descendants = run.frame()["height"]
    assert run.best.candidate == 0
    assert (descendants < 1e-4).sum() > 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 1}, "population >= 2"),
        ({"tournament": 0}, "tournament >= 1"),
        ({"elitism": 20}, "elitism < population"),
        ({"selection": "random"}, "'generational' or 'steady'"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, message):
    with pytest.raises(evo.ConfigError, match=message):
        search(**options)
