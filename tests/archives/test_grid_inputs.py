from typing import Any

import numpy as np
import pytest

from evo.archive import NEW, NOT_FINITE
from evo.errors import SpaceError
from evo.problem import Maximize
from evo.space import Space

pytestmark = pytest.mark.usefixtures("either_rule")


class Anything(Space):
    """A space of given dtype and shape, for what only allocation looks at."""

    def __init__(self, dtype: Any, shape: tuple[int, ...] = ()) -> None:
        self.dtype, self.shape = np.dtype(dtype), shape

    def _unused(self, *_: Any) -> Any:
        raise AssertionError("an archive asks nothing of a space but dtype and shape")

    sample = stack = check = repair = encode = decode = to_json = _unused


# Not finite


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["objective", "measure"])
def test_a_value_that_is_not_finite_refuses_the_batch_and_leaves_the_archive_alone(new_grid, offer, same, bad, place):
    grid = new_grid()
    offer(grid, [1])
    before, stats = grid.elites(), grid.stats()
    objectives, measures = np.array([[5.0], [6.0]]), np.zeros((2, 2))
    (objectives if place == "objective" else measures)[1, 0] = bad
    with pytest.raises(SpaceError, match=f"{place}s: row 1 is not finite"):
        offer(grid, objectives, measures, first=1)
    same(grid.elites(), before)
    assert grid.stats() == stats


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_dropped_rows_are_as_if_absent(new_grid, offer, same, bad):
    grid, clean = new_grid(nonfinite="drop"), new_grid(nonfinite="drop")
    objectives = np.array([[bad], [1], [2], [9]])
    measures = np.array([[0, 0], [0, 0], [0, 0], [bad, 0]])
    addition = offer(grid, objectives, measures)
    offer(clean, objectives[1:3], measures[1:3], first=1)
    assert addition.status.tolist() == [NOT_FINITE, NEW, NEW, NOT_FINITE]
    np.testing.assert_array_equal(addition.value, [np.nan, 1, 2, np.nan])
    same(grid.elites(), clean.elites())
    assert grid.stats() == clean.stats()


def test_a_second_objective_that_is_not_finite_counts_too(new_grid):
    grid = new_grid(objectives=[Maximize("f"), Maximize("g")], nonfinite="drop")
    addition = grid.add(np.zeros((1, 3)), np.array([[1.0, np.nan]]), np.zeros((1, 2)), np.array([1]))
    assert addition.status.tolist() == [NOT_FINITE]
    assert len(grid) == 0


# Shapes and types


@pytest.mark.parametrize(
    ("argument", "shape", "expected"),
    [
        ("genomes", (2, 4), "(n, 3)"),
        ("objectives", (2,), "(2, 1)"),
        ("objectives", (3, 1), "(2, 1)"),
        ("measures", (2, 3), "(2, 2)"),
        ("candidate", (3,), "(2,)"),
    ],
)
def test_a_wrong_shape_is_refused_with_argument_expected_and_received(new_grid, argument, shape, expected):
    columns = {"genomes": (2, 3), "objectives": (2, 1), "measures": (2, 2), "candidate": (2,)} | {argument: shape}
    arrays: Any = {name: np.zeros(size, dtype=int if name == "candidate" else float) for name, size in columns.items()}
    grid = new_grid()
    with pytest.raises(SpaceError) as error:
        grid.add(**arrays)
    assert str(error.value).startswith(f"{argument}: ")
    assert expected in str(error.value)
    assert str(shape) in str(error.value)
    assert len(grid) == 0


def test_fractional_ids_and_text_for_numbers_are_refused(new_grid):
    with pytest.raises(SpaceError, match="candidate: expected"):
        new_grid().add(np.zeros((1, 3)), np.zeros((1, 1)), np.zeros((1, 2)), np.array([0.5]))
    with pytest.raises(SpaceError, match="objectives: expected"):
        new_grid().add(np.zeros((1, 3)), np.array([["much"]]), np.zeros((1, 2)), np.array([0]))


def test_an_empty_batch_changes_nothing(new_grid, offer):
    grid = new_grid()
    addition = offer(grid, [])
    assert len(addition.status) == len(addition.value) == len(addition.change.keys) == len(grid) == 0


def test_inputs_are_copied_and_never_written(new_grid):
    grid = new_grid()
    columns = [np.full((1, 3), 7.0), np.ones((1, 1)), np.zeros((1, 2)), np.array([4])]
    for column in columns:
        column.flags.writeable = False
    change = grid.add(*columns).change
    for column in columns:
        column.flags.writeable = True
        column[...] = -1
    for array in (change.keys, change.candidate, change.objectives, change.measures):
        array[...] = -1
    elites = grid.elites()
    assert elites.genomes.tolist() == [[7, 7, 7]]
    assert (elites.keys[0], elites.candidate[0], elites.objectives[0, 0]) == (17, 4, 1)


def test_columns_of_any_memory_layout_and_number_type_are_accepted(new_grid, same):
    rng = np.random.default_rng(0)
    genomes, objectives, measures = rng.normal(size=(9, 3)), rng.integers(0, 9, (9, 1)), rng.uniform(-1, 1, (9, 2))
    plain, odd = new_grid(), new_grid()
    plain.add(genomes, objectives.astype(float), measures, np.arange(9))
    unaligned = np.frombuffer(b"x" + measures.tobytes(), dtype=np.uint8)[1:].view(np.float64).reshape(9, 2)
    odd.add(np.asfortranarray(genomes), objectives[::-1][::-1], unaligned, np.arange(9, dtype=np.int32))
    same(plain.elites(), odd.elites())


@pytest.mark.parametrize(
    ("dtype", "shape", "values"),
    [
        ("f4", (2,), [[1, 2], [3, 4], [5, 6]]),
        ("f8", (3, 4), np.arange(36).reshape(3, 3, 4).tolist()),
        ("i8", (), [1, 2, 3]),
        ("U8", (), ["one", "two", "three"]),
        ([("x", "f8"), ("n", "i4", (2,))], (), [(0.5, (1, 2)), (1.5, (3, 4)), (2.5, (5, 6))]),
    ],
)
def test_genomes_of_any_type_and_shape_come_back_as_they_were(new_grid, dtype, shape, values):
    grid = new_grid((2, 2), space=Anything(dtype, shape))
    genomes = np.array(values, dtype=dtype)
    measures = np.array([[-1.0, -1.0], [1.0, 1.0], [1.0, 1.0]])
    grid.add(genomes, np.array([[1.0], [2.0], [3.0]]), measures, np.arange(3))
    np.testing.assert_array_equal(grid.elites().genomes, genomes[[0, 2]], strict=True)
    grid.add(genomes[::-1], np.full((3, 1), 4.0), measures, np.arange(3, 6))
    np.testing.assert_array_equal(grid.elites().genomes, genomes[[2, 1]], strict=True)


def test_object_genomes_may_be_lists_dicts_and_arrays(new_grid):
    grid = new_grid((4, 4), space=Anything(object))
    genomes = np.empty(3, dtype=object)
    genomes[:] = [[1, [2]], {"a": 1}, None]
    genomes[2] = np.ones(3)
    grid.add(genomes, np.ones((3, 1)), np.array([[-1.0, 0], [0, 0], [1, 0]]), np.arange(3))
    for kept, given in zip(grid.elites().genomes, genomes, strict=True):
        assert kept is given


def test_genomes_that_would_lose_their_kind_are_refused(new_grid):
    grid = new_grid(space=Anything("i8", (3,)))
    with pytest.raises(SpaceError, match="genomes: expected int64 values, got float64"):
        grid.add(np.zeros((1, 3)), np.zeros((1, 1)), np.zeros((1, 2)), np.array([0]))
