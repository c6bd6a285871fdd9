"""What became of a run: an evaluation, a no, or a failure with its reason."""

from __future__ import annotations

import shlex
import signal
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evo.errors import EvaluationError, Rejected
from evo.evaluator import Evaluation
from problems.executable.answer import Names, answer_in, evaluation
from problems.executable.environment import Environment
from problems.executable.process import ANSWER, Ended

__all__ = ["STDOUT", "Verdict"]

STDOUT = "stdout"

_LINES, _CHARACTERS = 20, 4000
"""Of standard error in a note."""
_WORDS = 200
"""Characters of its last line in a reason."""


@dataclass(frozen=True)
class Verdict:
    """How runs of one program are judged."""

    names: Names
    output: str
    """`STDOUT`, or the name of the file in the working folder that holds the answer."""
    rejected: int
    """The exit code of a no."""
    deadline: float
    """seconds"""
    environment: Environment
    """What is passed on to the program is kept out of all reasons; before they are cut, lest a half of it stays."""

    def of(self, ended: Ended, folder: Path, arguments: Sequence[str]) -> Evaluation:
        """The evaluation that a run has come to.

        Args:
            ended: the run.
            folder: where it ran.
            arguments: its command line, for the reason of a failure.

        Raises:
            Rejected: the program says no.
            EvaluationError: it failed, or its answer is none.
        """
        complaint = self.environment.without_secrets(ended.complaint.decode("utf-8", "replace").strip())
        if ended.overdue:
            raise self._failed(f"exceeded its deadline of {self.deadline:g} s", complaint, arguments)
        if ended.code == self.rejected:
            raise Rejected(_end(complaint) or f"exit code {ended.code}")
        if ended.code:
            last = complaint.rpartition("\n")[2][:_WORDS]
            raise self._failed(_ending(ended.code) + (f": {last}" if last else ""), complaint, arguments)
        try:
            if self.output == STDOUT:
                return self._read(ended.output, ended.whole, folder)
            return self._read(_content(folder, self.output), True, folder)
        except EvaluationError as error:
            raise self._failed(str(error), complaint, arguments) from None

    def _read(self, said: bytes, whole: bool, folder: Path) -> Evaluation:
        source = "standard output" if self.output == STDOUT else f"the file {self.output}"
        try:
            return evaluation(answer_in(said, whole, source), self.names, folder)
        except EvaluationError:
            harmless = self.environment.without_secrets(said.decode("utf-8", "replace")).encode()
            if harmless == said:
                raise
            evaluation(answer_in(harmless, whole, source), self.names, folder)  # the same error, quoting that
            raise EvaluationError(f"expected JSON in {source}, which holds a secret") from None

    def _failed(self, reason: str, complaint: str, arguments: Sequence[str]) -> EvaluationError:
        line = self.environment.without_secrets(shlex.join(arguments))
        parts = [reason, f"command: {line[:_CHARACTERS]}"]
        if complaint:
            parts.append(f"standard error:\n{_end(complaint)}")
        return EvaluationError("\n".join(parts))


def _ending(code: int) -> str:
    if code >= 0:
        shell = f" (as shells say of {_signal(code - 128)})" if code > 128 and _signal(code - 128) else ""
        return f"exit code {code}{shell}"
    return f"killed by {_signal(-code) or f'signal {-code}'}"


def _signal(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return ""


def _end(complaint: str) -> str:
    return "\n".join(complaint.splitlines()[-_LINES:])[-_CHARACTERS:]


def _content(folder: Path, name: str) -> bytes:
    """What is in the answer's file; no more than `ANSWER` of it is ever read.

    Raises:
        EvaluationError: it is not there, no ordinary file (a pipe would never end), elsewhere, or too large.
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise EvaluationError(f"the file {name} is a link that leads outside the working folder")
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise EvaluationError(f"{name} is no ordinary file")
        with path.open("rb") as file:
            data = file.read(ANSWER + 1)
    except FileNotFoundError:
        raise EvaluationError(f"the program wrote no file {name}") from None
    except OSError as error:
        raise EvaluationError(f"the file {name} cannot be read ({error.strerror})") from None
    if len(data) > ANSWER:
        raise EvaluationError(f"the file {name} is larger than {ANSWER >> 20} MiB; hand large data over as artifacts")
    return data
