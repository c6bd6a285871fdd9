"""What the archive tests share: small grids over two measures in -1..1, and both insertion rules."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from evo.archive import Addition, Archive
from evo.archives import Grid, insert
from evo.problem import Maximize, Measure
from evo.spaces.box import Box


def setup(archive: Archive, *, dim: int = 3, space: Any = None, objectives: Any = None, axes: int = 2) -> Any:
    measures = [Measure(f"m{axis}", -1.0, 1.0) for axis in range(axes)]
    archive.setup(space or Box(-np.inf, np.inf, size=dim), objectives or [Maximize("f")], measures)
    return archive


@pytest.fixture(scope="session")
def new_grid() -> Callable[..., Grid]:
    """`new_grid(shape, min_gain=..., nonfinite=..., **setup)`: a grid ready for candidates."""

    def make(shape: Any = (7, 5), *, min_gain: float = 0.0, nonfinite: Any = "raise", **options: Any) -> Grid:
        axes = 1 if isinstance(shape, int) else len(shape)
        return setup(Grid(shape, min_gain=min_gain, nonfinite=nonfinite), axes=axes, **options)

    return make


@pytest.fixture(scope="session")
def ready() -> Callable[..., Any]:
    """`ready(archive, **setup)`: any archive set up."""
    return setup


@pytest.fixture(scope="session")
def offer() -> Callable[..., Addition]:
    """`offer(archive, objectives, measures, first_id)`: genomes and ids are made up."""

    def add(archive: Archive, objectives: Any, measures: Any = None, first: int = 0) -> Addition:
        objectives = np.asarray(objectives, dtype=np.float64).reshape(-1, 1)
        n = len(objectives)
        if measures is None:
            measures = np.zeros((n, 2))
        measures = np.asarray(measures, dtype=np.float64)
        ids = np.arange(first, first + n)
        return archive.add(ids[:, None] + np.zeros(3), objectives, measures, ids)

    return add


@pytest.fixture(scope="session")
def same() -> Callable[..., None]:
    """`same(a, b)`: two records of columns hold equal values, row by row."""

    def check(left: Any, right: Any) -> None:
        for name in type(left).__slots__:
            a, b = getattr(left, name), getattr(right, name)
            if isinstance(a, np.ndarray):
                np.testing.assert_array_equal(a, b, err_msg=name, strict=True)

    return check


@pytest.fixture(scope="module", params=["numpy", "numba"])
def either_rule(request: pytest.FixtureRequest) -> Iterator[insert.Rule]:
    """Runs a module's tests under both insertion rules."""
    choice = insert.NUMPY
    if request.param == "numba":
        choice = pytest.importorskip("evo.archives.insert_numba", exc_type=ImportError).NUMBA
    with insert.forced(choice):
        yield choice
