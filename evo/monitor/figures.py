"""What is drawn, as plain numbers, and the one door to drawing it: interactive (plotly) or as an image (matplotlib)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError, RunError

if TYPE_CHECKING:
    from evo.run import Run
    from evo.store.view import ArchiveView

__all__ = ["Axis", "Curves", "HeatMap", "curves_of", "heatmap_of", "save"]

_CURVES = {"best": "best", "coverage": "coverage", "qd_score": "QD score"}
_POINTS = 2000
"""More points than pixels tell nothing and make pages heavy."""
_LARGEST = 1e300


@dataclass(frozen=True)
class Axis:
    """One measure along one side of the picture."""

    name: str
    low: float
    high: float
    cells: int

    @property
    def edges(self) -> NDArray[np.float64]:
        """(cells + 1,) where the cells begin and end."""
        return np.linspace(self.low, self.high, self.cells + 1)

    @property
    def centres(self) -> NDArray[np.float64]:
        """(cells,)"""
        edges = self.edges
        return (edges[1:] + edges[:-1]) / 2


@dataclass(frozen=True)
class HeatMap:
    """A grid of elites, seen along one or two of its axes."""

    x: Axis
    y: Axis | None
    """None for a grid with one axis: bars."""
    values: NDArray[np.float64]
    """(y cells, x cells), or (x cells,) without y; NaN where empty."""
    candidate: NDArray[np.int64]
    """The same shape; -1 where empty."""
    objective: str
    minimised: bool
    title: str
    subtitle: str


@dataclass(frozen=True)
class Curves:
    """How the search went, over evaluations."""

    evaluations: NDArray[np.float64]
    series: Mapping[str, NDArray[np.float64]]
    """name -> values, one panel each"""
    title: str
    subtitle: str


def heatmap_of(
    run: Run, *, archive: str | None = None, objective: str | None = None, axes: Sequence[int] = (0, 1)
) -> HeatMap:
    """The heat-map of a grid archive.

    Args:
        run: the run.
        archive: its name; the main one unless given.
        objective: which objective colours the cells; the first unless given.
        axes: the measures along x and y. Over all other axes of the grid, the best elite is shown.

    Raises:
        ConfigError: no such archive, objective or axis.
        RunError: the archive is no grid.
    """
    header = run.header
    if archive is not None and archive not in header["archives"]:
        raise ConfigError(f"archive {archive!r}: expected one of {', '.join(header['archives']) or 'none'}")
    view = run.archive if archive is None else run.archives[archive]
    shape = view.description.get("shape")
    if view.description.get("kind") != "grid" or not shape:
        raise RunError(f"{run.name}: archive {view.name!r} is no grid, so it has no heat-map; its curves can be drawn")
    names = [one["name"] for one in header["objectives"]]
    if not names:
        raise RunError(f"{run.name}: no objective colours the cells, so there is no heat-map")
    if objective is not None and objective not in names:
        raise ConfigError(f"objective {objective!r}: expected one of {', '.join(names)}")
    column = names.index(objective) if objective is not None else 0
    chosen = tuple(axes)[: len(shape)]
    if len(set(chosen)) < len(chosen) or not all(0 <= axis < len(shape) for axis in chosen):
        raise ConfigError(f"axes {tuple(axes)}: expected different ones of 0..{len(shape) - 1}")
    x, *rest = (_axis(view.description, axis) for axis in chosen)
    sign = header["objectives"][0]["sign"]
    cell = _cells(view, shape, chosen)
    order = np.lexsort((view.candidate, -sign * view.objectives[:, 0], cell))  # the best of each cell first
    cells, first = np.unique(cell[order], return_index=True)
    size = [shape[axis] for axis in chosen[::-1]]
    values, candidate = np.full(math.prod(size), np.nan), np.full(math.prod(size), -1, dtype=np.int64)
    values[cells] = _drawable(view.objectives[order[first], column])
    candidate[cells] = view.candidate[order[first]]
    hidden = len(shape) - len(chosen)
    note = f"best over {hidden} further {'axis' if hidden == 1 else 'axes'}" if hidden else ""
    return HeatMap(
        x=x,
        y=rest[0] if rest else None,
        values=values.reshape(size),
        candidate=candidate.reshape(size),
        objective=names[column],
        minimised=header["objectives"][column]["sign"] < 0,
        title=_title(run),
        subtitle=_subtitle(run, view.stats, note),
    )


def _axis(description: Mapping[str, Any], axis: int) -> Axis:
    names = description.get("measures") or [f"measure {i}" for i in range(len(description["shape"]))]
    return Axis(names[axis], description["low"][axis], description["high"][axis], description["shape"][axis])


def _cells(view: ArchiveView, shape: Sequence[int], chosen: Sequence[int]) -> NDArray[np.int64]:
    """(e,) the picture's cell of each elite, row by row from the bottom."""
    index = np.unravel_index(view.keys, shape)
    cell = np.zeros(len(view), dtype=np.int64)
    for axis in chosen[::-1]:
        cell = cell * shape[axis] + index[axis]
    return cell


def curves_of(run: Run) -> Curves:
    """Best, coverage and QD score over evaluations, as far as the archive has them.

    Raises:
        RunError: nothing was told yet.
    """
    points = run.curve()
    if not points:
        raise RunError(f"{run.name}: no curves yet: nothing was told")
    if len(points) > _POINTS:
        points = [points[i] for i in np.unique(np.linspace(0, len(points) - 1, _POINTS).astype(int))]
    objective = next((one["name"] for one in run.header["objectives"]), "")
    series = {}
    for key, label in _CURVES.items():
        values = _drawable(np.array([_number(point.get(key)) for point in points]))
        if np.isfinite(values).any():
            series[f"best {objective}" if key == "best" else label] = values
    evaluations = np.array([point["evaluations"] for point in points])
    return Curves(evaluations, series, _title(run), _subtitle(run, {}))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _drawable(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values, NaN for infinite ones; the largest floats a little less, for the span of an axis must be finite."""
    return np.where(np.isfinite(values), np.clip(values, -_LARGEST, _LARGEST), np.nan)


def _title(run: Run) -> str:
    header = run.header
    return f"{header.get('problem', '')} · {header.get('algorithm', '')}"


def _subtitle(run: Run, stats: Mapping[str, float], note: str = "") -> str:
    parts = [f"{run.evaluations:,.0f} evaluations"]
    if "coverage" in stats:
        parts.append(f"coverage {stats['coverage']:.1%}")
    if "qd_score" in stats:
        parts.append(f"QD score {stats['qd_score']:,.6g}")
    return " · ".join([*parts, note] if note else parts)


def save(picture: HeatMap | Curves, path: Path) -> Path:
    """Draw into a file by its suffix: ``.html`` (interactive, self-contained), ``.png``, ``.svg`` or ``.pdf``.

    Raises:
        ConfigError: another suffix.
        RunError: the file cannot be written.
        EvoError: the library that draws is not installed; names the extra.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".html":
            from evo.monitor.interactive import write_html

            write_html(picture, path)
        elif suffix in (".png", ".svg", ".pdf"):
            from evo.monitor.image import write_image

            write_image(picture, path)
        else:
            raise ConfigError(f"{path}: expected a name ending in .html, .png, .svg or .pdf")
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error})") from error
    return path
