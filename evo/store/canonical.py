"""The canonical form of a run: what was asked, what came of it, what was kept; nothing of when, where or how often.

In strict order it is the same to the byte for any number of workers and after any crash, up to timeouts, crashes and
objectives that are declared ``measured``. So it holds no times, attempts, messages sent, workers or paths, and of a
failure only the first line, since a traceback names files.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import IO, Any

import numpy as np

from evo.records import Note, Outcomes, Requests, Status, candidate_id, candidate_name
from evo.space import Space
from evo.store.plain import line, plain
from evo.store.reader import RunReader
from evo.store.table import told_outcomes

__all__ = ["write_canonical"]

_WINDOW = 1 << 13
"""Requests held in memory at a time."""


def write_canonical(reader: RunReader, space: Space, file: IO[str]) -> None:
    """One JSON line for the header, then each request, each told result and each elite."""
    header = reader.header()
    for text in chain([_header(header)], _requests(reader, space), _results(reader, space), _elites(reader, header)):
        file.write(text)
        file.write("\n")


def _line(kind: str, content: dict[str, Any]) -> str:
    return line({"kind": kind, **content})


def _header(header: dict[str, Any]) -> str:
    spec = header.get("spec", {})
    kept = {name: spec.get(name) for name in ("problem", "algorithm", "order", "budget")}
    kept |= {name: header.get(name) for name in ("schema", "seed", "objectives", "measures", "reporting")}
    return _line("run", kept)


def _requests(reader: RunReader, space: Space) -> Iterator[str]:
    source = RunReader(reader.connection, space)
    for batch in source.requests():
        common = _common(batch)
        for row, request in enumerate(batch.ids.tolist()):
            content = {"id": request, **common}
            if batch.genomes is not None:
                content["genome"] = space.to_json(batch.genomes[row])
            if batch.args:
                content["args"] = dict(batch.args[row])
            if batch.candidate is not None:
                content["candidate"] = candidate_name(int(batch.candidate[row]))
            if batch.parents is not None:
                content["parents"] = [candidate_name(one) for one in batch.parents[row].tolist() if one >= 0]
            if batch.draw is not None:
                content["draw"] = int(batch.draw[row])
            if batch.needs:
                content["needs"] = list(batch.needs[row])
            yield _line("request", content)


def _common(batch: Requests) -> dict[str, Any]:
    """What all rows of a batch share; what is not set is left out."""
    content: dict[str, Any] = {"reserve": float(batch.reserve)}
    for name in ("operator", "source", "fidelity", "make"):
        if getattr(batch, name):
            content[name] = getattr(batch, name)
    if batch.params:
        content["params"] = dict(batch.params)
    return content


def _results(reader: RunReader, space: Space) -> Iterator[str]:
    source = RunReader(reader.connection, space)
    told = source.told()
    for start in range(0, len(told), _WINDOW):
        low, high = int(told[start]), int(told[min(start + _WINDOW, len(told)) - 1])
        again = _asked_again(source, low, high)
        lines = [pair for block in told_outcomes(source, told, low, high) for pair in _block(block, space, again)]
        lines.sort(key=lambda pair: pair[0])
        yield from (line for _, line in lines)


def _asked_again(reader: RunReader, low: int, high: int) -> dict[int, int]:
    """request -> candidate, of those that measured a candidate once more."""
    found: dict[int, int] = {}
    for batch in reader.requests(low, high):
        if batch.candidate is not None:
            found.update(zip(batch.ids.tolist(), batch.candidate.tolist(), strict=True))
    return found


def _block(block: Outcomes, space: Space, again: dict[int, int]) -> Iterator[tuple[int, str]]:
    ids = block.ids.tolist()
    bounds = np.searchsorted(block.owners(), np.arange(len(ids) + 1)).tolist()
    for row, request in enumerate(ids):
        status = Status.OK if block.status is None else Status(int(block.status[row]))
        content: dict[str, Any] = {"id": request, "status": status.name.lower()}
        if block.same_as is not None and block.same_as[row] >= 0:
            content["same_as"] = int(block.same_as[row])
        if row in block.notes:
            content |= _note(block.notes[row])
        if status is Status.OK or block.owner is not None:
            content["candidates"] = [
                _candidate(block, place, again.get(request, candidate_id(request, place - bounds[row])), space)
                for place in range(bounds[row], bounds[row + 1])
            ]
        if status is not Status.OK and not content.get("candidates"):
            content.pop("candidates", None)  # whether a failure has an empty list hangs on who shared its message
        yield request, _line("result", content)


def _candidate(block: Outcomes, place: int, candidate: int, space: Space) -> dict[str, Any]:
    content = {
        "id": candidate_name(candidate),
        "objectives": block.objectives[place].tolist(),
        "measures": block.measures[place].tolist(),
    }
    if block.genomes is not None:
        content["genome"] = space.to_json(block.genomes[place])
    metrics = {name: _metric(column[place]) for name, column in block.metrics.items()}
    metrics = {name: value for name, value in metrics.items() if value is not None}
    if metrics:
        content["metrics"] = metrics
    return content


def _metric(value: Any) -> Any:
    """A number is a float whatever its column's type: columns of a block with gaps are floats, and blocks depend on
    the workers. For the same reason a missing value is the same as none at all."""
    value = plain(value)
    return float(value) if isinstance(value, bool | int) and abs(value) < 2**53 else value


def _note(note: Note) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if note.message:
        content["message"] = note.message.splitlines()[0]
    for name in ("counters", "costs", "artifacts"):
        if getattr(note, name):
            content[name] = dict(getattr(note, name))
    return content


def _elites(reader: RunReader, header: dict[str, Any]) -> Iterator[str]:
    for name in sorted(header.get("archives", {})):
        held = reader.archive(name)
        for row, key in enumerate(held.keys.tolist()):
            yield _line(
                "elite",
                {
                    "archive": name,
                    "key": key,
                    "candidate": candidate_name(int(held.candidate[row])),
                    "objectives": held.objectives[row].tolist(),
                    "measures": held.measures[row].tolist(),
                },
            )
