"""Ray as this machine has it: its version, its token, and whether it starts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evo.doctor.finding import Finding, Place, no, ok, warn
from evo.doctor.interpreter import needs_of, satisfies
from evo.doctor.ray_child import asked

__all__ = ["of_token", "ray", "starts", "token"]

STARTING = 90.0
"""Seconds for a Ray of one's own to start, run a task and end; a loaded machine takes half of them."""


def ray(place: Place) -> Iterator[Finding]:
    """Whether Ray is installed, and where the cluster is."""
    try:
        held = version("ray")
    except PackageNotFoundError:
        if place.address is not None:
            yield no("ray", "not installed", "pip install 'evo[ray]'")
        else:
            yield warn("ray", "not installed: searches run in one process", "pip install 'evo[ray]'")
        return
    bounds = dict(needs_of("ray")).get("ray", "")
    where = f", cluster at {place.address}" if place.address else ""
    if not satisfies(held, bounds):
        yield no("ray", f"{held} is here, {bounds} is needed", "pip install 'evo[ray]'")
    else:
        yield ok("ray", f"{held}{where}")


def token(place: Place) -> Iterator[Finding]:
    """Whether clusters are closed to strangers, and their token to other users."""
    yield of_token(os.environ, Path.home(), clustered=place.address is not None)


def of_token(environment: Mapping[str, str], home: Path, *, clustered: bool) -> Finding:
    """What is to be said of the variables and of the file; the token itself never is.

    Source: Ray's documentation, "Token authentication".

    Args:
        environment: with the variables that direct it.
        home: below which the file lies, unless a variable says where.
        clustered: whether a cluster is to be reached.
    """
    what = "ray token"
    mode = environment.get("RAY_AUTH_MODE", "").lower()
    if mode not in ("", "token", "disabled"):
        return no(what, f"RAY_AUTH_MODE is {mode!r}", "set RAY_AUTH_MODE=token")
    if mode == "disabled":
        return warn(
            what,
            "RAY_AUTH_MODE=disabled: whoever reaches a port of Ray can run programs here",
            "set RAY_AUTH_MODE=token on every node, and give them one token: ray get-auth-token --generate",
        )
    if environment.get("RAY_AUTH_TOKEN", "").strip():
        return _with_mode(what, "in RAY_AUTH_TOKEN", mode, clustered)
    said = environment.get("RAY_AUTH_TOKEN_PATH")
    file = Path(said).expanduser() if said else home / ".ray" / "auth_token"
    try:
        status = file.stat()
        empty = not file.read_text().strip()
    except FileNotFoundError:
        if said or mode == "token":
            return no(what, f"there is no {file}", "ray get-auth-token --generate, or copy that of the cluster's head")
        return ok(what, f"none yet ({file}): a Ray of one's own makes it when it starts")
    except OSError as error:
        return no(what, f"{file} cannot be read ({error.strerror})", f"chown it to yourself, and chmod 600 {file}")
    if empty:
        return no(what, f"{file} is empty", f"rm {file}; ray get-auth-token --generate")
    if stat.S_IMODE(status.st_mode) & 0o077 and all(folder.stat().st_mode & 0o011 for folder in file.parents):
        text = f"other users of this machine may read {file} (mode {stat.S_IMODE(status.st_mode):o})"
        return warn(what, text, f"chmod 600 {file}")
    return _with_mode(what, f"in {file}, for you alone", mode, clustered)


def _with_mode(what: str, where: str, mode: str, clustered: bool) -> Finding:
    if clustered and mode != "token":
        text = f"{where}, but RAY_AUTH_MODE is not set: it is not shown to the cluster"
        return warn(what, text, "set RAY_AUTH_MODE=token where the cluster asks for a token")
    return ok(what, where)


def starts(place: Place) -> Iterator[Finding]:
    """Whether a Ray of one's own starts here."""
    if place.start:
        yield from asked(["start"], "ray start", STARTING - 5.0)
