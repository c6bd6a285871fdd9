import numpy as np
import pytest

from evo.archive import IMPROVED, NEW, REJECTED
from evo.archives import Grid
from evo.errors import ConfigError, SpaceError
from evo.problem import Maximize, Measure, Minimize
from evo.spaces.box import Box

pytestmark = pytest.mark.usefixtures("either_rule")


def line(low: float, high: float, cells: int) -> Grid:
    grid = Grid((cells,))
    grid.setup(Box(0, 1, size=1), [Maximize("f")], [Measure("x", low, high)])
    return grid


# Cells


@pytest.mark.parametrize("edges", [np.arange(11) / 10, np.linspace(0, 1, 11)])
def test_an_edge_belongs_to_the_cell_above_and_the_upper_bound_to_the_last(edges):
    assert line(0, 1, 10).index_of(edges[:, None]).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e12])
def test_edges_do_not_depend_on_the_unit_of_the_measure(scale):
    edges = np.arange(11) / 10 * scale
    assert line(0, scale, 10).index_of(edges[:, None]).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]


def test_a_millionth_of_a_cell_below_an_edge_is_the_edge():
    below = np.array([[0.3 - 2e-7], [0.3 - 0.5e-7]])
    assert line(0, 1, 10).index_of(below).tolist() == [2, 3]


def test_out_of_range_is_clipped_to_the_edge_cells():
    far = np.array([[-1e308], [-0.1], [1.1], [1e308]])
    assert line(0, 1, 10).index_of(far).tolist() == [0, 0, 9, 9]


def test_the_last_measure_varies_fastest(new_grid):
    centres = [[-0.9, -0.9], [-0.9, 0.9], [0.9, -0.9]]
    assert new_grid((7, 5)).index_of(np.array(centres)).tolist() == [0, 4, 30]


def test_a_grid_may_have_any_number_of_axes(new_grid):
    grid = new_grid((2, 3, 4, 5))
    assert grid.cells == 120
    assert grid.index_of(np.ones((1, 4))).tolist() == [119]


def test_index_of_marks_what_is_not_finite(new_grid):
    assert new_grid().index_of(np.array([[0, np.nan], [np.inf, 0], [-1, -1]])).tolist() == [-1, -1, 0]


# The rule


def test_equals_in_one_batch_are_all_new_and_the_first_is_kept(new_grid, offer):
    grid = new_grid()
    addition = offer(grid, [5, 5, 5])
    assert addition.status.tolist() == [NEW] * 3
    assert addition.value.tolist() == [5, 5, 5]
    assert addition.change.candidate.tolist() == [0]
    assert grid.elites().candidate.tolist() == [0]


def test_every_row_is_compared_with_the_archive_before_the_batch(new_grid, offer):
    grid = new_grid()
    offer(grid, [2])
    addition = offer(grid, [1, 2, 3, 7, 4], first=10)
    assert addition.status.tolist() == [REJECTED, REJECTED, IMPROVED, IMPROVED, IMPROVED]
    assert addition.value.tolist() == [-1, 0, 1, 5, 2]
    assert addition.change.candidate.tolist() == [13]


def test_the_value_of_a_new_cell_is_the_signed_objective_even_when_negative(new_grid, offer):
    assert offer(new_grid(), [-3]).value.tolist() == [-3]
    assert offer(new_grid(objectives=[Minimize("f")]), [3]).value.tolist() == [-3]


def test_a_minimised_objective_improves_downwards_and_is_stored_as_declared(new_grid, offer):
    grid = new_grid(objectives=[Minimize("f")])
    offer(grid, [3])
    addition = offer(grid, [4, 1], first=1)
    assert addition.status.tolist() == [REJECTED, IMPROVED]
    assert addition.value.tolist() == [-1, 2]
    assert grid.elites().objectives.tolist() == [[1]]
    assert grid.stats()["best"] == 1


def test_gains_up_to_min_gain_are_ties(new_grid, offer):
    grid = new_grid(min_gain=0.5)
    offer(grid, [1])
    addition = offer(grid, [1.5, 1.25], first=1)
    assert addition.status.tolist() == [REJECTED, REJECTED]
    assert addition.value.tolist() == [0.5, 0.25]
    assert offer(grid, [1.75], first=3).status.tolist() == [IMPROVED]


def test_only_the_first_objective_is_compared_but_all_are_kept(new_grid):
    grid = new_grid(objectives=[Maximize("f"), Minimize("g")])
    grid.add(np.zeros((2, 3)), np.array([[1.0, 9.0], [1.0, 0.0]]), np.zeros((2, 2)), np.array([1, 2]))
    assert grid.elites().objectives.tolist() == [[1, 9]]


def test_a_difference_that_overflows_is_an_infinite_gain(new_grid, offer):
    grid = new_grid()
    offer(grid, [-1.5e308])
    assert offer(grid, [1.5e308], first=1).value.tolist() == [np.inf]


def test_preview_tells_what_add_would_say_and_inserts_nothing(new_grid, offer, same):
    grid = new_grid()
    offer(grid, [2])
    before = grid.elites()
    objectives, measures = np.array([[3.0], [1.0], [0.0]]), np.array([[0.0, 0], [0, 0], [1, 1]])
    status, value = grid.preview(objectives, measures)
    same(grid.elites(), before)
    addition = offer(grid, objectives, measures, first=1)
    assert status.tolist() == addition.status.tolist() == [IMPROVED, REJECTED, NEW]
    assert value.tolist() == addition.value.tolist()


def test_the_change_holds_the_winners_alone(new_grid, offer):
    grid = new_grid()
    grid.name = "island/2"
    change = offer(grid, [1, 3, 2], [[-1, -1], [1, 1], [1, 1]], first=5).change
    assert change.archive == "island/2"
    assert change.keys.tolist() == [0, 34]
    assert change.candidate.tolist() == [5, 6]
    assert change.objectives.tolist() == [[1], [3]]
    assert change.measures.tolist() == [[-1, -1], [1, 1]]
    assert len(offer(grid, [0], [[1, 1]]).change.keys) == 0


# Reading


def test_elites_come_in_key_order_and_retrieve_in_the_order_asked(new_grid, offer):
    grid = new_grid()
    offer(grid, [1, 2, 3], [[1, 1], [-1, -1], [0, 0]])
    assert grid.elites().keys.tolist() == [0, 17, 34]
    assert grid.retrieve(np.array([34, 3, 0])).candidate.tolist() == [0, 1]
    with pytest.raises(SpaceError, match="keys"):
        grid.retrieve(np.array([35]))


def test_samples_are_uniform_over_the_elites_and_whole_records(new_grid, offer):
    grid = new_grid((10, 10))
    rng = np.random.default_rng(3)
    offer(grid, rng.normal(size=400), rng.uniform(-1, 1, (400, 2)))
    elites = grid.elites()
    drawn = grid.sample(100 * len(elites), np.random.default_rng(4))
    place = np.searchsorted(elites.keys, drawn.keys)
    for name in ("keys", "candidate", "genomes", "objectives", "measures"):
        np.testing.assert_array_equal(getattr(drawn, name), getattr(elites, name)[place])
    counts = np.bincount(place, minlength=len(elites))
    degrees = len(elites) - 1
    chi_square = ((counts - 100) ** 2 / 100).sum()
    assert abs(chi_square - degrees) < 4 * np.sqrt(2 * degrees)


def test_an_empty_archive_cannot_be_sampled(new_grid):
    with pytest.raises(ValueError, match="empty archive"):
        new_grid().sample(1, np.random.default_rng(0))


def test_statistics_of_an_empty_archive(new_grid):
    stats = new_grid().stats()
    assert (stats["elites"], stats["coverage"], stats["qd_score"], stats["norm_qd_score"]) == (0, 0, 0, 0)
    assert np.isnan([stats["best"], stats["mean"]]).all()


def test_the_qd_score_counts_from_the_worst_objective(new_grid, offer):
    two = [[-1, -1], [1, 1]]
    plain, lowest = new_grid(), new_grid(objectives=[Minimize("f", worst=10)])
    offer(plain, [3, 4], two)
    offer(lowest, [3, 4], two)
    assert plain.stats()["qd_score"] == 7
    assert lowest.stats()["qd_score"] == 13
    assert lowest.stats()["norm_qd_score"] == pytest.approx(13 / 35)
    assert lowest.stats()["best"] == 3
    assert lowest.stats()["mean"] == 3.5


def test_what_stats_returns_is_the_callers_own(new_grid, offer):
    grid = new_grid()
    offer(grid, [1])
    grid.stats()["best"] = 99
    assert grid.stats()["best"] == 1


def test_describe_holds_what_a_picture_needs(new_grid):
    low, high = [-1.0, -1.0], [1.0, 1.0]
    expected = {"kind": "grid", "shape": [7, 5], "low": low, "high": high, "measures": ["m0", "m1"]}
    assert new_grid().describe() == expected
    assert new_grid().ranges.tolist() == [[-1, 1], [-1, 1]]


def test_setup_empties_the_archive(new_grid, offer, ready):
    grid = new_grid()
    offer(grid, [1])
    grid.stats()
    ready(grid)
    assert len(grid) == 0
    assert grid.stats()["elites"] == 0


# Construction


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": ()}, "shape"),
        ({"shape": (5, 0)}, "shape"),
        ({"min_gain": -1.0}, "min_gain"),
        ({"min_gain": np.nan}, "min_gain"),
        ({"nonfinite": "ignore"}, "'raise' or 'drop'"),
    ],
)
def test_a_wrong_parameter_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Grid(**options)


def test_axes_and_measures_must_agree(new_grid, ready):
    with pytest.raises(ConfigError, match="expects 3 measures, the problem declares 2"):
        ready(Grid((2, 2, 2)))


def test_a_range_that_doubles_cannot_divide_is_refused():
    with pytest.raises(ConfigError, match="cannot be divided"):
        line(-1.7e308, 1.7e308, 10)


def test_more_cells_than_can_be_numbered_are_refused(ready):
    with pytest.raises(ConfigError, match="at most"):
        ready(Grid((100_000, 100_000)))
