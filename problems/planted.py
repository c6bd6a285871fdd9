"""Selections and allocations under a budget whose optimum is known: what a search under a budget is tried on.

They stand in for the compression of language models: which k of n blocks to drop, how many bits each layer gets.
"""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError
from evo.evaluator import Evaluations, Evaluator, Fidelity, Work
from evo.problem import Best, Minimize, Problem
from evo.records import Genomes
from evo.spaces.keys import row_keys
from evo.spaces.levels import Levels

__all__ = ["Planted", "PlantedCoupled", "PlantedLevels", "PlantedLinear", "PlantedNoisy"]

_ENUMERATED = 2_000_000
"""The most selections that are tried one by one for the optimum."""


class Planted(Problem):
    """A problem over `evo.Levels` with one objective, less being better, whose best genome is known."""

    space: Levels

    @abstractmethod
    def values(self, genomes: Genomes) -> NDArray[np.float64]:
        """(n,) objectives of genomes (n, genes)."""

    @cached_property
    def best(self) -> NDArray[np.int64]:
        """(genes,) the best genome."""
        raise NotImplementedError

    def optimum(self) -> float:
        """The best genome's objective, to the bit what `evaluate_batch` gives it."""
        return float(self.values(self.best[None])[0])

    def evaluate_batch(self, genomes: Genomes) -> Evaluations:
        """Objectives (n, 1)."""
        return Evaluations(self.values(np.ascontiguousarray(genomes))[:, None])

    def report(self, best: Best | None, run: Any) -> Mapping[str, Any]:
        """``optimum``, and how far the best found is from it: ``gap``."""
        found = {"optimum": self.optimum()}
        return found if best is None else found | {"gap": best.objectives[self.objectives[0].name] - found["optimum"]}


class _Selection(Planted):
    """Exactly `drop` of `items` are dropped: bit 1."""

    def __init__(self, items: int, drop: int) -> None:
        if not 0 < drop < items:
            raise ConfigError(f"{type(self).__name__}: expected 0 < drop < items, got {drop} and {items}")
        self.space = Levels([[0, 1]] * items, drop)
        self.objectives = [Minimize("damage")]
        self.items, self.drop = items, drop

    def _dropped(self, genomes: Genomes) -> NDArray[np.int64]:
        """(n, drop) which items each genome drops, in order."""
        return np.nonzero(genomes)[1].reshape(len(genomes), self.drop)

    @cached_property
    def worst(self) -> NDArray[np.int64]:
        """(genes,) the worst genome."""
        raise NotImplementedError

    def report(self, best: Best | None, run: Any) -> Mapping[str, Any]:
        """Also ``gap_share``: the gap as a share of the range from the best to the worst genome."""
        found = dict(super().report(best, run))
        if "gap" in found:
            found["gap_share"] = found["gap"] / (float(self.values(self.worst[None])[0]) - found["optimum"])
        return found

    def show(self, genome: Any) -> str:
        """The items dropped."""
        return f"dropped {', '.join(map(str, np.flatnonzero(genome)))} of {self.items}"


def _chosen(items: int, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """(items,) 1 for each chosen, else 0."""
    genome = np.zeros(items, dtype=np.int64)
    genome[chosen] = 1
    return genome


class PlantedLinear(_Selection):
    """Drop `drop` of `items`; the damage is the sum of what each alone does, drawn from [0, 1).

    The evolution of one parent reaches the optimum after about 2 to 3 times drop x (items - drop) evaluations.

    Source: the setting of the theorem of Sieberling, Kuznedelev, Kurtic and Alistarh, "EvoPress", ICML 2025.

    Args:
        items: how many there are.
        drop: how many are dropped.
        seed: of the damages.

    Raises:
        ConfigError: not 0 < drop < items.
    """

    def __init__(self, items: int = 32, drop: int = 12, seed: int = 0) -> None:
        super().__init__(items, drop)
        self.weights = np.random.default_rng(seed).random(items)

    def values(self, genomes: Genomes) -> NDArray[np.float64]:
        """(n,) damage of genomes (n, items)."""
        return np.asarray(np.add.reduce(self.weights[self._dropped(genomes)], axis=1))

    @cached_property
    def best(self) -> NDArray[np.int64]:
        """The items that do the least damage, by sorting."""
        return _chosen(self.items, np.argsort(self.weights)[: self.drop])

    @cached_property
    def worst(self) -> NDArray[np.int64]:
        """The items that do the most damage."""
        return _chosen(self.items, np.argsort(self.weights)[-self.drop :])


class PlantedCoupled(_Selection):
    """Drop `drop` of `items`; each does damage alone, and every two dropped together do more, or less.

    The damage is w.x + x'Jx: w drawn from [0, 1), J above its diagonal from a normal distribution of standard deviation
    coupling / sqrt(drop). From a coupling of about 0.3 on, choosing by the damage of each alone misses the optimum.

    Args:
        items: how many there are.
        drop: how many are dropped.
        coupling: strength of the interactions; 0 for none.
        seed: of w and J.

    Raises:
        ConfigError: not 0 < drop < items, a negative coupling, or more than two million selections: the optimum is
            found by trying them all.
    """

    def __init__(self, items: int = 16, drop: int = 6, coupling: float = 1.0, seed: int = 0) -> None:
        super().__init__(items, drop)
        if not (math.isfinite(coupling) and coupling >= 0):
            raise ConfigError(f"PlantedCoupled: expected coupling >= 0, got {coupling}")
        if math.comb(items, drop) > _ENUMERATED:
            raise ConfigError(
                f"PlantedCoupled: {drop} of {items} are {math.comb(items, drop)} selections, too many to find the "
                f"optimum among (at most {_ENUMERATED})"
            )
        rng = np.random.default_rng(seed)
        self.weights = rng.random(items)
        self.couplings = np.triu(rng.normal(0.0, coupling / math.sqrt(drop), (items, items)), k=1)

    def values(self, genomes: Genomes) -> NDArray[np.float64]:
        """(n,) damage of genomes (n, items)."""
        dropped = self._dropped(genomes)
        pairs = self.couplings[dropped[:, :, None], dropped[:, None, :]].reshape(len(genomes), -1)
        return np.asarray(np.add.reduce(self.weights[dropped], axis=1) + np.add.reduce(pairs, axis=1))

    @cached_property
    def _extremes(self) -> NDArray[np.int64]:
        """(2, items) the best and the worst genome, by trying all."""
        found: list[tuple[float, NDArray[np.int64]]] = []
        for genomes, damage in self._everything():
            found += [(float(damage[row]), genomes[row]) for row in (damage.argmin(), damage.argmax())]
        return np.stack([min(found, key=lambda one: one[0])[1], max(found, key=lambda one: one[0])[1]])

    def _everything(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """All genomes with their damage, some thousands at a time."""
        selections = itertools.combinations(range(self.items), self.drop)
        while chunk := list(itertools.islice(selections, 10_000)):
            genomes = np.stack([_chosen(self.items, np.array(one)) for one in chunk])
            yield genomes, self.values(genomes)

    @cached_property
    def best(self) -> NDArray[np.int64]:
        """The best of all selections, by trying them."""
        return np.asarray(self._extremes[0])

    @cached_property
    def worst(self) -> NDArray[np.int64]:
        """The worst of all selections."""
        return np.asarray(self._extremes[1])


class PlantedNoisy(PlantedCoupled):
    """`PlantedCoupled`, but exact at the fidelity ``full`` only: a ``rung`` adds noise to the damage.

    The noise is normal, of its own for every genome and draw. Its standard deviation is `noise` times that of the
    damage of all selections, divided by the square root of the rung's parameter ``samples`` (1), as if so many
    measurements were averaged.

    Args:
        noise: of one measurement, relative to the spread of the damage.
        items, drop, coupling, seed: as for `PlantedCoupled`.

    Raises:
        ConfigError: a negative noise, or as for `PlantedCoupled`.
    """

    stochastic = True
    deduplicate = True

    def __init__(
        self, noise: float = 0.3, items: int = 16, drop: int = 6, coupling: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__(items, drop, coupling, seed)
        if not (math.isfinite(noise) and noise >= 0):
            raise ConfigError(f"PlantedNoisy: expected noise >= 0, got {noise}")
        self.noise = noise

    @cached_property
    def spread(self) -> float:
        """Standard deviation of the damage of all selections."""
        return float(np.concatenate([damage for _, damage in self._everything()]).std())

    @property
    def evaluator(self) -> Evaluator:
        """With noise at ``rung``, without at ``full``."""
        return _Noisy(self)


class _Noisy(Evaluator):
    """Measures the damage, at a rung with noise."""

    def __init__(self, problem: PlantedNoisy) -> None:
        self.problem = problem

    @property
    def fidelities(self) -> Mapping[str, Fidelity]:
        """The noisy one first."""
        return {"rung": Fidelity(), "full": Fidelity()}

    def check(self, fidelity: str, params: Mapping[str, Any]) -> None:
        """A rung may have ``samples`` and nothing else; ``full`` has no parameters.

        Raises:
            ConfigError: as `Evaluator.check`.
        """
        for name in params:
            if (fidelity, name) != ("rung", "samples"):
                raise ConfigError(f"{name}: unknown; a rung has survivors, fidelity, reserve and samples")
        samples = params.get("samples", 1)
        if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
            raise ConfigError(f"samples: expected a whole number of at least 1, got {samples!r}")

    def evaluate_batch(self, genomes: Genomes, work: Work) -> Evaluations:
        """Objectives (n, 1)."""
        found = self.problem.evaluate_batch(genomes)
        if work.fidelity == "rung":
            sd = self.problem.noise * self.problem.spread / math.sqrt(work.params.get("samples", 1))
            for row, key in enumerate(row_keys(np.ascontiguousarray(genomes)).tolist()):
                found.objectives[row] += sd * work.rng(row, f"noise of {key}").normal()
        return found


class PlantedLevels(Planted):
    """Give each layer a number of bits, all together a fixed number; a layer's error falls with its bits.

    The error is the sum of s / 4^bits over the layers, the sensitivities s log-normal. All layers begin with the mean.

    Args:
        layers: how many there are.
        lowest: fewest bits of a layer.
        highest: most bits.
        mean: bits per weight that the budget allows.
        spread: standard deviation of log s.
        sizes: weights per layer, in turn from layer to layer; a layer's bits and error are for each of them.
        seed: of the sensitivities.

    Raises:
        ConfigError: no layers or sizes, not lowest <= mean <= highest, or a negative spread.
    """

    def __init__(
        self,
        layers: int = 28,
        lowest: int = 2,
        highest: int = 6,
        mean: int = 3,
        *,
        spread: float = 1.5,
        sizes: Sequence[int] = (1,),
        seed: int = 0,
    ) -> None:
        if layers < 1 or not len(sizes) or min(sizes) < 1:
            raise ConfigError("PlantedLevels: expected layers >= 1 and sizes >= 1")
        if not 0 <= lowest <= mean <= highest:
            raise ConfigError(f"PlantedLevels: expected lowest <= mean <= highest, got {lowest}, {mean}, {highest}")
        if not (math.isfinite(spread) and spread >= 0):
            raise ConfigError(f"PlantedLevels: expected spread >= 0, got {spread}")
        size = np.resize(np.asarray(sizes, dtype=np.int64), layers)
        bits = np.arange(lowest, highest + 1)
        self.space = Levels((size[:, None] * bits).tolist(), int(size.sum()) * mean)
        self.objectives = [Minimize("error")]
        self.bits, self.mean = bits, mean
        sensitivity = np.random.default_rng(seed).lognormal(0.0, spread, layers)
        self.errors: NDArray[np.float64] = (size * sensitivity)[:, None] * 4.0**-bits
        """(layers, levels)"""

    def initial(self) -> Sequence[Any]:
        """The same bits for every layer."""
        return [np.full(self.space.shape, self.mean - self.bits[0])]

    def values(self, genomes: Genomes) -> NDArray[np.float64]:
        """(n,) error of genomes (n, layers), each level that many bits above the lowest."""
        return np.asarray(np.add.reduce(self.errors[np.arange(len(self.errors)), genomes], axis=1))

    @cached_property
    def best(self) -> NDArray[np.int64]:
        """The allocation of the smallest error, by dynamic programming."""
        return self.space.cheapest(self.errors)

    def report(self, best: Best | None, run: Any) -> Mapping[str, Any]:
        """Also ``uniform``, the error of equal bits, and the share of the gain to be had over it: ``captured``."""
        found = dict(super().report(best, run))
        found["uniform"] = float(self.values(self.space.stack(self.initial()))[0])
        gain = found["uniform"] - found["optimum"]
        if "gap" in found:
            found["captured"] = 1.0 - found["gap"] / gain if gain > 0 else 1.0
        return found

    def show(self, genome: Any) -> str:
        """The bits of every layer."""
        return f"bits {' '.join(map(str, self.bits[np.asarray(genome)]))}"
