"""What holds for every sequence of batches: the archive's contents are a set of maxima."""

import copy
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.errors import SpaceError

pytestmark = pytest.mark.usefixtures("either_rule")
some = settings(max_examples=60, deadline=None)

coordinate = st.floats(-1.3, 1.3, allow_subnormal=False)
tied = st.lists(st.tuples(st.integers(-4, 4).map(float), coordinate, coordinate), max_size=30)
distinct = st.lists(
    st.tuples(st.floats(-1e6, 1e6, allow_subnormal=False), coordinate, coordinate),
    max_size=30,
    unique_by=lambda row: row[0],
)


def offered(grid, rows, ids=None):
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    ids = np.arange(len(table)) if ids is None else np.asarray(ids, dtype=np.int64)
    return grid.add(ids[:, None] * np.ones(3), table[:, :1], table[:, 1:], ids)


@some
@given(rows=tied)
def test_each_cell_holds_the_first_of_its_best(new_grid, rows):
    grid = new_grid()
    offered(grid, rows)
    best: dict[int, int] = {}
    for i, (objective, *measures) in enumerate(rows):
        cell = int(grid.index_of(np.array([measures]))[0])
        if cell not in best or objective > rows[best[cell]][0]:
            best[cell] = i
    elites = grid.elites()
    assert dict(zip(elites.keys.tolist(), elites.candidate.tolist(), strict=True)) == best
    assert elites.genomes[:, 0].tolist() == elites.candidate.tolist()


@some
@given(rows=tied, cuts=st.lists(st.integers(0, 30), max_size=4))
def test_any_split_into_batches_gives_the_contents_of_one_batch(new_grid, same, rows, cuts):
    whole, split = new_grid(), new_grid()
    offered(whole, rows)
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for start, stop in pairwise(edges):
        offered(split, rows[start:stop], range(start, stop))
    same(whole.elites(), split.elites())


@some
@given(rows=distinct, data=st.data())
def test_with_distinct_objectives_order_does_not_matter(new_grid, same, rows, data):
    one, other = new_grid(), new_grid()
    offered(one, rows)
    order = data.draw(st.permutations(range(len(rows))))
    offered(other, [rows[i] for i in order], order)
    same(one.elites(), other.elites())


@some
@given(parts=st.tuples(tied, tied, tied))
def test_merging_is_commutative_associative_and_idempotent(new_grid, same, parts):
    a, b, c = grids = [new_grid() for _ in parts]
    for i, (grid, rows) in enumerate(zip(grids, parts, strict=True)):
        offered(grid, rows, range(100 * i, 100 * i + len(rows)))

    def merged(*order):
        first, *rest = (copy.deepcopy(grid) for grid in order)
        for grid in rest:
            first.merge(grid)
        return first

    same(merged(a, b).elites(), merged(b, a).elites())
    same(merged(merged(a, b), c).elites(), merged(a, merged(b, c)).elites())
    same(merged(a, b, b, a).elites(), merged(a, b).elites())
    assert len(a.merge(a).keys) == 0


@some
@given(parts=st.tuples(distinct, distinct))
def test_merging_equals_adding_everything_to_one_archive(new_grid, same, parts):
    left, right, both = new_grid(), new_grid(), new_grid()
    taken = {row[0] for row in parts[0]}
    second = [row for row in parts[1] if row[0] not in taken]
    offered(left, parts[0])
    offered(right, second, range(100, 100 + len(second)))
    offered(both, parts[0])
    offered(both, second, range(100, 100 + len(second)))
    before = len(left)
    change = left.merge(right)
    same(left.elites(), both.elites())
    assert len(left) - before <= len(change.keys) <= len(right)


def test_grids_that_differ_do_not_merge(new_grid):
    with pytest.raises(SpaceError, match="merge: expected a grid like"):
        new_grid((7, 5)).merge(new_grid((5, 7)))
    with pytest.raises(SpaceError, match="merge"):
        new_grid(dim=3).merge(new_grid(dim=4))


def recount(grid):
    quality = [grid._objective.sign * value for value in grid.elites().objectives[:, 0].tolist()]
    return {
        "elites": len(quality),
        "coverage": len(quality) / grid.cells,
        "qd_score": math.fsum(quality),
        "norm_qd_score": math.fsum(quality) / grid.cells,
        "best": grid._objective.sign * max(quality),
        "mean": grid._objective.sign * math.fsum(quality) / len(quality),
    }


def test_statistics_equal_a_recount_after_every_operation(new_grid):
    grid, other = new_grid((20, 20)), new_grid((20, 20))
    rng = np.random.default_rng(5)
    for step in range(2000):
        rows = np.concatenate([rng.uniform(1, 5000, (100, 1)), rng.uniform(-1.1, 1.1, (100, 2))], axis=1)
        offered(grid, rows)
        if step % 100 == 0 or step < 20:
            assert grid.stats() == pytest.approx(recount(grid), rel=1e-12)
    offered(other, rows + np.array([5000, 0, 0]))
    grid.merge(other)
    assert grid.stats() == pytest.approx(recount(grid), rel=1e-12)
    other.restore(grid.state())
    assert other.stats() == grid.stats()
