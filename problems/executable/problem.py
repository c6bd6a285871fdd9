"""A program's parameters as a problem that a run file alone describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from evo.errors import ConfigError
from evo.evaluator import Evaluator
from evo.problem import Maximize, Measure, Minimize, Objective, Problem
from evo.registry.modules import nearest
from problems.executable.command import text_of
from problems.executable.environment import Said
from problems.executable.evaluator import Executable, Input
from problems.executable.parameters import Parameters

__all__ = ["Program"]

_DIRECTIONS = {"minimize": Minimize, "maximize": Maximize}


class Program(Problem):
    """The parameters of a program, in whatever language it is written, with which it does best.

    Args:
        command: the program and its arguments; ``{x}``, in quotes or not, stands for the parameter x. README.md beside
            this file has the protocol.
        parameters: name -> ``[low, high]``, ``{integers: [low, high]}`` or ``{choices: [...]}``.
        objectives: name -> ``minimize`` or ``maximize``, or a mapping with ``direction``, ``worst`` and ``measured``.
        measures: name -> ``[low, high]``, or a mapping with ``range`` and ``outside``.
        start: what the search starts from: parameters as a mapping, one or more of them.
        input, output, files, deadline, rejected, environment, stochastic, folder: as `Executable`.

    Raises:
        ConfigError: names the key, what was expected and what came.
    """

    space: Parameters

    def __init__(
        self,
        command: Sequence[str | bool | int | float | Mapping[str, None]],
        parameters: Mapping[str, Any],
        objectives: Mapping[str, Any],
        measures: Mapping[str, Any] | None = None,
        *,
        start: Sequence[Mapping[str, Any]] = (),
        input: Literal["arguments", "stdin", "file"] | None = None,
        output: str = "stdout",
        files: Sequence[str] = (),
        deadline: float = 3600.0,
        rejected: int = 65,
        environment: Sequence[str] | Mapping[str, str | int | float | None] | None = None,
        stochastic: bool = False,
        folder: str | None = None,
    ) -> None:
        self.space = Parameters(parameters)
        self.objectives = [_objective(name, said) for name, said in objectives.items()]
        self.measures = [_measure(name, said) for name, said in (measures or {}).items()]
        twice = set(objectives) & set(measures or {})
        if twice:
            raise ConfigError(f"measures.{min(twice)}: is the name of an objective, too")
        self.deadline = deadline
        self.stochastic = stochastic  # type: ignore[misc] # the program's doing, so known to the run file alone
        self._start = list(start)
        self.space.stack(self._start)
        said: Said = environment
        way: Input | None = input
        self._executable = Executable(
            [_argument(one) for one in command],
            self.space,
            self.objectives,
            self.measures,
            input=way,
            output=output,
            files=files,
            deadline=deadline,
            rejected=rejected,
            environment=said,
            stochastic=stochastic,
            folder=folder,
        )
        self._executable.sandbox = self.sandbox
        self._check_placeholders()

    @property
    def evaluator(self) -> Evaluator:
        """The program."""
        return self._executable

    def initial(self) -> Sequence[Any]:
        """What the run file says as `start`."""
        return self._start

    def show(self, genome: Any) -> str:
        """How to run the program on it by hand."""
        return self._executable.command_line(genome)

    def _check_placeholders(self) -> None:
        """Every placeholder is a parameter, and every parameter gets to the program."""
        known = {*self.space.parts, "file", "genome", "seed"}
        for name in sorted(self._executable.placeholders - known):
            raise ConfigError(
                f"command: {{{name}}} is no parameter{nearest(name, known)}; expected one of {', '.join(sorted(known))}"
            )
        if self._executable.input == "arguments" and "genome" not in self._executable.placeholders:
            for name in self.space.parts:
                if name not in self._executable.placeholders:
                    raise ConfigError(
                        f"parameters.{name}: does not get to the program; name it in the command as {{{name}}}, or "
                        "hand all of them over with input: stdin"
                    )


def _argument(said: str | bool | int | float | Mapping[str, None]) -> str:
    """An argument of the command; YAML takes an unquoted ``{x}`` for a mapping."""
    if isinstance(said, Mapping):
        if len(said) == 1 and next(iter(said.values())) is None:
            return f"{{{next(iter(said))}}}"
        raise ConfigError(f"command: expected texts, got {said!r}; write an argument with braces in quotes")
    return text_of(said)


def _objective(name: str, said: Any) -> Objective:
    given = dict(said) if isinstance(said, Mapping) else {"direction": said}
    direction = given.pop("direction", None)
    if not isinstance(direction, str) or direction not in _DIRECTIONS or set(given) - {"worst", "measured"}:
        raise ConfigError(
            f"objectives.{name}: expected minimize or maximize, or a mapping with direction, worst and measured, got "
            f"{said!r}"
        )
    worst, measured = given.get("worst"), given.get("measured", False)
    if isinstance(worst, bool) or not isinstance(worst, int | float | None):
        raise ConfigError(f"objectives.{name}.worst: expected a number, got {worst!r}")
    if not isinstance(measured, bool):
        raise ConfigError(f"objectives.{name}.measured: expected true or false, got {measured!r}")
    return _DIRECTIONS[direction](name, worst=worst, measured=measured)


def _measure(name: str, said: Any) -> Measure:
    given = dict(said) if isinstance(said, Mapping) else {"range": said}
    bounds, outside = given.pop("range", None), given.pop("outside", "clip")
    if given or not isinstance(bounds, Sequence) or isinstance(bounds, str) or len(bounds) != 2:
        raise ConfigError(f"measures.{name}: expected [low, high], or a mapping with range and outside, got {said!r}")
    low, high = bounds
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in (low, high)):
        raise ConfigError(f"measures.{name}: expected two numbers, got {bounds!r}")
    return Measure(name, low, high, outside)
