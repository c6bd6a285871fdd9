"""JSON with integers of any length."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evo.json_text import read_json, write_json

HUGE = 7**6000  # 5 071 digits: more than Python converts by itself
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    leaves | st.booleans().map(lambda up: HUGE if up else -HUGE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values, st.booleans())
def test_what_is_written_is_read(value, canonical):
    assert read_json(write_json(value, canonical=canonical)) == value


@pytest.mark.parametrize(("canonical", "options"), [(False, {}), (True, {"sort_keys": True, "separators": (",", ":")})])
def test_beside_a_long_integer_everything_is_spelled_as_ever(canonical, options):
    value = {"b": [1, True, None, -0.5, math.inf], "a": {"é": "x", "2": (), "c": {}}}
    usual = json.dumps([value], **options)
    assert write_json([value], canonical=canonical) == usual
    assert write_json([value, HUGE], canonical=canonical).startswith(usual[:-1])


@pytest.mark.parametrize("text", ["", "{", "[1,]", "nonsense"])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(json.JSONDecodeError):
        read_json(text)


def test_what_json_does_not_know_is_refused():
    with pytest.raises(TypeError):
        write_json({"a": object(), "b": HUGE})
