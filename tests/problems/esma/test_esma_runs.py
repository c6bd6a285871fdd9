"""Whole searches for formulas: one result however they are cut, broken off or spread, and what people read of it."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from known_formulas import KNOWN
from sweeping import coefficients, signs, sweep

import evo
from evo.cli import main
from problems.esma.problem import Esma


class StopHere(Exception):
    """What breaks a search off."""


def raising(after: int) -> Callable[[evo.Best], None]:
    count = 0

    def stop(best: evo.Best) -> None:
        nonlocal count
        count += 1
        if count == after:
            raise StopHere

    return stop


def search(
    folder: Path | None = None, *, shard: int = 7, limit: int = 2, constant: str = "e", **options: Any
) -> evo.Run:
    return evo.search(Esma(constant, 1, limit), evo.Enumeration(shard), seed=4, run_dir=folder, **options)


def canonical(run: evo.Run, folder: Path) -> bytes:
    path = folder / f"{abs(hash(run))}.canonical"
    run.export("canonical", path)
    return path.read_bytes()


def formulas(run: evo.Run) -> list[tuple[Any, ...]]:
    """(P, Q, signs, law) of all candidates, in their order."""
    found = run.candidates()
    laws = found.metrics["formula"]
    return [(*coefficients(one), signs(one), law) for one, law in zip(found.genomes, laws, strict=True)]


@pytest.fixture(scope="module")
def whole() -> evo.Run:
    return search()


@pytest.fixture(scope="module")
def expected(whole: evo.Run, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return canonical(whole, tmp_path_factory.mktemp("expected"))


# One result -----------------------------------------------------------------------------------------------------------


def test_a_search_finds_what_there_is_in_order_of_rank(whole: evo.Run) -> None:
    result = sweep("e", 1, 2)
    assert (whole.state, whole.reason) == ("finished", "the enumeration is complete: 144 ranks in 21 shards")
    assert [(p, q, s) for p, q, s, _ in formulas(whole)] == [
        (*coefficients(one), signs(one)) for row, one in enumerate(result.genomes) if row in result.proofs
    ]
    assert len(formulas(whole)) == 762


def test_a_search_repeats_to_the_byte(expected: bytes, tmp_path: Path) -> None:
    assert canonical(search(tmp_path / "a"), tmp_path) == expected
    assert canonical(search(tmp_path / "b", message_seconds=1e-9, window=5), tmp_path) == expected


@pytest.mark.parametrize("shard", [1, 50, 100_000])
def test_shards_of_another_size_find_the_same_formulas(shard: int, whole: evo.Run) -> None:
    other = search(shard=shard)
    assert formulas(other) == formulas(whole)
    assert other.archive.genomes.tobytes() == whole.archive.genomes.tobytes()
    assert other.archive.objectives.tolist() == whole.archive.objectives.tolist()
    assert other.counters == whole.counters
    for table in ("simplest", "fastest"):
        assert other.summary[table] == whole.summary[table]


@pytest.mark.parametrize("after", [1, 30, 60])
def test_a_search_that_was_broken_off_goes_on_to_the_byte(after: int, expected: bytes, tmp_path: Path) -> None:
    with pytest.raises(StopHere):
        search(tmp_path / "run", on_elite=raising(after), message_seconds=1e-9, snapshot_seconds=0.0)
    stored = evo.load(tmp_path / "run")
    assert stored.state == "interrupted"
    assert stored.evaluations < 21
    assert canonical(evo.resume(tmp_path / "run"), tmp_path) == expected


def test_a_search_that_was_given_too_few_shards_goes_on_with_more(whole: evo.Run, tmp_path: Path) -> None:
    part = search(tmp_path / "run", evaluations=9)
    assert (part.state, part.reason) == ("finished", "budget spent")
    assert 0 < len(part.candidates()) < 762
    more = evo.resume(tmp_path / "run", evaluations=1000)
    assert formulas(more) == formulas(whole)
    assert more.reason == whole.reason
    assert more.summary["simplest"] == whole.summary["simplest"]


@pytest.mark.ray
@pytest.mark.parametrize("workers", [1, 2])
def test_ray_workers_give_the_search_that_this_process_gives(
    workers: int, expected: bytes, tmp_path: Path, ray_session: None
) -> None:
    run = search(tmp_path / "run", workers=workers, message_seconds=0.001)
    assert canonical(run, tmp_path) == expected


@pytest.mark.slow
@pytest.mark.ray
def test_shards_and_messages_of_any_size_give_ray_workers_the_same_formulas(
    whole: evo.Run, tmp_path: Path, ray_session: None
) -> None:
    run = search(tmp_path / "run", shard=50, workers=2, message_seconds=10.0, window=1)
    assert canonical(run, tmp_path) == canonical(search(shard=50), tmp_path)
    assert formulas(run) == formulas(whole)


@pytest.mark.slow
@pytest.mark.ray
def test_a_search_moves_between_ray_and_this_process(expected: bytes, tmp_path: Path, ray_session: None) -> None:
    with pytest.raises(StopHere):
        search(tmp_path / "run", workers=2, on_elite=raising(60), message_seconds=0.001)
    assert canonical(evo.resume(tmp_path / "run", backend="inline"), tmp_path) == expected


# What is counted and told ---------------------------------------------------------------------------------------------


def test_the_summary_counts_and_tells_the_simplest(whole: evo.Run) -> None:
    s = whole.summary
    assert {name: value for name, value in s.items() if isinstance(value, int)} == {
        "left_hand_sides": 112,
        "sequences": 1120,
        "candidates_screened_in": 763,
        "formulas_verified": 762,
        "primitives": 1,  # all are images of e
    }
    assert 0 < s["cpu_seconds"] <= whole.totals["cpu_seconds"] + 0.001
    assert [len(s[table]) for table in ("simplest", "fastest")] == [20, 10]
    assert "one_of_each_orbit" not in s
    bits = [row["bits"] for row in s["simplest"]]
    assert bits == sorted(bits)
    assert bits[0] == round(float(whole.candidates().objectives.min()), 1)
    rates = [row["digits/term"] for row in s["fastest"]]
    assert rates == sorted(rates, reverse=True)
    assert all(row["digits"] >= 1000 for table in ("simplest", "fastest") for row in s[table])
    row = next(row for row in s["simplest"] if row["left-hand side"] == "(e+1)/(e-1)")
    assert row == row | {"a_n": "[(2+4m)]", "b_n": "+", "digits/term": 4.851}


def test_a_quadratic_number_has_one_orbit_and_others_have_as_many_as_there_are() -> None:
    assert search(constant="phi", limit=1).summary["primitives"] == 1
    two = evo.search(Esma("e", 2, 1, sign_periods=(1, 1), depth=60), evo.Enumeration(50))
    assert two.summary["primitives"] == 2  # those of e and of e^2
    sides = {row["left-hand side"] for row in two.summary["one_of_each_orbit"]}
    assert len(sides) == 2


def test_what_the_screen_lets_through_and_the_proof_refuses_is_rejected_and_no_failure() -> None:
    run = search(constant="e+10^-300")
    assert (run.state, run.reason) == ("finished", "the enumeration is complete: 144 ranks in 21 shards")
    assert run.counters["candidates_screened_in"] == run.counters["children_rejected"] > 700
    assert set(run.failures.values()) == {0}
    assert len(run.candidates()) == 0
    assert run.summary["formulas_verified"] == run.summary["primitives"] == 0
    assert "simplest" not in run.summary


def test_where_there_is_nothing_the_search_ends_well() -> None:
    run = search(constant="pi", limit=1)
    assert run.state == "finished"
    assert (run.summary["sequences"], run.summary["formulas_verified"]) == (120, 0)


def test_a_search_without_a_log_sums_up_its_archive() -> None:
    run = search(log=False)
    assert run.summary["left_hand_sides"] == 112
    assert 0 < run.summary["formulas_verified"] == len(run.archive.genomes) <= 762


# The article ----------------------------------------------------------------------------------------------------------


def balanced(text: str) -> bool:
    depth = 0
    for mark in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if mark == "{" else -1
        if depth < 0:
            return False
    begun, ended = (re.findall(rf"\\{word}{{(\w+)}}", text) for word in ("begin", "end"))
    return depth == 0 and sorted(begun) == sorted(ended) and len(re.findall(r"(?<!\\)\$", text)) % 2 == 0


def test_the_article_is_balanced_and_holds_known_formulas(whole: evo.Run, tmp_path: Path) -> None:
    text = whole.export("latex", tmp_path / "e.tex").read_text(encoding="utf-8")
    assert balanced(text)
    assert text.startswith(r"\documentclass{article}")
    assert text.rstrip().endswith(r"\end{document}")
    assert r"\section*{Formulas for e}" in text
    assert r"\subsection*{The simplest 100 of 762 formulas}" in text
    assert text.count(r"$\displaystyle ") == 100
    assert r"$\displaystyle \frac{e+1}{e-1} = 2 + \cfrac{1}{6 + \cfrac{1}{10 + \cfrac{1}{14 + " in text
    settings = Esma("e", 1, 2).settings
    simple = [one.formula() for one in KNOWN if one.constant == "e" and one.formula().complexity < 25]
    assert len(simple) >= 3
    for formula in simple:
        assert f"$\\displaystyle {formula.latex(settings.constant)}$" in text


def test_an_article_without_formulas_is_an_article(tmp_path: Path) -> None:
    text = search(constant="pi", limit=1).export("latex", tmp_path / "pi.tex").read_text(encoding="utf-8")
    assert balanced(text)
    assert r"\section*{Formulas for $\pi$}" in text or r"\section*{Formulas for pi}" in text
    assert r"\displaystyle" not in text


# The command line -----------------------------------------------------------------------------------------------------

CONFIG = """
problem: {type: esma, constant: e, degree: 1, coefficients: 2}
algorithm: {type: enumeration, shard: 7}
seed: 4
"""


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The command, in a folder with a run file; what it prints."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "formulas.yaml").write_text(CONFIG)

    def called(*arguments: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(list(arguments))
        said = capsys.readouterr()
        assert not caught.value.code, said.err
        return said.out

    return called


@pytest.mark.slow
def test_a_run_file_gives_the_same_search_and_its_tables(
    call: Callable[..., str], whole: evo.Run, expected: bytes, tmp_path: Path
) -> None:
    said = call("run", "formulas.yaml")
    assert "finished: the enumeration is complete: 144 ranks in 21 shards" in said
    for text in (said, call("show", "runs/formulas-1")):
        lines = [line.split() for line in text.splitlines()]
        assert ["formulas_verified", "762"] in lines
        assert ["left_hand_sides", "112"] in lines
        at = lines.index(["simplest"])
        assert lines[at + 1] == ["left-hand", "side", "a_n", "b_n", "digits", "digits/term", "bits"]
        assert ["fastest"] in lines
        assert any(line[:3] == ["(e+1)/(e-1)", "[(2+4m)]", "+"] for line in lines)
    assert formulas(evo.load("runs/formulas-1")) == formulas(whole)
    call("export", "runs/formulas-1", "--format", "canonical", "--output", "run.canonical")
    assert (tmp_path / "run.canonical").read_bytes() == expected
    call("export", "runs/formulas-1", "--format", "latex", "--output", "formulas.tex")
    text = (tmp_path / "formulas.tex").read_text(encoding="utf-8")
    assert balanced(text)
    assert r"\frac{e+1}{e-1}" in text


def test_as_json_the_tables_are_data(call: Callable[..., str]) -> None:
    summary = json.loads(call("run", "formulas.yaml", "--json"))["summary"]
    assert summary == json.loads(call("show", "runs/formulas-1", "--json"))["summary"]
    assert summary["formulas_verified"] == 762
    assert len(summary["simplest"]) == 20


@pytest.mark.slow
def test_a_check_of_the_run_file_passes(call: Callable[..., str]) -> None:
    said = call("check", "formulas.yaml")
    assert re.search(r"\d+ rejected", said)


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_to_the_byte(tmp_path: Path, expected: bytes) -> None:
    rng, killed = random.Random(5), 0
    root = Path(__file__).parents[3]
    environment = os.environ | {"PYTHONPATH": str(root)}
    (tmp_path / "formulas.yaml").write_text(CONFIG.replace("coefficients: 2", "coefficients: 5"))
    command = [sys.executable, "-c", "from evo.cli import main; main()"]
    run = [*command, "run", "formulas.yaml"]
    folder = tmp_path / "runs" / "formulas-1"
    for _ in range(4):
        going = [*command, "resume", str(folder)] if folder.exists() else run
        process = subprocess.Popen(
            going, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 60
        while not (folder / "run.sqlite").exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.5))
        killed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert killed > 0
    again = evo.resume(folder)
    straight = evo.search(Esma("e", 1, 5), evo.Enumeration(7), seed=4)
    assert again.state == straight.state == "finished"
    assert formulas(again) == formulas(straight)
    assert canonical(again, tmp_path) == canonical(straight, tmp_path)
