"""(1+lambda) that begins again where it gets no further."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine.breaking import StopHere, raising
from engine.worlds import canonical

import evo
from evo.testing import check_algorithm
from problems.planted import PlantedCoupled, PlantedNoisy

RUNGS = [{"survivors": 2, "reserve": 0.5}, {"survivors": 1, "samples": 16}]


def search(problem: evo.Problem | None = None, evaluations: int = 300, seed: int = 3, **options: Any) -> evo.Run:
    run_options = {
        name: options.pop(name) for name in ("run_dir", "on_elite", "message_seconds", "log") if name in options
    }
    algorithm = evo.OnePlusLambda(**{"offspring": 8, "initial": 10, "patience": 2, **options})
    return evo.search(
        problem or PlantedCoupled(16, 6, 3.0), algorithm, evaluations=evaluations, seed=seed, **run_options
    )


def founders(run: evo.Run) -> list[int]:
    """The first request of each founding."""
    ids = [one for batch in run.reader.requests() if batch.operator == "sample" for one in batch.ids.tolist()]
    return [one for one in ids if one - 1 not in ids]


def test_after_so_many_generations_without_gain_it_begins_again() -> None:
    run = search()
    damage = run.frame().set_index("request")["damage"].to_numpy()
    starts = founders(run)
    assert len(starts) > 3
    for start, end in pairwise(starts):
        line = damage[start:end]
        bests = [line[:10].min(), *(line[:stop].min() for stop in range(18, len(line) + 1, 8))]
        gains = (np.diff(bests) < 0).tolist()
        assert gains[-2:] == [False, False]  # a generation that brought nothing, and another
        assert [False, False] not in [gains[i : i + 2] for i in range(len(gains) - 2)]


def test_patience_decides_how_often() -> None:
    often, seldom, never = (len(founders(search(patience=patience))) for patience in (1, 4, None))
    assert often > seldom > never == 1


def test_it_leaves_local_optima_that_hold_others() -> None:
    def found(patience: int | None) -> list[bool]:
        problems = [PlantedCoupled(seed=seed) for seed in (4, 5, 6)]
        options = {"offspring": 16, "initial": 32, "patience": patience, "log": False}
        return [search(problem, 704, **options).summary["gap"] == 0.0 for problem in problems]

    assert found(4) == [True] * 3
    assert found(None) == [False] * 3


def test_the_best_of_all_lines_is_kept() -> None:
    run = search()
    assert run.best is not None
    assert run.best.objectives["damage"] == run.frame()["damage"].min()


def test_with_rungs_too() -> None:
    problem = PlantedNoisy(0.3, 12, 5)
    run = search(problem, rungs=RUNGS, evaluations=200)
    assert len(founders(run)) > 2
    assert run.evaluations <= 200
    check_algorithm(lambda: evo.OnePlusLambda(8, rungs=RUNGS, initial=6, patience=1), problem, moves=30)


@pytest.mark.parametrize("after", [2, 5])
def test_broken_off_it_goes_on_to_the_byte(after: int, tmp_path: Path) -> None:
    expected = canonical(search(run_dir=tmp_path / "whole"), tmp_path)
    with contextlib.suppress(StopHere):
        search(run_dir=tmp_path / "run", on_elite=raising(StopHere, after), message_seconds=1e-9)
    assert canonical(evo.resume(tmp_path / "run"), tmp_path) == expected


def test_patience_below_one_is_refused() -> None:
    with pytest.raises(evo.ConfigError, match="expected patience >= 1, got 0; leave it out for no restarts"):
        search(patience=0)
