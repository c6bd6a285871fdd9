"""The nodes of a cluster: what each has, what is free on it, and which of them can be used."""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import ray
import ray._private.state
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from evo.errors import ClusterLost, WorkerError
from evo.evaluator import Resources

__all__ = ["alive", "answers", "check", "demand", "free", "how_many", "some_place"]


_KNOCK_SECONDS = 0.1
"""The master waits for it: a host that is there accepts within a round trip of its network."""


def demand(shape: Resources) -> dict[str, float]:
    """The shape under Ray's names of resources."""
    asked = {"CPU": shape.cpus, "GPU": shape.gpus, "memory": float(shape.memory), **shape.custom}
    return {name: amount for name, amount in asked.items() if amount > 0}


def alive() -> dict[str, dict[str, Any]]:
    """Node id -> what Ray says of each node that is there.

    Raises:
        ClusterLost: the cluster does not answer.
    """
    try:
        return {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}  # type: ignore[no-untyped-call]
    except (RayError, ConnectionError, TimeoutError, RuntimeError) as error:
        raise ClusterLost(f"the Ray cluster does not answer: {error}") from error


def answers(node: Mapping[str, Any]) -> bool:
    """Whether the node's own process can be reached, whatever the cluster still thinks of it."""
    try:
        where = node["NodeManagerAddress"], int(node["NodeManagerPort"])
        socket.create_connection(where, timeout=_KNOCK_SECONDS).close()
    except OSError:
        return False
    return True


def free(barred: Collection[str] = ()) -> dict[str, dict[str, float]]:
    """Node id -> what is free there, of the nodes that take new workers.

    Raises:
        ClusterLost: the cluster does not answer.
    """
    here = alive()
    try:
        available = ray._private.state.available_resources_per_node()  # type: ignore[no-untyped-call]
        draining = ray._private.state.state.get_draining_nodes()
    except (RayError, ConnectionError, TimeoutError, RuntimeError) as error:
        raise ClusterLost(f"the Ray cluster does not answer: {error}") from error
    return {
        node: dict(amounts)
        for node, amounts in available.items()
        if node in here and node not in draining and node not in barred
    }


def how_many(asked: Mapping[str, float], places: Mapping[str, dict[str, float]], waiting: Sequence[Resources]) -> int:
    """How many workers that ask for so much fit into the free places, once those that are `waiting` have theirs."""
    left = {node: dict(amounts) for node, amounts in places.items()}
    for shape in waiting:
        wants = demand(shape)
        for amounts in left.values():
            if _fits(wants, amounts):
                for name, amount in wants.items():
                    amounts[name] -= amount
                break
    return sum(
        min(int(amounts.get(name, 0.0) / amount + 1e-9) for name, amount in asked.items()) for amounts in left.values()
    )


def some_place(shape: Resources, barred: Collection[str]) -> Any:
    """Ray's word for a node with room for this shape that is not barred; for any node where there is none now."""
    asked = demand(shape)
    fitting = [node for node, amounts in free(barred).items() if _fits(asked, amounts)]
    return NodeAffinitySchedulingStrategy(fitting[0], soft=False) if fitting else "SPREAD"


def check(shapes: Sequence[Resources]) -> None:
    """Refuse a shape that no node can ever hold: Ray itself would wait for one without a word.

    Raises:
        WorkerError: says what was asked and what the largest node has.
    """
    nodes = [node["Resources"] for node in alive().values()]
    for place, shape in enumerate(shapes):
        if shape not in shapes[:place]:
            _check(demand(shape), nodes)


def _check(asked: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> None:
    def fitting(node: Mapping[str, float]) -> tuple[int, float]:
        return sum(node.get(name, 0) >= amount for name, amount in asked.items()), node.get("CPU", 0)

    largest = max(nodes, key=fitting)
    if fitting(largest)[0] < len(asked):
        raise WorkerError(
            f"a worker was asked to have {_text(asked)}, but the largest node has "
            f"{_text({name: largest.get(name, 0) for name in asked})}: ask for less in the evaluator's resources, or "
            "give the address of a cluster that has it"
        )


def _fits(asked: Mapping[str, float], amounts: Mapping[str, float]) -> bool:
    return all(amounts.get(name, 0.0) >= amount for name, amount in asked.items())


def _text(amounts: Mapping[str, float]) -> str:
    words = {"CPU": "cpus", "GPU": "gpus"}
    parts = []
    for name, amount in amounts.items():
        shown = f"{amount / 2**30:.1f} GiB" if name == "memory" else f"{amount:g}"
        parts.append(f"{words.get(name, name)}={shown}")
    return ", ".join(parts)
