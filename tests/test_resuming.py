"""One run, to the byte: repeated, broken off anywhere and taken up again, on any number of workers."""

import contextlib
import os
import random
import signal

import numpy as np
import pytest
from engine.breaking import StopHere, raising
from engine.worlds import Bowl, Masks, canonical

import evo
from evo.store.writer import RunWriter


def search(folder=None, evaluations=300, **options):
    return evo.search(
        Masks(), evo.MapElites((6, 6), batch=30), evaluations=evaluations, seed=11, run_dir=folder, **options
    )


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The canonical export of the whole run, in memory."""
    return canonical(search(), tmp_path_factory.mktemp("expected"))


def test_a_run_repeats_to_the_byte(tmp_path, expected):
    assert canonical(search(tmp_path / "a"), tmp_path) == expected
    assert canonical(search(tmp_path / "b", message_seconds=1e-9, window=5), tmp_path) == expected


def test_another_seed_is_another_run(tmp_path, expected):
    run = evo.search(Masks(), evo.MapElites((6, 6), batch=30), evaluations=300, seed=12)
    assert canonical(run, tmp_path) != expected


# Broken off in this process -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("snapshot_seconds", [0.0, 60.0])
@pytest.mark.parametrize("after", [1, pytest.param(13, marks=pytest.mark.slow), 21, 26])
@pytest.mark.parametrize("error", [StopHere, KeyboardInterrupt])
def test_a_callback_that_raises_leaves_a_run_that_goes_on_as_if_nothing_had_been(
    error, after, snapshot_seconds, tmp_path, expected
):
    options = {"on_elite": raising(error, after), "snapshot_seconds": snapshot_seconds, "message_seconds": 1e-9}
    with contextlib.suppress(StopHere):
        run = search(tmp_path / "run", **options)
        assert run.state == "interrupted"
    stored = evo.load(tmp_path / "run")
    assert stored.state == "interrupted"
    assert stored.totals["told"] <= len(stored.reader.told())
    assert canonical(evo.resume(tmp_path / "run"), tmp_path) == expected


@pytest.mark.parametrize("seed", range(4))
def test_a_write_that_fails_anywhere_leaves_a_run_that_goes_on_as_if_nothing_had_been(
    seed, tmp_path, expected, monkeypatch
):
    rng = random.Random(seed)
    for write in ("ask", "outcomes", "tell", "changes", "attempt"):
        monkeypatch.setattr(RunWriter, write, _failing_once(getattr(RunWriter, write), rng.randrange(1, 20)))
    attempts = 0
    with contextlib.suppress(StopHere):
        search(tmp_path / "run", message_seconds=1e-9)
    while True:
        attempts += 1
        try:
            run = evo.resume(tmp_path / "run")
            break
        except StopHere:
            continue
    assert attempts > 1
    assert canonical(run, tmp_path) == expected


def _failing_once(write, at):
    calls = 0

    def method(self, *args):
        nonlocal calls
        calls += 1
        if calls == at:
            raise StopHere
        return write(self, *args)

    return method


def test_a_stop_on_request_drains_and_goes_on(tmp_path, expected):
    def interrupt(best):
        os.kill(os.getpid(), signal.SIGINT)

    stop = raising(None, 10**9)
    calls = 0

    def once(best):
        nonlocal calls
        calls += 1
        if calls == 15:
            interrupt(best)
        stop(best)

    run = search(tmp_path / "run", on_elite=once)
    assert (run.state, run.reason) == ("interrupted", "stopped on request; resumable")
    assert canonical(evo.resume(tmp_path / "run"), tmp_path) == expected


def test_resuming_a_finished_run_changes_nothing(tmp_path, expected):
    search(tmp_path / "run")
    before = evo.load(tmp_path / "run").totals
    run = evo.resume(tmp_path / "run")
    assert canonical(run, tmp_path) == expected
    assert run.state == "finished"
    for name in ("evaluations", "told", "performed", "best", "failures", "summary"):
        assert run.totals[name] == before[name]


@pytest.mark.parametrize("rule", [{"target": 9.0}, {"plateau": 100}])
def test_resuming_a_run_that_a_rule_ended_changes_nothing(rule, tmp_path):
    run = search(tmp_path / "run", evaluations=5000, **rule)
    before = canonical(run, tmp_path)
    again = evo.resume(tmp_path / "run")
    assert (again.state, again.reason) == (run.state, run.reason) == ("stopped", run.reason)
    assert canonical(again, tmp_path) == before


def test_a_higher_target_goes_on_as_if_it_had_been_the_target(tmp_path):
    whole = search(tmp_path / "whole", evaluations=5000, target=10.0)
    search(tmp_path / "run", evaluations=5000, target=8.0)
    longer = evo.resume(tmp_path / "run", target=10.0)
    assert canonical(longer, tmp_path) == canonical(whole, tmp_path)


def test_a_run_that_was_broken_off_goes_on_to_a_larger_budget_as_one_long_run(tmp_path, expected):
    with pytest.raises(StopHere):
        search(tmp_path / "run", on_elite=raising(StopHere, 12), evaluations=240)
    assert canonical(evo.resume(tmp_path / "run", evaluations=300), tmp_path) == expected


def test_a_finished_run_goes_on_to_a_larger_budget_as_one_long_run_when_nothing_overlaps(tmp_path):
    def go(folder, evaluations):
        order = evo.Strict(block=50, lag=1)
        return evo.search(
            Bowl(), evo.Genetic(50, elitism=0), evaluations=evaluations, seed=2, order=order, run_dir=folder
        )

    whole = go(tmp_path / "whole", 400)
    go(tmp_path / "run", 200)
    assert canonical(evo.resume(tmp_path / "run", evaluations=400), tmp_path) == canonical(whole, tmp_path)


def test_a_finished_run_goes_on_the_same_whenever_it_is_given_more(tmp_path):
    """With blocks under way at once, a budget's end is seen by the algorithm: the longer run is another, but one."""
    for name in ("a", "b"):
        search(tmp_path / name, evaluations=150)
    one = evo.resume(tmp_path / "a", evaluations=300)
    other = evo.resume(tmp_path / "b", evaluations=300, snapshot=False)
    assert one.evaluations == 300
    assert canonical(one, tmp_path) == canonical(other, tmp_path)


def test_totals_add_up_over_sessions(tmp_path):
    with pytest.raises(StopHere):
        search(tmp_path / "run", on_elite=raising(StopHere, 20))
    run = evo.resume(tmp_path / "run")
    totals = run.totals
    assert totals["evaluations"] == 300
    assert totals["performed"] >= 300
    kinds = [event["kind"] for event in run.events()]
    assert [kind for kind in kinds if kind != "worker"] == ["resume", "end"]
    assert run.curve()[-1]["evaluations"] == 300


def test_arrival_order_is_replayed_from_its_log(tmp_path):
    with pytest.raises(StopHere):
        search(tmp_path / "run", order="arrival", on_elite=raising(StopHere, 20), message_seconds=1e-9)
    evo.resume(tmp_path / "run", evaluations=300)
    before = evo.load(tmp_path / "run").archive
    run = evo.resume(tmp_path / "run", snapshot=False)
    assert run.evaluations == 300
    assert run.archive.candidate.tolist() == before.candidate.tolist()
    assert run.archive.objectives.tolist() == before.objectives.tolist()


def test_an_initial_archive_is_taken_from_the_run_file(tmp_path):
    genomes = Masks().space.sample(40, np.random.default_rng(0))
    whole = search(tmp_path / "whole", initial=genomes)
    with pytest.raises(StopHere):
        search(tmp_path / "run", initial=genomes, on_elite=raising(StopHere, 5))
    assert canonical(evo.resume(tmp_path / "run"), tmp_path) == canonical(whole, tmp_path)


def test_a_problem_that_cannot_be_imported_is_handed_over(tmp_path):
    class Notebook(Masks):
        pass

    def go(folder, **options):
        algorithm = evo.MapElites((6, 6), batch=30)
        return evo.search(Notebook(), algorithm, evaluations=300, seed=11, run_dir=folder, **options)

    whole = go(tmp_path / "whole")
    with pytest.raises(StopHere):
        go(tmp_path / "run", on_elite=raising(StopHere, 20))
    with pytest.raises(evo.RunError, match=r"evo.resume\(run_dir, problem=...\)"):
        evo.resume(tmp_path / "run")
    assert canonical(evo.resume(tmp_path / "run", Notebook()), tmp_path) == canonical(whole, tmp_path)
