"""Secrets stay out of what evo writes: a key that the environment holds is called by its name.

A secret is the value of an environment variable whose name says so (``OPENAI_API_KEY``, ``DB_PASSWORD``), or of one
that a run file asked for as ``${NAME}``. ``[NAME]`` stands for it in notes of failures, events, messages and logs;
``${NAME}`` in the stored specification, from which a plug-in is built with what the environment holds then. What
evaluators return (metrics, genomes, artifacts) is the user's data and is kept as it is.

A word in small letters (``SORT_KEY=objectives``) or the path of something that is there is not taken for a secret: it
could stand anywhere in a run file, which must stay readable.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any
from urllib.parse import quote

from evo.errors import ConfigError

__all__ = ["Filled", "asks_for_secret", "filled", "named", "redact", "redacted", "redactor"]

LEAST = 8
"""Characters below which a value is too common a word to be taken for a secret."""

_SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)S?(?![A-Z])")
_PLACE = re.compile(r"_(PATH|FILE|DIR)$")
"""Such a variable says where a secret lies, which is none."""
_WORD = re.compile(r"[a-z][a-z_.-]*")
_PARAMETER = re.compile(
    r"(api_?key|access_?key|auth_?token|access_?token|secret|password|credentials?)$", re.IGNORECASE
)
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_asked: dict[str, str] = {}
"""name -> value of what run files asked for in this process."""


class Filled(str):
    """The value of an environment variable as a plug-in's parameter; remembers the variable's name."""

    name: str

    def __new__(cls, value: str, name: str = "") -> Filled:
        """Also where it arrives in another process, whose environment may lack the variable."""
        self = super().__new__(cls, value)
        self.name = name
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """By value and name."""
        return _arrived, (str(self), self.name)

    @property
    def reference(self) -> str:
        """As the run file said it."""
        return f"${{{self.name}}}"


def _arrived(value: str, name: str) -> Filled:
    _asked[name] = value
    return Filled(value, name)


def filled(value: Any, where: str) -> Any:
    """`value`, or what the environment holds where it is the text ``${NAME}``.

    Raises:
        ConfigError: there is no such variable.
    """
    match = _REFERENCE.fullmatch(value) if type(value) is str else None
    if match is None:
        return value
    name = match[1]
    if name not in os.environ:
        raise ConfigError(f"{where}: {value}: the environment variable {name} is not set; set it before the run starts")
    return _arrived(os.environ[name], name)


def asks_for_secret(parameter: str) -> bool:
    """Whether a parameter's name says that its value is a secret."""
    return bool(_PARAMETER.search(parameter))


def named(value: str, where: str = "") -> str:
    """A text for a specification: ``${NAME}`` in place of a secret.

    Raises:
        ConfigError: a secret is a part of the text, so that the text can be neither kept nor built again.
    """
    if isinstance(value, Filled):
        return value.reference
    for secret, name in _certain():
        if value == secret:
            return f"${{{name}}}"
        if secret in value:
            raise ConfigError(
                f"{where or 'a parameter'}: holds the value of the environment variable {name}, which is not kept in a "
                f"run file; hand the secret over as a parameter of its own (${{{name}}} in a run file)"
            )
    return value


def redact(text: str) -> str:
    """The text with ``[NAME]`` in place of every secret in it."""
    return redactor()(text)


def redactor() -> Callable[[str], str]:
    """`redact` with the secrets of this moment, for many texts at once: the environment is read only here."""
    return _hiding(_secrets())


def _hiding(secrets: tuple[tuple[str, str], ...]) -> Callable[[str], str]:
    if not secrets:
        return str
    pattern, names = _pattern(secrets)
    return lambda text: pattern.sub(lambda match: f"[{names[match[0]]}]", text)


def redacted(document: Any) -> Any:
    """JSON-like data with every text in it redacted; keys are structure and stay, and so do words."""
    hide = _hiding(_certain())
    return document if hide is str else _redacted(document, hide)


def _redacted(document: Any, hide: Callable[[str], str]) -> Any:
    if isinstance(document, str):
        return hide(document)
    if isinstance(document, Mapping):
        return {str(key): _redacted(value, hide) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [_redacted(value, hide) for value in document]
    return document


def _secrets() -> tuple[tuple[str, str], ...]:
    """(value, name) of every secret that this process knows, words that a run file asked for among them."""
    asked = {value: name for name, value in _asked.items() if len(value) >= LEAST}
    return tuple({**asked, **dict(_certain())}.items())


def _certain() -> tuple[tuple[str, str], ...]:
    """(value, name) of those that can be nothing else."""
    known = [*_asked.items(), *((name, os.environ[name]) for name in os.environ if _tells(name))]
    return tuple({value: name for name, value in known if _is_secret(value)}.items())


@lru_cache(maxsize=1024)
def _is_secret(value: str) -> bool:
    value = value.strip()
    return len(value) >= LEAST and not _WORD.fullmatch(value) and not (value[0] in "/.~" and os.path.exists(value))


@cache
def _tells(name: str) -> bool:
    name = name.upper()
    return bool(_SECRET.search(name)) and not _PLACE.search(name)


@lru_cache(maxsize=8)
def _pattern(secrets: tuple[tuple[str, str], ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    """What finds the secrets as they are, quoted as Python or JSON writes them, and in addresses; and their names."""
    names: dict[str, str] = {}
    for value, name in secrets:
        for form in (value, value.strip(), repr(value)[1:-1], json.dumps(value)[1:-1], quote(value, safe="")):
            names.setdefault(form, name)
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))), names
