"""The enumeration: every shard once, what is missing is said, and no budget is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from engine.breaking import StopHere, raising
from engine.worlds import Bowl, Squares, Verified, canonical

import evo
from evo.algorithm import Turn
from workers.simulated import Faults, Simulated

WANTED = [n for n in range(300) if n * n % 10 == 6 and n // 10 % 2 == 0]


def numbers(run: evo.Run) -> list[int]:
    return run.candidates().genomes[:, 0].tolist()  # type: ignore[no-any-return]


def test_without_a_budget_it_goes_on_to_the_end_and_says_so() -> None:
    run = evo.search(Verified(), evo.Enumeration(7))
    assert (run.state, run.reason) == ("finished", "the enumeration is complete: 300 ranks in 43 shards")
    assert numbers(run) == WANTED
    assert run.counters == {"screened": 300, "children_rejected": 30}
    assert (run.evaluations, run.rejected, sum(run.failures.values())) == (43, 0, 0)
    assert run.archive.genomes[:, 0].tolist() == sorted(WANTED, key=lambda n: (500 - n, n))[:10]


@pytest.mark.parametrize("shard", [1, 64, 299, 300, 10**6])
def test_what_is_found_does_not_hang_on_the_shards(shard: int) -> None:
    run = evo.search(Verified(), evo.Enumeration(shard, block=3))
    assert numbers(run) == WANTED
    assert run.evaluations == -(-300 // shard)


def test_shards_are_asked_for_in_order_a_block_at_a_time() -> None:
    algorithm = evo.Enumeration(100, block=2)
    algorithm.setup(Verified(total=450))
    asked: list[tuple[int, int]] = []
    for move in range(4):
        for batch in algorithm.ask(2, Turn(0, move, 0)):
            assert (batch.make, batch.genomes) == ("squaring", None)
            asked.append(tuple((one["start"], one["stop"]) for one in batch.args))  # type: ignore[arg-type]
    assert asked == [((0, 100), (100, 200)), ((200, 300), (300, 400)), ((400, 450),)]
    assert algorithm.expected == 5


def test_an_empty_set_is_complete_at_once() -> None:
    run = evo.search(Verified(total=0), evo.Enumeration(10))
    assert (run.state, run.reason) == ("finished", "the enumeration is complete: 0 ranks in 0 shards")
    assert len(run.candidates()) == 0


# What is missing ------------------------------------------------------------------------------------------------------


def test_a_shard_that_fails_is_missing_and_the_reason_says_which() -> None:
    run = evo.search(Verified(trap=60), evo.Enumeration(20))
    assert run.state == "finished"
    assert run.reason == "the enumeration is not complete: 1 of 15 shards missing (ranks 60 to 79)"
    assert run.failures["failed"] == 1
    assert numbers(run) == [n for n in WANTED if not 60 <= n < 80]


def test_a_survivor_that_could_not_be_verified_is_missing_too() -> None:
    run = evo.search(Verified(broken=206), evo.Enumeration(100))
    assert run.reason == "the enumeration is not complete: 1 survivor not measured"
    assert numbers(run) == [n for n in WANTED if n != 206]
    alone = evo.search(Verified(broken=206), evo.Enumeration(2))  # then it is all that its shard had
    assert alone.reason == "the enumeration is not complete: 1 of 150 shards missing (ranks 206 to 207)"


def test_a_shard_that_hangs_is_missing_and_the_others_are_not() -> None:
    def poison(requests: evo.Requests, row: int) -> str | None:
        return "hang" if requests.ids[row] == 4 else None

    problem = Verified()
    problem.deadline = 5.0
    workers = Simulated(0.1, 0.0, seed=1, faults=Faults(poison=poison))
    run = evo.search(problem, evo.Enumeration(20), workers=workers)
    assert run.failures["timeout"] == 1
    assert run.reason == "the enumeration is not complete: 1 of 15 shards missing (ranks 80 to 99)"
    assert numbers(run) == [n for n in WANTED if not 80 <= n < 100]


def test_of_several_missing_shards_the_first_is_named() -> None:
    class Torn(Verified):
        def evaluate(self, genome: Any) -> evo.Evaluation:
            if genome[0] >= 206:
                raise ValueError("torn")
            return super().evaluate(genome)

    run = evo.search(Torn(), evo.Enumeration(10))
    gap = "9 of 30 shards missing (the first has ranks 210 to 219), 1 survivor not measured"
    assert run.reason == f"the enumeration is not complete: {gap}"


def test_a_budget_of_shards_ends_it_early() -> None:
    run = evo.search(Verified(), evo.Enumeration(10), evaluations=12)
    assert (run.reason, run.counters["screened"]) == ("budget spent", 120)


def test_other_algorithms_still_need_a_budget() -> None:
    with pytest.raises(evo.ConfigError, match="no budget: give evaluations="):
        evo.search(Verified(), evo.Random())
    with pytest.raises(evo.ConfigError, match="no budget"):
        evo.search(Verified())


# Resuming, workers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("snapshot", [True, False])
def test_broken_off_it_resumes_to_the_byte(snapshot: bool, tmp_path: Any) -> None:
    problem, algorithm = Verified(trap=60, broken=206), evo.Enumeration(5, block=4)
    with pytest.raises(StopHere):
        evo.search(problem, algorithm, run_dir=tmp_path / "run", on_elite=raising(StopHere, 25), snapshot_seconds=0.0)
    assert evo.load(tmp_path / "run").totals["told"] < 60
    run = evo.resume(tmp_path / "run", snapshot=snapshot)
    whole = evo.search(problem, evo.Enumeration(5, block=4))
    assert canonical(run, tmp_path) == canonical(whole, tmp_path)
    assert run.reason == whole.reason
    assert "2 of 60 shards missing (the first has ranks 60 to 64)" in run.reason
    again = evo.resume(tmp_path / "run", snapshot=snapshot)  # there is nothing left to do
    assert (again.reason, again.totals["performed"]) == (run.reason, run.totals["performed"])


@pytest.mark.ray
def test_ray_workers_find_what_this_process_finds(tmp_path: Any, ray_session: None) -> None:
    run = evo.search(Verified(trap=60), evo.Enumeration(5), workers=2, run_dir=tmp_path / "run", message_seconds=0.001)
    assert canonical(run, tmp_path) == canonical(evo.search(Verified(trap=60), evo.Enumeration(5)), tmp_path)
    busy = run.workers()
    assert sum(one["messages"] for one in busy) > 1
    assert all(0 < one["busy"] <= one["elapsed"] for one in busy)


# Archives -------------------------------------------------------------------------------------------------------------


class Measured(Verified):
    measures = tuple(evo.Measure(name, 0.0, 1000.0) for name in "abcd")

    def evaluate(self, genome: Any) -> evo.Evaluation:
        return evo.Evaluation([1.0], [float(genome[0])] * 4)


class Aimless(Verified):
    objectives = ()

    def evaluate(self, genome: Any) -> evo.Evaluation:
        return evo.Evaluation([])


def test_the_default_archive_suits_the_problem() -> None:
    assert evo.search(Verified(), evo.Enumeration(50)).archive.description["kind"] == "top"
    run = evo.search(Measured(), evo.Enumeration(50))
    assert run.archive.description["shape"] == [31] * 4  # 50 along each would be six million cells
    assert len(run.archive) > 3
    bare = evo.search(Aimless(), evo.Enumeration(50))
    assert (bare.archives, len(bare.candidates())) == ({}, 60)
    assert evo.search(Verified(), evo.Enumeration(50, archive=evo.Top(3))).archive.stats["elites"] == 3


# Refusals -------------------------------------------------------------------------------------------------------------


class Several(Verified):
    @property
    def operators(self) -> Any:
        return {**super().operators, "again": super().operators["squaring"]}


class Lying(Verified):
    @property
    def operators(self) -> Any:
        class Endless(type(super().operators["squaring"])):  # type: ignore[misc]
            total = 1.5

        return {"endless": Endless(3)}


@pytest.mark.parametrize(
    ("problem", "options", "message"),
    [
        (Bowl(), {}, r"Bowl has no operator that enumerates .*; it has none\)"),
        (Squares(), {}, r"Squares has no operator that enumerates .*; it has shard\)"),
        (Several(), {}, r"Several enumerates in several ways \(squaring, again\): name one"),
        (Verified(), {"operator": "squarring"}, "unknown operator 'squarring'; expected squaring"),
        (Verified(), {"operator": "weigh"}, "operator 'weigh' is a Weigh, which does not enumerate; expected squaring"),
        (Lying(), {}, r"Endless\.total: expected a whole number of at least 0, got 1\.5"),
    ],
)
def test_an_operator_that_does_not_enumerate_is_refused(problem: Any, options: Any, message: str) -> None:
    with pytest.raises(evo.ConfigError, match=message):
        evo.search(problem, evo.Enumeration(10, **options))


def test_one_of_several_enumerators_is_chosen_by_name() -> None:
    run = evo.search(Several(), evo.Enumeration(10, operator="again"))
    assert set(run.totals["operators"]) == {"again"}
    assert numbers(run) == WANTED


@pytest.mark.parametrize("options", [{"shard": 0}, {"shard": 5, "block": 0}])
def test_shards_and_blocks_hold_something(options: Any) -> None:
    with pytest.raises(evo.ConfigError, match="at least 1"):
        evo.Enumeration(**options)


def test_an_enumerator_without_a_total_cannot_be_made() -> None:
    class Blind(evo.Enumerator):
        def make(self, parents: Any, args: Any, space: evo.Space, work: evo.Work) -> evo.Births:
            return evo.Births(np.empty((0, 1)))

    with pytest.raises(TypeError, match="total"):
        Blind()  # type: ignore[abstract]


def test_a_shard_that_could_yield_more_candidates_than_a_request_holds_is_refused() -> None:
    class Prolific(Verified):
        @property
        def operators(self) -> Mapping[str, evo.Operator]:
            return {"many": Many()}

    class Many(evo.Enumerator):
        total = 10**9
        survivors = 1000

        def make(self, parents: Any, args: Any, space: evo.Space, work: evo.Work) -> evo.Births:
            return evo.Births(space.empty(0))

    with pytest.raises(evo.ConfigError, match=r"algorithm.shard: expected at most 1,048 ranks.*got 2,000"):
        evo.search(Prolific(), evo.Enumeration(2000))


def test_genomes_to_start_from_are_measured_beside_the_shards() -> None:
    run = evo.search(Verified(), evo.Enumeration(30), initial=[[500], [510]])
    assert run.best is not None
    assert run.best.objectives["distance"] == 0.0
    assert (run.rejected, run.evaluations) == (1, 12)
    assert run.reason == "the enumeration is complete: 300 ranks in 10 shards"
