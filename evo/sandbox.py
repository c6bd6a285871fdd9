"""Evaluation in a child process of its own, with limits: for work that may crash, hang, or must not be trusted.

One flag asks for it: ``Problem.sandbox``, ``Fidelity.sandbox``, or the user's own ``evo.search(..., sandbox=True)``,
``workers.sandbox`` in a run file, ``--sandbox`` on the command line. What a host can really give differs; a worker
tells what it tried and found when it starts, and `require` refuses hosts that give less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from evo.errors import ConfigError

__all__ = ["ABILITIES", "Sandbox", "chosen", "sandbox_from"]

ABILITIES = ("network", "files", "processes", "memory", "environment", "signals", "descendants")
"""What a sandbox can contain, by name: calls over the network; writing outside the folder; the number of processes;
memory of all of them together; secrets in the environment of the worker; signals to and tracing of other processes;
and that whatever a candidate started is dead when its evaluation is over."""


@dataclass(frozen=True)
class Sandbox:
    """Limits of one evaluation, which runs in a child process of its own.

    A limit that is exceeded fails the candidate (`Status.FAILED`, with a reason that begins ``sandbox:``), a signal
    makes it `Status.CRASHED`, the fidelity's deadline `Status.TIMEOUT`. The worker lives on, and no other candidate is
    measured again.

    Raises:
        ConfigError: a limit is out of range, or `require` names something that is no ability.
    """

    cpu_seconds: float | None = None
    """Processor seconds of each process; None: what its deadline allows on all cores."""
    memory: int = 2 << 30
    """bytes that it may take beyond what the warmed-up parent holds, all its processes together"""
    processes: int = 64
    """How many processes and threads at a time, its first included."""
    file_bytes: int = 256 << 20
    """bytes of the files in its folder, together and each"""
    open_files: int = 256
    """Descriptors of each process."""
    output_bytes: int = 1 << 20
    """bytes on standard output and standard error, together"""
    network: bool = False
    """Whether it may use the network."""
    write: tuple[str, ...] = ()
    """Further folders and files that it may write, as absolute paths; they must exist where workers run."""
    environment: tuple[str, ...] = ()
    """Further variables of the worker's environment that it may see (an API key); by default it gets a short list of
    harmless ones."""
    require: tuple[str, ...] = ()
    """Of `ABILITIES`: what a host must be able to contain; a worker refuses to start where it cannot."""

    def __post_init__(self) -> None:
        for name in ("write", "environment", "require"):
            value = getattr(self, name)
            if isinstance(value, str) or not all(isinstance(one, str) for one in value):
                raise ConfigError(f"sandbox.{name}: expected a list of texts, got {value!r}")
            object.__setattr__(self, name, tuple(value))
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"sandbox.{name}: expected a whole number of at least {least}, got {value!r}")
        if self.cpu_seconds is not None and not (
            isinstance(self.cpu_seconds, int | float) and 0 < self.cpu_seconds < float("inf")
        ):
            raise ConfigError(f"sandbox.cpu_seconds: expected a number above 0 or null, got {self.cpu_seconds!r}")
        if not isinstance(self.network, bool):
            raise ConfigError(f"sandbox.network: expected true or false, got {self.network!r}")
        for path in self.write:
            if not path.startswith("/"):
                raise ConfigError(f"sandbox.write: expected absolute paths, got {path!r}")
        for name in self.require:
            if name not in ABILITIES:
                raise ConfigError(f"sandbox.require: expected some of {', '.join(ABILITIES)}; got {name!r}")

    def describe(self) -> dict[str, Any]:
        """Plain data; `sandbox_from` reads it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


_LEAST = {"memory": 1 << 20, "processes": 1, "file_bytes": 0, "open_files": 16, "output_bytes": 0}


def sandbox_from(said: Any) -> bool | Sandbox | None:
    """What a user said about the sandbox, as the engine takes it: a `Sandbox`, True, False, or None for nothing.

    Raises:
        ConfigError: it is neither of these nor a mapping of limits.
    """
    if said is None or isinstance(said, bool | Sandbox):
        return said
    if not isinstance(said, Mapping):
        raise ConfigError(f"sandbox: expected true, false or evo.Sandbox(...), got {said!r}")
    known = [one.name for one in fields(Sandbox)]
    for name in said:
        if name not in known:
            raise ConfigError(f"sandbox.{name}: unknown key; expected one of {', '.join(known)}")
    return Sandbox(**said)


def chosen(users: bool | Sandbox | None, declared: bool | Sandbox) -> Sandbox | None:
    """The limits that hold at a fidelity, None for no sandbox.

    Args:
        users: for the whole run: limits, True (with the limits that are declared, else the usual ones), False for no
            sandbox anywhere, None to leave it to what is declared.
        declared: by the fidelity.
    """
    for said in (users, declared):
        if not isinstance(said, bool | Sandbox | None):
            raise ConfigError(f"sandbox: expected true, false or evo.Sandbox(...), got {said!r}")
    if users is False:
        return None
    if isinstance(users, Sandbox):
        return users
    if isinstance(declared, Sandbox):
        return declared
    return Sandbox() if users or declared else None
