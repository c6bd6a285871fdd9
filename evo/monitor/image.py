"""Pictures as image files, drawn by matplotlib without a display."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evo.monitor.figures import Axis, Curves, HeatMap
from evo.store.extras import need

__all__ = ["write_image"]

_INK, _GREY, _EMPTY = "#222222", "#777777", "#f2f2f2"
_LINE = "#31688e"  # a colour of viridis, as the heat-maps


def write_image(picture: HeatMap | Curves, path: Path) -> None:
    """Draw into `path`; its suffix says the format."""
    need("matplotlib", "plot", f"drawing {path.name}")
    # Figure and canvas by hand: pyplot would pick a display, and keep the figure.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    size = (6.4, 2.2 * max(1, len(picture.series)) + 0.8) if isinstance(picture, Curves) else (6.6, 6.0)
    if isinstance(picture, HeatMap) and picture.y is None:
        size = (7.0, 4.0)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    FigureCanvasAgg(figure)
    if isinstance(picture, Curves):
        _curves(figure, picture)
    elif picture.y is None:
        _bars(figure.subplots(), picture)
    else:
        _cells(figure, figure.subplots(), picture, picture.y)
    figure.savefig(path, dpi=150)


def _head(axes: Any, picture: HeatMap | Curves) -> None:
    axes.set_title(picture.title, fontsize=13, color=_INK, pad=24)
    axes.text(0.5, 1.0, f"{picture.subtitle}\n", transform=axes.transAxes, ha="center", fontsize=9, color=_GREY)


def _finish(axes: Any) -> None:
    axes.tick_params(colors=_GREY, labelsize=8)
    for side in axes.spines.values():
        side.set_color("#cccccc")


def _label(axis: Axis) -> str:
    return f"{axis.name}  ({axis.low:g} to {axis.high:g})"


def _cells(figure: Any, axes: Any, picture: HeatMap, y: Axis) -> None:
    axes.set_facecolor(_EMPTY)
    values = np.ma.masked_invalid(picture.values)
    colours = "viridis_r" if picture.minimised else "viridis"
    mesh = axes.pcolormesh(picture.x.edges, y.edges, values, cmap=colours, rasterized=True)
    axes.set_box_aspect(1)
    axes.set_xlabel(_label(picture.x), color=_INK)
    axes.set_ylabel(_label(y), color=_INK)
    bar = figure.colorbar(mesh, ax=axes, shrink=0.82, aspect=28, pad=0.02)
    bar.set_label(picture.objective + ("  (less is better)" if picture.minimised else ""), color=_INK)
    bar.ax.tick_params(colors=_GREY, labelsize=8)
    bar.outline.set_edgecolor("#cccccc")
    _head(axes, picture)
    _finish(axes)


def _bars(axes: Any, picture: HeatMap) -> None:
    there = np.isfinite(picture.values)
    held = picture.values[there]
    floor = min(0.0, float(held.min())) if held.size else 0.0
    if held.size and held.min() > 0 and np.ptp(held) < 0.5 * held.min():
        floor = float(held.min() - 0.1 * np.ptp(held))  # bars from zero would all look alike
    width = (picture.x.high - picture.x.low) / picture.x.cells
    axes.bar(picture.x.centres[there], held - floor, width=width, bottom=floor, color=_LINE, edgecolor="white", lw=0.3)
    axes.set_xlim(picture.x.low, picture.x.high)
    axes.set_xlabel(_label(picture.x), color=_INK)
    axes.set_ylabel(picture.objective, color=_INK)
    _head(axes, picture)
    _finish(axes)


def _curves(figure: Any, picture: Curves) -> None:
    panels = figure.subplots(max(1, len(picture.series)), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, values) in zip(panels, picture.series.items(), strict=False):
        axes.plot(picture.evaluations, values, color=_LINE, lw=1.6)
        axes.set_ylabel(name, color=_INK)
        axes.grid(color="#eeeeee")
        axes.margins(x=0.01)
        axes.yaxis.set_major_formatter(_percent if name == "coverage" else _grouped)
        _finish(axes)
    _head(panels[0], picture)
    panels[-1].set_xlabel("evaluations", color=_INK)
    panels[-1].xaxis.set_major_formatter(_grouped)
    figure.align_ylabels(panels)


def _grouped(value: float, _: int) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:g}"


def _percent(value: float, _: int) -> str:
    return f"{100 * value:g}%"
