import copy
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest

from evo.archives import Grid, store
from evo.errors import SpaceError


@pytest.fixture
def filled(new_grid, offer):
    grid = new_grid((10, 10))
    rng = np.random.default_rng(2)
    for first in (0, 50):
        offer(grid, rng.normal(size=50), rng.uniform(-1, 1, (50, 2)), first=first)
    return grid


def test_state_and_restore_round_trip_exactly_with_the_order_of_sampling(filled, new_grid, same):
    other = new_grid((10, 10))
    other.restore(filled.state())
    same(other.elites(), filled.elites())
    same(other.sample(50, np.random.default_rng(0)), filled.sample(50, np.random.default_rng(0)))
    assert other.stats() == filled.stats()


def test_state_holds_arrays_of_the_occupied_rows_and_does_not_follow_the_archive(filled, offer):
    state = filled.state()
    assert all(isinstance(column, np.ndarray) and len(column) == len(filled) for column in state.values())
    before = {name: column.copy() for name, column in state.items()}
    offer(filled, np.full(100, 99.0), np.random.default_rng(0).uniform(-1, 1, (100, 2)))
    for name, column in state.items():
        np.testing.assert_array_equal(column, before[name])


def test_restore_replaces_what_was_there(filled, new_grid, offer, same):
    small = new_grid((10, 10))
    offer(small, [1.0])
    filled.restore(small.state())
    same(filled.elites(), small.elites())
    offer(filled, [2.0, 3.0], [[0.9, 0.9], [0, 0]])
    assert len(filled) == 2


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("keys", [0, 0], "distinct keys"),
        ("keys", [0, 100], "distinct keys in 0..99"),
        ("measures", np.zeros((2, 3)), r"measures: expected shape \(2, 2\)"),
        ("genomes", np.zeros((3, 3)), "2 rows of genomes"),
        ("genomes", np.zeros((2, 4)), "genomes: expected shape"),
        ("objectives", None, "objectives is missing"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(filled, same, column, value, message):
    before = filled.elites()
    state = {name: array[:2] for name, array in filled.state().items()}
    state[column] = np.asarray(value)
    if value is None:
        del state[column]
    with pytest.raises(SpaceError, match=message):
        filled.restore(state)
    same(filled.elites(), before)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda grid: pickle.loads(pickle.dumps(grid))])
def test_copies_are_equal_and_independent(filled, offer, same, clone):
    twin = clone(filled)
    same(twin.elites(), filled.elites())
    before = filled.elites()
    offer(twin, np.full(100, 99.0), np.random.default_rng(0).uniform(-1, 1, (100, 2)))
    same(filled.elites(), before)
    assert twin.stats()["best"] == 99


def test_pickles_hold_what_is_occupied(new_grid, offer):
    grid = new_grid((1000, 1000))
    offer(grid, [1.0])
    assert len(pickle.dumps(grid)) < 10_000


def test_a_store_that_outgrows_its_reserve_keeps_everything(new_grid, offer, same, monkeypatch):
    roomy = new_grid((100, 100))
    monkeypatch.setattr(store, "_RESERVE", 0)
    tight = new_grid((100, 100))
    rng = np.random.default_rng(6)
    for n in (1, 1000, 1, 30, 5000, 1):
        objectives, measures = rng.normal(size=n), rng.uniform(-1, 1, (n, 2))
        for grid in (roomy, tight):
            offer(grid, objectives, measures)
    same(roomy.elites(), tight.elites())


class OutOfMemoryError(MemoryError):
    pass


def test_a_failure_in_the_middle_of_add_leaves_contents_and_statistics(new_grid, offer, same, monkeypatch):
    monkeypatch.setattr(store, "_RESERVE", 0)
    grid = new_grid((100, 100))
    rng = np.random.default_rng(8)
    offer(grid, rng.normal(size=1024), rng.uniform(-1, 1, (1024, 2)))
    before, stats = grid.elites(), grid.stats()

    def no_memory(*_, **__):
        raise OutOfMemoryError

    more = rng.normal(size=2000) + 1, rng.uniform(-1, 1, (2000, 2))
    for place in ("_grow", "_copy_rows"):
        with monkeypatch.context() as patch:
            patch.setattr(store.Store if place == "_grow" else store, place, no_memory)
            with pytest.raises(OutOfMemoryError):
                offer(grid, *more)
        same(grid.elites(), before)
        assert grid.stats() == stats
    offer(grid, *more)
    assert len(grid) > len(before)


MEMORY = """
from evo.archives import Grid
from evo.problem import Maximize, Measure
from evo.spaces.box import Box
import numpy as np

def megabytes():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

before = megabytes()
grid = Grid((1000, 1000))
grid.setup(Box(0, 1, size=100), [Maximize("f")], [Measure("a", 0, 1), Measure("b", 0, 1)])
print(megabytes() - before)
rng = np.random.default_rng(0)
for _ in range(20):
    grid.add(rng.random((100, 100)), rng.random((100, 1)), rng.random((100, 2)), np.arange(100))
print(megabytes() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_million_cells_cost_no_memory_before_they_are_filled():
    environment = {"PYTHONPATH": ":".join(sys.path), "EVO_NUMBA": "0"}
    run = subprocess.run([sys.executable, "-c", MEMORY], env=environment, capture_output=True, text=True, check=True)
    empty, filled = map(float, run.stdout.split())
    assert empty < 5
    assert filled < 100


def test_adding_to_a_million_cells_does_no_work_per_cell(ready):
    grid = ready(Grid((1000, 1000)))
    rng = np.random.default_rng(0)
    fastest = 1.0
    for _ in range(20):
        columns = rng.random((100, 3)), rng.random((100, 1)), rng.uniform(-1, 1, (100, 2)), np.arange(100)
        start = time.process_time()
        grid.add(*columns)
        fastest = min(fastest, time.process_time() - start)
    assert fastest < 1e-3
