"""(1+lambda): the published tournament, read back from the log; parents that are confirmed; ends that are said."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine.breaking import StopHere, raising
from engine.worlds import Bowl, Masks, Noisy, Pruning, canonical
from simulation.harness import Simulation
from simulation.invariants import check
from simulation.schedule import PLAIN, Schedule

import evo
from algorithms.racing import Round, TooFew, Tripping, rounds
from evo.algorithm import Algorithm
from evo.testing import check_algorithm
from operators.discrete import Flip
from workers.simulated import Simulated

RUNGS = [{"survivors": 6, "tokens": 4}, {"survivors": 2, "tokens": 8}, {"survivors": 1, "tokens": 16}]


def search(problem: evo.Problem | None = None, evaluations: int = 300, seed: int = 3, **options: Any) -> evo.Run:
    run_options = {
        name: options.pop(name) for name in ("run_dir", "workers", "order", "on_elite", "initial") if name in options
    }
    founders = {"founders": "initial"}
    options = {founders.get(name, name): value for name, value in options.items()}
    options = {"offspring": 12, "rungs": RUNGS, "initial": 10, **options}
    return evo.search(
        problem or Pruning(), evo.OnePlusLambda(**options), evaluations=evaluations, seed=seed, **run_options
    )


whole = cache(search)
"""The same run for all tests that only read it."""

# The tournament -------------------------------------------------------------------------------------------------------


def generations(run: evo.Run) -> tuple[Round, list[list[Round]]]:
    founding, *rest = rounds(run)
    triples = [rest[start : start + 3] for start in range(0, len(rest), 3)]
    assert len(triples) > 5
    return founding, triples


def test_the_published_tournament_step_by_step() -> None:
    founding, rest = generations(whole())
    assert len(founding.candidate) == 10
    (parent,) = founding.best(1)
    for first, second, last in rest:
        assert first.parents == {parent}
        assert second.candidate == first.best(6)
        assert last.candidate == [*second.best(2), parent]  # the parent in the last rung only
        (parent,) = last.best(1)


def test_all_contestants_of_a_rung_see_one_minibatch_and_every_rung_another() -> None:
    founding, rest = generations(whole())
    seen = [founding.batches, *(one.batches for generation in rest for one in generation)]
    assert {len(batches) for batches in seen} == {1}
    assert len(set.union(*seen)) > 0.5 * len(seen)
    assert [one.params["tokens"] for one in rest[0]] == [4, 8, 16]


def test_children_differ_from_each_other_and_from_their_parent() -> None:
    founding, rest = generations(search(mutation=Flip(0.02)))  # half of all children would be their parent
    genome_of = dict(zip(founding.candidate, founding.genomes, strict=True))
    for first, *_ in rest:
        (parent,) = first.parents
        assert len({*first.genomes, genome_of[parent]}) == len(first.genomes) + 1
        genome_of |= dict(zip(first.candidate, first.genomes, strict=True))
    assert [len(first.candidate) for first, *_ in rest[:-1]] == [12] * (len(rest) - 1)


def test_with_one_rung_the_parent_is_in_it() -> None:
    founding, *rest = rounds(search(rungs=[{"survivors": 1}]))
    (parent,) = founding.best(1)
    for one in rest:
        assert one.candidate[-1] == parent
        (parent,) = one.best(1)
    assert len(rest) > 10


def test_last_rungs_that_let_one_through_each_have_the_parent_once() -> None:
    run = search(rungs=[{"survivors": 1}, {"survivors": 1}])
    _, *rest = rounds(run)
    assert [len(one.candidate) for one in rest[:6]] == [12, 2, 12, 2, 12, 2]


# Confirmed ------------------------------------------------------------------------------------------------------------


def confirmed(run: evo.Run) -> list[int]:
    frame = run.frame()
    return frame[frame["fidelity"] == "full"]["request"].tolist()


def test_a_new_parent_is_measured_once_as_the_run_reports() -> None:
    run = whole()
    founding, rest = generations(run)
    parents = [one.best(1)[0] for one in (founding, *(last for *_, last in rest))]
    new = [parents[0], *(after for before, after in pairwise(parents) if after != before)]
    asked = [one for batch in run.reader.requests() if batch.fidelity == "full" for one in batch.candidates.tolist()]
    assert asked == new
    assert run.best is not None
    assert run.best.candidate in new
    assert set(run.archive.candidate.tolist()) <= set(new)


def test_it_is_measured_while_its_children_are() -> None:
    run = search(evaluations=200)
    moves = {move.first: move.count for move in run.reader.moves() if move.kind == "ask" and move.count}
    first = [int(batch.ids[0]) for batch in run.reader.requests() if batch.fidelity == "full"]
    assert len(first) > 6
    assert [moves[one] for one in first[:5]] == [13] * 5
    assert all(moves[one] > 1 for one in first[:-1])  # towards the end there are fewer children


def test_what_is_left_of_the_budget_confirms_the_last_parent() -> None:
    for evaluations in range(60, 100, 3):
        run = search(evaluations=evaluations)
        *_, last = rounds(run)
        (winner,) = last.best(1)
        asked = [c for batch in run.reader.requests() if batch.fidelity == "full" for c in batch.candidates.tolist()]
        assert winner in asked
        assert run.evaluations <= evaluations
        assert run.reason.startswith("budget spent")


def test_unconfirmed_parents_leave_the_archive_to_others() -> None:
    run = search(confirm=False)
    assert (len(run.archive), run.best, confirmed(run)) == (0, None, [])


def test_a_rung_that_reports_needs_no_confirmation() -> None:
    rungs = [{"survivors": 3}, {"survivors": 1, "fidelity": "full"}]
    run = search(rungs=rungs)
    frame = run.frame()
    assert (frame[frame["fidelity"] == "full"].groupby("request").size() == 1).all()
    assert set(run.totals["operators"]) == {"sample", "flip"}
    assert run.totals["operators"]["flip"]["children"] == (frame["operator"] == "flip").sum()


def test_a_parent_that_fails_in_full_gives_its_place_back() -> None:
    falls = 0
    for seed in range(4):
        run = search(Tripping(), seed=seed, evaluations=200, rungs=[{"survivors": 4}, {"survivors": 1}])
        status = run.frame().set_index("request")["status"]
        full = [batch for batch in run.reader.requests() if batch.fidelity == "full"]
        fallen = [int(batch.candidates[0]) for batch in full if status.loc[int(batch.ids[0])] != "ok"]
        bred = [one.parents for one in rounds(run) if one.parents and len(one.candidate) != 5]
        for one in fallen:
            assert bred.count({one}) <= 1  # the generation that was under way
        falls += len(fallen)
        assert run.best is not None
    assert falls > 3


def test_operators_are_credited_with_what_was_confirmed_and_count_children_once() -> None:
    run = whole()
    told = run.totals["operators"]["flip"]
    children = sum(len(batch) for batch in run.reader.requests() if batch.parents is not None)
    assert (told["told"], told["children"]) == (children, children)
    assert told["accepted"] > 0


# Failures -------------------------------------------------------------------------------------------------------------


def test_failed_and_rejected_children_fall_out() -> None:
    run = search(Tripping(full=False), evaluations=600)
    assert run.failures["failed"] > 20
    assert run.rejected > 20
    found = rounds(run)
    second = [(before, one) for before, one in pairwise(found) if one.params["tokens"] == 8]
    assert len(second) > 10
    for before, one in second:
        assert one.candidate == before.best(6)
    assert any(len(before.best(12)) < 12 for before, _ in second)


def test_while_everything_fails_it_goes_on_looking_for_a_parent() -> None:
    run = search(Tripping(all_quick=True), evaluations=100)
    assert run.state == "failed"
    assert run.failures["failed"] >= 90
    assert set(run.totals["operators"]) == {"sample"}


# Few children ---------------------------------------------------------------------------------------------------------


def test_where_a_parent_has_fewer_children_fewer_are_asked_for() -> None:
    with pytest.warns(UserWarning, match="3 distinct children where 12 are wanted"):
        run = search(mutation=TooFew(3))
    _, rest = generations(run)
    assert {len(first.candidate) for first, *_ in rest[:-1]} == {3}
    assert run.reason.startswith("budget spent")


def test_that_is_said_once() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        search(mutation=TooFew(3))
    assert len([one for one in said if "distinct children" in str(one.message)]) == 1


@pytest.mark.parametrize("rungs", [RUNGS, []])
def test_a_parent_without_children_ends_the_run_and_it_says_why(rungs: Any) -> None:
    with pytest.warns(UserWarning, match="0 distinct children"):
        run = search(mutation=TooFew(0), rungs=rungs)
    assert (run.state, run.reason) == ("finished", "too_few finds no child that differs from its parent")
    assert run.best is not None


# Without rungs --------------------------------------------------------------------------------------------------------


def test_without_rungs_it_is_plain_and_elitist() -> None:
    run = search(Bowl(), rungs=[], offspring=8)
    heights = run.frame().set_index("request")["height"]
    parents = [int(batch.parents[0, 0]) >> 20 for batch in run.reader.requests() if batch.parents is not None]
    first = [int(batch.ids[0]) for batch in run.reader.requests() if batch.parents is not None]
    assert len(parents) > 20
    for start, parent in zip(first, parents, strict=True):
        if (start - 10) % 8 == 0:  # not the second piece of a generation
            assert heights.loc[parent] == heights.loc[: start - 1].min()
    assert (run.frame()["fidelity"] == "full").all()
    assert heights.min() < 0.05


def test_a_parent_is_not_measured_again_and_a_lucky_one_stays() -> None:
    run = search(Noisy(), rungs=[], offspring=3)
    assert not any(batch.candidate is not None for batch in run.reader.requests())
    values = run.frame().set_index("request")["value"]
    *_, last = (batch for batch in run.reader.requests() if batch.parents is not None)
    assert values.loc[int(last.parents[0, 0]) >> 20] >= values.iloc[: int(last.ids[0])].max() - 1e-12


def test_a_tie_goes_to_the_child() -> None:
    class Flat(Masks):
        def evaluate(self, genome: Any) -> evo.Evaluation:
            return evo.Evaluation([1.0], [0.0, 0.0])

    run = search(Flat(), rungs=[], offspring=2, evaluations=60)
    parents = {int(batch.parents[0, 0]) for batch in run.reader.requests() if batch.parents is not None}
    assert len(parents) > 10


def test_given_genomes_compete() -> None:
    best = np.zeros((1, 3))
    run = search(Bowl(), rungs=[], initial=best)
    assert run.best is not None
    assert run.best.candidate == 0
    bred = [int(batch.parents[0, 0]) for batch in run.reader.requests() if batch.parents is not None]
    assert bred.count(0) > 5
    ones = np.ones((1, 32), bool)
    run = search(Pruning(), initial=ones)
    assert {int(batch.parents[0, 0]) for batch in run.reader.requests() if batch.parents is not None} >= {0}
    again = [batch for batch in run.reader.requests() if batch.candidate is not None and 0 in batch.candidate]
    assert {batch.fidelity for batch in again} == {"rung"}  # its own measurement stands


def test_the_problems_initial_genomes_are_the_founders() -> None:
    class Started(Pruning):
        def initial(self) -> Any:
            return [np.arange(32) < 16, np.arange(32) < 20]

    founding, *_ = rounds(search(Started()))
    assert len(founding.candidate) == 2
    assert founding.genomes[1] == (np.arange(32) < 20).tobytes()


# The budget -----------------------------------------------------------------------------------------------------------


def test_a_rung_may_cost_a_part_of_an_evaluation() -> None:
    rungs = [{"survivors": 4, "reserve": 0.03}, {"survivors": 1, "reserve": 0.25}]
    run = search(rungs=rungs, evaluations=60)
    frame = run.frame()
    quick = sum(len(batch) for batch in run.reader.requests() if batch.reserve == 0.03)
    slow = sum(len(batch) for batch in run.reader.requests() if batch.reserve == 0.25)
    full = int((frame["fidelity"] == "full").sum())
    assert run.evaluations == pytest.approx(0.03 * quick + 0.25 * slow + full)
    assert quick > 200
    assert 58 < run.evaluations <= 60
    *_, last = rounds(run)
    assert len(last.candidate) > 1  # the last generation went to its end


@pytest.mark.parametrize("evaluations", [1, 2, 3, 11, 12, 20])
def test_small_budgets_are_kept(evaluations: int) -> None:
    for rungs in ([], RUNGS):
        run = search(rungs=rungs, evaluations=evaluations)
        assert run.evaluations <= evaluations
        assert run.state == "finished"


def test_a_larger_budget_goes_on(tmp_path: Path) -> None:
    for name in "ab":
        assert search(run_dir=tmp_path / name, evaluations=100).evaluations <= 100
    one = evo.resume(tmp_path / "a", evaluations=200)
    other = evo.resume(tmp_path / "b", evaluations=200, snapshot=False)
    assert 180 < one.evaluations <= 200
    assert canonical(one, tmp_path) == canonical(other, tmp_path)


# The same run ---------------------------------------------------------------------------------------------------------

CASES: list[Callable[[], tuple[evo.Problem, dict[str, Any]]]] = [
    lambda: (Pruning(), {}),
    lambda: (Tripping(), {"rungs": [{"survivors": 1, "reserve": 0.5}]}),
    lambda: (Bowl(), {"rungs": []}),
]


@pytest.mark.parametrize("case", CASES)
def test_any_number_of_workers_gives_the_same_run(case: Any, tmp_path: Path) -> None:
    problem, options = case()
    expected = canonical(search(problem, **options), tmp_path)
    for count in (1, 3, 7):
        workers = Simulated(0.1, 0.8, seed=count, count=count)
        assert canonical(search(problem, workers=workers, **options), tmp_path) == expected


@pytest.mark.parametrize("case", CASES)
def test_small_blocks_are_pieces_of_the_same_contests(case: Any) -> None:
    problem, options = case()
    run = search(problem, order=evo.Strict(4, 1), **options)
    assert run.best is not None
    assert run.state == "finished"
    if options.get("rungs", RUNGS) is RUNGS:
        founding, rest = generations(run)
        (parent,) = founding.best(1)
        for first, second, last in rest:
            assert first.parents == {parent}
            assert second.candidate == first.best(6)
            (parent,) = last.best(1)


def short(case: Any, **more: Any) -> evo.Run:
    problem, options = case()
    options = {"offspring": 12, "rungs": RUNGS, "initial": 10, **options}
    return evo.search(problem, evo.OnePlusLambda(**options), evaluations=200, seed=5, **more)


whole_short = cache(short)


@pytest.mark.parametrize("snapshot_seconds", [0.0, 60.0])
@pytest.mark.parametrize("after", [1, 2, 5, 9])
@pytest.mark.parametrize("case", CASES)
def test_broken_off_anywhere_it_goes_on_to_the_byte(
    case: Any, after: int, snapshot_seconds: float, tmp_path: Path
) -> None:
    with contextlib.suppress(StopHere):
        stop = raising(StopHere, after)
        short(case, run_dir=tmp_path / "run", on_elite=stop, snapshot_seconds=snapshot_seconds, message_seconds=1e-9)
    assert evo.load(tmp_path / "run").state == "interrupted"
    assert canonical(evo.resume(tmp_path / "run"), tmp_path) == canonical(whole_short(case), tmp_path)


class Mine(Schedule):
    """Schedules of faults and restarts, for this algorithm."""

    worlds = PLAIN

    def make_algorithm(self) -> Algorithm:
        return evo.OnePlusLambda(5, initial=4)


def test_schedules_of_faults_and_restarts() -> None:
    for seed in range(10):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check(Simulation(Mine.of(seed)).run())


@pytest.mark.parametrize("problem", [Pruning(), Bowl(), Masks()])
@pytest.mark.parametrize("n", [3, 20])
def test_it_keeps_its_promises(problem: evo.Problem, n: int) -> None:
    rungs = RUNGS if isinstance(problem, Pruning) else []
    check_algorithm(lambda: evo.OnePlusLambda(8, rungs=rungs, initial=6), problem, moves=40, n=n)
