"""The promise behind resuming: an object says in plain data how it was made, and can be made again from that."""

from __future__ import annotations

import json

from evo.errors import ConfigError
from evo.registry import build
from evo.spec import Configured, spec_of

__all__ = ["check_spec"]


def check_spec(value: Configured) -> None:
    """Check that `value` has a plain form, and that building from it gives an object with the same one.

    A class without an importable name (made in a function or a notebook) is only checked for having a plain form.

    Raises:
        AssertionError: saying what could not be written, or what came out different.
    """
    name = type(value).__name__
    try:
        spec = spec_of(value)
    except ConfigError as error:
        raise AssertionError(f"{name} has no plain form, so its runs cannot be resumed: {error}") from error
    spec = json.loads(json.dumps(spec))
    if "<locals>" in type(value).__qualname__ or type(value).__module__ == "__main__":
        return
    try:
        again = json.loads(json.dumps(spec_of(build(None, spec, name))))
    except ConfigError as error:
        raise AssertionError(f"{name} cannot be built from its plain form {spec}: {error}") from error
    assert again == spec, f"{name} built from its plain form says that it is another: {again} instead of {spec}"
