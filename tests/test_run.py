import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filling import Filler, fill, header_of

import evo
from evo.errors import EvoError, RunError
from evo.problem import Minimize, Problem
from evo.records import Change, Note, Outcomes, Requests, Status, candidate_id
from evo.run import Run, load
from evo.spaces.box import Box
from evo.store.reader import RunReader
from evo.store.writer import RunWriter
from problems.arm import Arm


@pytest.fixture
def filler():
    return fill(None)


@pytest.fixture
def run(filler):
    return filler.run()


def test_the_numbers_are_those_of_the_totals(run):
    assert (run.state, run.reason, run.seed, run.name, run.evaluations) == (
        "finished",
        "budget spent",
        7,
        "filled",
        300,
    )
    assert run.failures == {"failed": 8, "invalid": 0, "timeout": 0, "crashed": 0}
    assert run.summary == {"held_out": 0.5}
    assert run.counters == {"screened": 12.0}
    assert "finished, 300 evaluations, best smoothness=" in repr(run)


def test_best_has_names_and_a_genome_of_the_space(run, filler):
    best = run.best
    assert list(best.objectives) == ["smoothness"]
    assert list(best.measures) == ["x", "y"]
    assert best.metrics["half"] == best.objectives["smoothness"] / 2
    assert isinstance(best.genome, np.ndarray)
    assert run.problem.evaluate_batch(best.genome[None]).objectives[0, 0] == best.objectives["smoothness"]
    assert run.show(best.genome) == filler.problem.show(best.genome)


def test_the_k_best_are_distinct_and_in_order(run):
    bests = run.bests(5)
    values = [best.objectives["smoothness"] for best in bests]
    assert values == sorted(values, reverse=True)
    assert len({best.candidate for best in bests}) == 5
    assert bests[0].candidate == run.best.candidate
    for best in bests:
        assert run.problem.evaluate_batch(best.genome[None]).objectives[0, 0] == best.objectives["smoothness"]
        assert best.metrics["half"] == best.objectives["smoothness"] / 2
    assert len(run.bests(1)) == 1
    assert len(run.bests(10**6)) == len(run.archive)


def test_the_best_ever_leads_even_when_no_archive_holds_it(filler):
    write_totals(filler, best={**filler.best, "candidate": 77 << 20, "objectives": [1000.0]})
    bests = filler.run().bests(3)
    assert [best.objectives["smoothness"] == 1000.0 for best in bests] == [True, False, False]


def test_the_best_of_a_minimised_objective_is_the_smallest():
    class Low(Problem):
        space = Box(-1.0, 1.0, size=2)
        objectives = (Minimize("error"),)

    filler = Filler(None)
    problem = Low()
    writer = RunWriter(filler.connection, problem.space)
    with writer.transaction():
        writer.header(header_of(problem, None, archives={"top": {"kind": "top", "k": 3}}))
        writer.ask(0, 3, 0, [Requests(np.zeros((3, 2)), ids=np.arange(3))], {}, np.inf)
        candidates = np.array([candidate_id(i) for i in (2, 0, 1)])
        writer.changes(0, [Change("top", np.arange(3), candidates, np.array([[1.0], [2.0], [3.0]]), np.empty((3, 0)))])
    run = Run(RunReader(filler.connection), problem)
    assert [best.objectives["error"] for best in run.bests(3)] == [1.0, 2.0, 3.0]
    assert run.archive.stats == {"elites": 3.0, "best": 1.0, "mean": 2.0}


def write_totals(filler, **changes):
    totals = filler.run().totals
    with filler.writer.transaction():
        filler.writer.totals({**totals, **changes})


def test_the_archive_has_columns_genomes_and_the_grid_s_own_statistics(run, filler):
    view, elites = run.archive, filler.grid.elites()
    assert view.candidate.tolist() == elites.candidate.tolist()
    assert np.array_equal(view.genomes, elites.genomes)
    assert view.stats == pytest.approx(filler.grid.stats())
    assert view.describe() == filler.grid.describe()
    frame = view.frame()
    assert list(frame.columns) == ["key", "candidate", "smoothness", "x", "y"]
    assert len(frame) == len(view) == len(filler.grid)
    assert "ArchiveView 'archive': elites=" in repr(view)


def test_the_frame_has_one_row_a_candidate_and_one_a_failure(run):
    frame = run.frame()
    assert list(frame.columns) == [
        "candidate", "request", "parents", "operator", "source", "fidelity", "status", "same_as",
        "smoothness", "x", "y", "half", "message",
    ]  # fmt: skip
    assert frame["request"].tolist() == list(range(300))
    failed = frame[frame["status"] == "failed"]
    assert failed["request"].tolist() == [36, 73, 110, 147, 184, 221, 258, 295]
    assert failed["smoothness"].isna().all()
    assert failed["message"].str.startswith("it broke").all()
    assert frame["message"][0] == ""
    assert frame["parents"][0] == ()
    assert frame["parents"][60][0] in set(frame["candidate"])
    assert set(frame["fidelity"]) == {"full"}


def test_the_frame_follows_candidates_through_shards_and_further_fidelities():
    filler = Filler(None)
    shard = filler.ask(Requests(make="shard", args=[{}, {}, {}], fidelity="born"))
    born = Outcomes(
        shard.ids,
        np.empty((2, 0)),
        np.empty((2, 0)),
        owner=np.array([0, 0]),
        genomes=np.ones((2, 5)),
        status=np.array([Status.OK, Status.OK, Status.CRASHED], np.uint8),
        notes={2: Note("died")},
    )
    filler.tell(born, [])
    again = filler.ask(Requests(np.ones((2, 5)), candidate=np.array([0, 1]), fidelity="full"))
    filler.tell(Outcomes(again.ids, np.array([[1.0], [2.0]]), np.zeros((2, 2))), [])
    frame = filler.run().frame()
    assert frame["candidate"].tolist() == ["0", "0.1", "2", "0", "0.1"]
    assert frame["fidelity"].tolist() == ["born", "born", "born", "full", "full"]
    assert frame["status"].tolist() == ["ok", "ok", "crashed", "ok", "ok"]
    assert frame["smoothness"].isna().tolist() == [True, True, True, False, False]


def test_the_frame_of_a_run_without_results_has_its_columns():
    frame = Filler(None).run().frame()
    assert len(frame) == 0
    assert {"candidate", "status", "smoothness", "x"} <= set(frame.columns)


def test_equal_names_of_figures_stay_apart():
    filler = Filler(None)
    filler.block(1, np.random.default_rng(0))
    header = filler.run().header
    header["measures"][0]["name"] = "smoothness"
    header["measures"][1]["name"] = "status"
    with filler.writer.transaction():
        filler.writer.header(header)
    assert {"smoothness", "smoothness_measure", "status", "status_measure"} <= set(filler.run().frame().columns)


def test_curves_and_events_are_read(run, filler):
    assert [point["evaluations"] for point in run.curve()] == [50, 100, 150, 200, 250, 300]
    assert run.curve()[-1]["coverage"] == filler.grid.stats()["coverage"]
    assert run.events() == []


def test_artifacts_are_found_inline_and_as_files(tmp_path):
    filler = fill(tmp_path, blocks=1)
    with filler.writer.transaction():
        filler.writer.artifact("aa", 3, b"abc")
        filler.writer.artifact("bb", 4, None)
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "bb").write_bytes(b"file")
    run = load(tmp_path)
    assert run.artifact("aa") == b"abc"
    assert run.artifact("bb") == b"file"
    with pytest.raises(RunError, match="artifact cc"):
        run.artifact("cc")


def test_loading_builds_the_problem_from_the_run_file(tmp_path):
    filler = fill(tmp_path)
    run = load(tmp_path)
    assert isinstance(run.problem, Arm)
    assert run.problem.joints == 5
    assert run.dir == tmp_path
    assert np.array_equal(run.archive.genomes, filler.grid.elites().genomes)


def test_a_run_whose_problem_is_gone_can_still_be_read(tmp_path):
    filler = fill(tmp_path)
    header = filler.run().header
    header["spec"]["problem"]["type"] = "nowhere.at_all:Gone"
    with filler.writer.transaction():
        filler.writer.header(header)
    run = load(tmp_path)
    assert run.problem is None
    assert isinstance(run.best.genome, list)
    assert len(run.frame()) == 300
    assert [best.genome is None for best in run.bests(3)] == [False, True, True]
    with pytest.raises(RunError, match=r"needs the problem .*nowhere"):
        _ = run.archive.genomes
    with pytest.raises(RunError, match="needs the problem"):
        run.show(run.best.genome)
    assert np.array_equal(load(tmp_path, filler.problem).archive.genomes, filler.grid.elites().genomes)


def test_loading_imports_no_algorithm(tmp_path):
    fill(tmp_path)
    code = (
        "import sys; from evo.run import load; before = set(sys.modules);"
        f"run = load({str(tmp_path)!r}); run.best, run.archive.genomes, run.frame();"
        "print([name for name in set(sys.modules) - before if name.startswith(('evo.algorithms', 'operators', 'ray'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_search_without_a_log_still_shows_its_elites(filler):
    totals = filler.run().totals
    live = SimpleNamespace(header=filler.run().header, totals=totals, elites=filler.grid.elites)
    run = Run(None, filler.problem, live=live)
    assert run.best.candidate == filler.best["candidate"]
    assert np.array_equal(run.archive.genomes, filler.grid.elites().genomes)
    assert [best.objectives for best in run.bests(3)] == [best.objectives for best in filler.run().bests(3)]
    assert np.array_equal(run.bests(3)[2].genome, filler.run().bests(3)[2].genome)
    for method in (run.frame, run.curve, run.events, lambda: run.export("csv", "x")):
        with pytest.raises(RunError, match="log=True"):
            method()


@pytest.mark.parametrize(("library", "extra"), [("pandas", "frame"), ("plotly", "plot"), ("pyarrow", "frame")])
def test_a_missing_library_is_one_line_that_names_the_extra(run, monkeypatch, tmp_path, library, extra):
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    call = {
        "pandas": run.frame,
        "plotly": run.plot.heatmap,
        "pyarrow": lambda: run.export("parquet", tmp_path / "a"),
    }[library]
    with pytest.raises(EvoError, match=rf"needs {library}: pip install 'evo\[{extra}\]'"):
        call()


# End to end: what a real search writes is what all of the above reads.


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched") / "arm"
    return evo.search(Arm(joints=4), evo.MapElites(shape=(10, 10)), evaluations=1500, seed=3, run_dir=folder)


def test_a_search_can_be_loaded_and_is_the_same_run(searched):
    loaded = evo.load(searched.dir)
    assert loaded.best.candidate == searched.best.candidate
    assert np.array_equal(loaded.archive.genomes, searched.archive.genomes)
    evaluated = loaded.problem.evaluate_batch(loaded.archive.genomes)
    assert np.array_equal(evaluated.objectives, loaded.archive.objectives)
    assert loaded.archive.stats == pytest.approx(loaded.totals["stats"])


def test_the_frame_of_a_search_agrees_with_its_totals(searched):
    frame = searched.frame()
    assert len(frame) == searched.totals["told"] == 1500
    assert frame["smoothness"].max() == searched.best.objectives["smoothness"]


def test_the_canonical_form_of_a_search_repeats(searched, tmp_path):
    again = evo.search(Arm(joints=4), evo.MapElites(shape=(10, 10)), evaluations=1500, seed=3)
    first = searched.export("canonical", tmp_path / "a").read_bytes()
    assert again.export("canonical", tmp_path / "b").read_bytes() == first
    kinds = [json.loads(line)["kind"] for line in first.decode().splitlines()]
    assert kinds.count("result") == 1500
    assert kinds.count("elite") == len(searched.archive)
    assert str(Path.cwd()) not in first.decode()


class Counting(evo.Algorithm):
    """Asks for genomes and keeps nothing."""

    block = 10
    archives = {}  # noqa: RUF012

    def setup(self, problem):
        self.space = problem.space

    def ask(self, n, turn):
        return [Requests(self.space.sample(n, np.random.default_rng(turn.seq)))]

    def tell(self, results, turn):
        return ()

    def state(self):
        return {}

    def restore(self, state):
        pass


class Aimless(Problem):
    """Nothing to optimise: work is done and counted."""

    space = Box(-1.0, 1.0, size=2)

    def evaluate(self, genome):
        return evo.Evaluation([])


class Aiming(Aimless):
    objectives = (Minimize("error"),)

    def evaluate(self, genome):
        return evo.Evaluation([abs(genome[0])])


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("problem", [Aimless, Aiming])
def test_a_run_without_archives_or_objectives_has_none_of_them(problem, log):
    run = evo.search(problem(), Counting(), evaluations=30, log=log)
    assert run.evaluations == 30
    assert (len(run.archive), run.archives, len(run.archive.genomes)) == (0, {}, 0)
    assert run.archive.objectives.shape == (0, len(problem.objectives))
    assert len(run.bests(3)) == len(problem.objectives)
    assert "0" in repr(run.archive)
    assert "30 evaluations" in repr(run)
