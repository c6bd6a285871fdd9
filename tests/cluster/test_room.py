"""How many workers fit into what is free on the nodes, and what a header's groups are in a run file."""

from __future__ import annotations

import pytest

from evo.config import parse_config
from evo.config.sections import staff_words
from evo.engine.crew import Crew, Group
from evo.errors import ConfigError
from evo.evaluator import Resources

ray_nodes = pytest.importorskip("workers.ray_nodes", reason="needs Ray", exc_type=ImportError)

NODES = {"a": {"CPU": 3.0, "memory": 8e9}, "b": {"CPU": 2.5, "GPU": 1.0, "memory": 2e9}}


@pytest.mark.parametrize(
    ("shape", "room"),
    [
        (Resources(1.0), 5),
        (Resources(2.0), 2),
        (Resources(0.5), 11),
        (Resources(4.0), 0),
        (Resources(1.0, gpus=0.5), 2),
        (Resources(1.0, memory=4_000_000_000), 2),
        (Resources(1.0, custom={"rare": 1}), 0),
    ],
)
def test_a_worker_needs_all_that_it_asks_for_on_one_node(shape: Resources, room: int) -> None:
    assert ray_nodes.how_many(ray_nodes.demand(shape), NODES, []) == room


def test_those_that_wait_for_a_place_have_theirs_first() -> None:
    one = ray_nodes.demand(Resources(1.0))
    assert ray_nodes.how_many(one, NODES, [Resources(1.0), Resources(2.0)]) == 2
    assert ray_nodes.how_many(one, NODES, [Resources(16.0)]) == 5


# The run file ---------------------------------------------------------------------------------------------------------


def staff(**workers: object) -> tuple[Group, ...]:
    return parse_config({"problem": "sphere", "algorithm": "random", "workers": workers}).workers.staff()


def test_a_run_file_says_a_number_a_range_or_groups() -> None:
    assert staff() == ()
    assert staff(count=8) == (Group(8, 8),)
    assert staff(min=2, max=9, patience=60.0) == (Group(2, 9, patience=60.0),)
    assert staff(max=4) == (Group(1, 4),)
    assert staff(min=3) == (Group(3, None),)
    assert staff(groups=[{"min": 0, "max": 2, "gpus": 1}, {"count": 4, "cpus": 2}]) == (
        Group(0, 2, Resources(gpus=1.0)),
        Group(4, 4, Resources(2.0)),
    )


@pytest.mark.parametrize(
    ("workers", "told"),
    [
        ({"count": 3, "min": 1}, "give count, or min and max, not both"),
        ({"min": 3, "max": 2}, "expected max of at least min"),
        ({"groups": [{"count": 1}], "cpus": 2}, "give groups, or count"),
        ({"groups": [{"cores": 1}]}, r"workers\.groups\[0\]\.cores: unknown key"),
        ({"max": 0}, r"workers\.max"),
        ({"patience": 0}, r"workers\.patience"),
    ],
)
def test_contradictions_are_refused_with_the_key(workers: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        staff(**workers)


@pytest.mark.parametrize(
    "workers",
    [
        {"count": 8},
        {"min": 2, "max": 9, "patience": 60.0},
        {"min": 3, "max": None},
        {"groups": [{"min": 0, "max": 2, "gpus": 1.0}, {"count": 4}]},
    ],
)
def test_a_header_says_the_groups_back_as_a_run_file_would(workers: dict[str, object]) -> None:
    groups = staff(**workers)
    told = Crew.of(groups, None).describe()["groups"]
    assert staff(**staff_words(told)) == groups
