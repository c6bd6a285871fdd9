"""Elites as a user holds them: columns read from the run file, genomes fetched when asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.records import Genomes
from evo.store.extras import need
from evo.store.table import column_names, names_of

__all__ = ["ArchiveView"]


@dataclass(frozen=True, repr=False)
class ArchiveView:
    """The elites of one archive, in key order."""

    name: str
    keys: NDArray[np.int64]
    """(e,) cell index or rank"""
    candidate: NDArray[np.int64]
    """(e,) candidate ids"""
    objectives: NDArray[np.float64]
    """(e, k)"""
    measures: NDArray[np.float64]
    """(e, m)"""
    description: Mapping[str, Any]
    """Kind, shape and ranges, as the archive described itself."""
    header: Mapping[str, Any]
    """The run's header: names and signs of objectives and measures."""
    fetch: Callable[[NDArray[np.int64]], Genomes]
    """Reads the genomes of candidates."""

    def __repr__(self) -> str:
        figures = ", ".join(f"{name}={value:.6g}" for name, value in self.stats.items())
        return f"<ArchiveView {self.name!r}: {figures}>"

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def genomes(self) -> Genomes:
        """(e, ...) read from the run file on first use."""
        return self.fetch(self.candidate)

    def describe(self) -> dict[str, Any]:
        """Kind, shape and ranges of the archive."""
        return dict(self.description)

    @cached_property
    def stats(self) -> dict[str, float]:
        """``elites``, ``best`` and ``mean``; a grid adds ``coverage`` (0 to 1), ``qd_score`` and ``norm_qd_score``."""
        found = {"elites": float(len(self))}
        shape = self.description.get("shape")
        if not self.header["objectives"]:
            return found
        first = self.header["objectives"][0]
        quality = first["sign"] * self.objectives[:, 0]
        if shape:
            cells = math.prod(shape)
            worst = first["worst"]
            with np.errstate(over="ignore"):  # sums of the largest numbers there are have no finite value
                score = float(quality.sum() if worst is None else (quality - first["sign"] * worst).sum())
            found |= {"coverage": len(self) / cells, "qd_score": score, "norm_qd_score": score / cells}
        found["best"] = first["sign"] * float(quality.max()) if len(self) else math.nan
        with np.errstate(over="ignore"):
            found["mean"] = first["sign"] * float(quality.mean()) if len(self) else math.nan
        return found

    def frame(self) -> Any:
        """A pandas table, one row an elite: key, candidate, objectives and measures by name."""
        pandas = need("pandas", "frame", "archive.frame()")
        figures = np.hstack([self.objectives, self.measures]).T
        columns = dict(zip(column_names(dict(self.header), ()), figures, strict=True))
        return pandas.DataFrame({"key": self.keys, "candidate": names_of(self.candidate), **columns})
