import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo.archives import insert

NUMBA = pytest.importorskip("evo.archives.insert_numba", exc_type=ImportError).NUMBA

number = st.one_of(
    st.integers(-3, 3).map(float),
    st.floats(allow_nan=True, allow_infinity=True),
)


@settings(max_examples=150, deadline=None)
@given(
    batches=st.lists(st.lists(st.tuples(number, number, number), max_size=12), min_size=1, max_size=5),
    min_gain=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_numpy_and_numba_give_the_same_bits(new_grid, same, batches, min_gain):
    left, right = (new_grid((3, 2), min_gain=min_gain, nonfinite="drop") for _ in range(2))
    first = 0
    for batch in batches:
        table = np.array(batch, dtype=np.float64).reshape(-1, 3)
        ids = np.arange(first, first + len(table))
        first += len(table)
        columns = (ids[:, None] * np.ones(3), table[:, :1], table[:, 1:], ids)
        with insert.forced(insert.NUMPY):
            one = left.add(*columns)
        with insert.forced(NUMBA):
            other = right.add(*columns)
        assert one.status.tobytes() == other.status.tobytes()
        assert one.value.tobytes() == other.value.tobytes()
        same(one.change, other.change)
    for name, column in left.state().items():
        assert column.tobytes() == right.state()[name].tobytes()


def test_large_batches_give_the_same_bits(new_grid, same):
    rng = np.random.default_rng(0)
    grids = {rule: new_grid((40, 40)) for rule in (insert.NUMPY, NUMBA)}
    for _ in range(3):
        objectives, measures = rng.integers(0, 50, (20_000, 1)) / 7, rng.normal(size=(20_000, 2))
        answers = []
        for rule, grid in grids.items():
            with insert.forced(rule):
                answers.append(grid.add(np.zeros((20_000, 3)), objectives, measures, np.arange(20_000)))
        assert answers[0].value.tobytes() == answers[1].value.tobytes()
        same(answers[0].change, answers[1].change)


def test_what_scratch_memory_holds_does_not_matter(new_grid, offer, same, either_rule):
    clean, dirty = new_grid((3, 3)), new_grid((3, 3))
    rng = np.random.default_rng(1)
    for step in range(200):
        dirty._store.leader[:] = rng.integers(-5, 40, 9)
        dirty._store.best[:] = rng.normal(size=9)
        objectives, measures = rng.integers(0, 9, 20) + step // 20, rng.uniform(-1, 1, (20, 2))
        same(offer(clean, objectives, measures).change, offer(dirty, objectives, measures).change)


def python(code: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path), **environment},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_importing_archives_does_not_import_numba():
    assert python("import sys, evo.archives; print('numba' in sys.modules)") == "False"


def test_the_environment_may_ask_for_numpy():
    code = "import sys; from evo.archives import insert; print(insert.rule().name, 'numba' in sys.modules)"
    assert python(code, EVO_NUMBA="0") == "numpy False"


def test_a_missing_numba_leaves_the_numpy_rule():
    code = "import sys; sys.modules['numba'] = None; from evo.archives import insert; print(insert.rule().name)"
    assert python(code) == "numpy"
