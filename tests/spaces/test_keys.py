"""Keys: equal rows alike, others apart, on every machine."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evo.errors import SpaceError
from evo.spaces import BitMask, Box, Categorical, Json, Mixed, row_keys

MASK = (1 << 64) - 1


def finalise(z: int) -> int:
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
    return z ^ z >> 31


def key_of(data: bytes) -> int:
    """The definition, in whole numbers of Python."""
    data += bytes(-len(data) % 8)
    total = 0
    for place in range(len(data) // 8):
        word = int.from_bytes(data[8 * place : 8 * place + 8], "little")
        mixed = ((word ^ word >> 32) * 0xBF58476D1CE4E5B9) & MASK
        mixed ^= mixed >> 29
        total += mixed * (finalise((place + 1) * 0x9E3779B97F4A7C15 & MASK) | 1)
    return finalise((total + (len(data) // 8 + 1) * 0x9E3779B97F4A7C15) & MASK)


dtypes = st.sampled_from(["<f8", "<i8", "?", "u1", "<f4", "<i2"])


@given(batch=dtypes.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=1, max_dims=3, max_side=5))))
def test_a_key_is_the_written_definition_of_the_rows_bytes(batch: np.ndarray) -> None:
    assert row_keys(batch).tolist() == [key_of(row.tobytes()) for row in batch]


def test_keys_do_not_change_between_versions() -> None:
    assert hex(row_keys(np.arange(3.0)[None])[0]) == "0x422b681ad479394b"


def test_a_key_does_not_depend_on_batch_or_layout() -> None:
    batch = np.random.default_rng(0).standard_normal((5000, 7))
    keys = row_keys(batch)
    assert (row_keys(np.asfortranarray(batch)) == keys).all()
    assert (row_keys(batch[::-3]) == keys[::-3]).all()
    assert [int(row_keys(batch[i : i + 1])[0]) for i in (0, 1, 4999)] == keys[[0, 1, 4999]].tolist()
    assert row_keys(batch[:0]).shape == (0,)


STRUCTURED = {
    "small integers": np.array(list(itertools.product(range(-8, 8), repeat=4))),
    "small whole floats": np.array(list(itertools.product(range(-8, 8), repeat=4)), dtype=np.float64),
    "powers of two": 2.0 ** np.array(list(itertools.product(range(-8, 8), repeat=4))),
    "masks": np.array(list(itertools.product([False, True], repeat=16))),
    "permutations": np.array(list(itertools.permutations(range(8)))),
    "neighbouring floats": (np.full(60_000, 0x3FF0000000000000) + np.arange(60_000)).view(np.float64)[:, None],
    "top bits alone": np.array(list(itertools.product(np.arange(256) << 55, repeat=2))),
}


@pytest.mark.parametrize("kind", STRUCTURED)
def test_alike_rows_get_keys_that_look_random(kind: str) -> None:
    keys = row_keys(STRUCTURED[kind])
    assert len(np.unique(keys)) == len(keys)
    for shift in range(0, 64, 8):  # chi-squared of 256 buckets, in standard deviations
        counts = np.bincount((keys >> np.uint64(shift)).astype(np.uint8), minlength=256)
        expected = len(keys) / 256
        assert abs(((counts - expected) ** 2 / expected).sum() - 255) / (2 * 255) ** 0.5 < 6


def test_exchanged_coordinates_and_other_widths_get_other_keys() -> None:
    assert row_keys(np.array([[1.0, 2.0]])) != row_keys(np.array([[2.0, 1.0]]))
    assert len({int(row_keys(np.zeros((1, width)))[0]) for width in range(5)}) == 5


def test_records_and_json_values_have_keys_too() -> None:
    space = Mixed(a=BitMask(3), b=Categorical("xyz"), c=Box(0.0, 1.0, size=2))
    batch = space.sample(100, np.random.default_rng(0))
    assert row_keys(batch).tolist() == [key_of(row.tobytes()) for row in batch]
    values = Json().stack([{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 2.0}])
    first, second, third = row_keys(values).tolist()
    assert first == second != third


def test_a_single_genome_is_no_batch() -> None:
    with pytest.raises(SpaceError, match="batch"):
        row_keys(np.array(1.0))
