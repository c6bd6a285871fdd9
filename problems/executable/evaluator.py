"""The evaluator: one run of a program for each genome."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evo.errors import ConfigError, EvaluationError, Rejected
from evo.evaluator import Evaluation, Evaluations, Evaluator, Fidelity, Work
from evo.json_text import write_json
from evo.problem import Measure, Objective
from evo.records import Genomes
from evo.sandbox import Sandbox
from evo.space import Space
from evo.spaces.json_value import plain
from evo.versions import version_of
from problems.executable.answer import Names
from problems.executable.command import Command
from problems.executable.environment import Environment, Said
from problems.executable.files import Files, digest_of, looked_up, roots
from problems.executable.home import Home
from problems.executable.process import run
from problems.executable.programs import cannot_start, found
from problems.executable.verdict import STDOUT, Verdict

__all__ = ["MARGIN", "Executable", "Input"]

Input = Literal["arguments", "stdin", "file"]

MARGIN = 10.0
"""Seconds beyond a program's own deadline after which the worker itself is taken to hang."""

_GENOME_FILE = "genome.json"
_SEEDS = 1 << 31


class Executable(Evaluator):
    """Measures a genome by running a program: arguments or JSON in, JSON out. README.md has the protocol.

    Make it once, in the problem's constructor or as a class attribute, so that it reaches the workers with the files
    that it read on the machine where the search was started.

    Args:
        command: the program and its arguments, with placeholders: ``{name}`` for a key of the genome, ``{genome}`` for
            all of it as JSON, ``{file}`` for the path of a JSON file with it, ``{seed}``. ``./program`` is shipped, an
            absolute path or a name in ``PATH`` is expected on every worker.
        space: of the genomes; the program sees what its `to_json` gives.
        objectives: the problem's, or their names.
        measures: likewise.
        input: how the genome gets in; None for what the placeholders say: ``arguments`` where there is a ``{name}`` or
            ``{genome}``, ``file`` where there is ``{file}``, else ``stdin``.
        output: ``stdout``, or the name of the file in the working folder that holds the answer.
        files: files and folders that the program needs, linked into its working folder.
        deadline: seconds for one run.
        rejected: the exit code that says that the genome is not what is searched.
        environment: variables: names to pass on, or name -> value.
        stochastic: the program draws random numbers from the seed it is given. The problem must say so, too.
        folder: where relative names begin; None for the folder of the run file, then the current one.

    Raises:
        ConfigError: names the argument, what was expected and what came.
    """

    sandbox: bool | Sandbox = False
    """Whether the program runs in a sandbox, where the user does not ask for one: as `Problem.sandbox`."""

    def __init__(
        self,
        command: Sequence[str],
        space: Space,
        objectives: Sequence[Objective | str],
        measures: Sequence[Measure | str] = (),
        *,
        input: Input | None = None,
        output: str = STDOUT,
        files: Sequence[str] = (),
        deadline: float = 3600.0,
        rejected: int = 65,
        environment: Said = None,
        stochastic: bool = False,
        folder: str | None = None,
    ) -> None:
        self._command = Command(command)
        self._space, self._stochastic = space, stochastic
        self._names = Names([_name(one) for one in objectives], [_name(one) for one in measures])
        self.input = _input(input, self._command)
        if not deadline > 0:
            raise ConfigError(f"deadline: expected seconds > 0, got {deadline}")
        if isinstance(rejected, bool) or not 1 <= rejected <= 255:
            raise ConfigError(f"rejected: expected an exit code from 1 to 255, got {rejected}")
        if not output or os.path.isabs(output) or ".." in Path(output).parts:
            raise ConfigError(f"output: expected stdout, or a file's name in the working folder, got {output!r}")
        if "seed" in self._command.names and not stochastic:
            raise ConfigError("command: {seed} is for programs that draw random numbers; set stochastic: true")
        self._deadline, self._environment = deadline, Environment(environment)
        self._verdict = Verdict(self._names, output, rejected, deadline, self._environment)
        program = self._command.program
        local = self._is_local
        if local:
            file = looked_up(program, folder)
            blocked = f"there is no {program}" if file is None else cannot_start(file.resolve(), os.environ.get("PATH"))
            if blocked:
                raise ConfigError(f"command[0]: {blocked}{_where(folder) if file is None else ''}")
        mentioned = self._command.fixed if local else self._command.fixed[1:]
        self._files = Files.read(files, folder, mentioned)
        self._hint = (
            "" if local or looked_up(program, folder) is None else f"; for the file beside it write ./{program}"
        )
        self._foreign = digest_of(Path(program)) if os.path.isabs(program) else ""

    @property
    def fidelities(self) -> Mapping[str, Fidelity]:
        """One. The worker itself is given longer than the program, which is ended at its own deadline."""
        return {"full": Fidelity(deadline=self._deadline + MARGIN, sandbox=self.sandbox)}

    def version(self) -> str:
        """Another one where an argument differs, or a byte of the program's files."""
        said = {name: value for name, value in self._arguments.items() if name != "folder"}
        return version_of([type(self), said, self._files.digest, self._foreign])

    def warm_up(self) -> None:
        """Lay out the files, and look whether the program can be started here.

        Raises:
            ConfigError: it cannot; names what is in the way.
        """
        self._environment.check()
        home = Home.here().files(self._files)
        path = self._environment.variables().get("PATH")
        program = self._command.program
        file = home / os.path.normpath(program) if self._is_local else found(program, path)
        blocked = f"{program} is not found in PATH ({path}){self._hint}" if file is None else cannot_start(file, path)
        if blocked:
            raise ConfigError(f"command[0]: {blocked}")

    def evaluate_batch(self, genomes: Genomes, work: Work) -> Evaluations:
        """One run after the other."""
        n = len(genomes)
        objectives = np.full((n, len(self._names.objectives)), np.nan)
        measures = np.full((n, len(self._names.measures)), np.nan)
        metrics: dict[str, list[Any]] = {}
        failures, rejected, artifacts, costs = {}, {}, {}, {}
        for row in range(n):
            try:
                one = self.evaluate(genomes[row], work.one(row))
            except Rejected as verdict:
                rejected[row] = str(verdict)
                continue
            except EvaluationError as error:
                failures[row] = str(error)
                continue
            objectives[row], measures[row] = one.objectives, one.measures
            for name, value in one.metrics.items():
                metrics.setdefault(name, [None] * n)[row] = value
            if one.artifacts:
                artifacts[row] = one.artifacts
            if one.costs:
                costs[row] = one.costs
        return Evaluations(objectives, measures, _columns(metrics), failures, artifacts, costs, rejected)

    def evaluate(self, genome: Any, work: Work) -> Evaluation:
        """One run.

        Raises:
            Rejected: the program says so.
            EvaluationError: it failed; says how, with the end of what it wrote to standard error and its command line.
        """
        folder = work.scratch
        home = Home.here()
        self._files.link(home.files(self._files), folder)
        values = self._values(genome, work)
        arguments = self._command.filled(values)
        try:
            ended = run(
                arguments,
                folder=folder,
                environment=self._environment.variables(TMPDIR=str(folder), **self._seed(values)),
                given=self._given(values, folder),
                deadline=self._deadline,
                mark=home.next_mark(),
            )
        except (OSError, ValueError) as error:  # too long an argument, a zero byte in it
            raise EvaluationError(f"the program could not be started: {error}") from None
        try:
            found = self._verdict.of(ended, folder, arguments)
        except (EvaluationError, Rejected):
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if not found.artifacts:
            shutil.rmtree(folder, ignore_errors=True)
        return found

    def command_line(self, genome: Any) -> str:
        """How to run the program on one genome by hand."""
        json_like = self._space.to_json(genome)
        values = self._named(json_like) | {"file": _GENOME_FILE, "seed": 0}
        line = shlex.join(self._command.filled(values))
        return line if self.input == "arguments" else f"{write_json(json_like)} | {line}"

    @property
    def placeholders(self) -> frozenset[str]:
        """Names in the command."""
        return self._command.names

    @property
    def _is_local(self) -> bool:
        return "/" in self._command.program and not os.path.isabs(self._command.program)

    def _named(self, json_like: Any) -> dict[str, Any]:
        values = dict(json_like) if isinstance(json_like, Mapping) else {}
        return values | {"genome": json_like if isinstance(json_like, str) else write_json(json_like, canonical=True)}

    def _values(self, genome: Any, work: Work) -> dict[str, Any]:
        """Of all placeholders; the JSON-like genome under the empty name."""
        json_like = plain(self._space.to_json(genome))
        values = self._named(json_like) | {"file": _GENOME_FILE, "": json_like}
        if self._stochastic:
            values["seed"] = int(work.rng(purpose="program").integers(_SEEDS))
        return values

    def _seed(self, values: Mapping[str, Any]) -> dict[str, str]:
        return {"EVO_SEED": str(values["seed"])} if self._stochastic else {}

    def _given(self, values: Mapping[str, Any], folder: Path) -> bytes:
        """Standard input, or nothing; writes the genome's file where there is one."""
        if self.input == "arguments":
            return b""
        json_like = values[""]
        if self._stochastic and isinstance(json_like, Mapping):
            json_like = {**json_like, "seed": values["seed"]}
        text = (write_json(json_like) + "\n").encode()
        if self.input == "stdin":
            return text
        (folder / _GENOME_FILE).write_bytes(text)
        return b""


def _name(one: Objective | Measure | str) -> str:
    return one if isinstance(one, str) else one.name


def _where(folder: str | None) -> str:
    return f" in {' or '.join(map(str, roots(folder)))}"


def _input(said: Input | None, command: Command) -> Input:
    """How the genome gets in, checked against the placeholders."""
    by_file = "file" in command.names
    by_name = bool(command.names - {"file", "seed"})
    if said is None:
        said = "file" if by_file else "arguments" if by_name else "stdin"
    if said == "file" and not by_file:
        raise ConfigError("input: file, but no argument of the command has the placeholder {file}")
    if said != "file" and by_file:
        raise ConfigError(f"input: {said}, but the command has the placeholder {{file}}: leave input out, or say file")
    if said == "arguments" and not by_name:
        raise ConfigError("input: arguments, but the command has no placeholder such as {x}; or say stdin")
    return said


def _columns(metrics: Mapping[str, list[Any]]) -> dict[str, Any]:
    columns = {}
    for name, values in metrics.items():
        column = np.empty(len(values), dtype=object)
        for row, value in enumerate(values):
            column[row] = value
        columns[name] = column
    return columns
