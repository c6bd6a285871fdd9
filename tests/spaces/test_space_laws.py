"""Laws that hold for every space, tried on many."""

from __future__ import annotations

import cloudpickle
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import SpaceError
from evo.space import ArraySpace, Space
from evo.spaces import BitMask, Box, Categorical, Integers, Mixed, Permutation
from evo.testing import check_space

sizes = st.integers(1, 6)
boxes = st.builds(Box, st.floats(-1e6, -1e-3), st.floats(1e-3, 1e6), sizes)
integers = st.builds(Integers, st.integers(-(2**62), 0), st.integers(0, 2**62), sizes)
choices = st.lists(st.integers() | st.text(), min_size=1, max_size=5, unique=True)
arrays = boxes | integers | sizes.map(BitMask) | sizes.map(Permutation) | st.builds(Categorical, choices, sizes)
products = st.dictionaries(st.from_regex("[a-z]{1,5}", fullmatch=True), arrays, min_size=1, max_size=4).map(
    lambda parts: Mixed(**parts)
)


@given(space=arrays | products, seed=st.integers(0, 2**32))
def test_every_space_keeps_its_promises(space: Space, seed: int) -> None:
    check_space(space, n=9, seed=seed)


@given(space=arrays, seed=st.integers(0, 2**32))
def test_repair_brings_any_numbers_inside_and_is_idempotent(space: ArraySpace, seed: int) -> None:
    wild = np.random.default_rng(seed).standard_cauchy((9, *space.shape)) * 1e4
    once = space.repair(wild)
    space.check(once)
    assert space.encode(space.repair(once.copy())) == space.encode(once)


@pytest.mark.parametrize("space", [BitMask(3), Integers(0, 5, 3), Categorical("abc", 3), Permutation(3), Box(0, 1, 3)])
def test_a_pickled_space_is_the_same_space(space: Space) -> None:
    check_space(cloudpickle.loads(cloudpickle.dumps(space)), n=3)


@pytest.mark.parametrize("space", [BitMask(3), Integers(0, 5, 3), Categorical("abc", 3), Permutation(3)])
def test_a_batch_of_the_wrong_width_is_refused_with_both_shapes(space: Space) -> None:
    with pytest.raises(SpaceError, match=r"expected shape \(n, 3\), got \(2, 4\)"):
        space.check(np.zeros((2, 4), dtype=space.dtype))
