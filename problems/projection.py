"""Linear projection: functions whose measures crowd around zero, so that the rim of the map is hard to reach.

Source: Fontaine, Togelius, Nikolaidis and Hoover, "Covariance Matrix Adaptation for the Rapid Illumination of Behavior
Space", GECCO 2020, section 5: a function shifted by 0.4 * 5.12 = 2.048, its objective scaled to 0..100, and as measures
the sums of the two halves of the genome, where a coordinate beyond +-5.12 is folded back as 5.12 / x.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from evo.evaluator import Evaluations
from evo.problem import Maximize, Measure, Problem
from evo.records import Genomes
from evo.spaces.box import Box

__all__ = ["Projection", "Rastrigin", "Sphere"]

_BOUND = 5.12
_SHIFT = 0.4 * _BOUND


class Projection(Problem):
    """A function of a shifted vector, illuminated along two linear projections. Subclasses say which function.

    The objective ``value`` is 100 at the optimum and 0 at the corner (-5.12, ..., -5.12); genomes are unbounded, so it
    can fall below. They start at zero.

    Args:
        dimensions: length of the genome, at least 2; the first half of it (rounded down) makes the first measure.

    Raises:
        ConfigError: fewer than two dimensions.
    """

    def __init__(self, dimensions: int = 20) -> None:
        if dimensions < 2:
            raise ConfigError(f"{type(self).__name__}: expected dimensions >= 2, got {dimensions}")
        self.dimensions = dimensions
        self.space = Box(-np.inf, np.inf, size=dimensions)
        self.objectives = [Maximize("value", worst=0.0)]
        rims = ((dimensions // 2) * _BOUND, (dimensions - dimensions // 2) * _BOUND)
        self.measures = [
            Measure(name, -rim, rim) for name, rim in zip(("first_half", "second_half"), rims, strict=True)
        ]
        self._worst = float(self.cost(np.full((1, dimensions), -_BOUND - _SHIFT))[0])

    @abstractmethod
    def cost(self, shifted: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) the function to be minimised, of C-contiguous rows (n, d) that it may overwrite; 0 at zero."""

    def initial(self) -> Sequence[Any]:
        """The origin."""
        return [np.zeros(self.dimensions)]

    def evaluate_batch(self, genomes: Genomes) -> Evaluations:
        """Objectives (n, 1) and measures (n, 2) of genomes (n, d).

        Every reduction runs along the contiguous axis of a row, so a row's bits do not depend on its batch.
        """
        x = np.ascontiguousarray(genomes)
        objectives, measures = np.empty((len(x), 1)), np.empty((len(x), 2))
        np.subtract(1.0, self.cost(x - _SHIFT) / self._worst, out=objectives[:, 0])
        objectives *= 100.0
        folded = np.clip(x, -_BOUND, _BOUND)
        beyond = folded != x
        if beyond.any():
            folded[beyond] = _BOUND / x[beyond]
        half = self.dimensions // 2
        np.add.reduce(folded[:, :half], axis=1, out=measures[:, 0])
        np.add.reduce(folded[:, half:], axis=1, out=measures[:, 1])
        return Evaluations(objectives, measures)

    def show(self, genome: Any) -> str:
        """Value and measures, then the vector."""
        found = self.evaluate_batch(np.asarray(genome, dtype=np.float64)[None])
        assert found.measures is not None
        first, second = found.measures[0]
        vector = " ".join(f"{x:.3f}" for x in np.asarray(genome))
        return f"value {found.objectives[0, 0]:.2f} at ({first:+.2f}, {second:+.2f}), x {vector}"


class Sphere(Projection):
    """Sum of squares of the shifted vector, projected. See `Projection`."""

    def cost(self, shifted: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) sum of squares."""
        return np.asarray(np.add.reduce(np.multiply(shifted, shifted, out=shifted), axis=1))


class Rastrigin(Projection):
    """Rastrigin's function of the shifted vector, many local optima on a bowl, projected. See `Projection`."""

    def cost(self, shifted: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) ``10 d + sum(x^2 - 10 cos(2 pi x))``."""
        waves = np.cos((2.0 * np.pi) * shifted)
        waves *= 10.0
        terms = np.multiply(shifted, shifted, out=shifted)
        terms -= waves
        return np.asarray(np.add.reduce(terms, axis=1) + 10.0 * self.dimensions)
