"""Small algorithms that use what the contracts offer and the shipped ones do not: many candidates, rungs, cascades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import evo
from evo.algorithms.keeping import offer
from evo.archive import Archive
from evo.operator import Operator

__all__ = ["Cascade", "Enumeration", "Rewrites", "Rungs"]


class _Keeping(evo.Algorithm):
    """Keeps the best of what the reporting fidelity measured."""

    def __init__(self) -> None:
        self.archive = evo.Top(5)

    def setup(self, problem: evo.Problem) -> None:
        self._problem = problem
        self._reporting = problem.evaluator.reporting
        self.archive.setup(problem.space, problem.objectives, problem.measures)

    def tell(self, results: Sequence[evo.Results], turn: evo.Turn) -> Sequence[evo.Change]:
        return offer(self.archive, results, self._reporting)

    @property
    def archives(self) -> Mapping[str, Archive]:
        return {"archive": self.archive}

    def state(self) -> Mapping[str, Any]:
        return {"archive": self.archive.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.archive.restore(state["archive"])


class Enumeration(_Keeping):
    """Shards of 0..total, each a request, until there is none left."""

    block = 3

    def __init__(self, total: int = 100, shard: int = 10, trap: int = -1) -> None:
        super().__init__()
        self.total, self.shard, self.trap = total, shard, trap
        self._next = 0

    def ask(self, n: int, turn: evo.Turn) -> Sequence[evo.Requests]:
        starts = list(range(self._next, self.total, self.shard))[:n]
        self._next += len(starts) * self.shard
        args = [{"start": start, "stop": min(start + self.shard, self.total), "trap": self.trap} for start in starts]
        return [evo.Requests(make="shard", args=args)] if args else []

    def state(self) -> Mapping[str, Any]:
        return {**super().state(), "next": self._next}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self._next = state["next"]


class Rewrite(Operator):
    """Up to `count` children of one parent, as a language model would write them: some come to nothing."""

    def make(self, parents: Any, args: Mapping[str, Any], space: evo.Space, work: evo.Work) -> evo.Births:
        rng = work.rng(purpose="make")
        count = int(rng.integers(0, args["count"] + 1))
        children = parents[0] ^ (rng.random((count, *space.shape)) < 0.2)
        return evo.Births(children, costs={"tokens": 10.0 * args["count"]}, message="" if count else "nothing parsed")


class Rewrites(_Keeping):
    """Asks for several rewrites of the best genome so far; parents travel with the request."""

    block = 4

    @property
    def operators(self) -> Mapping[str, Operator]:
        return {"rewrite": Rewrite()}

    def ask(self, n: int, turn: evo.Turn) -> Sequence[evo.Requests]:
        if not len(self.archive):
            return [evo.Requests(genomes=self._problem.space.sample(n, turn.rng), operator="sample")]
        best = self.archive.elites()
        rows = turn.rng.integers(len(best), size=n)
        return [
            evo.Requests(
                make="rewrite",
                args=[{"count": 4}] * n,
                inputs=[best.genomes[row : row + 1] for row in rows],
                parents=best.candidate[rows][:, None],
            )
        ]


class Rungs(_Keeping):
    """EvoPress: eight children a generation on one common minibatch, the better half of them measured in full."""

    block = 8

    def __init__(self) -> None:
        super().__init__()
        self._state: dict[str, Any] = {"due": "rung", "genomes": None, "candidate": None}

    def ask(self, n: int, turn: evo.Turn) -> Sequence[evo.Requests]:
        state = self._state
        if state["due"] == "nothing":
            return []
        draw = np.full(8, turn.first_id)
        if state["due"] == "rung":
            elites = self.archive.elites()
            start = elites.genomes[:1] if len(elites) else self._problem.space.sample(1, turn.rng)
            children = start ^ (turn.rng.random((8, *self._problem.space.shape)) < 0.1)
            parents = np.repeat(elites.candidate[:1], 8)[:, None] if len(elites) else None
            asked = evo.Requests(genomes=children, fidelity="rung", draw=draw, operator="flip", parents=parents)
        else:
            asked = evo.Requests(genomes=state["genomes"], candidate=state["candidate"], fidelity="full", draw=draw[:4])
        state["due"] = "nothing"
        return [asked]

    def tell(self, results: Sequence[evo.Results], turn: evo.Turn) -> Sequence[evo.Change]:
        (part,) = results
        if part.requests.fidelity == "rung":
            best = np.argsort(-part.objectives[:, 0], kind="stable")[:4]
            self._state = {"due": "full", "genomes": part.genomes[best], "candidate": part.candidate[best]}
        else:
            self._state["due"] = "rung"
        return super().tell(results, turn)

    def state(self) -> Mapping[str, Any]:
        return {**super().state(), **self._state}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self._state = {name: state[name] for name in ("due", "genomes", "candidate")}


class Cascade(_Keeping):
    """Texts are compiled; what compiled is timed, with its binary as an artifact that the worker needs."""

    block = 6

    def __init__(self) -> None:
        super().__init__()
        self._compiled: list[tuple[Any, int, str]] = []

    def ask(self, n: int, turn: evo.Turn) -> Sequence[evo.Requests]:
        batches = []
        ready, self._compiled = self._compiled[:n], self._compiled[n:]
        if ready:
            genomes = self._problem.space.stack([genome for genome, _, _ in ready])
            batches.append(
                evo.Requests(
                    genomes=genomes,
                    candidate=np.array([candidate for _, candidate, _ in ready]),
                    fidelity="time",
                    needs=[(binary,) for _, _, binary in ready],
                )
            )
        fresh = n - len(ready)
        if fresh:
            letters = np.array(list("abcx"))
            texts = ["".join(turn.rng.choice(letters, size=turn.rng.integers(1, 6))) for _ in range(fresh)]
            genomes = self._problem.space.stack([{"code": text} for text in texts])
            batches.append(evo.Requests(genomes=genomes, fidelity="compile", operator="write", reserve=0.25))
        return batches

    def tell(self, results: Sequence[evo.Results], turn: evo.Turn) -> Sequence[evo.Change]:
        for part in results:
            if part.requests.fidelity == "compile":
                for place, row in enumerate(part.owner.tolist()):
                    binary = part.notes[row].artifacts["binary"]
                    self._compiled.append((part.genomes[place], int(part.candidate[place]), binary))
        return super().tell(results, turn)

    def state(self) -> Mapping[str, Any]:
        waiting = [[genome, candidate, binary] for genome, candidate, binary in self._compiled]
        return {**super().state(), "compiled": waiting}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self._compiled = [(genome, candidate, binary) for genome, candidate, binary in state["compiled"]]
