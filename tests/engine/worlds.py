"""Small problems that the tests of the engine search: cheap to measure, and each with one thing of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import evo
from evo.evaluator import Evaluator, Fidelity
from evo.operator import Operator

__all__ = [
    "Bowl",
    "Broken",
    "Kernels",
    "Masks",
    "Minibatches",
    "Noisy",
    "Pruning",
    "Shard",
    "Squares",
    "Weighted",
    "canonical",
]


class Bowl(evo.Problem):
    """Minimise the height of a point in a bowl; no measures, a continuous space."""

    space = evo.Box(-1.0, 1.0, size=3)
    objectives = (evo.Minimize("height"),)

    def evaluate(self, genome: Any) -> evo.Evaluation:
        """One squared distance."""
        return evo.Evaluation([float((genome**2).sum())], metrics={"first": float(genome[0])})


class Masks(evo.Problem):
    """Ones in a mask: equal genomes are met all the time, some raise, some are not finite, some not in range."""

    space = evo.BitMask(10)
    objectives = (evo.Maximize("ones", worst=0.0),)
    measures = (evo.Measure("left", 0.0, 5.0), evo.Measure("right", 0.0, 5.0, outside="reject"))

    def evaluate(self, genome: Any) -> evo.Evaluation:
        """Ones in all, and in both halves."""
        number = int(genome @ (1 << np.arange(10)))
        if number % 31 == 7:
            raise ValueError(f"mask {number} is unlucky")
        ones = float(genome.sum()) if number % 29 != 3 else float("nan")
        right = float(genome[5:].sum()) + (9.0 if number % 37 == 5 else 0.0)
        return evo.Evaluation([ones], [float(genome[:5].sum()), right], metrics={"number": number})


class Noisy(evo.Problem):
    """A measurement with noise, of few genomes: only an equal draw makes the work equal."""

    space = evo.Integers(0, 3, size=1)
    objectives = (evo.Maximize("value"),)
    stochastic = True

    def evaluate(self, genome: Any, work: evo.Work) -> evo.Evaluation:
        """The value and a draw."""
        return evo.Evaluation([float(genome[0]) + float(work.rng().normal())])


class Broken(evo.Problem):
    """Nothing can be measured."""

    space = evo.Box(-1.0, 1.0, size=2)
    objectives = (evo.Maximize("value"),)
    measures = (evo.Measure("x", -1.0, 1.0),)

    def evaluate(self, genome: Any) -> evo.Evaluation:
        """Always fails."""
        raise RuntimeError("the oracle is out")


# A preparation whose artifact every evaluation needs ------------------------------------------------------------------


class Weigh(Operator):
    """Makes no genome but an artifact: the weights."""

    def make(self, parents: Any, args: Mapping[str, Any], space: evo.Space, work: evo.Work) -> evo.Births:
        """Weights drawn from the request's own stream."""
        weights = work.rng(purpose="make").random(args["size"])
        return evo.Births(space.empty(0), counters={"weighed": args["size"]}, artifacts={"weights": weights.tobytes()})


class Weighted(evo.Problem):
    """Masks weighed by what the preparation drew."""

    space = evo.BitMask(14)
    objectives = (evo.Maximize("weight"),)

    @property
    def operators(self) -> Mapping[str, Operator]:
        """What the preparation asks for."""
        return {"weigh": Weigh()}

    def prepare(self) -> Sequence[evo.Requests]:
        """One request for the weights."""
        return [evo.Requests(make="weigh", args=[{"size": 14}], fidelity=evo.BORN)]

    def needs(self, fidelity: str, artifacts: Mapping[str, str]) -> tuple[str, ...]:
        """The weights, for measuring."""
        return (artifacts["weights"],) if fidelity == "full" else ()

    def evaluate(self, genome: Any, work: evo.Work) -> evo.Evaluation:
        """The weight of the ones."""
        (content,) = work.artifacts.values()
        data = content.read_bytes() if isinstance(content, Path) else content
        return evo.Evaluation([float(np.frombuffer(data)[genome].sum())])


# An enumeration: shards that yield their survivors --------------------------------------------------------------------


class Shard(Operator):
    """All numbers from start to stop; those whose square ends in 6 survive."""

    def make(self, parents: Any, args: Mapping[str, Any], space: evo.Space, work: evo.Work) -> evo.Births:
        """The survivors, and how many were screened."""
        if args["start"] == args.get("trap"):
            raise ValueError("a trap")
        numbers = np.arange(args["start"], args["stop"])
        kept = numbers[numbers**2 % 10 == 6]
        return evo.Births(space.check(kept[:, None]), counters={"screened": len(numbers)})


class Squares(evo.Problem):
    """Numbers near 500."""

    space = evo.Integers(0, 1000, size=1)
    objectives = (evo.Minimize("distance"),)

    @property
    def operators(self) -> Mapping[str, Operator]:
        """What the enumeration asks for."""
        return {"shard": Shard()}

    def evaluate(self, genome: Any) -> evo.Evaluation:
        """How far from 500."""
        return evo.Evaluation([abs(float(genome[0]) - 500.0)], metrics={"number": int(genome[0])})


class Squaring(evo.Enumerator):
    """The numbers below `total` whose square ends in 6; the shard that begins at `trap` raises."""

    def __init__(self, total: int, trap: int = -1) -> None:
        self._total = total
        self.trap = trap

    @property
    def total(self) -> int:
        """How many numbers."""
        return self._total

    def make(self, parents: Any, args: Mapping[str, Any], space: evo.Space, work: evo.Work) -> evo.Births:
        """The survivors, and how many were screened."""
        return Shard().make(parents, {**args, "trap": self.trap}, space, work)


class Verified(evo.Problem):
    """Numbers whose square ends in 6; the verifier wants them even in their tens, and trips over `broken`."""

    space = evo.Integers(0, 1000, size=1)
    objectives: Sequence[evo.Objective] = (evo.Minimize("distance"),)

    def __init__(self, total: int = 300, trap: int = -1, broken: int = -1, none: bool = False) -> None:
        self.total, self.trap, self.broken, self.none = total, trap, broken, none

    @property
    def operators(self) -> Mapping[str, Operator]:
        """The enumerator, and something else."""
        return {"weigh": Weigh(), "squaring": Squaring(self.total, self.trap)}

    def evaluate(self, genome: Any) -> evo.Evaluation:
        """How far from 500, if it is wanted at all."""
        number = int(genome[0])
        if number == self.broken:
            raise ValueError(f"cannot verify {number}")
        if self.none or number // 10 % 2:
            raise evo.Rejected(f"{number} is odd in its tens")
        return evo.Evaluation([abs(number - 500.0)], metrics={"number": number})


# Two fidelities: a cheap look at a common minibatch, then the whole


class Minibatches(Evaluator):
    """``rung`` measures on the four terms that the draw selects, ``full`` on all."""

    def __init__(self, terms: int = 32) -> None:
        self.terms = terms

    @property
    def fidelities(self) -> Mapping[str, Fidelity]:
        """The rung, then the whole."""
        return {"rung": Fidelity(), "full": Fidelity()}

    def evaluate_batch(self, genomes: Any, work: evo.Work) -> evo.Evaluations:
        """The share of the ones among the terms that count."""
        values = np.empty((len(genomes), 1))
        batches = np.zeros(len(genomes))
        for row, genome in enumerate(genomes):
            chosen = np.arange(self.terms)
            if work.fidelity == "rung":
                chosen = work.rng(row).choice(self.terms, size=4, replace=False)
            values[row, 0] = genome[chosen].mean()
            batches[row] = chosen.sum()
        return evo.Evaluations(values, metrics={"batch": batches})


class Pruning(evo.Problem):
    """Masks of 32, measured in rungs."""

    space = evo.BitMask(32)
    objectives = (evo.Maximize("kept"),)
    stochastic = True

    @property
    def evaluator(self) -> Evaluator:
        """The minibatches."""
        return Minibatches()


# Compile, then time what compiled -------------------------------------------------------------------------------------


class Compiler(Evaluator):
    """``compile`` yields a binary or fails, ``time`` runs it."""

    @property
    def fidelities(self) -> Mapping[str, Fidelity]:
        """Both."""
        return {"compile": Fidelity(), "time": Fidelity(exclusive=("gpu",))}

    def evaluate_batch(self, genomes: Any, work: evo.Work) -> evo.Evaluations:
        """One after the other."""
        values = np.zeros((len(genomes), 1))
        failures, artifacts, costs = {}, {}, {}
        for row, source in enumerate(genomes):
            if work.fidelity == "time":
                (binary,) = work.artifacts.values()
                assert bytes(binary) == source["code"].encode()
                values[row, 0] = len(source["code"])
            elif "x" in source["code"]:
                failures[row] = f"cannot compile {source['code']}"
            else:
                artifacts[row] = {"binary": source["code"].encode()}
                costs[row] = {"money": 0.5}
        return evo.Evaluations(values, failures=failures, artifacts=artifacts, costs=costs)


class Kernels(evo.Problem):
    """Short texts: those with an x do not compile, the shorter the faster."""

    space = evo.Json()
    objectives = (evo.Minimize("time"),)

    @property
    def evaluator(self) -> Evaluator:
        """The cascade's two stages."""
        return Compiler()


def canonical(run: evo.Run, folder: Path) -> bytes:
    """The canonical export of a run."""
    path = folder / f"{abs(hash(run))}.canonical"
    run.export("canonical", path)
    return path.read_bytes()
