"""All candidates as columns."""

from __future__ import annotations

import numpy as np
import pytest
from engine.worlds import Masks, Verified
from filling import Filler, fill

import evo
from evo.records import Note, Outcomes, Requests, Status


def test_columns_are_those_of_the_frame() -> None:
    run = evo.search(Masks(), evo.MapElites((6, 6), batch=30), evaluations=200, seed=1)
    found, frame = run.candidates(), run.frame()
    good = frame[frame["status"] == "ok"]
    assert len(found) == len(good) > 100
    assert (frame["status"] != "ok").any()
    assert [str(one >> 20) for one in found.candidate] == good["candidate"].tolist()
    assert found.objectives[:, 0].tolist() == good["ones"].tolist()
    assert found.measures.tolist() == good[["left", "right"]].to_numpy().tolist()
    assert found.metrics["number"].tolist() == good["number"].tolist()
    assert (found.genomes.sum(axis=1) == found.objectives[:, 0]).all()
    assert repr(found) == f"<Candidates: {len(found)}, metrics number>"


def test_children_have_their_own_rows() -> None:
    found = evo.search(Verified(), evo.Enumeration(40)).candidates()
    assert found.genomes[:, 0].tolist() == found.metrics["number"].tolist()
    assert (np.diff(found.candidate) > 0).all()
    assert {int(one & 3) for one in found.candidate} == {0, 1, 2, 3}


def test_only_the_reporting_fidelity_counts_and_the_first_time() -> None:
    filler = Filler(None)
    first = filler.ask(Requests(np.arange(15.0).reshape(3, 5), fidelity="cheap"))
    filler.tell(Outcomes(first.ids, np.full((3, 1), 9.0), np.zeros((3, 2))), [])
    for value, order in ((1.0, [2, 0]), (5.0, [0, 1])):
        candidate = first.candidates[order]
        again = filler.ask(Requests(first.genomes[order], candidate=candidate, fidelity="full"))
        status = np.array([Status.OK, Status.OK if value == 1.0 else Status.REJECTED], np.uint8)
        metrics = {"seen": np.array(["a", "b"], dtype=object)} if value == 5.0 else {"n": np.array([1, 2])}
        outcomes = Outcomes(again.ids, np.full((2, 1), value), np.zeros((2, 2)), metrics, status, notes={1: Note("no")})
        filler.tell(outcomes, [])
    found = filler.run().candidates()
    assert found.candidate.tolist() == first.candidates[[0, 2]].tolist()
    assert found.genomes.tolist() == first.genomes[[0, 2]].tolist()
    assert found.objectives.tolist() == [[1.0], [1.0]]
    assert found.metrics["n"].tolist() == [2.0, 1.0]
    assert found.metrics["seen"].tolist() == [None, None]


def test_a_run_without_results_has_empty_columns() -> None:
    found = Filler(None).run().candidates()
    assert len(found) == 0
    assert (found.genomes.shape, found.objectives.shape, found.measures.shape) == ((0, 5), (0, 1), (0, 2))


def test_many_blocks_are_joined_in_order() -> None:
    filler = fill(None, blocks=400)  # more than one chunk
    found = filler.run().candidates()
    assert len(found) == 20_000 - filler.failures
    assert (np.diff(found.candidate) > 0).all()
    assert np.array_equal(filler.problem.evaluate_batch(found.genomes).objectives, found.objectives)
    assert np.array_equal(found.metrics["half"] * 2, found.objectives[:, 0])


def test_without_a_log_or_a_problem_there_are_none() -> None:
    with pytest.raises(evo.RunError, match="log=True"):
        evo.search(Masks(), evo.Random(5), evaluations=5, log=False).candidates()
    blind = evo.Run(Filler(None).run().reader)
    with pytest.raises(evo.RunError, match="reading genomes needs the problem"):
        blind.candidates()
