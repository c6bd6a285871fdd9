"""What tests of (1+lambda) read back from a run's log: its contests, one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

import evo

__all__ = ["Round", "TooFew", "Tripping", "rounds"]


@dataclass
class Round:
    """All that was asked for on one draw."""

    fidelity: str
    params: dict[str, Any]
    candidate: list[int] = field(default_factory=list)
    genomes: list[bytes] = field(default_factory=list)
    parents: set[int] = field(default_factory=set)
    value: list[float] = field(default_factory=list)
    """NaN for what failed or was rejected."""
    batches: set[float] = field(default_factory=set)
    """Which minibatches the evaluator says it used."""

    def best(self, n: int) -> list[int]:
        """The candidates of the n largest values; the earlier one on a tie."""
        order = np.argsort(-np.array(self.value), kind="stable")[:n]
        return [self.candidate[row] for row in order.tolist() if not np.isnan(self.value[row])]


def rounds(run: evo.Run, source: str = "", objective: str = "kept") -> list[Round]:
    """The contests at other fidelities than the reporting one, in the order in which they were asked for."""
    found: dict[int, Round] = {}
    frame = run.frame().set_index("request")
    for batch in run.reader.requests():
        if batch.source != source or batch.fidelity == run.header["reporting"]:
            continue
        assert len(set(batch.draws.tolist())) == 1
        one = found.setdefault(int(batch.draws[0]), Round(batch.fidelity, dict(batch.params)))
        one.candidate += batch.candidates.tolist()
        assert batch.genomes is not None
        one.genomes += [genome.tobytes() for genome in batch.genomes]
        one.parents |= set() if batch.parents is None else set(batch.parents[:, 0].tolist())
        rows = frame.loc[batch.ids.tolist()]
        one.value += rows[objective].tolist()
        one.batches |= set(rows["batch"].dropna()) if "batch" in rows else set()
    return list(found.values())


class TooFew(evo.Operator):
    """Flips one of the first `bits` bits: a neighbourhood of that many children."""

    def __init__(self, bits: int = 3) -> None:
        self.bits = bits

    def vary(self, parents: Any, space: evo.Space, rng: np.random.Generator) -> Any:
        """One flip a child; none where there is no bit."""
        children = parents[0].copy()
        if self.bits:
            children[np.arange(len(children)), rng.integers(self.bits, size=len(children))] ^= True
        return children


class Tripping(evo.Problem):
    """Masks of 12 in two fidelities: some trip the quick look, some are turned down there, some trip only in full."""

    space = evo.BitMask(12)
    objectives = (evo.Maximize("kept"),)
    stochastic = True

    def __init__(self, full: bool = True, all_quick: bool = False) -> None:
        self.full, self.all_quick = full, all_quick

    @property
    def evaluator(self) -> evo.Evaluator:
        """Both fidelities."""
        return Trips(self.full, self.all_quick)


class Trips(evo.Evaluator):
    """Counts ones; says no by the number that a mask spells."""

    def __init__(self, full: bool, all_quick: bool) -> None:
        self.full, self.all_quick = full, all_quick

    @property
    def fidelities(self) -> dict[str, evo.Fidelity]:
        """The quick look first."""
        return {"rung": evo.Fidelity(), "full": evo.Fidelity()}

    def evaluate_batch(self, genomes: Any, work: evo.Work) -> evo.Evaluations:
        """The ones, with a noise that the draw decides at the quick look."""
        number = genomes @ (1 << np.arange(12))
        ones = genomes.sum(axis=1).astype(float)
        failures, rejected = {}, {}
        for row, one in enumerate(number.tolist()):
            if work.fidelity == "rung":
                weights = work.rng(row).random(12)
                ones[row] = float((genomes[row] * weights).sum())
                if one % 5 == 0 or self.all_quick:
                    failures[row] = "tripped"
                elif one % 7 == 0:
                    rejected[row] = "turned down"
            elif self.full and one % 3 == 0:
                failures[row] = "tripped in full"
        return evo.Evaluations(ones[:, None], failures=failures, rejected=rejected)
