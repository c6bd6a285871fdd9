"""Watching a search, and where it begins."""

import math
import threading
import time

import numpy as np
import pytest
from engine.worlds import Bowl, Masks, Noisy, canonical

import evo
from operators.discrete import Flip
from operators.real import Gaussian
from problems.arm import Arm


def fill(**options):
    options = {"evaluations": 300, "seed": 3, **options}
    return evo.search(Masks(), evo.MapElites((6, 6), batch=30), **options)


# Callbacks, the background, no log ------------------------------------------------------------------------------------


def test_every_candidate_that_enters_an_archive_is_shown_once():
    seen = []
    run = fill(on_elite=seen.append)
    changes = [candidate for _, change in run.reader.changes() for candidate in change.candidate.tolist()]
    assert [best.candidate for best in seen] == changes
    assert set(run.archive.candidate) <= {best.candidate for best in seen}
    assert seen[0].objectives["ones"] == seen[0].genome.sum()
    assert set(seen[0].measures) == {"left", "right"}
    assert seen[0].metrics["number"] >= 0


def test_a_search_in_the_background_can_be_watched_and_stopped(tmp_path):
    search = evo.start(Bowl(), evo.Random(20), seconds=60, run_dir=tmp_path / "run")
    while not search.run.evaluations:
        time.sleep(0.02)
    assert search.running
    assert search.run.best is not None
    search.stop()
    run = search.wait(timeout=30)
    assert not search.running
    assert (run.state, run.reason) == ("interrupted", "stopped on request; resumable")
    more = evo.resume(tmp_path / "run", evaluations=run.evaluations + 100, seconds=3600)
    assert more.evaluations == run.evaluations


def test_a_search_in_the_background_that_ends_by_itself():
    run = evo.start(Bowl(), evaluations=300, seed=5).wait(timeout=60)
    assert (run.state, run.evaluations) == ("finished", 300)
    assert run.best.objectives == evo.search(Bowl(), evaluations=300, seed=5).best.objectives


def test_what_a_search_in_the_background_raises_is_raised_by_waiting_for_it():
    def fail(best):
        raise ZeroDivisionError

    search = evo.start(Bowl(), evaluations=300, on_elite=fail)
    with pytest.raises(ZeroDivisionError):
        search.wait(timeout=60)


def test_a_search_from_another_thread_needs_no_signals():
    found = []
    thread = threading.Thread(target=lambda: found.append(evo.search(Bowl(), evaluations=200, seed=1)))
    thread.start()
    thread.join()
    assert found[0].state == "finished"


def test_without_a_log_the_result_is_the_same_and_the_log_is_missed_by_name():
    logged = evo.search(Arm(5), evo.MapElites((10, 10), batch=50), evaluations=1000, seed=2)
    bare = evo.search(Arm(5), evo.MapElites((10, 10), batch=50), evaluations=1000, seed=2, log=False)
    assert bare.best.objectives == logged.best.objectives
    assert bare.archive.candidate.tolist() == logged.archive.candidate.tolist()
    assert np.array_equal(bare.archive.genomes, logged.archive.genomes)
    assert bare.totals["told"] == 1000
    with pytest.raises(evo.RunError, match="log=True"):
        bare.frame()


class Watcher:
    """A monitor that notes what it is told."""

    def __init__(self):
        self.updates, self.header, self.finished = [], None, None

    def start(self, header):
        self.header = header

    def update(self, totals):
        self.updates.append(totals["evaluations"])

    def finish(self, run):
        self.finished = run


def test_a_monitor_sees_the_beginning_the_middle_and_the_end():
    watcher = Watcher()
    run = evo.search(Bowl(), evo.Random(20), seconds=0.7, monitor=watcher)
    assert watcher.header["problem"]
    assert len(watcher.updates) >= 2
    assert watcher.updates == sorted(watcher.updates)
    assert watcher.finished is run
    assert run.state == "stopped"


# Where a search begins ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [evo.MapElites((6, 6), batch=10), evo.Genetic(10, mutation=Flip())])
def test_given_genomes_are_measured_first_and_as_they_are(algorithm):
    given = [np.eye(10, dtype=bool)[i] for i in range(10)] + [np.ones(10, dtype=bool)]
    run = evo.search(Masks(), algorithm, evaluations=100, seed=1, initial=given)
    seeds = run.frame().query("source == 'seed'")
    assert seeds["request"].tolist() == list(range(11))
    assert seeds["ones"].dropna().tolist().count(1.0) >= 8
    assert run.best.objectives["ones"] == 10
    assert run.evaluations == 100


def test_another_runs_elites_can_be_given(tmp_path):
    first = fill(run_dir=tmp_path / "first")
    for given in (first, tmp_path / "first", str(tmp_path / "first")):
        run = evo.search(
            Masks(), evo.MapElites((6, 6), batch=50), evaluations=len(first.archive), seed=9, initial=given
        )
        assert run.archive.objectives.tolist() == first.archive.objectives.tolist()
        assert run.archive.genomes.tolist() == first.archive.genomes.tolist()


def test_given_genomes_outside_the_space_are_refused():
    with pytest.raises(evo.SpaceError, match="outside the space"):
        evo.search(Bowl(), evaluations=10, initial=np.full((1, 3), 7.0))
    with pytest.raises(evo.SpaceError, match="expected shape"):
        evo.search(Bowl(), evaluations=10, initial=[np.zeros(4)])


class Placed(Bowl):
    """Says where to start: 30 points on a line."""

    measures = (evo.Measure("x", -1.0, 1.0),)

    def initial(self):
        return [np.full(3, i / 100) for i in range(30)]

    def evaluate(self, genome):
        return evo.Evaluation([float((genome**2).sum())], [genome[0]])


@pytest.mark.parametrize("batch", [7, 30, 100])
@pytest.mark.parametrize("make", [lambda n: evo.MapElites((10,), batch=n), lambda n: evo.Genetic(100)])
def test_a_problems_own_initial_genomes_are_each_asked_for_once(make, batch):
    run = evo.search(Placed(), make(batch), evaluations=200, seed=1, order=evo.Strict(batch, 4))
    requests = [part for part in run.reader.requests() if part.operator == "initial"]
    first = np.concatenate([part.genomes for part in requests])[:, 0]
    assert first.tolist() == [i / 100 for i in range(30)]


# Noise ----------------------------------------------------------------------------------------------------------------


def test_noise_belongs_to_the_draw_and_equal_genomes_are_measured_again(tmp_path):
    run = evo.search(Noisy(), evo.Random(20), evaluations=200, seed=6)
    assert run.totals["repeats"] == 0
    frame = run.frame()
    assert frame["value"].nunique() == 200
    again = evo.search(Noisy(), evo.Random(20), evaluations=200, seed=6, message_seconds=1e-9)
    assert canonical(again, tmp_path) == canonical(run, tmp_path)
    other = evo.search(Noisy(), evo.Random(20), evaluations=200, seed=7)
    assert not set(other.frame()["value"]) & set(frame["value"])


def test_a_problem_may_report_and_its_figures_are_in_the_summary():
    class Reporting(Bowl):
        def report(self, best, run):
            return {"height": best.objectives["height"], "elites": len(run.archive)}

    run = evo.search(Reporting(), evaluations=200, seed=1)
    assert run.summary == {"height": run.best.objectives["height"], "elites": 10.0}


def test_a_run_is_named_by_its_directory_or_as_told(tmp_path):
    assert fill(evaluations=30, run_dir=tmp_path / "north").name == "north"
    assert fill(evaluations=30, run_dir=tmp_path / "south", name="west").name == "west"
    assert evo.load(tmp_path / "south").name == "west"


def test_elites_of_a_continuous_space_are_kept_to_the_bit():
    run = evo.search(Arm(6), evo.MapElites((8, 8), operator=Gaussian(0.3), batch=50), evaluations=500, seed=1)
    view = run.archive
    found = Arm(6).evaluate_batch(view.genomes)
    assert np.array_equal(found.objectives, view.objectives)
    assert np.array_equal(found.measures, view.measures)
    assert math.isclose(view.stats["coverage"], len(view) / 64)
