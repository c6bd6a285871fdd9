"""Evaluations that end, stop or fill their process, on real Ray workers: what it costs them and those beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

import evo
from chaos.worlds import Armed, arm, canonical_lines, canonical_of, check_accounts, meetings

pytestmark = [pytest.mark.ray, pytest.mark.timeout(180)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "arms"
    made.mkdir()
    return made


def search(folder: Path, name: str, algorithm: evo.Algorithm | None = None, **options) -> evo.Run:
    problem = Armed(str(folder), options.pop("deadline", 30.0))
    options = {"evaluations": 240, "seed": 3, "order": evo.Strict(40, 3), "message_seconds": 0.05, **options}
    return evo.search(
        problem,
        algorithm or evo.MapElites((8, 8), batch=40),
        run_dir=folder.parent / name,
        handle_signals=False,
        **options,
    )


def outcomes_of(run: evo.Run) -> list[str]:
    return [row[0] for row in run.reader.connection.execute("SELECT outcome FROM attempts WHERE outcome != 'ok'")]


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("kind", ["kill", pytest.param("segfault", marks=pytest.mark.slow)])
def test_a_worker_that_dies_while_evaluating_changes_nothing_in_the_record(kind: str, folder: Path) -> None:
    whole = search(folder, "whole")
    arm(folder, kind, 57, 131, times="once")
    run = search(folder, "run", workers=2)
    assert meetings(folder) == {"57": 1, "131": 1}
    assert run.totals["workers"]["lost"] >= 2
    assert run.totals["attempts"] > run.totals["performed"] == 240
    assert not any(run.totals["failures"].values())
    check_accounts(run)
    assert canonical_of(run) == canonical_of(whole)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("kind", ["kill", "segfault"])
def test_a_candidate_that_kills_every_worker_is_quarantined_after_two_strikes_alone(kind: str, folder: Path) -> None:
    whole = search(folder, "whole", evo.Random(batch=40))
    arm(folder, kind, 77)
    run = search(folder, "run", evo.Random(batch=40), workers=2)
    check_accounts(run)
    assert {name: count for name, count in run.totals["failures"].items() if count} == {"crashed": 1}
    (message,) = run.reader.messages()
    assert message.endswith("; 2 times, alone")
    assert 2 <= meetings(folder)["77"] <= 4  # in company until it is suspected, then twice alone
    assert len(outcomes_of(run)) >= 2
    assert canonical_lines(run, {77}) == canonical_lines(whole, {77})


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_each_of_many_faults_costs_its_own_candidate_only(folder: Path) -> None:
    whole = search(folder, "whole", evo.Random(batch=40))
    arm(folder, "kill", 10, 11, 12)
    arm(folder, "segfault", 90)
    arm(folder, "raise", 33, 34, 200)
    arm(folder, "abort", 100)
    arm(folder, "sys.exit", 150)
    arm(folder, "hog", 160)
    arm(folder, "hang", 170)
    bad = {10, 11, 12, 90, 100, 33, 34, 200, 150, 160, 170}
    run = search(folder, "run", evo.Random(batch=40), workers=3, deadline=2.0)
    check_accounts(run)
    failures = {name: count for name, count in run.totals["failures"].items() if count}
    assert failures == {"crashed": 5, "failed": 5, "timeout": 1}
    assert run.evaluations == 240
    assert canonical_lines(run, bad) == canonical_lines(whole, bad)
    assert sum("MemoryError" in message for message in run.reader.messages()) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_hang_costs_its_deadline_and_two_seconds_at_most(folder: Path) -> None:
    arm(folder, "hang", 20)
    run = search(folder, "run", evo.Random(batch=40), workers=2, deadline=1.0, evaluations=80)
    check_accounts(run)
    assert run.totals["failures"]["timeout"] == 1
    spent = run.reader.connection.execute("SELECT ended - sent FROM attempts WHERE outcome = 'timeout' AND count = 1")
    for (seconds,) in spent:
        assert 1.0 <= seconds <= 1.0 + 2.0


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("kind", ["raise", "segfault"])
def test_workers_that_cannot_start_are_given_up_after_three_tries(kind: str, folder: Path) -> None:
    arm(folder, kind, "start")
    with pytest.raises(evo.WorkerError, match=r"workers cannot start \(3 tries in a row\): "):
        search(folder, "run", workers=1)
    assert meetings(folder) == {"start": 3}
    (folder / "start").unlink()
    run = evo.resume(folder.parent / "run", handle_signals=False)
    check_accounts(run)
    assert canonical_of(run) == canonical_of(search(folder, "whole"))


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_a_start_that_fails_once_is_tried_again(folder: Path) -> None:
    arm(folder, "exit", "start", times="once")
    run = search(folder, "run", workers=1)
    assert meetings(folder) == {"start": 1}
    assert canonical_of(run) == canonical_of(search(folder, "whole"))


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("kind", ["raise", "kill"])
def test_an_evaluator_that_always_fails_ends_the_run_with_its_first_reason(kind: str, folder: Path) -> None:
    arm(folder, kind, *range(240))
    run = search(folder, "run", evo.Random(batch=4), workers=2, failures=4, order=evo.Strict(4, 1))
    assert run.state == "failed"
    assert run.reason.startswith("all of the first 4 evaluations failed")
    assert ("ZeroDivisionError: armed" if kind == "raise" else "2 times, alone") in run.reason


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_in_the_sandbox_no_fault_costs_a_worker(folder: Path) -> None:
    whole = search(folder, "whole", evo.Random(batch=40))
    arm(folder, "kill", 10, 11)
    arm(folder, "segfault", 90)
    arm(folder, "raise", 33)
    arm(folder, "eat", 160)  # without a limit of its own: the sandbox's
    arm(folder, "hang", 170)
    bad = {10, 11, 90, 33, 160, 170}
    sandbox = evo.Sandbox(memory=256 << 20, write=(str(folder),))
    run = search(folder, "run", evo.Random(batch=40), workers=2, deadline=3.0, sandbox=sandbox)
    check_accounts(run)
    failures = {name: count for name, count in run.totals["failures"].items() if count}
    assert failures == {"crashed": 3, "failed": 2, "timeout": 1}
    assert run.totals["workers"]["lost"] == 0
    assert meetings(folder) == {str(request): 1 for request in bad}
    assert canonical_lines(run, bad) == canonical_lines(whole, bad)
