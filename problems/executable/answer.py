"""What a program answered, read strictly: a reason that quotes it, where it is not what was asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evo.errors import EvaluationError
from evo.evaluator import Evaluation
from evo.json_text import read_json, write_json

__all__ = ["Names", "answer_in", "evaluation"]

_QUOTED = 200
"""Characters of an answer that a reason quotes."""
_SECTIONS = ("objectives", "measures", "metrics", "artifacts", "costs")


class Names:
    """What a program is asked for.

    Args:
        objectives: names, in the problem's order.
        measures: names, likewise.
    """

    def __init__(self, objectives: Sequence[str], measures: Sequence[str]) -> None:
        self.objectives, self.measures = tuple(objectives), tuple(measures)

    @property
    def example(self) -> str:
        """An answer with all of them."""
        return write_json(dict.fromkeys((*self.objectives, *self.measures), 0.5))


def answer_in(said: bytes, whole: bool, source: str) -> Any:
    """The JSON value that a program wrote: all of what it wrote, or its last line that is not empty.

    Args:
        said: what it wrote, or the end of it.
        whole: whether that is all.
        source: where it was written, for the reason.

    Raises:
        EvaluationError: there is none.
    """
    text = said.decode("utf-8", "replace").strip()
    if not text:
        raise EvaluationError(f"nothing was written to {source}")
    if whole:
        try:
            return read_json(text)
        except (ValueError, RecursionError) as error:
            if "\n" not in text or _closes(text):
                raise EvaluationError(f"expected JSON in {source}, got {quoted(text)} ({error})") from None
    last = text.rpartition("\n")[2]
    try:
        return read_json(last)
    except (ValueError, RecursionError) as error:
        raise EvaluationError(f"expected JSON in the last line of {source}, got {quoted(last)} ({error})") from None


def _closes(text: str) -> bool:
    """Whether the last of several lines ends what began above it, so that they can only be meant as one value."""
    return text.rpartition("\n")[2].strip()[:1] in ("}", "]")


def evaluation(found: Any, names: Names, folder: Path) -> Evaluation:
    """An answer as an `evo.Evaluation`.

    Args:
        found: the JSON value.
        names: what was asked for.
        folder: where the program ran; its artifacts are files there.

    Raises:
        EvaluationError: something is missing, not a finite number, or no file of its own.
    """
    if not isinstance(found, Mapping):
        if len(names.objectives) != 1 or names.measures:
            raise EvaluationError(f"expected an object such as {names.example}, got {quoted(found)}")
        return Evaluation([_number(names.objectives[0], found)])
    sections = _sections(found, names)
    return Evaluation(
        [_required("objectives", name, sections) for name in names.objectives],
        [_required("measures", name, sections) for name in names.measures],
        sections["metrics"],
        {str(name): _file(name, path, folder) for name, path in sections["artifacts"].items()},
        {str(name): _number(f"costs.{name}", value) for name, value in sections["costs"].items()},
    )


def quoted(value: Any) -> str:
    """An answer, or a part of one, for a reason."""
    text = value if isinstance(value, str) else write_json(value)
    return repr(text) if len(text) <= _QUOTED else f"{text[:_QUOTED]!r}..."


def _sections(found: Mapping[str, Any], names: Names) -> dict[str, Mapping[str, Any]]:
    asked = {*names.objectives, *names.measures}
    sections = {name: _section(found, name) for name in _SECTIONS if name not in asked}
    nested = isinstance(found.get("objectives"), Mapping) and "objectives" not in asked
    if nested:
        unknown = [name for name in found if name not in _SECTIONS]
        if unknown:
            raise EvaluationError(f"unknown key {unknown[0]!r} in the answer; expected {', '.join(_SECTIONS)}")
    else:
        sections["objectives"] = {name: found[name] for name in names.objectives if name in found}
        sections["measures"] = {name: found[name] for name in names.measures if name in found}
        rest = {name: value for name, value in found.items() if name not in asked and name not in _SECTIONS}
        sections["metrics"] = {**sections.get("metrics", {}), **rest}
    return {name: sections.get(name, {}) for name in _SECTIONS}


def _section(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = found.get(name, {})
    if not isinstance(section, Mapping):
        raise EvaluationError(f"{name}: expected an object of names and values, got {quoted(section)}")
    return section


def _required(section: str, name: str, sections: Mapping[str, Mapping[str, Any]]) -> float:
    held = sections[section]
    if name not in held:
        raise EvaluationError(f"{name!r} is missing in the answer; it has {', '.join(map(repr, held)) or 'none'}")
    return _number(name, held[name])


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EvaluationError(f"{name}: expected a number, got {quoted(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise EvaluationError(f"{name}: expected a finite number, got {quoted(value)}")
    return number


def _file(name: str, path: Any, folder: Path) -> Path:
    if not isinstance(path, str) or "\0" in path:
        raise EvaluationError(f"artifacts.{name}: expected the path of a file, got {quoted(path)}")
    file = (folder / path).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise EvaluationError(f"artifacts.{name}: {path!r} lies outside the working folder; write it there")
    if not file.is_file():
        raise EvaluationError(f"artifacts.{name}: there is no file {path!r} in the working folder")
    return file
