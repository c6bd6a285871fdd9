"""However a program ends, it is said why, in time, and nothing of it is left behind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from programs import Make, X, evaluated, python, shell, work

from evo import ConfigError, EvaluationError, Rejected
from problems.executable import Executable
from problems.executable.guard import marked
from problems.executable.home import Home


def failure(executable: Executable) -> str:
    with pytest.raises(EvaluationError) as caught:
        evaluated(executable)
    return str(caught.value)


def left_over() -> list[int]:
    """Processes of programs that this process has started."""
    return marked(Home.here().mark)


@pytest.fixture(autouse=True)
def _nothing_is_left() -> object:
    yield
    left = left_over()
    for process in left:  # before the test fails for it
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    assert not left


def test_a_failure_says_exit_code_last_words_and_command(tmp_path: Path, make: Make) -> None:
    shell(tmp_path, "echo reading >&2; echo 'cannot open table' >&2; exit 3")
    reason = failure(make("--x", "{x}"))
    assert reason.splitlines() == [
        "exit code 3: cannot open table",
        "command: ./program --x 0.5",
        "standard error:",
        "reading",
        "cannot open table",
    ]


def test_an_exit_code_says_no_and_standard_error_says_why(tmp_path: Path, make: Make) -> None:
    shell(tmp_path, "echo 'does not converge' >&2; exit $1")
    with pytest.raises(Rejected, match=r"^does not converge$"):
        evaluated(make("65"))
    with pytest.raises(Rejected, match=r"^does not converge$"):
        evaluated(make("7", rejected=7))
    assert failure(make("65", rejected=7)).startswith("exit code 65: does not converge\n")


def test_a_signal_is_named(tmp_path: Path, make: Make) -> None:
    shell(tmp_path, "kill -SEGV $$")
    assert failure(make()).startswith("killed by SIGSEGV\n")
    shell(tmp_path, "sh -c 'kill -ABRT $$'; exit $?")
    assert failure(make()).startswith("exit code 134 (as shells say of SIGABRT)")


def test_a_program_that_hangs_costs_its_deadline(tmp_path: Path, make: Make) -> None:
    shell(tmp_path, "echo begun >&2; sleep 600")
    began = time.monotonic()
    assert failure(make(deadline=0.5)).startswith("exceeded its deadline of 0.5 s\n")
    assert 0.5 <= time.monotonic() - began < 1.5


def test_a_program_that_ignores_being_told_to_end_is_killed_with_all_it_started(tmp_path: Path, make: Make) -> None:
    python(
        tmp_path,
        """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(2):
    if os.fork() == 0:
        os.setsid()                    # away from its group
        if os.fork() == 0:             # and from its parent
            os.closerange(0, 1000)     # and from all pipes
            while True: time.sleep(1)
        os._exit(0)
print('1', flush=True)
while True: time.sleep(1)
""",
    )
    began = time.monotonic()
    reason = failure(make(deadline=1.0))
    assert time.monotonic() - began < 2.0
    assert reason.startswith("exceeded its deadline of 1 s")
    assert left_over() == []


def test_what_a_program_leaves_in_the_background_ends_with_it(tmp_path: Path, make: Make) -> None:
    shell(tmp_path, "sleep 600 & (setsid sleep 600 >/dev/null 2>&1 &) ; echo 2")
    began = time.monotonic()
    assert evaluated(make()).objectives == [2.0]
    assert time.monotonic() - began < 5
    assert left_over() == []


def test_an_interrupted_evaluation_leaves_no_program(tmp_path: Path, make: Make) -> None:
    class OverdueError(BaseException):
        pass

    def strike(*_: object) -> None:
        raise OverdueError

    shell(tmp_path, "trap '' TERM; sleep 600 & sleep 600")
    executable = make()
    executable.warm_up()
    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, 0.4)
    try:
        with pytest.raises(OverdueError):
            evaluated(executable)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert left_over() == []


def test_endless_output_is_read_and_forgotten(tmp_path: Path, make: Make) -> None:
    shell(
        tmp_path, "head -c 300000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero | tr '\\0' e >&2; echo; echo 5"
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert evaluated(make()).objectives == [5.0]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def test_the_end_of_a_long_complaint_is_kept(tmp_path: Path, make: Make) -> None:
    python(
        tmp_path,
        "for text in ('early', 'e' * 10**6, 'late'): print(text, file=sys.stderr)\nsys.exit(1)",
    )
    reason = failure(make())
    assert reason.startswith("exit code 1: late\n")
    assert reason.endswith("late")
    assert len(reason) < 5000


def test_what_a_program_says_of_a_secret_is_not_kept(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LICENSE", "sentinel-4711")
    shell(tmp_path, 'echo "bad license $LICENSE" >&2; exit $1')
    assert failure(make("1", environment=["LICENSE"])).startswith("exit code 1: bad license [LICENSE]\n")
    with pytest.raises(Rejected, match=r"^bad license \[LICENSE\]$"):
        evaluated(make("65", environment=["LICENSE"]))


@pytest.mark.parametrize("before", [0, 191, 195, 3990])
def test_no_half_of_a_secret_is_kept_where_words_are_cut(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setenv("LICENSE", "sentinel-4711")
    python(tmp_path, "print('x' * int(sys.argv[1]) + os.environ['LICENSE'], file=open(sys.argv[2], 'w'))")
    for channel in ("/dev/stdout", "/dev/stderr"):
        reason = failure(make(str(before), channel, environment=["LICENSE"]))
        assert "sent" not in reason


def test_a_zero_byte_or_too_long_an_argument_fails_the_candidate_alone(tmp_path: Path, make: Make) -> None:
    from evo.spaces import Json

    shell(tmp_path, "echo 1")
    executable = make("{genome}", space=Json())
    executable.warm_up()
    genomes = executable._space.stack(["a\0b", "c" * 10**6, "fine"])
    found = executable.evaluate_batch(genomes, _rows(3))
    assert sorted(found.failures) == [0, 1]
    assert found.failures[0] == "the program could not be started: embedded null byte"
    assert "Argument list too long" in found.failures[1]
    assert found.objectives[2].tolist() == [1.0]


def test_a_batch_keeps_its_rows_apart(tmp_path: Path, make: Make) -> None:
    python(
        tmp_path,
        """
x = float(sys.argv[1])
if x < 0: sys.exit(65)
if x > 5: sys.exit(1)
print(json.dumps({"cost": x, **({"odd": x} if x == 1 else {})}))
""",
    )
    executable = make("{x}")
    executable.warm_up()
    found = executable.evaluate_batch(X.stack([{"x": x} for x in (1, -1, 6, 2)]), _rows(4))
    assert (sorted(found.rejected), sorted(found.failures)) == ([1], [2])
    assert found.objectives[[0, 3], 0].tolist() == [1.0, 2.0]
    assert list(found.metrics["odd"]) == [1.0, None, None, None]


WORKER = """
import sys
sys.path.insert(0, {folder!r})
from programs import X, work
from problems.executable import Executable
executable = Executable(["./program"], X, ["cost"], folder={place!r})
executable.warm_up()
from problems.executable.home import Home
print(Home.here().mark, Home.here().folder, flush=True)
executable.evaluate(X.stack([{{"x": 0.5}}])[0], work())
"""


def test_a_program_does_not_outlive_a_worker_that_is_killed(tmp_path: Path) -> None:
    shell(tmp_path, "sleep 600 & sleep 600")
    script = WORKER.format(folder=str(Path(__file__).parent), place=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        mark, folder = worker.stdout.readline().split()
        try:
            assert _until(lambda: len(marked(mark)) >= 3)
        finally:
            worker.kill()
    assert _until(lambda: not marked(mark))
    assert _until(lambda: not Path(folder).exists())


# What cannot be started ----------------------------------------------------------------------------------------------


def test_a_program_that_is_not_there_is_one_error_before_the_search(tmp_path: Path, make: Make) -> None:
    with pytest.raises(ConfigError, match=r"^command\[0\]: there is no \./program in "):
        make()


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (b"#!/bin/sh\necho 1\n", 0o644, r"is not executable: chmod \+x program$"),
        (b"#!/none/such\n", 0o755, r"names the interpreter /none/such, which is not here"),
        (b"#!/bin/sh\r\necho 1\r\n", 0o755, r"has the line ends of Windows"),
        (b"#!/usr/bin/env no-such-language\n", 0o755, r"asks for no-such-language, which is not found in PATH"),
        (b"#!\n", 0o755, r"names no interpreter; expected one such as #!/bin/sh"),
        (b"echo 1\n", 0o755, r"is text without a first line that names its interpreter"),
        (b"", 0o755, r"is empty"),
        (b"\x7fELF\x02\x01\x01" + bytes(11) + b"\xf3\x00" + bytes(60), 0o755, ""),
    ],
)
def test_a_program_that_cannot_be_started_is_one_error_before_the_search(
    tmp_path: Path, make: Make, content: bytes, mode: int, reason: str
) -> None:
    (tmp_path / "program").write_bytes(content)
    (tmp_path / "program").chmod(mode)
    if reason:
        with pytest.raises(ConfigError, match=rf"^command\[0\]: .*{reason}"):
            make()
    else:  # nothing that the file's head could tell
        assert "could not be started: [Errno 8] Exec format error" in failure(make())


def test_a_binary_for_another_machine_or_system_is_named(tmp_path: Path, make: Make) -> None:
    ours = bytearray(Path(sys.executable).resolve().read_bytes()[:4096])
    if ours[:5] != b"\x7fELF\x02":
        pytest.skip("this Python is no 64-bit ELF file")
    machine = int.from_bytes(ours[18:20], "little")
    if machine not in (62, 183):
        pytest.skip("a machine that is not looked at")
    (tmp_path / "program").write_bytes(ours[:18] + (62 + 183 - machine).to_bytes(2, "little") + ours[20:])
    (tmp_path / "program").chmod(0o755)
    with pytest.raises(ConfigError, match=r"command\[0\]: .* was built for (aarch64|x86_64), this machine is"):
        make()
    loader = ours.find(b"/ld-")
    assert loader > 0
    ours[loader : loader + 4] = b"/xx-"
    (tmp_path / "program").write_bytes(ours)
    with pytest.raises(ConfigError, match=r"command\[0\]: .* needs .*/xx-.*, which is not here"):
        make()


def test_a_folder_is_no_program(tmp_path: Path, make: Make) -> None:
    (tmp_path / "program").mkdir()
    with pytest.raises(ConfigError, match=r"command\[0\]: .* is a folder, not a program"):
        make()


def test_a_program_that_workers_must_have_is_looked_up_when_they_warm_up(tmp_path: Path) -> None:
    shell(tmp_path, "echo 1", "thing")
    for program, reason in (
        ("/none/such", "there is no file /none/such"),
        ("thing", r"thing is not found in PATH \(.*\); for the file beside it write \./thing"),
    ):
        executable = Executable([program], X, ["cost"], folder=str(tmp_path))
        with pytest.raises(ConfigError, match=rf"command\[0\]: {reason}"):
            executable.warm_up()


def test_a_variable_that_is_not_set_is_one_error_before_the_search(tmp_path: Path, make: Make) -> None:
    shell(tmp_path, "echo 1")
    executable = make(environment=["NO_SUCH_VARIABLE"])
    with pytest.raises(ConfigError, match="environment: the variable NO_SUCH_VARIABLE is not set"):
        executable.warm_up()


def _rows(n: int) -> object:
    found = work()
    found.draws = np.zeros(n, dtype=np.int64)
    return found


def _until(condition: object, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False
