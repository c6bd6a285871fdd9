"""What protects a run from its surroundings: changed code, failed preparation, a report that raises, a false start."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evo
from evo.engine.ledger import Ledger
from evo.engine.sharing import Sharing
from evo.records import Outcomes, Requests
from operators.real.gaussian import Gaussian


class Bowl(evo.Problem):
    space = evo.Box(-1.0, 1.0, size=2)
    objectives: Sequence[evo.Objective] = (evo.Minimize("height"),)
    measures = (evo.Measure("x", -1.0, 1.0), evo.Measure("y", -1.0, 1.0))

    def evaluate_batch(self, x: Any) -> evo.Evaluations:
        return evo.Evaluations((x**2).sum(axis=1)[:, None], x)


class Hill(Bowl):
    objectives = (evo.Maximize("height"),)


class Unready(Bowl):
    def warm_up(self) -> None:
        raise OSError("no licence")


class Unprepared(Bowl):
    def prepare(self) -> Sequence[Requests]:
        return [Requests(make="absent", args=[{}])]


class Reporting(Bowl):
    def report(self, best: evo.Best | None, run: Any) -> Mapping[str, Any]:
        return {"failures": {"timeout": 3}, "best": best.objectives["height"] if best else None}


class Misreporting(Bowl):
    def report(self, best: evo.Best | None, run: Any) -> Mapping[str, Any]:
        raise KeyError("held-out data")


class Pricey(evo.Random):
    """Every sample costs five evaluations; asks for as many as the budget holds, or for more."""

    def __init__(self, greedy: bool) -> None:
        super().__init__(batch=100)
        self.greedy = greedy

    def ask(self, n: int, turn: evo.Turn) -> Sequence[Requests]:
        count = n if self.greedy else int(min(n, turn.budget // 5))
        return [Requests(genomes=self._problem.space.sample(count, turn.rng), reserve=5.0)] if count else ()


class Free(evo.Random):
    """Half of its work is free of charge."""

    def ask(self, n: int, turn: evo.Turn) -> Sequence[Requests]:
        return [Requests(genomes=self._problem.space.sample(n, turn.rng), reserve=float(turn.seq > 2000))]


def search(folder: Path, problem: evo.Problem, algorithm: evo.Algorithm | None = None) -> evo.Run:
    return evo.search(problem, algorithm or evo.MapElites((5, 5)), evaluations=1000, seed=1, run_dir=folder)


def test_a_snapshot_does_not_let_another_algorithm_take_the_run_over(tmp_path: Path) -> None:
    search(tmp_path / "run", Bowl(), evo.MapElites((5, 5), operator=Gaussian(0.1)))
    with pytest.raises(evo.ReplayMismatch, match=r"algorithm: the run began with MapElites.*0\.1.*not.*0\.7"):
        evo.resume(tmp_path / "run", Bowl(), evo.MapElites((5, 5), operator=Gaussian(0.7)), evaluations=2000)
    assert evo.resume(tmp_path / "run", Bowl(), evaluations=2000).evaluations == 2000


def test_a_snapshot_does_not_let_another_problem_take_the_run_over(tmp_path: Path) -> None:
    search(tmp_path / "run", Bowl())
    with pytest.raises(evo.ReplayMismatch, match="problem: the run began with Bowl"):
        evo.resume(tmp_path / "run", Hill(), evaluations=2000)


def test_turned_objectives_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search(tmp_path / "run", Bowl())
    monkeypatch.setattr(Bowl, "objectives", (evo.Maximize("height"),))
    with pytest.raises(evo.ReplayMismatch, match="objectives: the run began with"):
        evo.resume(tmp_path / "run", Bowl(), evaluations=2000)


def test_a_preparation_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(evo.EvaluationError, match=r"preparation failed: .*no operator named 'absent'"):
        search(tmp_path / "run", Unprepared())
    assert evo.load(tmp_path / "run", Unprepared()).state == "failed"


def test_a_run_that_never_began_leaves_its_directory_free(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no licence"):
        search(tmp_path / "run", Unready())
    assert search(tmp_path / "run", Bowl()).state == "finished"


def test_a_report_may_be_nested() -> None:
    run = evo.search(Reporting(), evaluations=500)
    assert run.summary["failures"] == {"timeout": 3}


def test_a_report_that_raises_does_not_take_the_run_with_it() -> None:
    with pytest.warns(UserWarning, match="KeyError in the problem's report"):
        run = evo.search(Misreporting(), evaluations=500)
    assert (run.state, run.evaluations) == ("finished", 500)


def test_reserves_keep_within_the_budget() -> None:
    assert evo.search(Bowl(), Pricey(greedy=False), evaluations=103).evaluations == 100
    with pytest.raises(evo.EvaluationError, match=r"at most 100 and 100 are allowed"):
        evo.search(Bowl(), Pricey(greedy=True), evaluations=100)


def test_work_that_costs_nothing_is_not_taken_for_repeats() -> None:
    run = evo.search(Bowl(), Free(), evaluations=100, order=evo.Strict(20, 1))
    assert (run.state, run.evaluations) == ("finished", 100)


def test_elites_are_announced_when_they_are_logged(tmp_path: Path) -> None:
    announced: list[int] = []

    def raise_late(best: evo.Best) -> None:
        announced.append(best.candidate)
        if len(announced) == 5:
            raise StopIteration

    with warnings.catch_warnings(), pytest.raises(StopIteration):
        evo.search(Bowl(), evo.MapElites((5, 5)), evaluations=900, run_dir=tmp_path / "run", on_elite=raise_late)
    run = evo.load(tmp_path / "run", Bowl())
    logged = {one for _, change in run.reader.changes() for one in change.candidate.tolist()}
    assert set(announced) <= logged


def test_after_a_replay_one_of_those_who_waited_for_a_crash_does_the_work() -> None:
    problem = Bowl()
    ledger = Ledger()
    sharing = Sharing(problem, ledger, lambda request: None)
    same = Requests(genomes=np.zeros((4, 2)), ids=np.arange(4), fidelity="full")
    batch = ledger.add(0, [same], [sharing.earlier(same)]).batches[0]
    nothing = np.full((1, 1), np.nan)
    crash = Outcomes(np.array([0]), nothing, np.full((1, 2), np.nan), status=np.array([4], np.uint8))
    for part in ledger.accept(crash):
        sharing.heard(part)
    own, answers = sharing.split(batch, np.arange(1, 4))
    assert own.tolist() == [1]
    assert answers == []
    done = Outcomes(np.array([1]), np.zeros((1, 1)), np.zeros((1, 2)))
    for part in ledger.accept(done):
        sharing.heard(part)
        answers, heirs = sharing.release(part)
    assert [one.ids.tolist() for one in answers] == [[2], [3]]
    assert heirs == []
    later = Requests(genomes=np.zeros((1, 2)), ids=np.array([4]), fidelity="full")
    found = sharing.earlier(later)
    assert found is not None
    assert found.tolist() == [1]
