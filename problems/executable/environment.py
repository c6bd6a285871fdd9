"""What a program finds in its environment: little that is common, and what the run file names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from evo.errors import ConfigError
from evo.redact import asks_for_secret, redact

__all__ = ["Environment", "Said"]

Said = Sequence[str] | Mapping[str, str | int | float | None] | None
"""Names of variables to pass on, or name -> value, null for one that is passed on."""

_COMMON = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LEAST = 4
"""Characters below which a value is too common a word to be looked for in what a program says."""


class Environment:
    """The variables of a program.

    What is passed on is read where the search is started, and travels to the workers with the evaluator; a run file
    keeps its name alone.

    Args:
        said: as a run file says it.

    Raises:
        ConfigError: a name is none, or a secret is given in the clear.
    """

    def __init__(self, said: Said) -> None:
        given: Mapping[str, str | int | float | None] = said if isinstance(said, Mapping) else dict.fromkeys(said or ())
        for name, value in given.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ConfigError(f"environment: expected names of variables, got {name!r}")
            if value is not None and asks_for_secret(name):
                raise ConfigError(
                    f"environment.{name}: a secret in the clear would be kept in the run; set the variable before the "
                    f"run starts and pass it on by its name: environment: [{name}]"
                )
        self._set = {name: str(value) for name, value in given.items() if value is not None}
        self._names = [name for name, value in given.items() if value is None]
        self._passed = {name: os.environ[name] for name in self._names if name in os.environ}

    def check(self) -> None:
        """Refuse to begin without a variable that was to be passed on.

        Raises:
            ConfigError: it was not set where the search was started.
        """
        for name in self._names:
            if name not in self._passed:
                raise ConfigError(f"environment: the variable {name} is not set; set it before the run starts")

    def variables(self, **own: str) -> dict[str, str]:
        """All of them; `own` are those of one evaluation."""
        common = {name: os.environ[name] for name in _COMMON if name in os.environ}
        local = {name: value for name, value in os.environ.items() if name.startswith("LC_")}
        return common | local | own | self._set | self._passed

    def without_secrets(self, text: str) -> str:
        """`text` with ``[NAME]`` in place of what was passed on."""
        for name, value in sorted(self._passed.items(), key=lambda item: -len(item[1])):
            if len(value.strip()) >= _LEAST:
                text = text.replace(value, f"[{name}]")
        return redact(text)
