"""Is there a cluster at the address, does it let us in, and does it speak our Ray and Python? Answered within seconds.

Ray itself retries for two minutes where nobody listens and for thirty seconds where the token is wrong, and ends the
process then.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray._private.services import canonicalize_bootstrap_address_or_die
from ray._raylet import AuthenticationTokenLoader, GcsClient  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError, RayError

from evo.errors import ClusterLost, ClusterRefused

__all__ = ["reach"]

CONNECT_SECONDS = 10.0
"""To be let in at the port; a head that is just starting is waited for so long."""
ANSWER_SECONDS = 20.0
"""For the head's first answer."""


def reach(address: str) -> str:
    """The address as host:port, once the cluster there has answered.

    Raises:
        ClusterRefused: the address is none, the token is missing or wrong, or Ray or Python are of other versions.
        ClusterLost: nobody answers there now.
    """
    found = _resolved(address)
    _knock(found)
    asked_for = os.environ.get("RAY_AUTH_MODE", "").lower() == "token"
    if asked_for and not _has_token():
        raise ClusterRefused(_about_the_token(found))  # Ray's client would end this process
    answer = _asked(found)
    if isinstance(answer, AuthenticationError):
        raise ClusterRefused(_about_the_token(found))
    if answer is None or isinstance(answer, Exception):
        raise ClusterLost(
            f"no Ray answers at {found} ({_first_line(answer)}): is that the port of the cluster's head (6379 by "
            "default; 8265 is its dashboard), and is the cluster still there?"
        )
    _compare(found, json.loads(answer))
    return found


def _resolved(address: str) -> str:
    if "://" in address:
        raise ClusterRefused(
            f"workers.address {address!r}: expected host:port of the cluster's head, such as 10.0.0.1:6379; "
            "evo submit runs a search on a cluster from outside"
        )
    if address == "auto":
        try:
            return str(canonicalize_bootstrap_address_or_die("auto"))
        except ConnectionError as error:
            raise ClusterLost("workers.address auto: no running Ray was found on this machine") from error
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ClusterRefused(f"workers.address {address!r}: expected host:port, such as 10.0.0.1:6379, or auto")
    return address


def _knock(address: str) -> None:
    host, _, port = address.rpartition(":")
    end = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS / 2).close()
            return
        except OSError as error:
            if time.monotonic() >= end:
                reason = error.strerror or str(error)
                raise ClusterLost(
                    f"no Ray cluster can be reached at {address} ({reason}): check workers.address (or RAY_ADDRESS), "
                    "that the cluster is running, and that a firewall lets this machine through"
                ) from error
        time.sleep(0.5)


def _asked(address: str) -> Any:
    """What the head says of itself, or the error; None after too long."""
    said: list[Any] = []

    def ask() -> None:
        try:
            client = GcsClient(address=address)
            said.append(client.internal_kv_get(b"CLUSTER_METADATA", namespace=b"cluster", timeout=ANSWER_SECONDS))
        except (RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
            said.append(error)

    with _silent():
        asking = threading.Thread(target=ask, name="evo-reach", daemon=True)
        asking.start()
        asking.join(ANSWER_SECONDS)
    return said[0] if said else None


@contextmanager
def _silent() -> Iterator[None]:
    """Ray's library writes its complaints straight to standard error: ours say the same in one line."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _about_the_token(address: str) -> str:
    mode = os.environ.get("RAY_AUTH_MODE", "").lower()
    where = next((name for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH") if os.environ.get(name)), None)
    right = "the token that the cluster was started with (on the head: ray get-auth-token)"
    if mode != "token":
        return (
            f"the cluster at {address} asks for a token, but RAY_AUTH_MODE is {mode or 'not set'} here: set "
            f"RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to {right}"
        )
    if not _has_token():
        return f"no token for the cluster at {address}: set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to {right}"
    return f"the cluster at {address} does not accept the token of {where or '~/.ray/auth_token'}: give it {right}"


def _has_token() -> bool:
    try:
        return bool(AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True))
    except AuthenticationError:  # the file that was named is not there
        return False


def _compare(address: str, head: dict[str, str]) -> None:
    ours = {"Ray": ray.__version__, "Python": platform.python_version()}
    theirs = {"Ray": head["ray_version"], "Python": head["python_version"]}
    same = ours["Ray"] == theirs["Ray"] and _minor(ours["Python"]) == _minor(theirs["Python"])
    if not same:
        raise ClusterRefused(
            f"the cluster at {address} runs Ray {theirs['Ray']} on Python {theirs['Python']}, here is Ray "
            f"{ours['Ray']} on Python {ours['Python']}: they must be the same; install those of one on the other"
        )


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def _first_line(answer: Exception | None) -> str:
    return (str(answer).splitlines() or [type(answer).__name__])[0] if answer is not None else "no answer"
