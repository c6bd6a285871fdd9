"""Nodes that stop answering, and answer again: a node is here a socket, and what Ray says of it is given."""

import socket
from contextlib import closing

import pytest

ray_actor = pytest.importorskip("workers.ray_actor", reason="needs Ray", exc_type=ImportError)


def listening(port=0):
    return closing(socket.create_server(("127.0.0.1", port)))


@pytest.fixture
def cluster(monkeypatch):
    """(workers, ports by node, how often a node was knocked at)."""
    nodes, knocked = {}, []

    def alive():
        return {node: {"NodeManagerAddress": "127.0.0.1", "NodeManagerPort": port} for node, port in nodes.items()}

    def answers(node):
        knocked.append(node["NodeManagerPort"])
        return ray_nodes_answers(node)

    ray_nodes_answers = ray_actor.answers
    monkeypatch.setattr(ray_actor, "alive", alive)
    monkeypatch.setattr(ray_actor, "answers", answers)
    return ray_actor.RayWorkers(1), nodes, knocked


def test_a_node_that_answers_is_not_lost(cluster):
    workers, nodes, knocked = cluster
    with listening() as server:
        nodes["a"] = server.getsockname()[1]
        assert not workers._lost("a")
    assert len(knocked) == 1
    assert workers._barred() == set()


def test_a_node_is_knocked_at_three_times_and_then_known_to_be_lost(cluster):
    workers, nodes, knocked = cluster
    with listening() as server:
        nodes["a"] = server.getsockname()[1]
    assert all(workers._lost("a") for _ in range(50))
    assert len(knocked) == 3
    assert workers._barred() == {"a"}


def test_a_node_that_ray_knows_to_be_gone_is_not_knocked_at(cluster):
    workers, _, knocked = cluster
    assert workers._lost("a")
    assert not knocked


def test_a_lost_node_that_answers_again_takes_workers_again(cluster):
    workers, nodes, _ = cluster
    with listening() as server:
        nodes["a"] = server.getsockname()[1]
    assert workers._lost("a")
    with listening(nodes["a"]):
        workers._next_knock = 0.0
        assert workers._barred() == set()
        assert not workers._lost("a")


@pytest.mark.parametrize("error", [ray_actor.GetTimeoutError("late"), ray_actor.ObjectLostError("00" * 28, None, "")])
def test_an_answer_that_cannot_be_read_is_blamed_on_the_node_only_where_that_is_lost(cluster, error):
    workers, nodes, _ = cluster
    with listening() as server:
        nodes["a"] = server.getsockname()[1]
        assert not workers._blame(error, "a", 7)[1]
        assert workers._blame(error, "a", ray_actor._WARM)[1]
    assert workers._blame(error, "a", 7)[1]
