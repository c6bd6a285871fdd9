"""How a sandbox is asked for: by the problem, a fidelity, a call, a run file or the command line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import evo
from evo import Fidelity, Problem, Sandbox
from evo.config import parse_config
from evo.engine.crew import Crew
from evo.errors import ConfigError
from evo.records import BORN
from evo.sandbox import ABILITIES, chosen, sandbox_from
from evo.worker import Kit

LIMITS = st.builds(
    Sandbox,
    cpu_seconds=st.none() | st.floats(0.1, 1e6),
    memory=st.integers(1 << 20, 1 << 50),
    processes=st.integers(1, 10**6),
    output_bytes=st.integers(0, 1 << 40),
    network=st.booleans(),
    write=st.lists(st.just("/data"), max_size=1).map(tuple),
    require=st.lists(st.sampled_from(ABILITIES), max_size=3).map(tuple),
)
FLAGS = st.booleans() | LIMITS


class Bowl(Problem):
    space = evo.Box(-1.0, 1.0, size=2)
    objectives = (evo.Minimize("value"),)

    def evaluate(self, x: Any) -> evo.Evaluation:
        return evo.Evaluation([float((x**2).sum())])


@given(LIMITS)
def test_limits_survive_being_written_down(limits: Sandbox) -> None:
    assert sandbox_from(limits.describe()) == limits
    config = parse_config({"problem": "arm", "algorithm": "random", "workers": {"sandbox": limits.describe()}})
    said = config.workers.sandbox.said()
    assert said == limits or (limits == Sandbox() and said in (None, True))


@given(st.none() | FLAGS, FLAGS)
def test_the_user_has_the_last_word(users: bool | Sandbox | None, declared: bool | Sandbox) -> None:
    found = chosen(users, declared)
    if users is None:
        assert found == chosen(declared if declared else False, declared)
    elif isinstance(users, Sandbox):
        assert found == users
    else:
        assert (found is None) == (users is False)
        if users and isinstance(declared, Sandbox):
            assert found == declared


def test_the_problems_flag_is_its_evaluators() -> None:
    class Boxed(Bowl):
        sandbox = Sandbox(memory=1 << 30)

    assert Boxed().evaluator.fidelities["full"].sandbox == Sandbox(memory=1 << 30)
    assert Kit(Boxed(), {}, 1).sandboxes() == {BORN: Boxed.sandbox, "full": Boxed.sandbox}
    assert Kit(Boxed(), {}, 1, sandbox=False).sandboxes() == {}
    assert Kit(Bowl(), {}, 1).sandboxes() == {}
    assert Kit(Bowl(), {}, 1, sandbox=True).sandboxes() == {BORN: Sandbox(), "full": Sandbox()}
    assert Fidelity().sandbox is False


def test_a_run_remembers_it() -> None:
    crew = Crew.of(None, None, sandbox=Sandbox(processes=7))
    assert sandbox_from(crew.describe()["sandbox"]) == Sandbox(processes=7)
    assert Crew.of(None, None).describe()["sandbox"] is None


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({}, None),
        ({"sandbox": None}, None),
        ({"sandbox": True}, True),
        ({"sandbox": False}, False),
        ({"sandbox": {"memory": 1 << 30}}, Sandbox(memory=1 << 30)),
        ({"sandbox": {"on": False, "memory": 1 << 30}}, False),
    ],
)
def test_a_run_file_says_it_by_a_flag_or_by_limits(said: dict[str, Any], meant: Any) -> None:
    config = parse_config({"problem": "arm", "algorithm": "random", "workers": said})
    assert config.workers.sandbox.said() == meant
    assert parse_config(config.resolved()).workers.sandbox.said() == meant


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        ({"memory": 5}, "workers.sandbox.memory: expected greater than or equal to"),
        ({"memroy": 5}, "workers.sandbox.memroy: unknown key; did you mean 'memory'"),
        ({"require": ["magic"]}, "sandbox.require: expected some of network, files"),
        ({"write": ["here"]}, "sandbox.write: expected absolute paths, got 'here'"),
        ("yes", "workers.sandbox: expected one of the keys"),
    ],
)
def test_what_is_no_limit_is_refused_by_its_key(limits: Any, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint.replace(".", r"\.")):
        parse_config({"problem": "arm", "algorithm": "random", "workers": {"sandbox": limits}})


@pytest.mark.parametrize(
    ("name", "value"),
    [("memory", 1.5), ("memory", True), ("processes", 0), ("cpu_seconds", 0), ("network", 1), ("write", "/tmp")],
)
def test_limits_out_of_range_are_refused_in_python_too(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"sandbox\.{name}: expected"):
        Sandbox(**{name: value})


def test_something_else_is_no_sandbox() -> None:
    with pytest.raises(ConfigError, match="sandbox: expected true, false or"):
        evo.search(Bowl(), evaluations=1, sandbox="yes")  # type: ignore[arg-type]
