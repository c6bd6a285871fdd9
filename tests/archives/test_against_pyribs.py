"""The grid beside pyribs' GridArchive, an independent implementation of the same archive."""

import numpy as np
import pytest

from evo.archives import Grid
from evo.problem import Maximize, Measure
from evo.spaces.box import Box

archives = pytest.importorskip("ribs.archives")
pytestmark = pytest.mark.usefixtures("either_rule")


def pair(shape, dim):
    grid = Grid(shape)
    measures = [Measure(f"m{axis}", -1.0, 1.0) for axis in range(len(shape))]
    grid.setup(Box(-np.inf, np.inf, size=dim), [Maximize("f")], measures)
    return grid, archives.GridArchive(solution_dim=dim, dims=shape, ranges=[(-1, 1)] * len(shape))


def check_contents(grid, peer):
    elites, data = grid.elites(), peer.data()
    order = np.argsort(data["index"])
    np.testing.assert_array_equal(elites.keys, data["index"][order])
    np.testing.assert_array_equal(elites.genomes, data["solution"][order])
    np.testing.assert_array_equal(elites.objectives[:, 0], data["objective"][order])
    np.testing.assert_array_equal(elites.measures, data["measures"][order])
    stats = grid.stats()
    assert stats["elites"] == peer.stats.num_elites
    assert stats["coverage"] == pytest.approx(peer.stats.coverage)
    assert stats["qd_score"] == pytest.approx(peer.stats.qd_score, abs=1e-9)
    assert stats["norm_qd_score"] == pytest.approx(peer.stats.norm_qd_score, abs=1e-9)
    assert stats["best"] == peer.stats.obj_max
    assert stats["mean"] == pytest.approx(peer.stats.obj_mean, abs=1e-9)


@pytest.mark.parametrize("block", range(6))
def test_random_batches_full_of_ties_give_equal_answers_and_contents(block):
    for seed in range(10 * block, 10 * block + 10):
        rng = np.random.default_rng(seed)
        grid, peer = pair((7, 5), 3)
        for _ in range(20):
            n = int(rng.integers(1, 201))
            genomes = rng.normal(size=(n, 3))
            objectives = rng.integers(-5, 6, n).astype(float)
            measures = rng.uniform(-1.3, 1.3, (n, 2))
            mine = grid.add(genomes, objectives[:, None], measures, np.arange(n))
            theirs = peer.add(genomes, objectives, measures)
            np.testing.assert_array_equal(mine.status, theirs["status"])
            np.testing.assert_array_equal(mine.value, theirs["value"])
        check_contents(grid, peer)


@pytest.mark.parametrize("shape", [(13,), (4, 3, 5), (2, 3, 2, 3, 2)])
def test_other_numbers_of_axes_give_equal_contents(shape):
    rng = np.random.default_rng(7)
    grid, peer = pair(shape, 2)
    for n in (1, 50, 1000):
        genomes, objectives = rng.normal(size=(n, 2)), rng.normal(size=n)
        measures = rng.uniform(-1.3, 1.3, (n, len(shape)))
        np.testing.assert_array_equal(grid.index_of(measures), peer.index_of(measures))
        mine = grid.add(genomes, objectives[:, None], measures, np.arange(n))
        theirs = peer.add(genomes, objectives, measures)
        np.testing.assert_array_equal(mine.status, theirs["status"])
        np.testing.assert_array_equal(mine.value, theirs["value"])
    check_contents(grid, peer)
