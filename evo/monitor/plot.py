"""What ``run.plot`` is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evo.monitor.figures import Curves, HeatMap, curves_of, heatmap_of, save

if TYPE_CHECKING:
    from evo.run import Run

__all__ = ["Plot", "picture_of"]


def picture_of(run: Run, what: str = "") -> HeatMap | Curves:
    """The ``heatmap`` or the ``curves`` of a run; the one that suits its archive unless said."""
    if not what:
        what = "heatmap" if run.archive.description.get("kind") == "grid" else "curves"
    return heatmap_of(run) if what == "heatmap" else curves_of(run)


class Plot:
    """Pictures of a run. Figures are plotly's, which notebooks show by themselves."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def heatmap(self, archive: str | None = None, objective: str | None = None, *, axes: Sequence[int] = (0, 1)) -> Any:
        """The elites of a grid archive, coloured by an objective.

        Args:
            archive: the main one unless given.
            objective: the first one unless given.
            axes: the measures along x and y; over further axes the best elite is shown.
        """
        from evo.monitor.interactive import figure

        return figure(heatmap_of(self._run, archive=archive, objective=objective, axes=axes))

    def curves(self) -> Any:
        """Best, coverage and QD score over evaluations."""
        from evo.monitor.interactive import figure

        return figure(curves_of(self._run))

    def save(self, path: Path | str, *, what: str = "") -> Path:
        """Draw into a file: .html (interactive, self-contained), .png, .svg or .pdf.

        Args:
            path: the file.
            what: ``heatmap`` or ``curves``; the heat-map where the archive is a grid unless given.
        """
        return save(picture_of(self._run, what), Path(path))
