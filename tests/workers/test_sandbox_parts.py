"""Parts of the sandbox on their own: frames between worker and server, user ids, variables."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workers.sandbox.environment import allowed
from workers.sandbox.frames import Gone, Outbox, receive, send

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_frames_wait_for_one_who_is_busy_and_nobody_waits_with_them(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    outbox = Outbox(ours)
    bodies = [bytes([number]) * (3 << 20) for number in range(5)]
    for number, body in enumerate(bodies):
        outbox.put({"number": number}, body)
        outbox.push()  # comes back though nobody reads
    assert outbox.size > 14 << 20
    found: list[tuple[dict[str, Any], bytes]] = []

    def read() -> None:
        found.extend(receive(theirs, 20) for _ in bodies)

    reader = threading.Thread(target=read)
    reader.start()
    outbox.empty()
    reader.join(20)
    assert found == [({"number": number}, body) for number, body in enumerate(bodies)]
    assert outbox.size == 0


def test_who_has_hung_up_or_takes_nothing_is_gone(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = ends
    monkeypatch.setattr("workers.sandbox.frames._PATIENCE", 0.1)
    with pytest.raises(Gone, match="took nothing in time"):
        send(ours, {}, bytes(8 << 20))
    with pytest.raises(Gone, match="said nothing in time"):
        receive(ours, 0.1)
    theirs.close()
    with pytest.raises(Gone):
        send(ours, {})


@pytest.mark.parametrize("patience", [2.0**31, 1e300, float("inf")])
def test_any_patience_will_do(ends: tuple[socket.socket, socket.socket], patience: float) -> None:
    ours, theirs = ends
    send(ours, {"a": 1}, b"body")
    assert receive(theirs, patience) == ({"a": 1}, b"body")


SETTLED = """
import sys
sys.path.insert(0, {root!r})
from workers.sandbox import means
means.enter()
print(means.settle(False, False, [], {networked}).uid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives user ids away")
def test_no_two_servers_give_their_children_the_same_user_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though each is in a network of its own by then."""
    script = SETTLED.format(root=str(ROOT), networked=False).replace(
        "means.enter()", "means.random.SystemRandom.sample = lambda self, some, k: list(some)\nmeans.enter()"
    )
    servers = [
        subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        told = []
        for server in servers:
            assert server.stdout is not None
            told.append(server.stdout.readline().strip())
        if "None" in told:
            pytest.skip("this Python lies where no other user can read it")
        assert len(set(told)) == 3
    finally:
        for server in servers:
            server.communicate(timeout=20)


def test_as_many_threads_as_the_worker_or_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "NUMBA"):
        monkeypatch.delenv(f"{name}_NUM_THREADS", raising=False)
    assert allowed()["OPENBLAS_NUM_THREADS"] == allowed()["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert allowed()["OMP_NUM_THREADS"] == "3"
    assert "OPENBLAS_NUM_THREADS" not in allowed()  # it reads OMP's, in the worker too
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    assert allowed()["OPENBLAS_NUM_THREADS"] == "2"


def test_what_makes_results_the_same_is_passed_on_and_secrets_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    same = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "XLA_FLAGS": "--x", "JAX_ENABLE_X64": "1", "PYTHONHASHSEED": "0"}
    for name, value in {**same, "A_TOKEN": "secret"}.items():
        monkeypatch.setenv(name, value)
    found = allowed()
    assert {name: found[name] for name in same} == same
    assert "A_TOKEN" not in found
