"""Candidate ids, and the columns of requests and outcomes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.records import MAX_CANDIDATES, Note, Outcomes, Requests, candidate_id, candidate_name, request_of


@given(st.integers(0, 2**43 - 1), st.integers(0, MAX_CANDIDATES - 1))
def test_a_candidate_id_holds_its_request_and_its_place(request_id, index):
    candidate = candidate_id(request_id, index)
    assert request_of(candidate) == request_id
    assert 0 <= candidate < 2**63
    assert candidate_name(candidate) == (f"{request_id}.{index}" if index else str(request_id))


@given(st.lists(st.integers(0, 2**43 - 1), max_size=20))
def test_candidate_ids_of_a_column_are_those_of_its_rows_and_keep_their_order(ids):
    column = np.array(ids, dtype=np.int64)
    assert candidate_id(column, 3).tolist() == [candidate_id(one, 3) for one in ids]
    assert np.argsort(candidate_id(column), kind="stable").tolist() == np.argsort(column, kind="stable").tolist()


def requests(n):
    return Requests(
        genomes=np.arange(2.0 * n).reshape(n, 2),
        parents=np.arange(n)[:, None],
        candidate=np.arange(n) + 100,
        draw=np.arange(n) % 3,
        needs=[(f"a{i}",) for i in range(n)],
        operator="mutate",
        params={"depth": 2},
        ids=np.arange(n) + 50,
    )


@given(st.integers(1, 12), st.data())
def test_taking_rows_of_requests_takes_every_column(n, data):
    rows = data.draw(st.lists(st.integers(0, n - 1), max_size=2 * n))
    whole, part = requests(n), requests(n).take(np.array(rows, dtype=np.int64))
    assert len(part) == len(rows)
    assert part.ids.tolist() == [50 + row for row in rows]
    assert part.genomes.tolist() == whole.genomes[rows].tolist()
    assert part.candidates.tolist() == [100 + row for row in rows]
    assert part.draws.tolist() == [row % 3 for row in rows]
    assert part.parents[:, 0].tolist() == rows
    assert list(part.needs) == ([(f"a{row}",) for row in rows])
    assert (part.operator, part.params) == ("mutate", {"depth": 2})


@given(st.integers(0, 10), st.integers(0, 10))
def test_a_slice_takes_what_its_rows_take(start, stop):
    whole = requests(10)
    by_slice, by_rows = whole.take(slice(start, stop)), whole.take(np.arange(10)[start:stop])
    assert by_slice.ids.tolist() == by_rows.ids.tolist()
    assert list(by_slice.needs) == list(by_rows.needs)


def test_requests_that_make_their_genomes_are_counted_by_their_arguments():
    made = Requests(make="shard", args=[{"start": i} for i in range(5)], inputs=[np.ones((1, 2))] * 5, ids=np.arange(5))
    part = made.take(np.array([4, 1]))
    assert len(made) == 5
    assert [one["start"] for one in part.args] == [4, 1]
    assert len(part.inputs) == 2


def test_without_a_draw_or_candidate_of_its_own_a_request_uses_its_id():
    fresh = Requests(genomes=np.zeros((3, 1)), ids=np.array([7, 8, 9]))
    assert fresh.draws.tolist() == [7, 8, 9]
    assert fresh.candidates.tolist() == [candidate_id(i) for i in (7, 8, 9)]


# Outcomes -------------------------------------------------------------------------------------------------------------


def outcomes_of(counts, first=10):
    """Outcomes of requests with so many candidates each; every figure tells its request and place."""
    owner = np.repeat(np.arange(len(counts)), counts)
    place = np.concatenate([np.arange(count) for count in counts] or [np.empty(0)])
    figures = (100.0 * owner + place)[:, None]
    return Outcomes(
        ids=np.arange(len(counts)) + first,
        objectives=figures,
        measures=-figures,
        metrics={"figure": figures[:, 0].copy()},
        status=np.array([0 if count else 1 for count in counts], dtype=np.uint8),
        owner=owner,
        genomes=figures.copy(),
        same_as=np.arange(len(counts)) - 1,
        notes={row: Note(f"note {row}") for row in range(0, len(counts), 2)},
        seconds=8.0,
    )


counts = st.lists(st.integers(0, 4), min_size=1, max_size=8)


@given(counts)
def test_candidates_are_numbered_within_their_request(numbers):
    found = outcomes_of(numbers)
    expected = [candidate_id(10 + row, place) for row, count in enumerate(numbers) for place in range(count)]
    assert found.candidates().tolist() == expected
    assert found.owners().tolist() == [row for row, count in enumerate(numbers) for _ in range(count)]


@given(counts, st.data())
def test_taking_rows_of_outcomes_takes_their_candidates_in_the_given_order(numbers, data):
    rows = data.draw(st.lists(st.integers(0, len(numbers) - 1), unique=True))
    part = outcomes_of(numbers).take(np.array(rows, dtype=np.int64))
    figures = [100.0 * row + place for row in rows for place in range(numbers[row])]
    assert part.ids.tolist() == [10 + row for row in rows]
    assert part.objectives[:, 0].tolist() == figures
    assert part.measures[:, 0].tolist() == [-figure for figure in figures]
    assert part.metrics["figure"].tolist() == figures
    assert part.genomes[:, 0].tolist() == figures
    assert part.owners().tolist() == [i for i, row in enumerate(rows) for _ in range(numbers[row])]
    assert part.candidates().tolist() == [candidate_id(10 + row, k) for row in rows for k in range(numbers[row])]
    assert part.status.tolist() == [0 if numbers[row] else 1 for row in rows]
    assert part.same_as.tolist() == [row - 1 for row in rows]
    assert {i: note.message for i, note in part.notes.items()} == {
        i: f"note {row}" for i, row in enumerate(rows) if row % 2 == 0
    }
    assert part.seconds == pytest.approx(8.0 * len(rows) / len(numbers))


@given(st.integers(1, 10), st.data())
def test_with_one_candidate_a_request_taking_rows_takes_them(n, data):
    rows = data.draw(st.lists(st.integers(0, n - 1), unique=True))
    whole = Outcomes(np.arange(n), np.arange(n, dtype=float)[:, None], np.zeros((n, 0)))
    part = whole.take(np.array(rows, dtype=np.int64))
    assert part.owner is None
    assert part.objectives[:, 0].tolist() == rows
    assert part.candidates().tolist() == [candidate_id(row) for row in rows]
