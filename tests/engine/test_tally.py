"""Counts that asks and tells move."""

import json

import numpy as np

import evo
from evo.engine.tally import Tally
from evo.records import Change, Note, Requests, Results, Status

NONE = np.empty(0, np.int64)


class Slope(evo.Problem):
    space = evo.Box(-1, 1, size=1)
    objectives = (evo.Minimize("y"),)


def results(first, values, status=None, same_as=None, notes=None, **columns):
    """Results of requests first.. with one candidate each where the status is OK."""
    n = len(values)
    status = np.array(status or [0] * n, dtype=np.uint8)
    good = np.flatnonzero(status == 0)
    values = np.array(values, dtype=float)[:, None]
    batch = Requests(genomes=values, ids=np.arange(first, first + n), **{"fidelity": "full", **columns})
    same = None if same_as is None else np.array(same_as)
    return Results(
        batch,
        status,
        good,
        batch.candidates[good],
        values[good],
        values[good],
        np.empty((len(good), 0)),
        {},
        same,
        notes or {},
    )


def count(*parts, changes=(), tally=None):
    tally = tally or Tally()
    tally.asks([part.requests for part in parts])
    tally.tells(parts, changes, Slope(), "full")
    return tally


def test_reserves_are_held_while_in_flight_and_spent_when_told():
    tally, part = Tally(), results(0, [1, 2, 3], reserve=0.5)
    tally.asks([part.requests])
    assert (tally.asked, tally.reserved, tally.evaluations) == (3, 1.5, 0)
    tally.tells([part], [], Slope(), "full")
    assert (tally.told, tally.reserved, tally.evaluations, tally.good) == (3, 0, 1.5, 3)


def test_repeats_are_told_but_cost_nothing():
    tally = count(results(0, [1, 1, 2], same_as=[-1, 0, -1]))
    assert (tally.told, tally.repeats, tally.evaluations) == (3, 1, 2)


def test_failures_are_counted_by_kind_and_cost_what_was_reserved():
    status = [Status.OK, Status.FAILED, Status.INVALID, Status.FAILED]
    tally = count(results(0, [1, 2, 3, 4], status, notes={1: Note("first\ntrace"), 2: Note("second")}))
    assert {name: n for name, n in tally.failures.items() if n} == {"failed": 2, "invalid": 1}
    assert (tally.good, tally.evaluations) == (1, 4)
    assert tally.first_failure.startswith("first")


def test_the_best_is_the_first_of_equals_and_only_at_the_reporting_fidelity():
    tally = count(results(0, [3.0, 2.0, 2.0]), results(3, [0.0], fidelity="rung"))
    assert (tally.best.candidate, tally.best.objectives) == (1 << 20, [2.0])
    count(results(4, [2.0]), tally=tally)
    assert tally.best.candidate == 1 << 20
    count(results(5, [1.0]), tally=tally)
    assert tally.best.objectives == [1.0]


def test_since_gain_counts_evaluations_without_a_better_best_or_a_change():
    tally = count(results(0, [1.0]))
    count(results(1, [2.0, 3.0]), tally=tally)
    assert tally.since_gain == 2
    gain = Change("archive", np.array([1]), np.array([5]), np.zeros((1, 1)), np.zeros((1, 0)))
    count(results(3, [2.0]), changes=[gain], tally=tally)
    assert tally.since_gain == 0
    count(results(4, [2.0]), tally=tally)
    count(results(5, [2.0], same_as=[4]), tally=tally)
    assert tally.since_gain == 1


def test_a_run_of_repeats_ends_with_new_work():
    tally = count(results(0, [1, 1], same_as=[5, 5]))
    count(results(2, [1, 1, 1], same_as=[5, 5, 5]), tally=tally)
    assert tally.repeats_running == 5
    count(results(5, [1, 2], same_as=[5, -1]), tally=tally)
    assert tally.repeats_running == 0


def test_preparation_says_nothing_of_whether_anything_can_be_measured():
    assert count(results(0, [1.0], reserve=0.0)).good == 0


def test_counters_costs_and_artifacts_are_summed_up():
    note = Note(counters={"screened": 3}, costs={"tokens": 5}, artifacts={"table": "abc"})
    tally = count(results(0, [1, 2], notes={0: note, 1: note}))
    assert tally.counters == {"screened": 6}
    assert tally.costs == {"tokens": 10}
    assert tally.artifacts == {}, "only what the preparation makes is known by name"
    prepared = results(0, [1], notes={0: note}, source="prepare")
    assert count(prepared).artifacts == {"table": "abc"}


def test_operators_are_credited_with_what_entered_an_archive():
    part = results(0, [1, 2, 3], [0, 0, Status.FAILED], operator="flip")
    entered = Change("archive", np.array([0]), part.candidate[:1], np.zeros((1, 1)), np.zeros((1, 0)))
    tally = count(part, results(3, [1]), changes=[entered])
    assert tally.operators == {"flip": {"told": 3, "failed": 1, "children": 3, "rejected": 0, "accepted": 1}}


def test_a_rejection_is_neither_a_failure_nor_a_success_of_the_search():
    status = [Status.REJECTED, Status.FAILED, Status.REJECTED, Status.OK]
    tally = count(results(0, [1, 2, 3, 4], status, notes={0: Note("not this"), 1: Note("broken")}, operator="flip"))
    assert (tally.rejected, tally.failures, tally.first_failure) == (2, {"failed": 1}, "broken")
    assert (tally.good, tally.evaluations, tally.best.objectives) == (3, 4, [4.0])
    assert tally.operators == {"flip": {"told": 4, "failed": 1, "children": 4, "rejected": 2, "accepted": 0}}


def test_an_operator_that_makes_is_judged_by_its_children():
    values = np.array([[1.0], [2.0], [3.0]])
    batch = Requests(make="shard", args=[{}, {}, {}], ids=np.arange(3), fidelity="full")
    notes = {0: Note(counters={"children_rejected": 4}), 1: Note(counters={"children_lost": 2})}
    owner, status = np.array([0, 0, 1]), np.array([0, 0, Status.FAILED], np.uint8)
    candidates = np.array([0, 1, 1 << 20])
    part = Results(batch, status, owner, candidates, values, values, np.empty((3, 0)), {}, None, notes)
    entered = Change("archive", np.arange(2), candidates[:2], values[:2], np.zeros((2, 0)))
    tally = count(part, changes=[entered])
    assert tally.operators == {"shard": {"told": 3, "failed": 1, "children": 9, "rejected": 4, "accepted": 2}}
    assert tally.rejected == 0


def test_a_tally_is_rebuilt_from_its_document():
    tally = count(results(0, [1, 2], [0, Status.FAILED], operator="flip"))
    assert Tally.from_document(json.loads(json.dumps(tally.document()))) == tally
    assert Tally.from_document(json.loads(json.dumps(Tally().document()))) == Tally()
