"""Waiting for an address: nobody listens, somebody does, or only Ray can say."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from evo.engine.patience import Away, listens


@pytest.fixture
def port() -> Iterator[int]:
    """Of somebody who listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found: int = server.getsockname()[1]
    return found


def test_who_listens_is_heard(port: int) -> None:
    assert listens(f"127.0.0.1:{port}")
    assert listens(f"ray://127.0.0.1:{port}")
    assert not listens(f"127.0.0.1:{closed_port()}")


@pytest.mark.parametrize("address", ["auto", "local", "somewhere"])
def test_an_address_without_a_port_is_for_ray_to_try(address: str) -> None:
    assert listens(address)


def test_pauses_grow_while_nobody_listens() -> None:
    away = Away(f"127.0.0.1:{closed_port()}", patience=1000)
    lines = away.waiting("head lost")
    pauses = []
    for _ in range(7):
        assert "is away (head lost); trying again in" in next(lines)
        pauses.append(away.pause)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


def test_who_listens_is_tried_at_once_and_then_after_growing_pauses(port: int) -> None:
    away = Away(f"127.0.0.1:{port}", patience=1000)
    assert list(away.waiting("head lost")) == []
    pauses = []
    for _ in range(4):  # it listens, but the master could not join it
        assert len(list(away.waiting("cluster lost"))) == 1
        pauses.append(away.pause)
    assert pauses == [1, 2, 4, 8]


def test_patience_ends() -> None:
    away = Away(f"127.0.0.1:{closed_port()}", patience=0)
    assert list(away.waiting("head lost")) == []
    assert away.over
