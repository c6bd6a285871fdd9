import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.archive import IMPROVED, NEW, NOT_FINITE, REJECTED
from evo.archives import Top
from evo.errors import ConfigError, SpaceError
from evo.problem import Minimize


@pytest.fixture(scope="module")
def new_top(ready):
    def make(k=3, nonfinite="raise", **options):
        return ready(Top(k, nonfinite=nonfinite), **options)

    return make


def test_the_best_k_are_kept_in_rank_order(new_top, offer):
    top = new_top()
    offer(top, [1, 5, 3, 4, 2])
    elites = top.elites()
    assert elites.keys.tolist() == [0, 1, 2]
    assert elites.candidate.tolist() == [1, 3, 2]
    assert elites.objectives[:, 0].tolist() == [5, 4, 3]
    assert elites.genomes[:, 0].tolist() == [1, 3, 2]


def test_of_equals_the_earlier_stays_and_ranks_first(new_top, offer):
    top = new_top(2)
    offer(top, [1, 1, 1], first=7)
    assert top.elites().candidate.tolist() == [7, 8]
    assert offer(top, [1], first=1).status.tolist() == [REJECTED]
    offer(top, [1, 2], first=20)
    assert top.elites().candidate.tolist() == [21, 7]


def test_rows_are_new_while_there_is_room_and_then_meet_the_last(new_top, offer):
    top = new_top(2)
    room = offer(top, [4, 2, 1])
    assert room.status.tolist() == [NEW] * 3
    assert room.value.tolist() == [4, 2, 1]
    full = offer(top, [5, 3, 2, 1], first=10)
    assert full.status.tolist() == [IMPROVED, IMPROVED, REJECTED, REJECTED]
    assert full.value.tolist() == [3, 1, 0, -1]


def test_the_change_holds_every_rank_that_moved_and_no_other(new_top, offer):
    top = new_top(3)
    offer(top, [9, 5, 4])
    change = offer(top, [7], first=10).change
    assert change.keys.tolist() == [1, 2]
    assert change.candidate.tolist() == [10, 1]
    assert change.objectives.tolist() == [[7], [5]]
    assert len(offer(top, [5], first=11).change.keys) == 0


def test_a_candidate_is_held_once_with_its_better_record(new_top):
    top = new_top(3)
    one = np.array([5])

    def again(objective):
        return top.add(np.full((1, 3), objective), np.array([[objective]]), np.zeros((1, 2)), one)

    again(2.0)
    worse, better = again(1.0), again(4.0)
    assert (worse.status[0], worse.value[0]) == (REJECTED, -1)
    assert (better.status[0], better.value[0]) == (IMPROVED, 2)
    assert len(top) == 1
    assert top.elites().genomes.tolist() == [[4, 4, 4]]
    assert better.change.keys.tolist() == [0]


def test_a_candidate_twice_in_a_batch_is_held_once(new_top):
    top = new_top(3)
    objectives = np.array([[1.0], [3.0], [2.0]])
    top.add(np.zeros((3, 3)), objectives, np.zeros((3, 2)), np.array([5, 5, 6]))
    assert top.elites().candidate.tolist() == [5, 6]


def test_minimised_objectives_rank_upwards_from_the_least(new_top, offer):
    top = new_top(2, objectives=[Minimize("f")])
    addition = offer(top, [3, 1, 2])
    assert addition.value.tolist() == [-3, -1, -2]
    assert top.elites().objectives[:, 0].tolist() == [1, 2]
    assert top.stats() == {"elites": 2, "best": 1, "mean": 1.5, "last": 2}


@settings(max_examples=100, deadline=None)
@given(
    batches=st.lists(st.lists(st.tuples(st.integers(0, 12), st.integers(-3, 3)), max_size=10), min_size=1, max_size=5),
    k=st.integers(1, 6),
)
def test_any_batches_give_what_sorting_everything_gives(new_top, batches, k):
    top = new_top(k)
    ranking: list[tuple[int, int]] = []
    held: dict[int, int] = {}
    for batch in batches:
        table = np.array(batch, dtype=np.int64).reshape(-1, 2)
        change = top.add(table[:, :1] * np.ones(3), table[:, 1:], np.zeros((len(table), 2)), table[:, 0]).change
        held |= dict(zip(change.keys.tolist(), change.candidate.tolist(), strict=True))
        ranking = sorted(ranking + batch, key=lambda row: -row[1])
        ranking = [row for i, row in enumerate(ranking) if row[0] not in {other[0] for other in ranking[:i]}][:k]
        elites = top.elites()
        assert list(zip(elites.candidate.tolist(), elites.objectives[:, 0].tolist(), strict=True)) == ranking
        assert elites.genomes[:, 0].tolist() == [row[0] for row in ranking]
        assert [held[rank] for rank in range(len(ranking))] == [row[0] for row in ranking]


def test_values_that_are_not_finite_are_refused_or_dropped(new_top, offer):
    top = new_top(2)
    with pytest.raises(SpaceError, match="objectives: row 1 is not finite"):
        offer(top, [1, np.nan])
    with pytest.raises(SpaceError, match="measures: row 0 is not finite"):
        offer(top, [1], [[np.inf, 0]])
    assert len(top) == 0
    dropping = new_top(2, "drop")
    assert offer(dropping, [np.inf, 1, np.nan]).status.tolist() == [NOT_FINITE, NEW, NOT_FINITE]
    assert dropping.elites().candidate.tolist() == [1]


def test_preview_agrees_with_add_for_new_candidates(new_top, offer):
    top = new_top(2)
    offer(top, [1, 2])
    objectives = np.array([[0.0], [1.0], [5.0]])
    status, value = top.preview(objectives, np.zeros((3, 2)))
    addition = offer(top, objectives, first=10)
    assert status.tolist() == addition.status.tolist() == [REJECTED, REJECTED, IMPROVED]
    assert value.tolist() == addition.value.tolist()


def test_wrong_shapes_and_empty_batches(new_top, offer):
    top = new_top()
    assert len(offer(top, []).status) == 0
    with pytest.raises(SpaceError, match="measures"):
        offer(top, [1], [[0, 0, 0]])


def test_state_round_trips_and_samples_come_from_the_elites(new_top, offer, same):
    top, other = new_top(), new_top()
    offer(top, [3, 1, 2, 5])
    other.restore(top.state())
    same(other.elites(), top.elites())
    drawn = other.sample(100, np.random.default_rng(0))
    assert set(drawn.candidate.tolist()) == {0, 2, 3}
    with pytest.raises(ValueError, match="empty archive"):
        new_top().sample(1, np.random.default_rng(0))


def test_a_problem_without_measures_is_welcome(ready):
    top = ready(Top(2), axes=0)
    top.add(np.zeros((2, 3)), np.array([[1.0], [2.0]]), np.empty((2, 0)), np.arange(2))
    assert top.elites().measures.shape == (2, 0)
    assert top.describe() == {"kind": "top", "k": 2, "measures": []}


def test_statistics_of_an_empty_top(new_top):
    stats = new_top().stats()
    assert stats["elites"] == 0
    assert np.isnan(stats["best"])


def test_wrong_parameters_are_named():
    with pytest.raises(ConfigError, match="k must be"):
        Top(0)
    with pytest.raises(ConfigError, match="nonfinite"):
        Top(3, nonfinite="keep")
