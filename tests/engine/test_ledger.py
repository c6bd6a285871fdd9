"""Every id is counted once, whatever comes, however often, in whatever pieces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import evo
from evo.engine.failures import Blank, failed
from evo.engine.ledger import Ledger, join, results_of
from evo.records import BORN, Note, Outcomes, Requests, Status


def plain(ids):
    """Outcomes with one candidate a request; every third fails."""
    ids = np.array(ids, dtype=np.int64)
    failed = np.flatnonzero(ids % 3 == 2)
    figures = np.where(ids % 3 == 2, np.nan, ids).astype(float)[:, None]
    status = np.where(ids % 3 == 2, Status.FAILED, Status.OK).astype(np.uint8)
    return Outcomes(
        ids,
        figures,
        figures,
        metrics={"id": ids.astype(float)},
        status=status if len(failed) else None,
        notes={int(row): Note(f"failed {ids[row]}") for row in failed},
        seconds=float(len(ids)),
    )


def several(ids):
    """Outcomes with id % 3 candidates a request; those with none have a status."""
    ids = np.array(ids, dtype=np.int64)
    counts = ids % 3
    owner = np.repeat(np.arange(len(ids)), counts)
    figures = ids[owner].astype(float)[:, None]
    status = np.where(counts == 0, Status.FAILED, Status.OK).astype(np.uint8)
    return Outcomes(
        ids, figures, figures, status=status if (counts == 0).any() else None, owner=owner, genomes=figures.copy()
    )


def ledger_of(*sizes, made=False):
    """A ledger with one block a size; ids count on."""
    ledger = Ledger()
    first = 0
    for seq, size in enumerate(sizes):
        ids = np.arange(first, first + size)
        batch = Requests(make="m", args=[{}] * size) if made else Requests(genomes=ids.astype(float)[:, None])
        batch.ids = ids
        ledger.add(seq, [batch], [None])
        first += size
    return ledger


@st.composite
def pieces(draw):
    """Ids 0..n-1 and the pieces in which they come, in any order."""
    n = draw(st.integers(1, 24))
    order = draw(st.permutations(range(n)))
    cuts = sorted(draw(st.sets(st.integers(1, n), max_size=5)))
    parts = [list(order[a:b]) for a, b in zip([0, *cuts], [*cuts, n], strict=True)]
    return n, [part for part in parts if part]


def messages(notes):
    return {row: note.message for row, note in notes.items()}


def told(results):
    return results.requests.ids.tolist(), results.objectives[:, 0].tolist(), results.candidate.tolist()


@given(pieces(), st.sampled_from([plain, several]))
def test_pieces_in_any_order_make_the_same_results_as_the_whole(split, kind):
    n, parts = split
    whole, broken = ledger_of(n, made=kind is several), ledger_of(n, made=kind is several)
    whole.accept(kind(range(n)))
    for part in parts:
        broken.accept(kind(part))
    expected, found = whole.take(whole.oldest.batches[0]), broken.take(broken.oldest.batches[0])
    assert told(found) == told(expected)
    assert found.status.tolist() == expected.status.tolist()
    assert messages(found.notes) == messages(expected.notes)
    assert found.genomes.tolist() == expected.genomes.tolist()
    assert broken.waiting == broken.open == broken.late == 0


@given(pieces(), st.sampled_from([plain, several]))
def test_joining_pieces_and_taking_rows_are_inverse(split, kind):
    n, parts = split
    joined = join([kind(sorted(part)) for part in parts])
    expected = kind(range(n))
    assert joined.ids.tolist() == list(range(n))
    assert np.array_equal(joined.objectives, expected.objectives, equal_nan=True)
    assert joined.owners().tolist() == expected.owners().tolist()
    assert messages(joined.notes) == messages(expected.notes)
    assert joined.seconds == pytest.approx(expected.seconds)


@given(pieces(), st.data())
def test_what_comes_again_or_late_is_ignored_and_counted(split, data):
    n, parts = split
    ledger = ledger_of(n, 3)
    repeats = 0
    for part in parts:
        assert sum(len(one.ids) for one in ledger.accept(plain(part))) == len(part)
        again = data.draw(st.lists(st.sampled_from(part), unique=True, max_size=3))
        repeats += len(again)
        assert ledger.accept(plain(again)) == []
    assert (ledger.late, ledger.waiting, ledger.open) == (repeats, 3, n + 3)
    batch = ledger.oldest.batches[0]
    ledger.take(batch)
    ledger.settle(batch)
    assert ledger.accept(plain(range(n))) == []
    assert ledger.late == repeats + n
    assert (ledger.waiting, ledger.open, len(ledger.blocks)) == (3, 3, 1)


def test_news_and_repeats_in_one_delivery_are_told_apart():
    ledger = ledger_of(6)
    ledger.accept(plain([1, 3]))
    (news,) = ledger.accept(plain([0, 1, 2, 3, 4]))
    assert news.ids.tolist() == [0, 2, 4]
    assert [note.message for note in news.notes.values()] == ["failed 2"]
    assert (ledger.late, ledger.waiting) == (2, 1)


def test_a_delivery_over_several_batches_is_split_among_them():
    ledger = ledger_of(3, 3, 3)
    news = ledger.accept(plain([7, 2, 4, 0, 99]))
    assert [part.ids.tolist() for part in news] == [[0, 2], [4], [7]]
    assert [block.waiting for block in ledger.blocks] == [1, 2, 2]
    assert ledger.late == 1


def test_only_the_ids_in_flight_are_found():
    ledger = ledger_of(3, 3)
    assert ledger.find(4) is list(ledger.blocks)[1].batches[0]
    batch = ledger.oldest.batches[0]
    ledger.accept(plain([0, 1, 2]))
    ledger.take(batch)
    ledger.settle(batch)
    assert ledger.find(1) is None
    assert ledger.find(6) is None
    assert ledger.find(3) is ledger.oldest.batches[0]


def test_a_part_can_be_told_before_the_rest_has_come():
    ledger = ledger_of(4)
    batch = ledger.oldest.batches[0]
    ledger.accept(plain([3, 0]))
    first = ledger.take(batch)
    assert first.requests.ids.tolist() == [0, 3]
    assert (batch.untold, batch.waiting, ledger.open) == (0, 2, 2)
    ledger.accept(plain([1, 2]))
    assert ledger.take(batch).requests.ids.tolist() == [1, 2]
    assert ledger.open == 0


def test_failed_rows_have_a_status_and_no_candidate():
    ledger = ledger_of(6)
    ledger.accept(plain(range(6)))
    results = ledger.take(ledger.oldest.batches[0])
    assert len(results) == 4
    assert results.owner.tolist() == [0, 1, 3, 4]
    assert results.status.tolist() == [0, 0, Status.FAILED, 0, 0, Status.FAILED]
    assert np.isfinite(results.objectives).all()
    assert results.metrics["id"].tolist() == [0, 1, 3, 4]


def test_metrics_that_only_some_pieces_have_are_filled():
    one, other = plain([0]), plain([1])
    other.metrics = {"name": np.array(["x"], dtype=object)}
    joined = join([one, other])
    assert joined.metrics["id"].tolist()[0] == 0.0
    assert np.isnan(joined.metrics["id"][1])
    assert joined.metrics["name"].tolist() == [None, "x"]


def test_candidates_asked_again_keep_their_ids():
    requests = Requests(genomes=np.zeros((2, 1)), candidate=np.array([5, 9]), ids=np.array([0, 1]))
    assert results_of(requests, plain([0, 1])).candidate.tolist() == [5, 9]


@pytest.mark.parametrize("made", [False, True])
def test_work_without_figures_joins_with_what_was_quarantined(made):
    """Genomes that are only born have no objectives; a quarantined request of theirs must not have any either."""
    ids = np.arange(2)
    blank = Blank(evo.Box(0, 1, size=1), 1, 2)
    if made:
        batch = Requests(make="m", args=[{}, {}], fidelity=BORN, ids=ids)
        born = Outcomes(ids[:1], np.empty((1, 0)), np.empty((1, 0)), owner=np.array([0]), genomes=np.zeros((1, 1)))
    else:
        batch = Requests(genomes=np.zeros((2, 1)), fidelity=BORN, ids=ids)
        born = Outcomes(ids[:1], np.empty((1, 0)), np.empty((1, 0)))
    lost = failed(batch.take(np.array([1])), Status.CRASHED, "signal 11", blank)
    ledger = Ledger()
    ledger.add(0, [batch], [None])
    ledger.accept(born)
    ledger.accept(lost)
    results = ledger.take(ledger.oldest.batches[0])
    assert results.status.tolist() == [0, Status.CRASHED]
    assert len(results) == 1
    assert results.objectives.shape == (1, 0)
