import importlib.util
import io
import json
import math
import os
import threading
import time

import numpy as np
import pytest
from filling import Filler, fill
from rich.console import Console

from evo.monitor.report import as_json, as_plain, draw, print_report
from evo.monitor.showing import shown, shown_all
from evo.run import Run, load
from problems.arm import Arm


def printed(run, **options):
    file = io.StringIO()
    print_report(run, Console(file=file, width=120), **options)
    return file.getvalue()


def test_the_document_has_what_programs_ask_for(tmp_path):
    filler = fill(tmp_path)
    document = json.loads(json.dumps(as_json(load(tmp_path)), allow_nan=False))
    assert {
        "run",
        "state",
        "problem",
        "algorithm",
        "seed",
        "evaluations",
        "performed",
        "failures",
        "best",
        "summary",
    } <= (document.keys())
    assert document["run"] == str(tmp_path)
    assert document["failures"] == {"failed": 8, "invalid": 0, "timeout": 0, "crashed": 0}
    assert document["best"]["genome"] == filler.best["genome"]
    assert document["best"]["objectives"] == {"smoothness": filler.best["objectives"][0]}
    assert list(document["best"]["measures"]) == ["x", "y"]
    assert document["summary"] == {"held_out": 0.5}
    assert as_plain(filler.run(), filler.run().best) == document["best"]


def test_a_run_without_a_success_has_a_document_and_a_report():
    filler = Filler(None)
    assert as_json(filler.run())["best"] is None
    filler.totals("failed")
    assert as_json(filler.run())["stats"]["best"] is None
    assert "nothing was measured" in printed(filler.run())


def test_the_report_says_everything_once(tmp_path):
    fill(tmp_path)
    text = printed(load(tmp_path), picture=False)
    for part in (
        "arm",
        "map_elites",
        "finished: budget spent",
        "300 in 3.0 s, 100.0/s",
        "coverage",
        "QD score",
        "8 failed",
    ):
        assert part in text
    assert "8 x it broke" in text
    assert "hand at" in text  # the problem's own way of showing a genome
    assert "gaussian" in text
    assert "held_out" in text


def test_the_report_draws_the_heat_map_into_the_run(tmp_path):
    fill(tmp_path)
    text = printed(load(tmp_path))
    assert f"picture: {tmp_path / 'heatmap.png'}" in text
    assert (tmp_path / "heatmap.png").exists()
    assert (tmp_path / "heatmap.html").exists()
    assert f"run: {tmp_path}" in text


def test_without_a_grid_the_curves_are_drawn(tmp_path):
    filler = fill(tmp_path)
    with filler.writer.transaction():
        filler.writer.header({**filler.run().header, "archives": {"top": {"kind": "top", "k": 3}}})
    assert [path.name for path in draw(load(tmp_path), tmp_path)] == ["curves.png", "curves.html"]


def test_without_the_plot_extra_nothing_is_drawn_and_nothing_fails(tmp_path, monkeypatch):
    fill(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert "picture" not in printed(load(tmp_path))


def test_a_place_that_cannot_be_drawn_into_is_no_error(tmp_path):
    assert draw(fill(None).run(), tmp_path / "missing") == []


def test_a_long_genome_is_shortened():
    class Long(Arm):
        def show(self, genome):
            return "word " * 1000

    filler = fill(None)
    run = Run(filler.run().reader, Long(joints=5))
    assert "evo show prints all" in printed(run)


class Slow(Arm):
    def show(self, genome):
        time.sleep(60)


class Broken(Arm):
    def show(self, genome):
        raise ValueError("cannot draw this")


class Chatty(Arm):
    def show(self, genome):
        print("loading a model")
        return "a fine genome"


class Dying(Arm):
    def show(self, genome):
        import os

        os._exit(3)


@pytest.mark.parametrize(
    ("problem", "deadline", "text", "note"),
    [
        (Chatty, 30.0, "a fine genome", ""),
        (Slow, 0.2, "[0.0, 0.0, 0.0]", "took more than 0.2 s"),
        (Broken, 30.0, "[0.0, 0.0, 0.0]", "failed (ValueError: cannot draw this)"),
        (Dying, 30.0, "[0.0, 0.0, 0.0]", "failed (3)"),
    ],
)
def test_a_genome_is_shown_in_a_process_that_may_do_anything(problem, deadline, text, note):
    began = time.monotonic()
    found, why = shown(Run(None, problem(joints=3)), np.zeros(3), deadline)
    assert found == text
    assert note in why if note else why == ""
    assert time.monotonic() - began < 30


def test_a_problem_that_cannot_be_shipped_shows_json():
    problem = Arm(joints=3)
    problem.lock = threading.Lock()
    found, why = shown(Run(None, problem), np.zeros(3))
    assert found == "[0.0, 0.0, 0.0]"
    assert "cannot be shipped" in why


def test_without_the_problem_the_genome_is_json():
    assert shown(Run(None), [1, 2]) == ("[1, 2]", "the problem could not be loaded")


class Counting(Arm):
    def show(self, genome):
        if genome[0] == 2:
            raise ValueError("not this one")
        if genome[0] == 4:
            time.sleep(60)
        return f"{genome[0]:g} in {os.getpid()}"


def test_many_genomes_are_shown_by_one_process():
    run = Run(None, Counting(joints=3))
    found = shown_all(run, np.arange(4)[:, None] * np.ones(3))
    texts = [text for text, note in found if not note]
    assert [text.split(" in ")[0] for text in texts] == ["0", "1", "3"]
    assert len({text.split(" in ")[1] for text in texts}) == 1
    assert found[2] == ("[2.0, 2.0, 2.0]", "the problem's show failed (ValueError: not this one)")


@pytest.mark.slow
def test_a_genome_that_takes_too_long_does_not_lose_those_before_it():
    run = Run(None, Counting(joints=3))
    shown_all(run, np.zeros((1, 3)))  # imports lie in the cache now
    found = shown_all(run, np.array([[1.0] * 3, [4.0] * 3, [3.0] * 3]), deadline=5.0)
    assert found[0][0].startswith("1 in")
    assert all("took more than 5 s" in note for _, note in found[1:])


def test_the_problems_figures_may_be_anything_like_json(tmp_path):
    filler = fill(tmp_path, blocks=1)
    totals = filler.run().totals
    summary = {"loss": {"held_out": 0.25, "by_part": {"a": 1}, "none": {}}, "note": "[/b] fine", "parts": [1, math.nan]}
    with filler.writer.transaction():
        filler.writer.totals({**totals, "summary": summary, "counters": {"whole": 10**400}, "costs": {"ok": True}})
    run = load(tmp_path)
    assert as_json(run)["summary"] == {**summary, "parts": [1, None]}
    lines = [line.split() for line in printed(run, picture=False).splitlines()]
    for row in (
        ["loss.held_out", "0.25"],
        ["loss.by_part.a", "1"],
        ["loss.none", "{}"],
        ["note", "[/b]", "fine"],
        ["parts", "[1,null]"],
        ["ok", "true"],
    ):
        assert row in lines
    assert "whole" in printed(run, picture=False)


def test_what_looks_like_markup_is_printed_as_it_is(tmp_path):
    place = tmp_path / "[bold]" / "["
    filler = fill(place, blocks=1)
    totals, header = filler.run().totals, filler.run().header
    odd = "[/tmp/x] [red]:smile:[/red] \\"
    with filler.writer.transaction():
        filler.writer.header({**header, "problem": odd, "algorithm": odd})
        filler.writer.totals({**totals, "reason": odd, "operators": {odd: {"told": 1}}, "summary": {odd: odd}})
    text = printed(Run(filler.run().reader, filler.problem, place))
    assert text.count(odd) == 6
    assert f"run: {place}" in text
    assert f"picture: {place}" in text.replace("\n", "")
