"""JSON-like genomes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.errors import SpaceError
from evo.spaces import Json
from evo.spaces.json_value import canonical_json
from evo.testing import check_space

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


def same(a: object, b: object) -> bool:
    """Equal, and of equal types all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return a == b and math.copysign(1, a) == math.copysign(1, b)
    return a == b


@given(genomes=st.lists(values, max_size=5))
def test_every_value_comes_back_from_its_canonical_form(genomes: list[object]) -> None:
    space = Json()
    back = space.decode(space.encode(space.stack(genomes)), len(genomes))
    assert back.dtype == object
    assert all(map(same, back.tolist(), genomes))
    check_space(space, genomes=space.stack(genomes))


@given(a=values, b=values)
def test_canonical_forms_are_equal_exactly_when_the_values_are(a: object, b: object) -> None:
    assert (canonical_json(a) == canonical_json(b)) == same(a, b)


def test_the_order_of_keys_does_not_matter() -> None:
    assert canonical_json({"b": 1, "a": {"d": 2, "c": 3}}) == b'{"a":{"c":3,"d":2},"b":1}'


def test_integers_may_have_any_length() -> None:
    huge = {"b": [10**9999, True, "x"], "a": -(10**5000)}
    space = Json()
    assert space.decode(space.encode(space.stack([huge])), 1)[0] == huge
    assert canonical_json(huge) == b'{"a":-1' + b"0" * 5000 + b',"b":[1' + b"0" * 9999 + b',true,"x"]}'


def test_tuples_and_numpy_numbers_become_plain() -> None:
    (genome,) = Json().stack([(np.float64(0.1), (np.int64(2), np.True_))])
    assert same(genome, [0.1, [2, True]])


def test_lists_of_equal_length_stay_genomes() -> None:
    assert Json().stack([[1, 2], [3, 4]]).shape == (2,)
    assert Json().decode(b"[[1,2],[3,4]]", 2).tolist() == [[1, 2], [3, 4]]


def test_a_batch_does_not_hold_the_callers_objects() -> None:
    genome = {"a": [1]}
    batch = Json().stack([genome])
    genome["a"].append(2)
    assert batch[0] == {"a": [1]}


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": [1, math.nan]}, r"genome 0\['a'\]\[1\]: expected a finite number, got nan"),
        ([math.inf], r"genome 0\[0\]: expected a finite number"),
        ({1: 2}, "genome 0: expected text keys, got 1"),
        ({"a": {1, 2}}, r"genome 0\['a'\]: expected a JSON-like value .* got set"),
        (b"bytes", "genome 0: expected a JSON-like value"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(value: object, where: str) -> None:
    with pytest.raises(SpaceError, match=where):
        Json().stack([value])


def test_a_plain_json_space_says_how_to_give_it_first_genomes() -> None:
    with pytest.raises(SpaceError, match=r"override sample_one .* initial"):
        Json().sample(1, np.random.default_rng(0))


class Even(Json):
    def sample_one(self, rng: np.random.Generator) -> int:
        return 2 * int(rng.integers(1000))

    def check_one(self, genome: object) -> None:
        if not isinstance(genome, int) or genome % 2:
            raise SpaceError(f"expected an even number, got {genome!r}")


def test_a_subclass_draws_and_refuses() -> None:
    check_space(Even())
    with pytest.raises(SpaceError, match="even"):
        Even().stack([2, 3])
