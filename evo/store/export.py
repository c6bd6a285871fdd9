"""A run in other forms: tables, JSON lines, the canonical record, and the formats that its problem offers."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evo.errors import ConfigError, RunError
from evo.records import Genomes
from evo.store.canonical import write_canonical
from evo.store.extras import need
from evo.store.plain import line, plain
from evo.store.table import STATUS_NAMES, Chunk, chunks, column_names, names_of
from evo.store.view import ArchiveView

if TYPE_CHECKING:
    from evo.run import Run

__all__ = ["FORMATS", "export", "formats"]

_LONG = 1 << 63
"""Python writes no integer of thousands of digits by itself."""

Columns = dict[str, Any]
"""name -> values of one chunk; numbers as arrays, everything else as lists."""


def formats(run: Run) -> list[str]:
    """What this run can be exported as."""
    own = [] if run.problem is None else list(run.problem.exports())
    return [*FORMATS, "canonical", *own]


def export(run: Run, format: str, path: Path, *, archive: str | None = None) -> Path:
    """Write the run; a file of ours appears whole or not at all.

    Args:
        run: the run, with its problem where genomes are to be written.
        format: ``csv``, ``parquet``, ``jsonl`` (a row an evaluated candidate), ``canonical``, or one of the problem's.
        path: the file to write.
        archive: csv, parquet and jsonl only: the elites of this archive instead.

    Raises:
        ConfigError: an unknown format or archive; names those there are.
        RunError: the file cannot be written, or the canonical form is asked of a run whose problem is not known.
    """
    own = {} if run.problem is None else run.problem.exports()
    if format not in formats(run):
        raise ConfigError(f"format {format!r}: expected one of {', '.join(formats(run))}")
    if archive is not None and (format not in FORMATS or archive not in run.header["archives"]):
        known = ", ".join(run.header["archives"]) or "none"
        raise ConfigError(f"archive {archive!r}: this run has {known}; they go to {', '.join(FORMATS)}")
    if format in own:
        own[format](run, path)  # may well be a folder
        return path
    with _replacing(path) as unfinished:
        if format == "canonical":
            if run.problem is None:
                raise RunError("the canonical form needs the problem's space: evo.load(run_dir, problem=...)")
            with unfinished.open("w", encoding="ascii", newline="\n") as file:
                write_canonical(run.reader, run.problem.space, file)
        else:
            FORMATS[format](_candidates(run) if archive is None else _elites(run, run.archives[archive]), unfinished)
    return path


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    unfinished = path.with_name(f".{path.name}.unfinished{path.suffix}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error})") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _candidates(run: Run) -> Iterator[Columns]:
    """Chunks with the same columns throughout: metrics that a chunk lacks are empty there."""
    header = run.header
    space = None if run.problem is None else run.problem.space
    metrics: dict[str, bool] = {}
    for chunk in chunks(run.reader, None):
        for name, column in chunk.metrics.items():
            metrics[name] = metrics.get(name, True) and column.dtype.kind in "biuf"
    names = column_names(header, list(metrics))
    for chunk in chunks(run.reader, space):
        columns: Columns = {
            "candidate": names_of(chunk.candidate),
            "request": chunk.request,
            "parents": [[name for name in row if name] for row in _parents(chunk.parents)],
            "operator": chunk.operator.tolist(),
            "source": chunk.source.tolist(),
            "fidelity": chunk.fidelity.tolist(),
            "status": STATUS_NAMES[chunk.status].tolist(),
            "same_as": chunk.same_as,
        }
        figures = np.hstack([chunk.objectives, chunk.measures]).T
        columns |= dict(zip(names, figures, strict=False))
        for name, metric in zip(names[len(figures) :], metrics, strict=True):
            columns[name] = _metric(chunk, metric, metrics[metric])
        columns["message"] = chunk.message.tolist()
        if space is not None and chunk.genomes is not None:
            columns["genome"] = _genomes(chunk.genomes, chunk.born, space.to_json)
        yield columns


def _elites(run: Run, view: ArchiveView) -> Iterator[Columns]:
    names = column_names(run.header, ())
    columns: Columns = {"key": view.keys, "candidate": names_of(view.candidate)}
    columns |= dict(zip(names, np.hstack([view.objectives, view.measures]).T, strict=True))
    if run.problem is not None:
        columns["genome"] = _genomes(view.genomes, np.ones(len(view), dtype=bool), run.problem.space.to_json)
    yield columns


def _parents(parents: NDArray[np.int64]) -> Iterator[tuple[str, ...]]:
    columns = [
        [name if one >= 0 else "" for name, one in zip(names_of(column), column.tolist(), strict=True)]
        for column in parents.T
    ]
    return zip(*columns, strict=True) if columns else iter([()] * len(parents))


def _metric(chunk: Chunk, name: str, numeric: bool) -> Any:
    column = chunk.metrics.get(name)
    if numeric:
        return np.full(len(chunk), np.nan) if column is None else column.astype(np.float64)
    return [None] * len(chunk) if column is None else [plain(value) for value in column]


@dataclass(frozen=True)
class _Vectors:
    """A column of numeric vectors of one length, some of them missing."""

    values: NDArray[Any]
    there: NDArray[np.bool_]

    def tolist(self) -> list[Any]:
        return [row if there else None for row, there in zip(self.values.tolist(), self.there.tolist(), strict=True)]


def _genomes(genomes: Genomes, born: NDArray[np.bool_], to_json: Callable[[Any], Any]) -> Any:
    if genomes.ndim == 2 and genomes.dtype.kind in "biuf":
        return _Vectors(genomes, born)
    return [to_json(genome) if there else None for genome, there in zip(genomes, born.tolist(), strict=True)]


def _rows(columns: Columns) -> Iterator[tuple[Any, ...]]:
    """Row by row as Python values; a figure that is NaN becomes None."""
    lists = []
    for values in columns.values():
        if isinstance(values, np.ndarray) and values.dtype.kind == "f":
            lists.append([None if value != value else value for value in values.tolist()])
        else:
            lists.append(values.tolist() if isinstance(values, np.ndarray | _Vectors) else values)
    return zip(*lists, strict=True)


def _text(value: Any) -> Any:
    if isinstance(value, list | dict | bool) or (isinstance(value, int) and abs(value) > _LONG):
        return line(value)
    return value


def _write_csv(tables: Iterator[Columns], path: Path) -> None:
    """Lists and trees are cells of JSON."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for number, columns in enumerate(tables):
            if not number:
                writer.writerow(columns)
            writer.writerows([_text(value) for value in row] for row in _rows(columns))


def _write_jsonl(tables: Iterator[Columns], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for columns in tables:
            for row in _rows(columns):
                file.write(line(dict(zip(columns, row, strict=True))) + "\n")


def _write_parquet(tables: Iterator[Columns], path: Path) -> None:
    """Vectors of numbers are lists; other genomes and metrics that are no numbers are JSON."""
    arrow = need("pyarrow", "frame", "format 'parquet'")
    parquet = need("pyarrow.parquet", "frame", "format 'parquet'")
    writer = None
    try:
        for columns in tables:
            table = arrow.table({name: _arrow(arrow, name, values) for name, values in columns.items()})
            if writer is None:
                writer = parquet.ParquetWriter(path, table.schema)
            writer.write_table(table.cast(writer.schema))
        if writer is None:
            parquet.write_table(arrow.table({}), path)
    finally:
        if writer is not None:
            writer.close()


def _arrow(arrow: Any, name: str, values: Any) -> Any:
    if isinstance(values, _Vectors):
        ends = np.cumsum(values.there, dtype=np.int64) * values.values.shape[1]
        offsets = arrow.array(np.concatenate([[0], ends]).astype(np.int32))
        flat = arrow.array(values.values[values.there].ravel())
        return arrow.ListArray.from_arrays(offsets, flat, mask=arrow.array(~values.there))
    if isinstance(values, np.ndarray):
        return arrow.array(values)
    if name == "parents":
        return arrow.array(values, arrow.list_(arrow.string()))
    return arrow.array(
        [value if value is None or isinstance(value, str) else line(value) for value in values], arrow.string()
    )


FORMATS: dict[str, Callable[[Iterator[Columns], Path], None]] = {
    "csv": _write_csv,
    "parquet": _write_parquet,
    "jsonl": _write_jsonl,
}
"""name -> writer of tables"""
