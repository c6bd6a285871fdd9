import importlib.util
import io
import json
import threading
import time

import numpy as np
import pytest
from filling import Filler, fill
from rich.console import Console

from evo.monitor.report import as_json, as_plain, draw, print_report
from evo.monitor.showing import shown
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
