"""``evo runs``, ``show``, ``export`` and ``plot``: the commands that only read."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import typer
from filling import Filler, fill
from typer.testing import CliRunner

from evo.cli.export import export
from evo.cli.plot import plot
from evo.cli.runs import runs
from evo.cli.show import show
from evo.engine.rundir import RunDir
from evo.errors import ConfigError, RunError
from evo.run import load
from evo.store.reader import FILE_NAME


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs") / "arm"
    fill(place)
    return place


def call(function, *arguments):
    """What the command prints; its errors are raised, as the script's front door expects."""
    app = typer.Typer()
    app.command()(function)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_show_prints_the_report_and_draws_nothing(folder):
    text = call(show, folder)
    assert "finished: budget spent" in text
    assert "hand at" in text
    assert not (folder / "heatmap.png").exists()


def test_show_lists_the_k_best(folder):
    text = call(show, folder, "--best", 3)
    assert "1. candidate" in text
    assert "3. candidate" in text
    assert "half" in text


def test_show_json_is_one_document(folder):
    document = json.loads(call(show, folder, "--json"))
    assert document["problem"] == "arm"
    assert document["best"]["objectives"]["smoothness"] > 0
    assert "bests" not in document
    bests = json.loads(call(show, folder, "--json", "--best", 4))["bests"]
    assert bests[0]["candidate"] == document["best"]["candidate"]
    assert len(bests) == 4


def test_show_of_a_run_that_is_still_going_works(tmp_path):
    filler = Filler(tmp_path)
    assert json.loads(call(show, tmp_path, "--json"))["state"] == "running"
    filler.block(5, np.random.default_rng(0))
    assert "nothing was measured" in call(show, tmp_path)


def test_show_of_nothing_says_so(tmp_path):
    with pytest.raises(RunError, match="no run here"):
        call(show, tmp_path)


def test_runs_lists_every_run_and_says_what_cannot_be_read(tmp_path):
    fill(tmp_path / "one")
    fill(tmp_path / "deep" / "two", blocks=1)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / FILE_NAME).touch()
    text = call(runs, tmp_path)
    assert "finished" in text
    assert "300" in text
    assert "two" in text
    assert "unreadable" in text


def test_runs_tells_the_age_of_the_last_write_not_of_the_last_look(tmp_path):
    fill(tmp_path / "one").connection.close()
    call(show, tmp_path / "one", "--json")
    long_ago = time.time() - 7200
    os.utime(tmp_path / "one" / FILE_NAME, (long_ago, long_ago))
    assert "2 h 00 min" in call(runs, tmp_path)


def test_runs_of_an_empty_folder_says_so(tmp_path):
    assert call(runs, tmp_path / "none") == f"no runs in {tmp_path / 'none'}\n"


@pytest.mark.parametrize("format", ["csv", "parquet", "jsonl", "canonical"])
def test_export_writes_what_python_writes(folder, tmp_path, format):
    text = call(export, folder, "--format", format, "-o", tmp_path / "out")
    assert text == f"{tmp_path / 'out'}\n"
    assert (tmp_path / "out").read_bytes() == load(folder).export(format, tmp_path / "again").read_bytes()


def test_export_of_elites_only(folder, tmp_path):
    call(export, folder, "--format", "jsonl", "-o", tmp_path / "out", "--archive", "archive")
    assert len((tmp_path / "out").read_text().splitlines()) == len(load(folder).archive)


def test_export_to_an_unknown_format_names_the_known(folder, tmp_path):
    with pytest.raises(ConfigError, match="csv, parquet, jsonl, canonical"):
        call(export, folder, "--format", "xml", "-o", tmp_path / "out")


@pytest.mark.parametrize(("name", "options"), [("a.png", ()), ("a.html", ()), ("b.png", ("--what", "curves"))])
def test_plot_draws(folder, tmp_path, name, options):
    assert call(plot, folder, "-o", tmp_path / name, *options) == f"{tmp_path / name}\n"
    assert (tmp_path / name).stat().st_size > 10_000


def test_show_lets_the_problem_show_each_of_the_k_best(folder):
    assert call(show, folder, "--best", 3).count("hand at") == 4  # and the best once more, in the report


def test_show_of_best_says_why_a_genome_is_only_json(tmp_path):
    filler = fill(tmp_path, blocks=1)
    header = filler.run().header
    header["spec"]["problem"]["type"] = "nowhere.at_all:Gone"
    with filler.writer.transaction():
        filler.writer.header(header)
    assert "as JSON: the problem could not be loaded" in call(show, tmp_path, "--best", 2)


def test_show_of_best_prints_metrics_of_any_kind(tmp_path):
    filler = fill(tmp_path, blocks=1)
    totals = filler.run().totals
    totals["best"]["metrics"] = {"text": "[/tmp/x]", "whole": 7**6000, "parts": [1, 2]}
    with filler.writer.transaction():
        filler.writer.totals(totals)
    text = call(show, tmp_path, "--best", 2)
    assert "text [/tmp/x], whole 38747" in text
    assert "parts [1,2]" in text


@pytest.fixture
def killed(tmp_path):
    """A run whose master was killed: its file says that it is running, and nobody holds its lock."""
    place = tmp_path / "killed"
    filler = fill(place, blocks=1)
    filler.totals("running")
    (place / "lock").write_text("4711")
    return place


def test_a_run_whose_master_was_killed_is_interrupted(killed):
    assert "interrupted (no master)" in call(runs, killed.parent)
    assert "interrupted (no master)" in call(show, killed)
    assert json.loads(call(show, killed, "--json"))["state"] == "interrupted"


def test_a_run_with_a_master_is_running(killed):
    with RunDir(killed, create=False):
        assert "no master" not in call(runs, killed.parent) + call(show, killed)
        assert json.loads(call(show, killed, "--json"))["state"] == "running"
    with RunDir(killed, create=False):  # looking takes nothing away
        pass


def test_a_finished_run_needs_no_master(killed):
    fill(killed.parent / "other", blocks=1)
    (killed.parent / "other" / "lock").touch()
    assert json.loads(call(show, killed.parent / "other", "--json"))["state"] == "finished"


def test_a_run_whose_process_was_killed_is_interrupted(tmp_path):
    code = (
        "import evo, sys, time; from problems.arm import Arm\n"
        "def slow(best): print('on the way', flush=True); time.sleep(60)\n"
        "evo.search(Arm(3), evaluations=1000, run_dir=sys.argv[1], on_elite=slow)"
    )
    place = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", code, str(place)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        assert json.loads(call(show, place, "--json"))["state"] == "running"
        process.kill()
    assert json.loads(call(show, place, "--json"))["state"] == "interrupted"
