"""What a worker and its fork server say to each other over a socket: a length, a JSON head, and bytes.

Only the worker sends pickles. The server's children never hold this socket.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

__all__ = ["Gone", "Outbox", "receive", "send"]

_LENGTHS = struct.Struct("<QQ")
_PATIENCE = 600.0
"""Seconds within which the other end must take a frame; it may be keeping a large artifact meanwhile."""
_LONGEST = 3600.0
"""Seconds of one wait: the system takes no wait of any length."""


class Gone(Exception):  # noqa: N818 - it names what happened
    """The other end has closed, or was silent for longer than agreed."""


def send(to: socket.socket, head: Mapping[str, Any], body: bytes = b"") -> None:
    """One frame.

    Raises:
        Gone: nobody listens.
    """
    outbox = Outbox(to)
    outbox.put(head, body)
    outbox.empty()


class Outbox:
    """Frames that wait until the other end takes them, so that whoever has more to do need not."""

    def __init__(self, to: socket.socket) -> None:
        self._to = to
        self._waiting: deque[memoryview] = deque()
        self.size = 0
        """bytes that wait"""

    def put(self, head: Mapping[str, Any], body: bytes = b"") -> None:
        """One more frame."""
        text = json.dumps(head).encode()
        for part in (_LENGTHS.pack(len(text), len(body)) + text, body):
            if part:
                self._waiting.append(memoryview(part))
                self.size += len(part)

    def push(self) -> None:
        """Send what the other end takes at once.

        Raises:
            Gone: nobody listens.
        """
        while self._waiting:
            part = self._waiting.popleft()
            try:
                sent = self._to.send(part, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                raise Gone(str(error)) from error
            self.size -= sent
            if sent < len(part):
                self._waiting.appendleft(part[sent:])
            if not sent:
                return

    def empty(self) -> None:
        """Send all of it.

        Raises:
            Gone: nobody listens, or takes it in time.
        """
        end = time.monotonic() + _PATIENCE
        self.push()
        while self._waiting:
            left = end - time.monotonic()
            if left <= 0:
                raise Gone("it took nothing in time")
            select.select([], [self._to], [], left)
            self.push()


def receive(source: socket.socket, patience: float | None = None) -> tuple[dict[str, Any], bytes]:
    """The next frame: (head, bytes).

    Args:
        source: the socket.
        patience: seconds for the whole frame; None for no end.

    Raises:
        Gone: the other end has closed, or the frame did not come in time.
    """
    end = None if patience is None else time.monotonic() + patience
    lengths = _LENGTHS.unpack(_read(source, _LENGTHS.size, end))
    head = json.loads(_read(source, lengths[0], end))
    return head, _read(source, lengths[1], end)


def _read(source: socket.socket, size: int, end: float | None) -> bytes:
    data = bytearray(size)
    view = memoryview(data)
    have = 0
    while have < size:
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            raise Gone("it said nothing in time")
        source.settimeout(None if left is None else min(left, _LONGEST))
        try:
            count = source.recv_into(view[have:])
        except TimeoutError:
            continue  # whether that was all the time there is, is seen above
        except OSError as error:
            raise Gone(str(error)) from error
        finally:
            source.settimeout(None)
        if not count:
            raise Gone("it has ended")
        have += count
    return bytes(data)
