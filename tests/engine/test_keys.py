"""Equal work is found, and only equal work."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evo
from evo.engine.keys import KeyTable, work_keys
from evo.records import Requests
from evo.store.columns import pack, unpack

# The table against a dict ---------------------------------------------------------------------------------------------


class Reference:
    """What the table promises, in a dict."""

    def __init__(self):
        self.owner = {}

    def add(self, keys, ids):
        return [self._one(key, one) for key, one in zip(keys, ids, strict=True)]

    def _one(self, key, one):
        if key in self.owner:
            return self.owner[key]
        self.owner[key] = one
        return -1


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 2**32), st.sampled_from([1, 3, 63, 64, 65, 200]), st.integers(2, 300)),
        st.tuples(st.just("replace"), st.integers(0, 300), st.just(0), st.just(0)),
        st.tuples(st.just("reload"), st.just(0), st.just(0), st.just(0)),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=150)
@given(steps)
def test_the_table_answers_as_a_dict_would(plan):
    table, reference, next_id = KeyTable(), Reference(), 0
    for kind, number, n, distinct in plan:
        if kind == "add":
            keys = np.random.default_rng(number).integers(0, distinct, n).astype(np.uint64) * np.uint64(
                0x9E3779B97F4A7C15
            )
            ids = np.arange(next_id, next_id + n)
            next_id += n
            assert table.add(keys, ids).tolist() == reference.add(keys.tolist(), ids.tolist())
        elif kind == "replace" and reference.owner:
            key = sorted(reference.owner)[number % len(reference.owner)]
            reference.owner[key] = next_id
            table.replace(key, next_id)
            next_id += 1
        elif kind == "reload":
            state = unpack(pack(table.state()))
            table = KeyTable()
            table.restore(state)


def test_many_small_batches_are_remembered_beyond_the_buffer():
    table, rng = KeyTable(), np.random.default_rng(0)
    keys = rng.integers(0, 2**63, 10_000).astype(np.uint64)
    for start in range(0, len(keys), 10):
        assert (table.add(keys[start : start + 10], np.arange(start, start + 10)) == -1).all()
    assert table.add(keys[::-1].copy(), np.arange(20_000, 30_000)).tolist() == list(range(9_999, -1, -1))


def test_an_empty_batch_is_no_work():
    empty = np.empty(0, dtype=np.uint64)
    table = KeyTable()
    assert len(table.add(empty, np.empty(0, np.int64))) == 0
    assert table.state()["runs"] == []


@pytest.mark.parametrize("n", [10, 100])
def test_duplicates_inside_a_batch_belong_to_the_first(n):
    keys = np.full(n, 5, dtype=np.uint64)
    assert KeyTable().add(keys, np.arange(n)).tolist() == [-1] + [0] * (n - 1)


# What makes work equal ------------------------------------------------------------------------------------------------


class Fixed(evo.Problem):
    space = evo.BitMask(4)
    objectives = (evo.Maximize("ones"),)


class Random(Fixed):
    stochastic = True


class ByCount(Fixed):
    """Masks with equally many ones are the same work; those without any have no key of their own."""

    def key(self, genome):
        return bytes([int(genome.sum())]) if genome.any() else None


def asked(problem=None, genomes=((1, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0)), **columns):
    batch = Requests(genomes=np.array(genomes, dtype=bool), ids=np.arange(len(genomes)), **columns)
    return work_keys(problem or Fixed(), batch).tolist()


def test_equal_genomes_are_equal_work():
    first, second, third = asked(fidelity="full")
    assert first == second != third


@pytest.mark.parametrize(
    "other",
    [{"fidelity": "rung"}, {"fidelity": "full", "params": {"depth": 2}}, {"fidelity": "full", "needs": [("a",)] * 3}],
)
def test_another_fidelity_parameter_or_need_is_other_work(other):
    assert not set(asked(fidelity="full")) & set(asked(**other))


def test_needs_count_row_by_row():
    first, second, _ = asked(needs=[("a",), ("b",), ("a",)])
    assert first != second
    assert asked(needs=[("a", "b")] * 3) != asked(needs=[("b", "a")] * 3)


def test_the_order_of_parameters_does_not_matter():
    assert asked(params={"a": 1, "b": 2}) == asked(params={"b": 2, "a": 1})


def test_the_draw_counts_only_where_evaluations_are_stochastic():
    same, other = np.array([7, 7, 7]), np.array([7, 8, 7])
    assert asked(draw=same) == asked(draw=other) == asked()
    first, second, third = asked(Random(), draw=other)
    assert first != second
    first, second, third = asked(Random(), draw=same)
    assert first == second != third
    assert len(set(asked(Random()))) == 3  # without a draw of its own each request draws for itself


def test_operator_source_and_parents_do_not_count():
    assert asked() == asked(operator="flip", source="island/1", parents=np.zeros((3, 1), np.int64), reserve=0.5)


def test_the_problem_says_what_is_the_same():
    first, second, third = asked(ByCount(), genomes=((1, 0, 0, 0), (0, 0, 0, 1), (1, 1, 0, 0)))
    assert first == second != third
    mixed = asked(ByCount(), genomes=((1, 0, 0, 0), (0, 0, 0, 0), (0, 0, 1, 0)))
    assert mixed[0] == mixed[2] != mixed[1]


def test_work_that_makes_its_genomes_is_never_equal():
    assert work_keys(Fixed(), Requests(make="shard", args=[{}, {}], ids=np.arange(2))) is None
