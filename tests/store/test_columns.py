import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evo.store.columns import pack, unpack

json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text().filter(lambda k: k != "\0"), inner, max_size=4)
    ),
    max_leaves=12,
)
arrays = hnp.arrays(
    st.sampled_from([np.dtype(c) for c in ("<f8", "<f4", "<i8", "|u1", "|b1", "<u2", "<U3")]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@given(json_like)
def test_json_like_values_come_back_as_they_were(value):
    assert unpack(pack({"v": value})) == {"v": json.loads(json.dumps(value))}


@given(st.lists(arrays, max_size=4), st.binary())
def test_arrays_and_bytes_come_back_to_the_bit(values, raw):
    back = unpack(pack({"arrays": values, "raw": raw, "n": 3}))
    assert back["raw"] == raw
    assert back["n"] == 3
    assert len(back["arrays"]) == len(values)
    assert all(same(a, b) for a, b in zip(back["arrays"], values, strict=True))


@given(st.lists(json_like, max_size=6))
def test_arrays_of_objects_come_back_one_by_one(values):
    column = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        column[i] = value
    back = unpack(pack({"c": column}))["c"]
    assert back.dtype == object
    assert back.shape == column.shape
    assert list(back) == list(column)


def test_lists_of_equal_length_in_an_object_array_are_not_taken_for_rows():
    column = np.empty(2, dtype=object)
    column[0], column[1] = [1, 2], [3, 4]
    back = unpack(pack({"c": column}))["c"]
    assert back.shape == (2,)
    assert back[1] == [3, 4]


def test_structured_arrays_keep_their_dtype():
    dtype = np.dtype([("x", "<f8", (2,)), ("k", "<i8"), ("kind", "|u1")])
    rows = np.zeros(3, dtype=dtype)
    rows["x"], rows["k"] = 0.5, [1, 2, 3]
    assert same(unpack(pack({"r": rows}))["r"], rows)


@given(st.dictionaries(st.text(max_size=5), st.integers(), min_size=2))
def test_equal_values_give_equal_bytes_whatever_their_order(values):
    assert pack({"v": values}) == pack({"v": dict(reversed(values.items()))})


def test_a_value_without_a_plain_form_is_refused():
    with pytest.raises(TypeError, match="object"):
        pack({"v": object()})
