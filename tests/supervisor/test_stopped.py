"""Ctrl-C in a terminal, SIGTERM, SIGHUP, and a supervisor that is killed: an orderly end, and nobody left behind."""

from __future__ import annotations

import os
import pty
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from running import ROOT, Command, canonical, wait_until

import evo
from evo.engine.rundir import Standing, held

pytestmark = pytest.mark.slow

Start = Callable[..., Command]


def run(start: Start, *arguments: object, **environment: str) -> Command:
    return start("run", "small.yaml", "--run-dir", "run", *arguments, **environment)


def assert_resumes(folder: Path, expected: bytes) -> None:
    stored = evo.load(folder / "run")
    assert stored.state == "interrupted"
    assert not held(folder / "run")
    assert stored.totals["told"] < 500
    assert canonical_after_resuming(folder) == expected


def canonical_after_resuming(folder: Path) -> bytes:
    evo.resume(folder / "run", backend="inline")
    return canonical(folder / "run", folder)


@pytest.mark.parametrize(
    ("number", "to"),
    [
        (signal.SIGINT, "both"),
        (signal.SIGINT, "supervisor"),
        (signal.SIGTERM, "both"),
        (signal.SIGTERM, "master"),
        (signal.SIGHUP, "supervisor"),
    ],
)
def test_one_signal_to_whomever_ends_in_order(
    number: signal.Signals, to: str, start: Start, folder: Path, expected: bytes
) -> None:
    command = run(start, NAP="0.01").told(2)
    assert command.below
    if to == "both":
        os.killpg(command.process.pid, number)
    elif to == "master":
        command.master.send_signal(number)
    else:
        command.process.send_signal(number)
    code, _, err = command.ended(15)
    assert code == 130
    assert "evo: interrupted; continue with: evo resume run" in err
    assert evo.load(folder / "run").reason == "stopped on request; resumable"
    assert command.leftovers() == []
    assert_resumes(folder, expected)


def test_termination_does_not_wait_for_an_endless_evaluation(start: Start, folder: Path) -> None:
    command = run(start, "problem={type: 'supervised_world:Long', joints: 5}").told(2)
    time.sleep(0.5)
    assert command.below
    command.process.send_signal(signal.SIGTERM)
    code, _, _ = command.ended(15)
    assert code == 130
    assert evo.load(folder / "run").state == "interrupted"
    assert command.leftovers() == []


def test_a_signal_before_the_search_leaves_nothing(start: Start, folder: Path) -> None:
    command = run(start)
    assert command.master
    command.process.send_signal(signal.SIGTERM)
    code, _, err = command.ended(15)
    assert code == 130
    assert "interrupted before the search began" in err
    assert "Traceback" not in err
    assert not (folder / "run").exists()


def test_a_supervisor_that_is_killed_takes_its_master_along(start: Start, folder: Path, expected: bytes) -> None:
    command = run(start, NAP="0.01").told(2)
    assert command.below
    command.process.kill()
    assert command.ended(15)[0] == -signal.SIGKILL
    assert command.leftovers() == []
    assert_resumes(folder, expected)


def test_a_silent_terminal_does_not_matter_to_who_was_started_to_outlive_it(start: Start, folder: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        command = run(start, NAP="0.002")
    finally:
        signal.signal(signal.SIGHUP, before)
    command.told(2)
    os.killpg(command.process.pid, signal.SIGHUP)
    assert command.ended()[0] == 0


# In a terminal --------------------------------------------------------------------------------------------------------


SHELL = """
import os, signal, sys
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.execv(sys.executable, [sys.executable, "-c", "from evo.cli import main; main()", *sys.argv[1:]])
os.setpgid(job, job)
os.tcsetpgrp(0, job)
print(f"job {job}.", flush=True)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(job, 0)[1]))
"""
"""What a shell does for its foreground job."""


class Terminal:
    """A shell's foreground job on a pseudo-terminal of its own."""

    def __init__(self, folder: Path, *arguments: object, **environment: str) -> None:
        self.run = folder / "run"
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", **environment}
        self.pid, self.keys = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(sys.executable, [sys.executable, "-c", SHELL, *map(str, arguments)], variables)
        os.set_blocking(self.keys, False)
        self.printed = b""
        self.status: int | None = None
        self.until(lambda: b"job " in self.printed and b"." in self.printed)
        self.job = int(self.printed.split(b"job ")[1].split(b".")[0])

    def read(self) -> None:
        """What the terminal shows, and whether the job has ended."""
        try:
            while some := os.read(self.keys, 65536):
                self.printed += some
        except OSError:
            pass
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None

    def until(self, found: Callable[[], object], seconds: float = 60) -> None:
        def look() -> object:
            self.read()
            return found()

        wait_until(look, seconds, self.printed.decode(errors="replace")[-2000:])

    def press(self, key: bytes) -> None:
        os.write(self.keys, key)

    def states(self) -> set[str]:
        one = psutil.Process(self.job)
        return {process.status() for process in (one, *one.children())}

    def close(self) -> None:
        if self.status is None:
            for one in [*psutil.Process(self.pid).children(recursive=True), psutil.Process(self.pid)]:
                one.kill()
            os.waitpid(self.pid, 0)
        os.close(self.keys)


@pytest.fixture
def terminal(folder: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts ``evo run`` there."""
    opened: list[Terminal] = []

    def begin(*arguments: object, **environment: str) -> Terminal:
        opened.append(Terminal(folder, "run", "small.yaml", "--run-dir", "run", *arguments, **environment))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()


def test_one_ctrl_c_drains(terminal: Callable[..., Terminal], folder: Path, expected: bytes) -> None:
    shell = terminal(NAP="0.01")
    shell.until(lambda: Standing.of(shell.run).moves >= 2)
    shell.press(b"\x03")
    shell.until(lambda: shell.status is not None)
    assert shell.status == 130
    assert evo.load(folder / "run").reason == "stopped on request; resumable"
    assert b"Traceback" not in shell.printed
    assert_resumes(folder, expected)


def test_the_second_ctrl_c_stops_at_once(terminal: Callable[..., Terminal], folder: Path) -> None:
    shell = terminal("problem={type: 'supervised_world:Long', joints: 5}")
    shell.until(lambda: Standing.of(shell.run).moves >= 2)
    time.sleep(0.5)
    shell.press(b"\x03")
    time.sleep(1)
    shell.read()
    assert shell.status is None  # it drains
    shell.press(b"\x03")
    shell.until(lambda: shell.status is not None, 15)
    assert shell.status == 130
    assert evo.load(folder / "run").reason == "stopped at once; what was under way is done again on resume"


def test_ctrl_z_stops_both_and_a_long_stop_is_no_hang(
    terminal: Callable[..., Terminal], folder: Path, expected: bytes
) -> None:
    shell = terminal("--hang", "1", NAP="0.005")
    shell.until(lambda: Standing.of(shell.run).moves >= 2)
    shell.press(b"\x1a")
    shell.until(lambda: shell.states() == {psutil.STATUS_STOPPED})
    time.sleep(2.5)
    os.killpg(shell.job, signal.SIGCONT)
    shell.until(lambda: shell.status is not None)
    assert shell.status == 0, shell.printed.decode(errors="replace")[-1500:]
    assert evo.load(folder / "run").events("restart") == []
    assert canonical(folder / "run", folder) == expected


def test_a_terminal_that_closes_ends_the_run_in_order(
    terminal: Callable[..., Terminal], folder: Path, expected: bytes
) -> None:
    shell = terminal(NAP="0.01")
    shell.until(lambda: Standing.of(shell.run).moves >= 2)
    below = psutil.Process(shell.pid).children(recursive=True)
    keys, shell.keys = shell.keys, os.open(os.devnull, os.O_RDONLY)
    os.close(keys)
    shell.until(lambda: shell.status is not None, 15)
    wait_until(lambda: not any(one.is_running() for one in below), 10)
    assert_resumes(folder, expected)


def test_the_supervisor_stays_light(start: Start) -> None:
    command = run(start, NAP="0.01").told(2)
    maps = Path(f"/proc/{command.process.pid}/maps").read_text()
    assert not [library for library in ("_raylet", "yaml", "pandas", "matplotlib") if library in maps]
    assert os.getpgid(command.master.pid) == command.process.pid
