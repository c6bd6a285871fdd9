"""What signals ask of a master, counted once however many processes they come to."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from evo.engine import stopping as module
from evo.engine.stopping import WAKE, Stopping
from evo.engine.tether import Tether


@pytest.fixture
def stopping() -> Iterator[Stopping]:
    """Of a master that drives, with its signals."""
    found = Stopping(Tether())
    with found.heard():
        found.drains = True
        yield found


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0)  # Python hears a signal between two instructions


def forwarded(stopping: Stopping) -> None:
    stopping.tether.interrupt()
    send(WAKE)


def test_one_interruption_drains(stopping: Stopping) -> None:
    send(signal.SIGINT)
    assert stopping.asked
    assert stopping.patient


def test_an_interruption_of_the_whole_group_is_one(stopping: Stopping) -> None:
    send(signal.SIGINT)
    forwarded(stopping)  # would raise KeyboardInterrupt if it were a second one
    assert stopping.asked


@pytest.mark.parametrize("direct_first", [True, False])
def test_the_second_interruption_of_the_group_stops_once(stopping: Stopping, direct_first: bool) -> None:
    def group() -> None:
        stopping.tether.interrupt()
        for number in (signal.SIGINT, WAKE) if direct_first else (WAKE, signal.SIGINT):
            try:
                send(number)
            except KeyboardInterrupt:
                raised.append(number)

    raised: list[int] = []
    group()
    assert raised == []
    group()
    assert len(raised) == 1


def test_an_interruption_that_came_to_the_supervisor_alone_counts(stopping: Stopping) -> None:
    forwarded(stopping)
    assert stopping.asked
    with pytest.raises(KeyboardInterrupt):
        forwarded(stopping)


def test_before_the_search_the_first_stops(stopping: Stopping) -> None:
    stopping.drains = False
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGTERM)


def test_while_it_closes_a_master_is_left_alone_until_the_third(stopping: Stopping) -> None:
    stopping.closing = True
    send(signal.SIGINT)
    send(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGINT)


def test_termination_drains_briefly_and_then_stops(stopping: Stopping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HURRY_SECONDS", 0.2)
    send(signal.SIGTERM)
    assert stopping.asked
    send(signal.SIGTERM)  # SLURM and systemd may say it twice
    with pytest.raises(KeyboardInterrupt):
        time.sleep(30)
    assert not stopping.patient


def test_termination_shortens_an_interruption(stopping: Stopping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HURRY_SECONDS", 0.2)
    send(signal.SIGINT)
    send(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        time.sleep(30)


def test_handlers_are_put_back() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, WAKE)}
    with Stopping().heard():
        assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
    assert {number: signal.getsignal(number) for number in before} == before


def test_what_was_started_to_outlive_its_terminal_does() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stopping = Stopping()
        with stopping.heard():
            send(signal.SIGHUP)
        assert not stopping.asked
    finally:
        signal.signal(signal.SIGHUP, before)
