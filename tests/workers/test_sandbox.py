"""What candidates may do in a sandbox, and what is said of them: each deed is done for real."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hostile import SECRET, Hostile, Verdict, employed

from evo import Status
from evo.errors import WorkerError
from evo.sandbox import ABILITIES, Sandbox
from workers.inline import Inline
from workers.sandbox.abilities import abilities_of

Deed = Callable[..., Verdict]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that every user may enter and write."""
    folder = Path(tempfile.mkdtemp(prefix="evo-", dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def worker() -> Inline:
    return Inline()


@pytest.fixture(scope="module")
def deed(worker: Inline) -> Iterator[Deed]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("A_TOKEN", SECRET)
        with employed(worker) as verdict:
            yield verdict


@pytest.fixture(scope="module")
def contained(deed: Deed, worker: Inline) -> dict[str, bool]:
    """What this host says that it contains."""
    assert worker._bench is not None
    return {one.name: one.contained for one in abilities_of(worker._bench.about["sandbox"])}


def next_scores(deed: Deed) -> bool:
    return deed("score").status == Status.OK


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("crash", Status.CRASHED, "sandbox: killed by SIGSEGV"),
        ("abort", Status.CRASHED, "sandbox: killed by SIGABRT"),
        ("hungry", Status.FAILED, "sandbox: memory: more than 128.0 MiB"),
        ("verbose", Status.FAILED, "sandbox: output: more than 1.0 MiB"),
        ("threads", Status.FAILED, "sandbox: processes: more than 24"),
        ("one_large_file", Status.FAILED, "sandbox: files: more than 16.0 MiB"),
        ("refuse", Status.REJECTED, "not what is searched"),
        ("interrupt", Status.FAILED, "sandbox: ended without an answer (exit code 1)"),
        ("hungry_in_maps", Status.FAILED, "sandbox: files: more than 16.0 MiB"),
        ("fill_far", Status.FAILED, "sandbox: files: more than 16.0 MiB"),
        ("give_up_limits", Status.FAILED, "ValueError: not allowed to raise maximum limit"),
    ],
)
def test_each_end_has_its_verdict_and_the_next_candidate_scores(
    deed: Deed, name: str, status: Status, reason: str
) -> None:
    found = deed(name, deadline=20.0)
    assert (found.status, found.reason.splitlines()[0]) == (status, reason)
    assert np.isnan(found.value)
    assert next_scores(deed)


@pytest.mark.parametrize("name", ["loop", "stubborn", "sleep"])
def test_whoever_does_not_end_is_ended_at_its_deadline(deed: Deed, name: str) -> None:
    found = deed(name, deadline=0.5)
    assert found.status == Status.TIMEOUT
    assert found.reason == "sandbox: exceeded its deadline of 0.5 s"
    assert 0.5 <= found.seconds < 10
    assert next_scores(deed)


@pytest.mark.parametrize("deadline", [2.0**31, 1e12, float("inf")])
def test_a_deadline_may_be_as_far_as_one_likes(deed: Deed, monkeypatch: pytest.MonkeyPatch, deadline: float) -> None:
    import hostile

    monkeypatch.setattr(
        hostile, "_next", lambda workers, end, _next=hostile._next: _next(workers, time.monotonic() + 20)
    )
    assert deed("score", deadline=deadline).value == 1.0


def test_each_child_draws_numbers_of_its_own(deed: Deed) -> None:
    assert len({deed("draw").value for _ in range(3)}) == 3


def test_segments_that_outlive_their_processes_are_not_given(deed: Deed, worker: Inline) -> None:
    assert worker._bench is not None
    if not worker._bench.about["sandbox"]["means"]["seccomp"]:
        pytest.skip("this host has no libseccomp")
    assert deed("segments").reason.startswith("PermissionError: [Errno 1]")


@pytest.mark.parametrize("code", [0, 3])
def test_leaving_is_no_answer(deed: Deed, code: int) -> None:
    assert deed("leave", code=code).reason.splitlines()[0] == f"SystemExit: {code}"
    found = deed("leave_at_once", code=code)
    assert found.status == Status.FAILED
    assert found.reason == f"sandbox: ended without an answer (exit code {code})\nlast words"


@pytest.mark.parametrize("text", ["", "nonsense", "evo-answer-1\n", "evo-answer-1\n" + "\xff" * 100])
def test_what_is_slipped_into_the_answer_spoils_it(deed: Deed, text: str) -> None:
    found = deed("forge", text=text)
    if text:
        assert found.status == Status.FAILED
        assert found.reason.startswith("sandbox: its answer is not in order")
    else:
        assert found.status == Status.OK
    assert next_scores(deed)


def test_a_copy_that_is_forked_and_forgotten_does_not_answer_too(deed: Deed) -> None:
    assert deed("fork_and_forget").value == 1.0


def test_what_loses_its_parents_dies_with_its_candidate(deed: Deed, place: Path) -> None:
    lock = place / "lock"
    lock.write_text("")
    lock.chmod(0o444)
    assert deed("daemon", lock=str(lock)).status == Status.OK
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where the daemon still holds it


@pytest.mark.parametrize("name", ["write", "write_by_link", "append", "remove"])
def test_nothing_is_written_outside(deed: Deed, contained: dict[str, bool], place: Path, name: str) -> None:
    if not contained["files"]:
        pytest.skip("this host does not contain it, and says so")
    victim = place / "victim"
    victim.write_text("whole")
    victim.chmod(0o666)
    assert deed(name, path=str(victim)).status == Status.FAILED
    assert victim.read_text() == "whole"
    assert deed("write", path="/tmp/evo-was-here").status == Status.FAILED
    assert not Path("/tmp/evo-was-here").exists()


def test_permissions_outside_stay(deed: Deed, contained: dict[str, bool], place: Path) -> None:
    if not contained["files"]:
        pytest.skip("this host does not contain it, and says so")
    inner = place / "inner"
    inner.mkdir()
    inner.chmod(0o755)
    assert deed("open_up", path=str(inner)).status == Status.FAILED
    assert deed("open_up", path=tempfile.gettempdir()).status == Status.FAILED
    assert inner.stat().st_mode & 0o777 == 0o755


def test_nobody_is_called_over_the_network(deed: Deed, contained: dict[str, bool]) -> None:
    if not contained["network"]:
        pytest.skip("this host does not contain it, and says so")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as local,
    ):
        tcp.settimeout(0.2)
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(0.2)
        local.bind(f"\0evo-test-{os.getpid()}")
        local.listen()
        local.settimeout(0.2)
        assert deed("tcp", port=tcp.getsockname()[1]).status == Status.FAILED
        deed("udp", port=udp.getsockname()[1])
        assert deed("abstract", name=f"evo-test-{os.getpid()}").status == Status.FAILED
        with pytest.raises(TimeoutError):
            tcp.accept()
        with pytest.raises(TimeoutError):
            udp.recv(10)
        with pytest.raises(TimeoutError):
            local.accept()


def test_the_workers_secrets_are_nowhere_to_be_found(deed: Deed, contained: dict[str, bool]) -> None:
    if not contained["environment"]:
        pytest.skip("this host does not contain it, and says so")
    assert os.environ["A_TOKEN"] == SECRET
    assert deed("spy", deadline=20.0).value == 1.0


def test_the_worker_can_be_neither_killed_nor_traced(deed: Deed, contained: dict[str, bool]) -> None:
    if not contained["signals"]:
        pytest.skip("this host does not contain it, and says so")
    deed("kill", deadline=20.0)
    assert next_scores(deed)
    deed("kill_all")
    assert next_scores(deed)
    assert deed("trace", pid=os.getpid()).status == Status.FAILED


def test_seconds_are_the_childs(deed: Deed) -> None:
    found = deed("loop", deadline=1.0).outcomes
    assert found.seconds >= 1.0
    assert 0.0 < found.cpu_seconds <= found.seconds + 0.1


def test_a_server_that_dies_is_started_again(deed: Deed, worker: Inline) -> None:
    assert worker._bench is not None
    assert worker._bench._contained is not None
    server = worker._bench._contained._server
    assert server is not None
    server._process.kill()
    server._process.wait(10)
    assert next_scores(deed)


def test_a_worker_says_what_its_host_contains(deed: Deed, worker: Inline) -> None:
    assert worker._bench is not None
    about = worker._bench.about["sandbox"]
    assert about["fidelities"] == ["born", "full"]
    lines = [str(one) for one in abilities_of(about)]
    assert [line.partition(":")[0] for line in lines] == list(ABILITIES)


@pytest.mark.slow
def test_what_is_required_and_missing_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    from workers.sandbox.probe import Target

    monkeypatch.setattr(Target, "reached", lambda self: {"network": "UDP got through"})
    with (
        pytest.raises(WorkerError, match=r"sandbox.require: this host does not contain network \(UDP got through\)"),
        employed(Inline(), limits=Sandbox(require=("network",))),
    ):
        pass


def test_a_place_to_write_that_is_not_there_is_refused_at_the_start() -> None:
    told = r"sandbox.write: expected files and folders that exist where workers run, got '/missing/x'"
    with pytest.raises(WorkerError, match=told), employed(Inline(), limits=Sandbox(write=("/missing/x",))):
        pass


@pytest.mark.slow
def test_processor_seconds_need_not_be_whole() -> None:
    with employed(Inline(), limits=Sandbox(cpu_seconds=0.3)) as deed:
        found = deed("loop", deadline=20.0)
        assert (found.status, found.reason) == (Status.TIMEOUT, "sandbox: cpu: more than 0.3 s")
        assert found.outcomes.cpu_seconds < 1.0
        assert deed("score").status == Status.OK


@pytest.mark.slow
def test_a_warm_up_that_fails_is_told_by_its_reason() -> None:
    class Cold(Hostile):
        def warm_up(self) -> None:
            raise RuntimeError("no heating")

    with pytest.raises(WorkerError, match="could not warm up: RuntimeError: no heating"), employed(Inline(), Cold()):
        pass


@pytest.mark.slow
def test_nothing_is_left_behind(place: Path) -> None:
    artifacts = place / "artifacts"
    artifacts.mkdir()
    with employed(Inline(), artifacts=artifacts) as verdict:
        server = verdict("score")
        assert server.status == Status.OK
        verdict("crash")
    assert list(artifacts.iterdir()) == []
