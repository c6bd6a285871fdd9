"""Every operator keeps an operator's promises on the spaces that it is for, and refuses the others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import ConfigError, SpaceError
from evo.evaluator import Work
from evo.operator import Operator
from evo.space import Space
from evo.spaces import BitMask, Box, Categorical, Integers, Json, Mixed, Permutation
from evo.testing import check_operator
from operators.chain import Chain
from operators.discrete import Flip, PerPart, Resample, Swap
from operators.real import SBX, Gaussian, IsoLine, Polynomial, Uniform

BOX = Box([-1.0, 0.0, 5.0], [1.0, 0.001, 5000.0])
OPEN = Box(-np.inf, np.inf, size=30)
HALF_OPEN = Box([-1.0, -np.inf, 0.0], [1.0, 0.0, np.inf])
MIXED = Mixed(rate=Box(0.0, 1.0, size=4), flags=BitMask(5), order=Permutation(4), layer=Categorical("abc", 2))
PER_PART = PerPart(rate=IsoLine(), flags=Flip(), order=Swap())

FITS: list[tuple[Operator, Space]] = [
    *((operator, space) for operator in (Gaussian(), IsoLine(), SBX()) for space in (BOX, OPEN, HALF_OPEN)),
    (Gaussian([0.1, 1e-4, 10.0]), BOX),
    (Polynomial(probability=1.0), BOX),
    (Polynomial(), Box(-1.0, 1.0, size=40)),
    *((Uniform(), space) for space in (BOX, Integers(0, 9, 8), BitMask(8), Permutation(8), MIXED)),
    (Flip(), BitMask(20)),
    (Resample(), Integers([0, 10], [5, 30])),
    (Resample(0.5), Categorical(["a", "b"], 10)),
    (Swap(), Permutation(3)),
    (Swap(times=5), Permutation(9)),
    (PER_PART, MIXED),
    (Chain(SBX(), Polynomial()), BOX),
    (Chain(Uniform(), [PER_PART_ONE := PerPart(flags=Flip()), PER_PART_ONE]), MIXED),
]


@pytest.mark.parametrize(("operator", "space"), FITS, ids=lambda value: repr(value).partition(" object at ")[0][:40])
def test_every_operator_keeps_its_promises(operator: Operator, space: Space) -> None:
    check_operator(operator, space)


@given(
    size=st.integers(1, 40),
    n=st.integers(0, 70),
    seed=st.integers(0, 2**32),
    operator=st.sampled_from([Gaussian(3.0), IsoLine(3.0, 3.0), Polynomial(1.0, 1.0), SBX(0.0, 1.0), Uniform()]),
)
def test_children_of_parents_anywhere_stay_in_the_box(size: int, n: int, seed: int, operator: Operator) -> None:
    space = Box(-1.0, 2.0, size=size)
    rng = np.random.default_rng(seed)
    parents = [space.repair(4.0 * space.sample(n, rng)) for _ in range(operator.arity)]  # many on the bounds
    children = operator.vary(parents, space, rng)
    assert children.shape == (n, size)
    space.check(children)


@pytest.mark.parametrize(
    ("operator", "space", "why"),
    [
        (Gaussian(), BitMask(3), "Gaussian varies real vectors"),
        (IsoLine(), Integers(0, 1, 3), "IsoLine varies real vectors"),
        (Polynomial(), OPEN, "Polynomial needs finite bounds"),
        (Polynomial(), BitMask(3), "Polynomial varies real vectors between bounds"),
        (SBX(), BitMask(3), "SBX crosses real vectors"),
        (Uniform(), Json(), "Uniform crosses arrays"),
        (Flip(), BOX, "Flip varies bits"),
        (Resample(), Permutation(3), "Resample varies whole numbers and choices"),
        (Swap(), Permutation(1), "Swap varies permutations of two or more"),
        (Swap(), BOX, "Swap varies permutations"),
        (PER_PART, BOX, "PerPart varies the parts of a Mixed space"),
        (PerPart(speed=Gaussian()), MIXED, r"not \['speed'\]"),
    ],
)
def test_an_operator_refuses_a_space_that_it_is_not_for(operator: Operator, space: Space, why: str) -> None:
    genomes = space.empty(2)
    with pytest.raises(SpaceError, match=why):
        operator.vary([genomes] * operator.arity, space, np.random.default_rng(0))


@pytest.mark.parametrize(
    "build",
    [
        lambda: Gaussian(-1.0),
        lambda: Gaussian([[1.0]]),  # type: ignore[list-item]
        lambda: IsoLine(iso_sigma=-1.0),
        lambda: IsoLine(line_sigma=float("nan")),
        lambda: Polynomial(eta=-1.0),
        lambda: Polynomial(probability=0.0),
        lambda: SBX(eta=-1.0),
        lambda: SBX(probability=1.5),
        lambda: Flip(2.0),
        lambda: Resample(0.0),
        lambda: Swap(0),
        lambda: PerPart(),
        lambda: PerPart(rate=3),  # type: ignore[arg-type]
        lambda: Chain(Gaussian(), []),
        lambda: Chain(Gaussian(), SBX()),
    ],
)
def test_parameters_that_make_no_sense_are_refused(build: Callable[[], Operator]) -> None:
    with pytest.raises(ConfigError):
        build()


def test_an_operator_makes_one_child_on_a_worker_too() -> None:
    work = Work(seed=1, fidelity="full", draws=np.array([7]))
    parents = BOX.sample(2, np.random.default_rng(0))
    births = IsoLine().make(parents, {}, BOX, work)
    assert births.genomes.shape == (1, 3)
    assert births.genomes.tobytes() == IsoLine().make(parents, {}, BOX, work).genomes.tobytes()


def test_a_chain_is_named_after_its_links() -> None:
    assert Chain(SBX(), Polynomial()).name == "sbx+polynomial"
    assert (
        Chain(IsoLine(), [Gaussian(), Chain(Gaussian(), Polynomial())]).name == "iso_line+gaussian+gaussian+polynomial"
    )


def test_a_chain_has_the_arity_of_its_first() -> None:
    assert Chain(IsoLine(), Gaussian()).arity == 2
    assert PER_PART.arity == 2
    assert PerPart(flags=Flip()).arity == 1
