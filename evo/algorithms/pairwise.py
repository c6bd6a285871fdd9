"""What to expect of genomes that were not measured: effects of single genes and of pairs, as a Gaussian process."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pairwise"]

Array = NDArray[np.float64]

_SCALES = (0.0, 0.1, 0.3, 1.0)
"""How far from each other codes still are alike, in parts of the alphabet; 0: each is alike only to itself."""
_SHARES = (1e-3, 0.02, 0.2, 0.6)
"""Of the variance, what comes from pairs."""
_NOISES = (1e-6, 1e-4, 1e-2, 0.1, 0.5)
"""Of the variance, what no effect explains."""
_BEGINNING = (0.3, 0.2, 1e-2)
_JUDGED = 256
"""The most observations by which these three are chosen."""
_JITTER = 1e-8
_APART = 10.0
"""Variance of what the measurements of a group have in common, beside that of the rest."""
_DECIMALS = 9


class _Kernel(NamedTuple):
    """The effects of single genes, centred on the observations and scaled to a mean variance of 1."""

    values: Array
    """(n, n)"""
    means: Array
    """(n,) of the columns before they were centred"""
    size: float
    """the mean variance before it was scaled"""


class Pairwise:
    """A Gaussian process over vectors of codes whose functions are sums of effects of one gene and of two genes.

    Its kernel is k + a k^2, where k adds up over the genes how alike two codes are (a Matern function of their
    distance, or 1 for equal ones and 0 for others), centred on the observations: k holds the effects of single genes,
    its square those of pairs. How far codes are alike, the share of pairs and the noise are those, of some, that make
    the observations likeliest. Groups of measurements (minibatches) may differ by a constant, which is fitted too. The
    cost is that of a matrix of n x n for n observations, however many pairs there are.

    Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning", MIT Press 2006 (regression, likelihood);
    main effects and pairs as in Baptista and Poloczek, "Bayesian Optimization of Combinatorial Structures" (BOCS), ICML
    2018.

    Args:
        codes: (n, genes) of the observations, n >= 1.
        quality: (n,) finite.
        group: (n,) numbers of the groups; None for one.
        letters: how many codes there are.
        ordered: whether neighbouring codes are alike.
    """

    def __init__(
        self,
        codes: NDArray[np.int64],
        quality: Array,
        letters: int,
        *,
        group: NDArray[np.int64] | None = None,
        ordered: bool = True,
    ) -> None:
        self._letters = letters
        several = group is not None and (group != group[0]).any()
        self._group = group if several else None
        self._hot = _one_hot(codes, letters)
        self._unit = max(float(abs(quality).max()), 1e-300)  # squares of large numbers would overflow
        quality = quality / self._unit
        self._centre = float(quality.mean())
        self._spread = float(quality.std()) or 1.0
        target = (quality - self._centre) / self._spread
        self._kernels: dict[float, _Kernel] = {}
        self.scale, self.share, self.noise = self._likeliest(target, _SCALES if ordered and letters > 2 else (0.0,))
        self._first = self._kernel(self.scale)
        square = self._first.values**2
        self._second = float(np.diag(square).mean()) or 1.0
        self._side = self._smoothed(self.scale)
        self._inverse = np.linalg.inv(self._covariance(self.scale, self.share, self.noise, slice(None)))
        self._weights = self._inverse @ target
        self._deviation = math.sqrt(max(float(target @ self._weights), 0.0) / len(target))

    def predict(self, codes: NDArray[np.int64]) -> tuple[Array, Array]:
        """(n,) expected quality of codes (n, genes), and its standard deviation.

        Rounded far above the arithmetic's last bits, so that what is equal in theory is a tie in practice.
        """
        raw = _one_hot(codes, self._letters) @ self._side.T
        mean, first = raw.mean(axis=1), self._first
        alike = (raw - mean[:, None] - first.means + first.means.mean()) / first.size
        own = (codes.shape[1] - 2 * mean + first.means.mean()) / first.size
        kernel = (1 - self.share) * alike + self.share * alike**2 / self._second
        whole = (1 - self.share) * own + self.share * own**2 / self._second
        variance = np.maximum(0.0, whole - ((kernel @ self._inverse) * kernel).sum(axis=1))
        expected = np.round(kernel @ self._weights, _DECIMALS)
        doubt = np.round(self._deviation * np.sqrt(variance), _DECIMALS)
        return self._unit * (self._centre + self._spread * expected), self._unit * self._spread * doubt

    def _likeliest(self, target: Array, scales: tuple[float, ...]) -> tuple[float, float, float]:
        """Scale, share and noise, one after the other, twice."""
        rows = np.unique(np.linspace(0, len(target) - 1, min(len(target), _JUDGED)).astype(np.int64))
        chosen = [_BEGINNING[0] if len(scales) > 1 else scales[0], *_BEGINNING[1:]]
        least = self._unlikeliness(target, rows, *chosen)
        for _ in range(2):
            for place, values in ((2, _NOISES), (1, _SHARES), (0, scales)):
                for value in values:
                    other = [*chosen[:place], value, *chosen[place + 1 :]]
                    found = self._unlikeliness(target, rows, *other) if value != chosen[place] else np.inf
                    if found < least - 1e-6:
                        least, chosen = found, other
        return chosen[0], chosen[1], chosen[2]

    def _unlikeliness(self, target: Array, rows: NDArray[np.int64], scale: float, share: float, noise: float) -> float:
        """Less for likelier observations; the variance is the best one."""
        factor = np.linalg.cholesky(self._covariance(scale, share, noise, rows))
        residual = np.linalg.solve(factor, target[rows])
        variance = max(float(residual @ residual) / len(rows), 1e-300)
        return 0.5 * len(rows) * float(np.log(variance)) + float(np.log(np.diag(factor)).sum())

    def _covariance(self, scale: float, share: float, noise: float, rows: NDArray[np.int64] | slice) -> Array:
        alike = self._kernel(scale).values
        square = float((np.diag(alike) ** 2).mean()) or 1.0
        alike = alike[rows][:, rows]
        covariance = (1 - share) * alike + share * alike**2 / square
        covariance[np.diag_indices(len(covariance))] += noise + _JITTER
        if self._group is not None:
            own = self._group[rows]
            covariance += _APART * (own == own[:, None])
        return np.asarray(covariance)

    def _kernel(self, scale: float) -> _Kernel:
        """The effects of single genes among the observations."""
        if scale not in self._kernels:
            raw = self._smoothed(scale) @ self._hot.T
            means = raw.mean(axis=0)
            centred = raw - means - means[:, None] + means.mean()
            size = max(float(np.diag(centred).mean()), 1e-12)
            self._kernels[scale] = _Kernel(centred / size, means, size)
        return self._kernels[scale]

    def _smoothed(self, scale: float) -> Array:
        """(n, genes x letters) how alike each observation's codes are to every code."""
        code = np.arange(self._letters, dtype=np.float64)
        distance = abs(code - code[:, None]) / max(1, self._letters - 1)
        alike = (1 + distance / scale) * np.exp(-distance / scale) if scale else (distance == 0).astype(np.float64)
        n = len(self._hot)
        return np.asarray((self._hot.reshape(n, -1, self._letters) @ alike).reshape(n, -1))


def _one_hot(codes: NDArray[np.int64], letters: int) -> Array:
    """(n, genes x letters) 1 where a gene has a code, else 0."""
    n, genes = codes.shape
    hot = np.zeros((n, genes * letters))
    hot[np.arange(n)[:, None], np.arange(genes) * letters + codes] = 1.0
    return hot
