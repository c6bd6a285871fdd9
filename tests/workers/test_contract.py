"""What every kind of worker does alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from serving import Bowl, Careless, Litter, Maker, Moody, Noisy, asked, points, served, started, until

from evo.evaluator import Resources
from evo.records import BORN, Status
from evo.worker import Kit, Message, Workers
from workers.inline import Inline
from workers.simulated import Simulated


def inline(request: pytest.FixtureRequest) -> Workers:
    return Inline()


def ray_actors(request: pytest.FixtureRequest) -> Workers:
    request.getfixturevalue("ray_session")
    from workers.ray_actor import RayWorkers

    return RayWorkers()


def simulated(request: pytest.FixtureRequest) -> Workers:
    return Simulated(0.01)


KINDS: list[tuple[Callable[[pytest.FixtureRequest], Workers], list[pytest.MarkDecorator]]] = [
    (inline, []),
    (simulated, []),
    (ray_actors, [pytest.mark.ray]),
]


PARAMS = [pytest.param(make, marks=marks, id=make.__name__) for make, marks in KINDS]


@pytest.fixture(params=PARAMS)
def workers(request: pytest.FixtureRequest) -> Iterator[Workers]:
    made = request.param(request)
    yield made
    made.close()


@pytest.fixture(scope="module", params=PARAMS)
def bowl(request: pytest.FixtureRequest) -> Iterator[tuple[Workers, int]]:
    """A worker that is ready to measure bowls, shared by the tests that ask no more of it."""
    made = request.param(request)
    yield made, started(made, Bowl(), litter=Litter())
    made.close()


def test_after_ready_comes_nothing(bowl: tuple[Workers, int]) -> None:
    workers, _ = bowl
    assert workers.poll(0.01) == []


def test_one_chunk_is_one_delivery_with_everything_in_order(bowl: tuple[Workers, int]) -> None:
    x = points(10)
    (part,) = served(*bowl, asked(x))
    assert part.final
    assert part.outcomes.ids.tolist() == list(range(100, 110))
    np.testing.assert_array_equal(part.outcomes.objectives, np.sin(x).sum(axis=1, keepdims=True))
    np.testing.assert_array_equal(part.outcomes.measures, x[:, :2])
    np.testing.assert_array_equal(part.outcomes.metrics["twice"], x[:, 0] * 2)
    assert part.outcomes.status is None


def test_several_chunks_arrive_in_order_and_only_the_last_is_final(bowl: tuple[Workers, int]) -> None:
    parts = served(*bowl, asked(points(10)), chunk=4)
    assert [part.outcomes.ids.tolist() for part in parts] == [[100, 101, 102, 103], [104, 105, 106, 107], [108, 109]]
    assert [part.final for part in parts] == [False, False, True]


def test_messages_are_served_in_order_whatever_their_chunks(bowl: tuple[Workers, int]) -> None:
    workers, worker = bowl
    for number, chunk in enumerate([64, 3, 64, 3, 3]):
        workers.send(worker, Message(number, asked(points(6)), chunk, 60.0))
    seen = [event.message for event in until(workers, 8)]  # type: ignore[union-attr]
    assert seen == [0, 1, 1, 2, 3, 3, 4, 4]


def test_rows_have_the_same_bits_in_any_chunk(bowl: tuple[Workers, int]) -> None:
    (whole,) = served(*bowl, asked(points(64)))
    singles = served(*bowl, asked(points(64)), chunk=1)
    assert len(singles) == 64
    assert whole.outcomes.objectives.tobytes() == b"".join(part.outcomes.objectives.tobytes() for part in singles)


def test_only_the_rows_that_misbehave_fail_and_say_why(workers: Workers) -> None:
    worker = started(workers, Moody())
    x = points(5) * 0.1
    x[1:4, 0] = 0.25, 0.5, 0.75
    (part,) = served(workers, worker, asked(x))
    found = part.outcomes
    assert found.status is not None
    assert found.status.tolist() == [Status.OK, Status.FAILED, Status.INVALID, Status.FAILED, Status.OK]
    assert found.notes[1].message.startswith("ZeroDivisionError: of all numbers a quarter\nTraceback")
    assert "in _value" in found.notes[1].message
    assert "not finite" in found.notes[2].message
    assert "expected shape (1, 1), got (1, 2)" in found.notes[3].message
    assert np.isnan(found.objectives[1:4]).all()
    assert found.objectives[[0, 4], 0].tolist() == x[[0, 4], 0].tolist()


def test_a_measure_outside_a_rejecting_range_makes_the_row_invalid(bowl: tuple[Workers, int]) -> None:
    x = points(3)
    x[1, 1] = 0.6
    (part,) = served(*bowl, asked(x))
    assert part.outcomes.status is not None
    assert part.outcomes.status.tolist() == [Status.OK, Status.INVALID, Status.OK]
    assert part.outcomes.notes[1].message == "measure 'x1' = 0.6 outside [-0.5, 0.5]"


def test_genomes_are_read_only(workers: Workers) -> None:
    worker = started(workers, Careless())
    (part,) = served(workers, worker, asked(points(2)))
    assert part.outcomes.status is not None
    assert part.outcomes.status.tolist() == [Status.FAILED, Status.FAILED]
    assert "read-only" in part.outcomes.notes[0].message


def test_equal_draws_give_equal_random_numbers(workers: Workers) -> None:
    worker = started(workers, Noisy())
    draw = np.array([7, 7, 8, 9])
    (part,) = served(workers, worker, asked(points(4), draw=draw))
    values = part.outcomes.objectives[:, 0]
    assert values[0] == values[1]
    assert len(set(values)) == 3
    again = served(workers, worker, asked(points(4), draw=draw), chunk=1)
    assert [part.outcomes.objectives[0, 0] for part in again] == values.tolist()


def test_making_yields_none_one_or_many_children(bowl: tuple[Workers, int]) -> None:
    args = [{"children": n} for n in (0, 1, 3, -1)]
    (part,) = served(*bowl, asked(None, make="litter", args=args))
    found = part.outcomes
    assert found.owner is not None
    assert found.genomes is not None
    assert found.owner.tolist() == [1, 2, 2, 2]
    np.testing.assert_array_equal(found.objectives, np.sin(found.genomes).sum(axis=1, keepdims=True))
    assert [found.notes[row].counters["tried"] for row in range(3)] == [4.0, 4.0, 4.0]
    assert found.status is not None
    assert found.status.tolist() == [Status.OK, Status.OK, Status.OK, Status.FAILED]
    assert "negative litter" in found.notes[3].message


def test_what_is_only_born_has_no_objectives(bowl: tuple[Workers, int]) -> None:
    args = [{"children": 2}, {"children": 1}]
    (part,) = served(*bowl, asked(None, make="litter", args=args, fidelity=BORN))
    assert part.outcomes.objectives.shape == (3, 0)
    assert part.outcomes.genomes is not None
    assert part.outcomes.genomes.shape == (3, 3)


def test_small_artifacts_travel_and_large_ones_become_files(workers: Workers, tmp_path: Path) -> None:
    worker = started(workers, Maker(), tmp_path)
    (part,) = served(workers, worker, asked(points(1)))
    names = part.outcomes.notes[0].artifacts
    assert part.artifacts == {names["small"]: b"s" * 10}
    assert (tmp_path / names["large"]).read_bytes() == b"l" * (3 << 20)

    small, large = [(names["small"],)], [(names["large"],)]
    (part,) = served(workers, worker, asked(points(1), needs=small), artifacts=part.artifacts)
    assert part.outcomes.objectives.tolist() == [[10.0]]
    (part,) = served(workers, worker, asked(points(1), needs=large))
    assert part.outcomes.objectives.tolist() == [[float(3 << 20)]]


def test_opened_workers_can_be_closed_without_any_having_started(workers: Workers) -> None:
    workers.open(Kit(Bowl(), {}, 1), [Resources()])
    workers.close()
