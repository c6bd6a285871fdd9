"""Tables that a problem reports: what counts as one, and that a reader sees all of it."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from filling import fill
from rich.console import Console

from evo.monitor.report import as_json, print_report
from evo.monitor.tables import ROWS, figure, is_table, print_table, tables_in
from evo.run import load


def printed(rows: Any, width: int = 100, name: str = "formulas") -> str:
    file = io.StringIO()
    print_table(Console(file=file, width=width), name, rows, "run.summary")
    return file.getvalue()


def lines_of(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize(
    "value",
    [
        [],
        [{}],
        [1, 2],
        {"a": 1},
        "text",
        [{"a": 1}, {"b": 1}],
        [{"a": 1}, {"a": 1, "b": 2}],
        [{"a": [1]}],
        [{"a": {"b": 1}}],
        [{"a": 1}, None],
    ],
)
def test_what_is_no_table(value: Any) -> None:
    assert not is_table(value)


def test_tables_are_found_wherever_figures_lie() -> None:
    rows = [{"a": 1, "b": "x"}, {"b": None, "a": 2}]
    assert is_table(rows)
    assert tables_in({"loss": 1, "by": {"part": rows, "list": [1]}, "all": rows}) == [("by.part", rows), ("all", rows)]


def test_numbers_stand_to_the_right_and_text_to_the_left() -> None:
    rows = [{"length": 3, "value": 0.5, "text": "a"}, {"text": "bb", "length": 1234, "value": None}]
    title, head, first, second = lines_of(printed(rows))
    assert title == "formulas"
    assert head.split() == ["length", "value", "text"]
    ends = [match.end() for match in re.finditer(r"\S+", head)]
    assert first.index("3") + 1 == second.index("1,234") + 5 == ends[0]
    assert first.index("0.5") + 3 == ends[1]
    assert first.index("a") == second.index("bb") == head.index("text")


def test_long_text_is_folded_not_cut() -> None:
    text = "".join(f"<{number}>" for number in range(200))
    said = printed([{"rank": 1, "text": text}], width=60)
    assert max(map(len, said.splitlines())) <= 60
    assert "".join(line.strip() for line in lines_of(said)[2:]).removeprefix("1").strip() == text


@pytest.mark.parametrize("width", [30, 40, 79])
def test_where_columns_have_no_room_rows_stand_below_each_other(width: int) -> None:
    rows = [{f"column {key}": f"cell {key} of {row}" for key in range(12)} for row in range(3)]
    said = printed(rows, width=width)
    assert max(map(len, said.splitlines())) <= width
    joined = re.sub(r"\s+", "", said)
    for row in rows:
        assert all(re.sub(r"\s+", "", cell) in joined for cell in row.values())
    assert joined.count("column11") == 3


def test_a_number_that_fills_the_line_is_whole() -> None:
    number = 7**200
    said = printed([{"n": number, "text": "x"}], width=50)
    assert str(number) in re.sub(r"\s+", "", said)


@pytest.mark.parametrize(("more", "left_out"), [(0, ""), (1, "... and 1 more rows; all are in run.summary")])
def test_forty_rows_are_printed_and_the_rest_is_said(more: int, left_out: str) -> None:
    lines = lines_of(printed([{"rank": row} for row in range(ROWS + more)]))
    assert lines[2 : ROWS + 2] == [f"{row:>4}" for row in range(ROWS)]
    assert lines[ROWS + 2 :] == ([left_out] if left_out else [])


def test_what_looks_like_markup_is_text() -> None:
    said = printed([{"[b]": "[red]x[/red]", "n": True}], name="[i]")
    assert lines_of(said)[0] == "[i]"
    assert "[b]" in said
    assert "[red]x[/red]" in said
    assert "true" in said


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (123456789, "123,456,789"),
        (np.int64(-1234567890123), "-1,234,567,890,123"),
        (10**15, "1000000000000000"),
        (10**400, f"1{'0' * 400}"),
        (1234.5678912, "1,234.5679"),
        (True, "true"),
        (None, "null"),
        ("a", "a"),
        ([1, None], "[1,null]"),
    ],
)
def test_a_figure_is_exact_where_it_is_whole(value: Any, text: str) -> None:
    assert figure(value, grouped=True) == text


def test_the_report_prints_tables_after_the_overview(tmp_path: Any) -> None:
    filler = fill(tmp_path, blocks=1)
    rows = [{"rank": row, "text": f"formula {row}"} for row in range(50)]
    with filler.writer.transaction():
        filler.writer.totals({**filler.run().totals, "summary": {"found": 50, "formulas": rows}})
    run, file = load(tmp_path), io.StringIO()
    print_report(run, Console(file=file, width=300), picture=False)
    said = file.getvalue()
    places = [said.index(part) for part in ("failures", "found", "\nformulas\n", "formula 39", "gaussian")]
    assert places == sorted(places)
    assert "formula 40" not in said
    assert f"... and 10 more rows; all are in evo show {tmp_path} --json" in said
    assert said.count("formulas") == 1
    assert as_json(run)["summary"]["formulas"] == rows
