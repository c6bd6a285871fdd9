"""Every algorithm of ours keeps its promises; a broken one is refused with its sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from engine.worlds import Verified

import evo
from evo.algorithm import Algorithm, Turn
from evo.records import Change, Requests, Results
from evo.testing import check_algorithm
from operators.real.iso_line import IsoLine
from operators.real.uniform import Uniform
from problems.arm import Arm


class Mind(evo.Random):
    """Keeps a generator of its own, so it does not repeat itself."""

    def ask(self, n: int, turn: Turn) -> Sequence[Requests]:
        return [Requests(genomes=np.random.default_rng().normal(size=(n, 4)))]


class Greedy(evo.Random):
    """Gives more than it is asked for."""

    def ask(self, n: int, turn: Turn) -> Sequence[Requests]:
        return super().ask(n + 1, turn)


class Forgetful(evo.MapElites):
    """Does not take its archive along."""

    def restore(self, state: object) -> None:
        pass


class Secretive(evo.MapElites):
    """Says nothing of what changed."""

    def tell(self, results: Sequence[Results], turn: Turn) -> Sequence[Change]:
        super().tell(results, turn)
        return ()


MAKERS: list[Callable[[], Algorithm]] = [
    lambda: evo.Random(),
    lambda: evo.MapElites((8, 8), operator=IsoLine(0.1, 0.2)),
    lambda: evo.MapElites((8, 8), initial=60),
    lambda: evo.Genetic(30, crossover=Uniform()),
    lambda: evo.Genetic(30, selection="steady"),
    lambda: evo.Genetic(30, selection="steady", ageing=True),
]


@pytest.mark.parametrize("make", MAKERS)
def test_algorithms_keep_their_promises(make: Callable[[], Algorithm]) -> None:
    check_algorithm(make, Arm(4))


class Unfinished(evo.Enumeration):
    """Does not take along where it stands."""

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore({**state, "next": 0})


def test_the_enumeration_keeps_its_promises() -> None:
    check_algorithm(lambda: evo.Enumeration(7), Verified())
    check_algorithm(lambda: evo.Enumeration(1), Verified(total=1000, trap=33, broken=64))


def test_an_enumeration_that_begins_anew_is_refused() -> None:
    with pytest.raises(AssertionError, match="asks for other work from the same seed"):
        check_algorithm(lambda: Unfinished(1), Verified(total=1000))


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (Mind, "asks for other work from the same seed"),
        (Greedy, r"ask\(20\) gave 21"),
        (Forgetful, "asks for other work from the same seed"),
        (Secretive, "are not what its archive"),
    ],
)
def test_a_broken_algorithm_is_refused(broken: type[Algorithm], sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_algorithm(broken, Arm(4))
