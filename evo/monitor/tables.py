"""Figures and tables as people read them on a terminal: nothing is cut silently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from evo.store.plain import line

__all__ = ["ROWS", "figure", "flat", "is_table", "print_table", "tables_in"]

ROWS = 40
"""Rows of a table that are printed."""
_GROUPED = 10**15
"""Integers from here on are written without commas: they are names rather than amounts."""
_NARROWEST = 16
"""Characters below which a column of text is not folded."""
_GAP = 2

Row = Mapping[str, Any]


def flat(figures: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """(name, value) of figures that may lie in figures: ``losses.validation``."""
    for name, value in figures.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def is_table(value: Any) -> bool:
    """Whether a value is a table: a non-empty list of flat mappings with the same keys."""
    if not isinstance(value, list | tuple) or not value or not all(isinstance(row, Mapping) and row for row in value):
        return False
    return all(
        row.keys() == value[0].keys() and not any(isinstance(cell, Mapping | list | tuple) for cell in row.values())
        for row in value
    )


def tables_in(figures: Mapping[str, Any]) -> list[tuple[str, Sequence[Row]]]:
    """(name, rows) of the tables among figures that may lie in figures."""
    return [(name, value) for name, value in flat(figures) if is_table(value)]


def figure(value: Any, *, grouped: bool = False) -> str:
    """A figure as people read it: whole numbers exactly, others to eight digits, text as it is, lists as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, np.integer):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return line(value)
    if isinstance(value, int):
        return f"{value:,}" if grouped and abs(value) < _GROUPED else line(value)
    return f"{value:,.8g}" if grouped else f"{value:.8g}"


def print_table(console: Console, name: str, rows: Sequence[Row], whole: str) -> None:
    """Print a table under its name: numbers to the right, long text folded, `ROWS` rows at most.

    Where the console is too narrow for the columns, the rows are printed one below the other, a line a column.

    Args:
        console: where to.
        name: the title.
        rows: as `is_table` has it.
        whole: where all rows are to be had, for the line that says how many were left out.
    """
    keys = [str(key) for key in rows[0]]
    numeric = [all(_is_number(row[key]) for row in rows) for key in rows[0]]
    cells = [["" if cell is None else figure(cell, grouped=True) for cell in row.values()] for row in _ordered(rows)]
    console.print(Text(f"\n{name}", style="bold"), soft_wrap=True)
    if (
        sum(
            _least(key, column, right) + _GAP
            for key, column, right in zip(keys, zip(*cells, strict=True), numeric, strict=True)
        )
        <= console.width
    ):
        console.print(_across(keys, cells, numeric))
    else:
        for number, row in enumerate(cells, start=1):
            console.print(_down(number, keys, row))
    if len(rows) > ROWS:
        console.print(Text(f"... and {len(rows) - ROWS:,} more rows; all are in {whole}", style="dim"), soft_wrap=True)


def _ordered(rows: Sequence[Row]) -> Iterator[Row]:
    """The rows that are printed, their cells in the order of the first row's."""
    for row in rows[:ROWS]:
        yield {key: row[key] for key in rows[0]}


def _is_number(cell: Any) -> bool:
    return cell is None or (isinstance(cell, int | float | np.number) and not isinstance(cell, bool))


def _least(key: str, column: Sequence[str], right: bool) -> int:
    """Characters that a column needs: numbers and titles stay whole, text may be folded."""
    longest = max(cell_len(part) for cell in column for part in (cell.splitlines() or [""]))
    return max(cell_len(key), longest if right else min(longest, _NARROWEST))


def _across(keys: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool]) -> Table:
    table = Table(box=None, padding=(0, _GAP, 0, 0), header_style="dim")
    for key, column, right in zip(keys, zip(*cells, strict=True), numeric, strict=True):
        table.add_column(
            Text(key),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=right,
            min_width=_least(key, column, right),
        )
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def _down(number: int, keys: Sequence[str], row: Sequence[str]) -> Table:
    table = Table.grid(padding=(0, _GAP))
    table.add_column(style="dim", overflow="fold")
    table.add_column(overflow="fold")
    table.add_row("row", Text(str(number)))
    for key, cell in zip(keys, row, strict=True):
        table.add_row(Text(key), Text(cell))
    return table
