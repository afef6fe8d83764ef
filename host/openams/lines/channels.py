"""Octets between outer ends (connections, a line) and the channels of a running meter.

One thread moves everything; who sends but does not read is read no further. What is said on a
channel, and who gets one, subclasses know.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from openams.errors import BenchError

# Kinds of the wire's `D` and `d` messages, see docs/architecture.md.
DATA, OPENED, CLOSED, CONNECTED = 0, 1, 2, 3
CLOSE, ACKNOWLEDGED, CONNECT = 1, 2, 3
RESTARTED = 4  # not of the wire: the meter has lost all its connections
# A client with so much unread is read no further.
_UNREAD_MAX = 16384

ToMeter = Callable[[int, int, bytes], None]


@dataclass(eq=False)
class End:
    """The outer end of a channel, and what waits to be written to it."""

    channel: int
    descriptor: int
    connection: socket.socket | None = None  # None: a line, which nobody hangs up
    waiting: bytearray = field(default_factory=bytearray)
    closing: bool = False  # close as soon as `waiting` is written


E = TypeVar("E", bound=End)


class Channels(Generic[E]):
    """`piece`: octets that are read at once."""

    def __init__(self, piece: int) -> None:
        self._piece = piece
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._ends: dict[int, E] = {}
        self._leaving: set[int] = set()  # closed here, not yet acknowledged by the meter
        self._from_meter: deque[tuple[int, int, bytes]] = deque()
        self._thread: threading.Thread | None = None
        self._ending = False
        self._to_meter: ToMeter = lambda *_: None

    def attach(self, to_meter: ToMeter) -> None:
        """Starts; `to_meter(channel, kind, data)` may be called from another thread."""
        self._to_meter = to_meter
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._begin()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def from_meter(self, channel: int, kind: int, data: bytes) -> None:
        """What the meter says on a channel; returns at once."""
        self._from_meter.append((channel, kind, data))
        self._rouse()

    def restarted(self) -> None:
        """The meter starts anew: connections end, the cable in a port stays."""
        self.from_meter(-1, RESTARTED, b"")

    def close(self) -> None:
        if self._ending:
            return
        self._ending = True
        self._rouse()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)
        for end in self._ends.values():
            if end.connection:
                end.connection.close()
        self._ends.clear()
        self._release()
        self._selector.close()
        self._wake.close()
        self._woken.close()

    # --- what subclasses do --------------------------------------------------------------

    def _begin(self) -> None:
        """Registers listeners and lines with the selector."""

    def _release(self) -> None:
        """Closes them."""

    def _patience_s(self) -> float | None:
        """After how long `_after` is to be called, whatever happens."""
        return None

    def _hear(self, what: Any) -> None:
        """Something that is no end has something to read: what it was registered with."""

    def _heard(self, end: E) -> None:
        """An end has said something."""

    def _note(self, end: E, answer: bytes) -> None:
        """The meter says something to an end."""

    def _also(self, channel: int, kind: int, data: bytes) -> bool:
        """Whether that is a message of the subclass's own kinds, which it has taken."""
        return False

    def _before(self) -> None:
        """Before what the meter says is delivered."""

    def _after(self) -> None:
        """After each round."""

    # --- the thread ----------------------------------------------------------------------

    def _rouse(self) -> None:
        with contextlib.suppress(OSError):
            self._wake.send(b"\0")

    def _run(self) -> None:
        # A meter that is gone: whoever plays it finds out and says why.
        with contextlib.suppress(BenchError):
            while not self._ending:
                for key, events in self._selector.select(self._patience_s()):
                    if key.fileobj is self._woken:
                        self._woken.recv(4096)
                    elif isinstance(key.data, End):
                        self._serve(key.data, events)  # type: ignore[arg-type]
                    else:
                        self._hear(key.data)
                self._before()
                while self._from_meter:
                    self._deliver(*self._from_meter.popleft())
                self._after()

    def _deliver(self, channel: int, kind: int, data: bytes) -> None:
        if kind == RESTARTED:
            for other in [other for other in self._ends.values() if other.connection]:
                self._drop(other)
            self._leaving.clear()
        if kind == ACKNOWLEDGED:
            self._leaving.discard(channel)
        if self._also(channel, kind, data) or kind in (RESTARTED, ACKNOWLEDGED):
            return
        end = self._ends.get(channel)
        if end is None:
            return  # it closed while the meter was answering
        if kind == DATA:
            self._note(end, data)
            end.waiting += data
        elif kind == CLOSE and end.connection:
            end.closing = True
        self._write(end)

    # --- ends ----------------------------------------------------------------------------

    def _add(self, end: E) -> None:
        self._ends[end.channel] = end
        self._selector.register(end.descriptor, selectors.EVENT_READ, end)

    def _serve(self, end: E, events: int) -> None:
        if self._ends.get(end.channel) is not end:
            return
        if events & selectors.EVENT_WRITE:
            self._write(end)
        if not events & selectors.EVENT_READ or self._ends.get(end.channel) is not end:
            return
        try:
            data = os.read(end.descriptor, self._piece)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._heard(end)
            self._to_meter(end.channel, DATA, data)
        elif end.connection:
            self._hang_up(end)

    def _write(self, end: E) -> None:
        try:
            while end.waiting:
                del end.waiting[: os.write(end.descriptor, end.waiting)]
        except BlockingIOError:
            pass
        except OSError:
            if end.connection:
                self._hang_up(end)
            return
        if end.closing and not end.waiting:
            self._hang_up(end)
            return
        if not end.connection and len(end.waiting) > _UNREAD_MAX:
            # Nobody reads the line: as on a wire, it is lost.
            end.waiting.clear()
        events = selectors.EVENT_WRITE if end.waiting else 0
        if len(end.waiting) < _UNREAD_MAX and not end.closing:
            events |= selectors.EVENT_READ
        self._selector.modify(end.descriptor, events, end)

    def _drop(self, end: E) -> None:
        assert end.connection
        self._selector.unregister(end.descriptor)
        end.connection.close()
        del self._ends[end.channel]

    def _hang_up(self, end: E) -> None:
        self._drop(end)
        self._leaving.add(end.channel)
        self._to_meter(end.channel, CLOSED, b"")
