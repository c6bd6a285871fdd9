import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from filling import Filler, fill

from evo.errors import ConfigError, EvoError, RunError
from evo.monitor.figures import curves_of, heatmap_of, save
from evo.store.view import ArchiveView


@pytest.fixture
def run():
    return fill(None, shape=(6, 4)).run()


def gridded(shape, sign=1, objectives=1):
    """A run with a made-up grid of that shape; about half the cells are filled."""
    rng = np.random.default_rng(1)
    cells = int(np.prod(shape))
    keys = np.sort(rng.choice(cells, max(1, cells // 2), replace=False))
    names = [f"m{i}" for i in range(len(shape))]
    header = {
        "problem": "p",
        "algorithm": "a",
        "objectives": [{"name": f"f{i}", "sign": sign, "worst": None, "measured": False} for i in range(objectives)],
        "measures": [{"name": name, "low": 0.0, "high": 1.0} for name in names],
    }
    description = {
        "kind": "grid",
        "shape": list(shape),
        "low": [0.0] * len(shape),
        "high": [float(i + 1) for i in range(len(shape))],
        "measures": names,
    }
    header["archives"] = {"archive": description}
    figures = rng.random((len(keys), objectives)), rng.random((len(keys), len(shape)))
    view = ArchiveView("archive", keys, keys << 20, *figures, description, header, lambda ids: ids)
    return SimpleNamespace(header=header, archive=view, archives={"archive": view}, name="r", evaluations=10.0)


def test_every_elite_is_in_its_cell(run):
    picture = heatmap_of(run)
    assert picture.values.shape == (4, 6)
    assert int(np.isfinite(picture.values).sum()) == len(run.archive)
    assert (picture.x.name, picture.y.name) == ("x", "y")
    for measures, objectives, candidate in zip(
        run.archive.measures, run.archive.objectives, run.archive.candidate, strict=True
    ):
        column = min(int(np.searchsorted(picture.x.edges, measures[0], side="right")) - 1, 5)
        row = min(int(np.searchsorted(picture.y.edges, measures[1], side="right")) - 1, 3)
        assert picture.values[row, column] == objectives[0]
        assert picture.candidate[row, column] == candidate


def test_the_title_says_what_and_how_far(run):
    picture = heatmap_of(run)
    assert picture.title == "arm · map_elites"
    assert picture.subtitle.startswith("300 evaluations · coverage ")
    assert "QD score" in picture.subtitle


@pytest.mark.parametrize("sign", [1, -1])
def test_further_axes_show_the_best(sign):
    run = gridded((3, 4, 5), sign)
    picture = heatmap_of(run, axes=(2, 0))
    index = np.array(np.unravel_index(run.archive.keys, (3, 4, 5)))
    assert picture.values.shape == (3, 5)
    assert "best over 1 further axis" in picture.subtitle
    for row in range(3):
        for column in range(5):
            inside = run.archive.objectives[(index[0] == row) & (index[2] == column), 0]
            found = picture.values[row, column]
            assert np.isnan(found) if not len(inside) else found == sign * (sign * inside).max()


def test_one_axis_gives_bars():
    picture = heatmap_of(gridded((7,)))
    assert picture.y is None
    assert picture.values.shape == (7,)


def test_another_objective_colours_the_same_elites():
    run = gridded((3, 3), objectives=2)
    first, second = heatmap_of(run), heatmap_of(run, objective="f1")
    assert np.array_equal(first.candidate, second.candidate)
    assert not np.array_equal(first.values, second.values, equal_nan=True)
    assert second.objective == "f1"


def test_wrong_names_are_refused_with_the_right_ones(run):
    with pytest.raises(ConfigError, match="objective 'speed': expected one of smoothness"):
        heatmap_of(run, objective="speed")
    with pytest.raises(ConfigError, match="archive 'front': expected one of archive"):
        heatmap_of(run, archive="front")
    with pytest.raises(ConfigError, match=r"axes \(0, 7\)"):
        heatmap_of(run, axes=(0, 7))


def test_what_is_no_grid_has_no_heat_map():
    run = gridded((3, 3))
    run.archive.description["kind"] = "top"
    with pytest.raises(RunError, match="no heat-map"):
        heatmap_of(run)


def test_curves_have_a_panel_for_each_known_figure(run):
    curves = curves_of(run)
    assert list(curves.series) == ["best smoothness", "coverage", "QD score"]
    assert curves.evaluations.tolist() == [50, 100, 150, 200, 250, 300]


def test_long_curves_are_thinned_but_keep_their_ends(run, monkeypatch):
    points = [{"evaluations": float(i), "best": float(i)} for i in range(100_000)]
    monkeypatch.setattr(type(run), "curve", lambda _: points)
    curves = curves_of(run)
    assert len(curves.evaluations) <= 2000
    assert (curves.evaluations[0], curves.evaluations[-1]) == (0, 99_999)


def test_no_curves_before_the_first_result():
    with pytest.raises(RunError, match="nothing was told"):
        curves_of(Filler(None).run())


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".html"])
@pytest.mark.parametrize(
    "make",
    [lambda: heatmap_of(gridded((5, 5), -1)), lambda: heatmap_of(gridded((7,))), lambda: curves_of(fill(None).run())],
)
def test_every_picture_can_be_drawn_in_every_form(tmp_path, make, suffix):
    path = save(make(), tmp_path / f"picture{suffix}")
    assert path.stat().st_size > 1000


def test_an_empty_grid_can_be_drawn(tmp_path):
    filler = Filler(None)
    filler.totals()
    for suffix in ("png", "html"):
        assert save(heatmap_of(filler.run()), tmp_path / f"empty.{suffix}").exists()


def test_pages_need_no_network(run, tmp_path):
    page = save(heatmap_of(run), tmp_path / "a.html").read_text()
    assert not re.findall(r"<(?:script|link|img)[^>]*(?:src|href)\s*=", page)


def test_drawing_needs_no_display_and_leaves_none_open(run, tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("MPLBACKEND", "TkAgg")
    run.plot.save(tmp_path / "a.png")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_an_unknown_suffix_and_an_unwritable_place_are_clear_errors(run, tmp_path):
    with pytest.raises(ConfigError, match=r"ending in \.html, \.png"):
        run.plot.save(tmp_path / "a.gif")
    with pytest.raises(RunError, match="cannot be written"):
        run.plot.save(tmp_path / "missing" / "a.png")


def test_missing_matplotlib_names_the_extra(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EvoError, match=r"pip install 'evo\[plot\]'"):
        run.plot.save(tmp_path / "a.png")


def test_notebook_figures_come_from_the_run(run):
    assert run.plot.heatmap().data[0].type == "heatmap"
    assert len(run.plot.curves().data) == 3


@pytest.mark.parametrize("shape", [(5,), (4, 5)])
@pytest.mark.parametrize("suffix", ["png", "svg", "html"])
def test_the_largest_objectives_can_be_drawn(tmp_path, shape, suffix):
    run = gridded(shape)
    run.archive.objectives[:, 0] = 1.7e308 * np.where(np.arange(len(run.archive)) % 2, 1, -1)
    points = [{"evaluations": i, "best": 1.7e308 * (-1) ** i, "coverage": 0.1, "qd_score": -np.inf} for i in range(4)]
    run.curve = lambda: points
    assert set(curves_of(run).series) == {"best f0", "coverage"}
    for number, picture in enumerate((heatmap_of(run), curves_of(run))):
        assert save(picture, tmp_path / f"{number}.{suffix}").stat().st_size > 1000


@pytest.mark.filterwarnings("ignore:invalid value")
def test_values_that_are_not_finite_are_left_empty():
    run = gridded((4, 5))
    run.archive.objectives[:3, 0] = [np.inf, -np.inf, np.nan]
    assert int(np.isfinite(heatmap_of(run).values).sum()) == len(run.archive) - 3


def test_without_an_objective_there_is_no_heat_map():
    with pytest.raises(RunError, match="no objective"):
        heatmap_of(gridded((4, 5), objectives=0))
