import io

import pytest
from filling import fill
from rich.console import Console

from evo.monitor.terminal import Terminal, duration

HEADER = {
    "name": "arm-1",
    "problem": "arm",
    "algorithm": "map_elites",
    "seed": 3,
    "objectives": [{"name": "smoothness"}],
}


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def totals(evaluations, elapsed=0.0, **more):
    return {
        "state": "running",
        "evaluations": evaluations,
        "budget": {"evaluations": 1000.0, "seconds": None},
        "failures": {"failed": 0, "timeout": 0},
        "best": {"objectives": [98.5]},
        "elapsed": elapsed,
        "workers": {"alive": 4, "busy": 3, "lost": 0},
        "stats": {"coverage": 0.25, "qd_score": 1234.5},
        **more,
    }


def started(terminal=False):
    clock, file = Clock(), io.StringIO()
    shown = Terminal(Console(file=file, force_terminal=terminal, width=100), clock)
    shown.start(HEADER)
    return shown, clock, file


def test_elsewhere_than_on_a_terminal_a_line_comes_every_five_seconds():
    shown, clock, file = started()
    for step in range(41):
        shown.update(totals(10.0 * step, elapsed=step / 2))
        clock.now += 0.5
    lines = file.getvalue().splitlines()
    assert lines[0] == "arm-1  arm · map_elites · seed 3"
    assert [line.split(":")[0] for line in lines[1:]] == ["5.0 s", "10 s", "15 s", "20 s"]
    assert lines[2] == (
        "10 s: 200 of 1,000 evaluations, rate 20/s (20/s since start), best smoothness 98.5, coverage 25.0%, "
        "QD score 1,234.5, workers 3 busy of 4, left 40 s"
    )


def test_the_rate_is_that_of_the_last_ten_seconds():
    shown, clock, file = started()
    for step in range(60):
        shown.update(totals(100.0 * min(step, 30)))
        clock.now += 1.0
    assert "rate 0.00/s" in file.getvalue().splitlines()[-1] or "rate 0/s" in file.getvalue().splitlines()[-1]


def test_after_a_resume_earlier_evaluations_are_no_rate():
    shown, clock, file = started()
    shown.update(totals(500.0))
    clock.now += 10.0
    shown.update(totals(600.0))
    assert "rate 10/s (10/s since start)" in file.getvalue().splitlines()[-1]


def test_failures_and_lost_workers_are_said():
    shown, clock, file = started()
    clock.now += 5.0
    shown.update(totals(1.0, failures={"failed": 2, "timeout": 1}, workers={"alive": 3, "busy": 3, "lost": 1}))
    line = file.getvalue().splitlines()[-1]
    assert "failures 2 failed, 1 timeout" in line
    assert "workers 3 busy of 3, 1 lost" in line


def test_totals_may_lack_anything():
    shown, clock, file = started()
    clock.now += 5.0
    shown.update({})
    shown.update({"evaluations": 3.0, "best": None, "stats": {"best": float("nan")}})
    assert "0 evaluations" in file.getvalue()


def test_a_time_budget_says_what_is_left():
    shown, clock, file = started()
    clock.now += 5.0
    shown.update(totals(1.0, elapsed=30.0, budget={"evaluations": None, "seconds": 150.0}))
    assert file.getvalue().splitlines()[-1].endswith("left 2 min 00 s")


def test_on_a_terminal_a_panel_with_a_bar_is_redrawn_and_goes():
    shown, clock, file = started(terminal=True)
    shown.update(totals(250.0, elapsed=3.0))
    clock.now += 1.0
    shown.update(totals(500.0, elapsed=4.0))
    drawn = file.getvalue()
    assert "250 of 1,000 in 3.0 s" in drawn
    assert "50%" in drawn
    before = len(drawn)
    clock.now += 0.05
    shown.update(totals(510.0))
    assert len(file.getvalue()) == before  # too soon to draw again
    shown.finish(fill(None, blocks=1).run())
    assert "finished: budget spent; 0.5 s: 50 of 1,000 evaluations" in file.getvalue()


def test_closing_twice_does_no_harm():
    shown, _, _ = started(terminal=True)
    shown.close()
    shown.close()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (59.9, "1 min 00 s"),
        (3599.0, "59 min 59 s"),
        (7800.0, "2 h 10 min"),
        (273_600.0, "3 d 4 h"),
        (float("inf"), "unknown"),
    ],
)
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("terminal", [False, True])
def test_what_looks_like_markup_is_shown_as_it_is(terminal):
    odd = "[/tmp/x] [red]"
    clock, file = Clock(), io.StringIO()
    shown = Terminal(Console(file=file, force_terminal=terminal, width=200), clock)
    names = {"name": odd, "problem": odd, "algorithm": odd, "objectives": [{"name": odd}]}
    shown.start({**HEADER, **names})
    clock.now += 5.0
    shown.update(totals(1.0, failures={odd: 2}))
    filler = fill(None, blocks=1)
    with filler.writer.transaction():
        filler.writer.totals({**filler.run().totals, "reason": odd})
    shown.finish(filler.run())
    text = file.getvalue()
    assert f"finished: {odd};" in text
    assert f"2 {odd}" in text
    assert f"{odd} 98.5" in text
