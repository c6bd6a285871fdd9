"""Pictures to look into: plotly figures, and pages that need no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evo.monitor.figures import Axis, Curves, HeatMap
from evo.records import candidate_name
from evo.store.extras import need

__all__ = ["figure", "write_html"]

_LINE = "#31688e"  # a colour of viridis, as the heat-maps
_EMPTY = "#f2f2f2"


def write_html(picture: HeatMap | Curves, path: Path) -> None:
    """One self-contained page; the drawing library travels inside, so that it opens offline."""
    figure(picture).write_html(path, include_plotlyjs=True, full_html=True)


def figure(picture: HeatMap | Curves) -> Any:
    """A plotly figure; notebooks show it by themselves."""
    graph = need("plotly.graph_objects", "plot", "an interactive picture")
    if isinstance(picture, Curves):
        drawn = _curves(picture)
    elif picture.y is None:
        drawn = graph.Figure(_bars(graph, picture))
        drawn.update_layout(bargap=0.02, yaxis_title=picture.objective)
    else:
        drawn = graph.Figure(_cells(graph, picture, picture.y))
        drawn.update_layout(width=760, height=740, plot_bgcolor=_EMPTY)
        drawn.update_xaxes(range=[picture.x.low, picture.x.high], constrain="domain", showgrid=False, zeroline=False)
        drawn.update_yaxes(range=[picture.y.low, picture.y.high], title=_label(picture.y), showgrid=False)
        drawn.update_yaxes(zeroline=False)
        spans = picture.x.high - picture.x.low, picture.y.high - picture.y.low
        drawn.update_yaxes(scaleanchor="x", scaleratio=spans[0] / spans[1], constrain="domain")
    if isinstance(picture, HeatMap):
        drawn.update_xaxes(title=_label(picture.x))
    drawn.update_layout(
        template="plotly_white" if isinstance(picture, Curves) or picture.y is None else "none",
        title={"text": f"{picture.title}<br><sub>{picture.subtitle}</sub>", "x": 0.5, "xanchor": "center"},
        margin={"l": 80, "r": 40, "t": 90, "b": 70},
        font={"family": "Helvetica, Arial, sans-serif", "color": "#222222"},
    )
    return drawn


def _label(axis: Axis) -> str:
    return f"{axis.name} ({axis.low:g} to {axis.high:g})"


def _names(picture: HeatMap) -> Any:
    names = [candidate_name(one) if one >= 0 else "" for one in picture.candidate.ravel().tolist()]
    return np.array(names, dtype=object).reshape(picture.candidate.shape)


def _cells(graph: Any, picture: HeatMap, y: Axis) -> Any:
    return graph.Heatmap(
        x=picture.x.edges,
        y=y.edges,
        z=picture.values,
        text=_names(picture),
        colorscale="Viridis",
        reversescale=picture.minimised,
        hoverongaps=False,
        colorbar={"title": {"text": picture.objective, "side": "right"}, "outlinewidth": 0},
        hovertemplate=(
            f"{picture.objective} %{{z:.6g}}<br>{picture.x.name} %{{x:.4g}}<br>{y.name} %{{y:.4g}}"
            "<br>candidate %{text}<extra></extra>"
        ),
    )


def _bars(graph: Any, picture: HeatMap) -> Any:
    return graph.Bar(
        x=picture.x.centres,
        y=picture.values,
        text=_names(picture),
        textposition="none",
        marker={"color": _LINE},
        hovertemplate=(
            f"{picture.objective} %{{y:.6g}}<br>{picture.x.name} %{{x:.4g}}<br>candidate %{{text}}<extra></extra>"
        ),
    )


def _curves(picture: Curves) -> Any:
    subplots = need("plotly.subplots", "plot", "an interactive picture")
    graph = need("plotly.graph_objects", "plot", "an interactive picture")
    rows = max(1, len(picture.series))
    drawn = subplots.make_subplots(rows=rows, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for row, (name, values) in enumerate(picture.series.items(), start=1):
        line = graph.Scatter(
            x=picture.evaluations, y=values, name=name, mode="lines", line={"color": _LINE}, showlegend=False
        )
        drawn.add_trace(line, row=row, col=1)
        drawn.update_yaxes(title_text=name, tickformat=".0%" if name == "coverage" else None, row=row, col=1)
    drawn.update_xaxes(title_text="evaluations", row=rows, col=1)
    drawn.update_layout(width=760, height=220 * rows + 140, hovermode="x unified")
    return drawn
