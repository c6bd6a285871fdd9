"""Repeating the logged moves rebuilds the master; a snapshot only stands for the moves before it."""

import sqlite3

import numpy as np
import pytest

import evo
from engine.breaking import StopHere, raising
from engine.searchers import Cascade, Rewrites, Rungs
from engine.worlds import Kernels, Masks, Noisy, Pruning
from evo.engine.build import logged, master_for
from evo.engine.order import order_from
from evo.engine.replay import replay
from evo.engine.rules import Rules
from evo.store.columns import pack
from evo.store.reader import FILE_NAME
from evo.store.writer import open_file
from operators.discrete import Flip

CASES = {
    "map_elites": (Masks, lambda: evo.MapElites((6, 6), batch=20), "strict"),
    "genetic": (Masks, lambda: evo.Genetic(16, mutation=Flip(0.3), elitism=2), "strict"),
    "steady": (Masks, lambda: evo.Genetic(16, mutation=Flip(0.3), selection="steady", ageing=True), "strict"),
    "random": (Noisy, lambda: evo.Random(30), "strict"),
    "arrival": (Masks, lambda: evo.MapElites((6, 6), batch=20), "arrival"),
    "rewrites": (Masks, Rewrites, "strict"),
    "rungs": (Pruning, Rungs, "strict"),
    "cascade": (Kernels, Cascade, "strict"),
}


def broken(folder, problem, algorithm, order, after, snapshots=True):
    """The file of a run that was broken off at its `after`-th elite, with requests in flight."""
    with pytest.raises(StopHere):
        evo.search(
            problem, algorithm, evaluations=5000, seed=3, order=order, run_dir=folder,
            on_elite=raising(StopHere, after), snapshot_seconds=0.0 if snapshots else 1e9, message_seconds=1e-9,
        )  # fmt: skip
    return folder / FILE_NAME


def repeated(file, problem, algorithm, snapshot):
    """A master where the log ends, and the number of moves that this took."""
    connection = open_file(file)
    _, reader, logbook = logged(connection, problem)
    algorithm.setup(problem)
    order = order_from(reader.header()["spec"]["order"])
    master = master_for(problem, algorithm, 3, order, Rules(evaluations=5000), logbook)
    moves = replay(master, reader, snapshot=snapshot)
    return master, moves


def elites(master):
    held = next(iter(master.algorithm.archives.values())).elites()
    return held.keys.tolist(), held.candidate.tolist(), held.objectives.tolist(), held.genomes.tolist()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("after", [3, 7, 25])
def test_a_snapshot_and_the_tail_are_the_full_replay(case, after, tmp_path):
    problem, algorithm, order = CASES[case]
    after = min(after, {"cascade": 6, "rewrites": 12}.get(case, after))  # fewer elites are ever found there
    file = broken(tmp_path / "run", problem(), algorithm(), order, after)
    full, all_moves = repeated(file, problem(), algorithm(), snapshot=False)
    cached, tail = repeated(file, problem(), algorithm(), snapshot=True)
    assert tail < all_moves
    assert elites(cached) == elites(full)
    assert cached.tally == full.tally
    assert (cached.seq, cached.next_id, cached.ledger.open, cached.ledger.waiting) == (
        full.seq, full.next_id, full.ledger.open, full.ledger.waiting,
    )  # fmt: skip
    assert _keys(cached) == _keys(full)
    asked, again = cached.ask(5, 5.0, {}, log=False), full.ask(5, 5.0, {}, log=False)
    assert [one.ids.tolist() for one in asked] == [one.ids.tolist() for one in again]
    assert [_genomes(one) for one in asked] == [_genomes(one) for one in again]
    assert pack(cached.state()["algorithm"]) == pack(full.state()["algorithm"])


def _keys(master):
    runs = master.state()["sharing"]["keys"]["runs"]
    pairs = [(key, one) for run in runs for key, one in zip(run["keys"].tolist(), run["ids"].tolist(), strict=True)]
    return sorted(pairs)


def _genomes(batch):
    return None if batch.genomes is None else batch.genomes.tolist()


def test_a_replay_evaluates_nothing(tmp_path, monkeypatch):
    file = broken(tmp_path / "run", Masks(), evo.MapElites((6, 6), batch=20), "strict", 30)

    def refuse(self, genome):
        raise AssertionError("evaluated")

    monkeypatch.setattr(Masks, "evaluate", refuse)
    master, _ = repeated(file, Masks(), evo.MapElites((6, 6), batch=20), snapshot=False)
    assert master.tally.told > 0


def test_derived_tables_equal_a_replay(tmp_path):
    file = broken(tmp_path / "run", Masks(), evo.MapElites((6, 6), batch=20), "strict", 30)
    master, _ = repeated(file, Masks(), evo.MapElites((6, 6), batch=20), snapshot=False)
    view, held = evo.load(tmp_path / "run").archive, master.algorithm.archive.elites()
    assert view.keys.tolist() == held.keys.tolist()
    assert view.candidate.tolist() == held.candidate.tolist()
    assert np.array_equal(view.objectives, held.objectives)
    assert np.array_equal(view.genomes, held.genomes)


def test_a_broken_run_resumes_the_same_with_and_without_its_snapshot(tmp_path):
    for name in ("cached", "uncached"):
        broken(tmp_path / name, Masks(), evo.MapElites((6, 6), batch=20), "strict", 30)
    with sqlite3.connect(tmp_path / "uncached" / FILE_NAME) as connection:
        assert connection.execute("SELECT count(*) FROM snapshots").fetchone() == (1,)
        connection.execute("DELETE FROM snapshots")
    connection.close()
    runs = [evo.resume(tmp_path / name, evaluations=400) for name in ("cached", "uncached")]
    one, other = (run.export("canonical", tmp_path / f"{i}.txt").read_bytes() for i, run in enumerate(runs))
    assert one == other


class Other(evo.MapElites):
    """Draws one number more than it used to."""

    def ask(self, n, turn):
        if turn.seq > 3:
            turn.rng.random()
        return super().ask(n, turn)


@pytest.mark.parametrize("other", [evo.MapElites((6, 6), batch=20, operator=Flip(0.5)), Other((6, 6), batch=20)])
def test_an_algorithm_that_asks_for_other_work_is_refused_by_the_first_request(other, tmp_path):
    file = broken(tmp_path / "run", Masks(), evo.MapElites((6, 6), batch=20), "strict", 30, snapshots=False)
    connection = sqlite3.connect(file)
    batches = connection.execute("SELECT first, seq FROM requests ORDER BY first").fetchall()
    with pytest.raises(evo.ReplayMismatch, match=r"from request (\d+) on") as caught:
        repeated(file, Masks(), other, snapshot=False)
    named = int(str(caught.value).split("from request ")[1].split()[0])
    assert named in [first for first, seq in batches if seq >= 3]


def test_a_log_that_lost_a_result_is_refused(tmp_path):
    file = broken(tmp_path / "run", Masks(), evo.MapElites((6, 6), batch=20), "strict", 20, snapshots=False)
    with sqlite3.connect(file) as connection:
        connection.execute("DELETE FROM results WHERE id = 2")
    connection.close()
    with pytest.raises(evo.ReplayMismatch, match=r"tells request|than had arrived"):
        repeated(file, Masks(), evo.MapElites((6, 6), batch=20), snapshot=False)
