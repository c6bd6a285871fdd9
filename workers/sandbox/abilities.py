"""What this host contains, one line each: never more than what an attempt has shown.

A fork server tries to break out of its own sandbox when it starts; `Ready.about` carries what came of it, and
`abilities` asks for it without a run (``evo doctor``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from evo.sandbox import ABILITIES, Sandbox

__all__ = ["Abilities", "Ability", "abilities", "abilities_of", "lacking"]

_WHAT = {
    "network": "calls over the network",
    "files": "writing outside the candidate's folder",
    "processes": "the number of processes",
    "memory": "memory",
    "environment": "the worker's environment, and what is in it",
    "signals": "signals to the worker",
    "descendants": "processes that outlive their candidate",
}
_NAMESPACES = "allow user namespaces (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0)"
_REMEDIES = {
    "network": f"{_NAMESPACES}, or install libseccomp2",
    "files": f"{_NAMESPACES}; a kernel with Landlock (5.13) keeps contents, not permissions",
    "processes": f"{_NAMESPACES}, or run workers as root in folders that all may read",
    "memory": "set no limit of your own on the worker's data (ulimit -d)",
    "environment": f"{_NAMESPACES}, or a kernel with Landlock (5.13)",
    "signals": f"{_NAMESPACES}, or a kernel with Landlock 6 (6.12)",
    "descendants": _NAMESPACES,
}


@dataclass(frozen=True)
class Ability:
    """One thing that a sandbox can contain."""

    name: str
    contained: bool
    what: str
    by: str
    """What contains it, or what got through."""
    remedy: str
    """What would help; empty where it is contained."""

    def __str__(self) -> str:
        if self.contained:
            return f"{self.name}: {self.what} contained ({self.by})"
        return f"{self.name}: {self.what} NOT contained ({self.by}); remedy: {self.remedy}"


@dataclass(frozen=True)
class Abilities:
    """All of them, as tried on this host."""

    each: tuple[Ability, ...]
    means: Mapping[str, Any]
    """What the kernel offers: which namespaces, which version of Landlock, seccomp, a user id of the children's own."""

    def __iter__(self) -> Iterator[Ability]:
        return iter(self.each)


@cache
def abilities() -> Abilities:
    """What this host contains, tried once per process with a fork server of its own (under a second).

    Raises:
        WorkerError: no fork server can be started.
    """
    from workers.sandbox.client import Server

    server = Server(None, b"", {"full": Sandbox()})
    server.end()
    return abilities_of(server.about)


def abilities_of(about: Mapping[str, Any]) -> Abilities:
    """What a worker said of its sandbox (``Ready.about["sandbox"]``)."""
    contained = about["contained"]
    return Abilities(
        tuple(
            Ability(name, False, _WHAT[name], contained[name], _REMEDIES[name])
            if contained[name]
            else Ability(name, True, _WHAT[name], _by(name, about["means"]), "")
            for name in ABILITIES
        ),
        dict(about["means"]),
    )


def lacking(limits: Sandbox, contained: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(ability, what got through) of all that is required and not contained."""
    for name in limits.require:
        if contained[name]:
            yield name, contained[name]


def _by(name: str, means: Mapping[str, Any]) -> str:
    user = means["user id"] is not None
    pids = means["process namespaces"]
    lists = {
        "network": [("network namespace", means["network namespace"]), ("seccomp", means["seccomp"])],
        "files": [
            ("read-only mounts", means["mount namespaces"]),
            (f"Landlock {means['landlock']}", means["landlock"]),
            ("a user id of its own", user),
        ],
        "processes": [
            ("the kernel's limit", means["limits bind"]),
            ("counted", True),
        ],
        "memory": [("a limit for each process", True), ("their sum watched", True)],
        "environment": [
            ("few variables passed on", True),
            ("a /proc of its own", means["process namespaces"]),
            ("Landlock", means["landlock"]),
            ("a user id of its own", user),
        ],
        "signals": [
            ("process namespace", means["process namespaces"]),
            ("Landlock", means["landlock"] >= 6),
            ("a user id of its own", user),
        ],
        "descendants": [("process namespace", pids), ("found and killed", not pids)],
    }  # fmt: skip
    return ", ".join(text for text, held in lists[name] if held)
