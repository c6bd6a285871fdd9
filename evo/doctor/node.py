"""What is to be said of one node of a cluster, given what a task has found there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evo.doctor.finding import Finding, no, ok, warn
from evo.doctor.memory import shared

__all__ = ["of_node"]

_SKEW = 2.0
"""Seconds of difference between clocks that nobody minds."""

Facts = Mapping[str, Any]


def of_node(name: str, node: Facts, here: Facts, nonce: str, skew: float) -> Iterator[Finding]:
    """All that is wrong with a node; one line of what it has, where nothing is.

    Args:
        name: of the node, for people.
        node: what `evo.doctor.ray_nodes.look_around` found there.
        here: versions of this machine, under the same keys.
        nonce: what the file in the run directory holds.
        skew: seconds by which its clock is ahead.
    """
    what = f"node {name}"
    problems = [
        *_versions(what, node, here),
        *_packages(what, node, here),
        *_clock(what, skew),
        *_files(what, node, nonce),
        *_token(what, node),
        *_shared_memory(what, node),
    ]
    yield from problems
    if not problems:
        held = f"evo {node['evo']}" if node["evo"] else "evo is shipped to it"
        gpus = f", {node['devices']} gpus" if node["devices"] else ""
        yield ok(what, f"Python {node['python']}, Ray {node['ray']}, {held}, token found, clock {skew:+.2f} s{gpus}")


def _versions(what: str, node: Facts, here: Facts) -> Iterator[Finding]:
    theirs, ours = node["python"], here["python"]
    if theirs.split(".")[:2] != ours.split(".")[:2] or node["ray"] != here["ray"]:
        text = f"Python {theirs} and Ray {node['ray']}; here {ours} and {here['ray']}"
        yield no(what, text, "install the same of both on all nodes")
    elif theirs != ours:
        yield warn(what, f"Python {theirs}, here {ours}", "install the same on all nodes")


def _packages(what: str, node: Facts, here: Facts) -> Iterator[Finding]:
    if node["evo"] not in (None, here["evo"]):
        text = f"has evo {node['evo']}, here {here['evo']}: ours is shipped and goes first"
        yield warn(what, text, "install the same there, or none")
    if node["missing"]:
        text = f"{', '.join(node['missing'])} missing in {node['executable']}"
        yield no(what, text, f"there: pip install {' '.join(node['missing'])}")


def _clock(what: str, skew: float) -> Iterator[Finding]:
    if abs(skew) > _SKEW:
        text = f"its clock is {abs(skew):.1f} s {'ahead' if skew > 0 else 'behind'}"
        yield warn(what, text, "start its time service (ntp)")


def _files(what: str, node: Facts, nonce: str) -> Iterator[Finding]:
    if node["nonce"] != nonce:
        yield warn(
            what,
            "does not see the run directory: artifacts above 1 MiB do not get there",
            "needed for problems with large artifacts alone: put their runs where all nodes see them",
        )


def _token(what: str, node: Facts) -> Iterator[Finding]:
    if node["mode"].lower() != "token":
        text = f"RAY_AUTH_MODE is {node['mode'] or 'not set'} there: its ports may be open to all"
        yield warn(what, text, "start every node with RAY_AUTH_MODE=token and the same token")
    elif not node["token"]:
        yield no(what, "RAY_AUTH_MODE=token, but no token is found there", "copy the head's ~/.ray/auth_token to it")


def _shared_memory(what: str, node: Facts) -> Iterator[Finding]:
    if node["shm"] is None:
        yield no(what, "has no /dev/shm", "mount a tmpfs there: docker run --shm-size=1g")
        return
    size, free = node["shm"]
    room = shared(size, free, node["shm_writable"])
    if room.level != "ok":
        yield Finding(room.level, what, f"/dev/shm: {room.text}", room.remedy)
