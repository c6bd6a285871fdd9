from dataclasses import asdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evo.records import Change, Note, Outcomes, Requests, Status
from evo.spaces.box import Box
from evo.spaces.json_value import Json
from evo.store.codec import (
    decode_change,
    decode_outcomes,
    decode_requests,
    encode_change,
    encode_outcomes,
    encode_requests,
)

BOX = Box(-1.0, 1.0, size=3)
JSON = Json()
seeds = st.integers(0, 2**32 - 1)


def equal(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return a == b


@given(seeds, st.integers(1, 20), st.booleans(), st.booleans(), st.booleans())
def test_requests_come_back(seed, n, parents, candidate, draw):
    rng = np.random.default_rng(seed)
    batch = Requests(
        BOX.sample(n, rng),
        operator="gaussian",
        source="island/2",
        fidelity="rung1",
        parents=rng.integers(-1, 99, (n, 2)) if parents else None,
        candidate=rng.integers(0, 99, n) if candidate else None,
        draw=rng.integers(0, 99, n) if draw else None,
        params={"tokens": 3, "deep": {"a": [1, 2.5]}},
        needs=[("ab", "cd")] * n,
        reserve=0.5,
        ids=np.arange(40, 40 + n),
    )
    back = decode_requests(encode_requests(batch, BOX), 40, BOX)
    for name in ("genomes", "parents", "candidate", "draw", "ids", "operator", "source", "fidelity", "reserve"):
        assert equal(getattr(back, name), getattr(batch, name)), name
    assert back.params == batch.params
    assert list(back.needs) == list(batch.needs)


def test_requests_that_make_their_genomes_come_back():
    rng = np.random.default_rng(0)
    batch = Requests(make="shard", args=[{"start": 0}, {"start": 5}], inputs=[BOX.sample(2, rng), BOX.sample(0, rng)])
    back = decode_requests(encode_requests(batch, BOX), 7, BOX)
    assert back.make == "shard"
    assert back.args == batch.args
    assert back.genomes is None
    assert back.ids.tolist() == [7, 8]
    assert [row.shape for row in back.inputs] == [(2, 3), (0, 3)]
    assert equal(back.inputs[0], batch.inputs[0])


def test_ids_are_no_part_of_the_hashed_form():
    genomes = BOX.sample(2, np.random.default_rng(0))
    assert encode_requests(Requests(genomes, ids=np.array([0, 1])), BOX) == encode_requests(
        Requests(genomes, ids=np.array([8, 9])), BOX
    )


@given(seeds, st.integers(1, 12), st.booleans())
def test_outcomes_with_one_candidate_each_come_back(seed, n, consecutive):
    rng = np.random.default_rng(seed)
    ids = np.arange(5, 5 + n) if consecutive else rng.permutation(50)[:n].astype(np.int64)
    objectives = rng.random((n, 2))
    objectives[0] = np.nan
    status = np.zeros(n, np.uint8)
    status[0] = Status.TIMEOUT
    outcomes = Outcomes(
        ids,
        objectives,
        rng.random((n, 1)),
        metrics={"tokens": rng.integers(0, 9, n), "text": np.array(["a"] * n, dtype=object)},
        status=status,
        same_as=np.full(n, -1),
        notes={0: Note("late", counters={"tried": 2.0}, costs={"tokens": 3.0}, artifacts={"bin": "ab"})},
        seconds=0.25,
    )
    back = decode_outcomes(encode_outcomes(outcomes, BOX), BOX)
    for name in ("ids", "objectives", "measures", "status", "same_as", "seconds", "owner", "genomes"):
        assert equal(getattr(back, name), getattr(outcomes, name)), name
    assert {row: asdict(note) for row, note in back.notes.items()} == {0: asdict(outcomes.notes[0])}
    assert equal(back.metrics["tokens"], outcomes.metrics["tokens"])
    assert list(back.metrics["text"]) == ["a"] * n


def test_outcomes_with_zero_one_and_many_candidates_come_back():
    genomes = np.empty(4, dtype=object)
    for i, value in enumerate([{"op": "+"}, [1, 2], "text", None]):
        genomes[i] = value
    outcomes = Outcomes(
        np.array([3, 4, 5]), np.ones((4, 1)), np.empty((4, 0)), owner=np.array([0, 2, 2, 2]), genomes=genomes
    )
    back = decode_outcomes(encode_outcomes(outcomes, JSON), JSON)
    assert back.owner.tolist() == [0, 2, 2, 2]
    assert list(back.genomes) == list(genomes)
    assert back.candidates().tolist() == [3 << 20, 5 << 20, (5 << 20) + 1, (5 << 20) + 2]


def test_outcomes_without_any_candidate_come_back():
    outcomes = Outcomes(np.array([9]), np.empty((0, 1)), np.empty((0, 2)), owner=np.empty(0, np.int64))
    back = decode_outcomes(encode_outcomes(outcomes, BOX), BOX)
    assert back.owner.tolist() == []
    assert back.measures.shape == (0, 2)


def test_changes_come_back():
    change = Change("main", np.array([3, 1]), np.array([7, -1]), np.array([[1.0], [np.nan]]), np.zeros((2, 2)))
    back = decode_change(encode_change(change), "main")
    assert back.archive == "main"
    for name in ("keys", "candidate", "objectives", "measures"):
        assert equal(getattr(back, name), getattr(change, name))
