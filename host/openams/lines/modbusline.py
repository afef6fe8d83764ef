"""The Modbus of a running meter: TCP connections and an RS-485 line on a pseudo-terminal.

Only octets pass here: frames, units and who is answered are the firmware's. One thread moves
everything; who sends but does not read is read no further.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from openams.errors import BenchError
from openams.lines.linkports import ACKNOWLEDGED, CLOSE, CLOSED, DATA, OPENED
from openams.lines.ptylink import PtyLink, default_link

# In the place of a channel of the two-way link, see docs/architecture.md.
MODBUS_LINE = 254
MODBUS_CHANNELS = range(16, 32)
_PIECE = 256
# A client with so much unread is read no further.
_UNREAD_MAX = 16384

_To = Callable[[int, int, bytes], None]


# Maps of ams.modbus.served_maps.
MAPS = ("sunspec", "sunspec-float", "sdm630")
_USUAL = {"1": "sunspec", "2": "sdm630"}


def parse_units(pairs: list[str]) -> dict[str, str]:
    """{unit: map} of "UNIT=MAP"; with none the usual ones."""
    units = {}
    for pair in pairs:
        unit, _, name = pair.partition("=")
        if not unit.isdigit() or not 1 <= int(unit) <= 247 or name not in MAPS:
            raise BenchError(
                f"--modbus-map {pair!r}: write UNIT=MAP, a unit from 1 to 247 and one of "
                f"{', '.join(MAPS)}"
            )
        units[str(int(unit))] = name
    return units or dict(_USUAL)


class _End:
    """An outer end: a connection, or the line."""

    def __init__(self, channel: int, descriptor: int, connection: socket.socket | None) -> None:
        self.channel = channel
        self.descriptor = descriptor
        self.connection = connection
        self.waiting = bytearray()
        self.closing = False


def is_modbus(channel: int) -> bool:
    return channel == MODBUS_LINE or channel in MODBUS_CHANNELS


class ModbusLine:
    """`ways`: "tcp:PORT" (0 takes a free one), "pty" or "pty:LINK". Opened before the meter is."""

    def __init__(self, ways: list[str], host: str = "127.0.0.1") -> None:
        self._listener: socket.socket | None = None
        self._line: PtyLink | None = None
        try:
            for way in ways:
                kind, _, rest = way.partition(":")
                if kind == "tcp" and self._listener is None:
                    self._listener = _listen(host, rest)
                elif kind == "pty" and self._line is None:
                    link = Path(rest) if rest else default_link("modbus")
                    self._line = PtyLink(link, "--modbus pty:LINK")
                else:
                    raise BenchError(
                        f"--modbus {way!r}: write tcp:PORT, pty or pty:LINK, each once"
                    )
        except BenchError:
            self._close_ends()
            raise
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._ends: dict[int, _End] = {}
        self._leaving: set[int] = set()  # closed here, not yet acknowledged by the meter
        self._from_meter: deque[tuple[int, int, bytes]] = deque()
        self._to_meter: _To = lambda *_: None
        self._thread: threading.Thread | None = None
        self._ending = False

    @property
    def tcp(self) -> bool:
        return self._listener is not None

    @property
    def rtu(self) -> bool:
        return self._line is not None

    @property
    def urls(self) -> list[str]:
        """Where masters find the meter."""
        out = []
        if self._listener:
            host, port = self._listener.getsockname()[:2]
            out.append(f"tcp://{host}:{port}")
        if self._line:
            out.append(f"serial://{self._line.link}")
        return out

    def attach(self, to_meter: _To) -> None:
        """Starts; `to_meter(channel, kind, data)` may be called from another thread."""
        self._to_meter = to_meter
        self._selector.register(self._woken, selectors.EVENT_READ)
        if self._listener:
            self._selector.register(self._listener, selectors.EVENT_READ)
        if self._line:
            self._add(_End(MODBUS_LINE, self._line.master, None))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def from_meter(self, channel: int, kind: int, data: bytes) -> None:
        """What the meter says on a channel; returns at once."""
        self._from_meter.append((channel, kind, data))
        self._rouse()

    def restarted(self) -> None:
        """The meter starts anew: its connections end."""
        self.from_meter(-1, CLOSE, b"")

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
        self._close_ends()
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def _close_ends(self) -> None:
        if self._listener:
            self._listener.close()
        if self._line:
            self._line.close()

    # --- the thread --------------------------------------------------------------

    def _rouse(self) -> None:
        with contextlib.suppress(OSError):
            self._wake.send(b"\0")

    def _run(self) -> None:
        with contextlib.suppress(BenchError):  # the meter is gone: whoever plays it says why
            while not self._ending:
                for key, events in self._selector.select():
                    if key.fileobj is self._woken:
                        self._woken.recv(4096)
                    elif key.fileobj is self._listener:
                        self._accept()
                    else:
                        self._serve(key.data, events)
                while self._from_meter:
                    self._deliver(*self._from_meter.popleft())

    def _add(self, end: _End) -> None:
        self._ends[end.channel] = end
        self._selector.register(end.descriptor, selectors.EVENT_READ, end)

    def _accept(self) -> None:
        assert self._listener
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        taken = self._ends.keys() | self._leaving
        channel = next((channel for channel in MODBUS_CHANNELS if channel not in taken), None)
        if channel is None:
            connection.close()
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._add(_End(channel, connection.fileno(), connection))
        self._to_meter(channel, OPENED, b"")

    def _deliver(self, channel: int, kind: int, data: bytes) -> None:
        if channel < 0:
            for other in [other for other in self._ends.values() if other.connection]:
                self._drop(other)
            self._leaving.clear()
            return
        if kind == ACKNOWLEDGED:
            self._leaving.discard(channel)
            return
        end = self._ends.get(channel)
        if end is None:
            return
        if kind == DATA:
            end.waiting += data
        elif kind == CLOSE:
            end.closing = True
        self._write(end)

    def _serve(self, end: _End, events: int) -> None:
        if self._ends.get(end.channel) is not end:
            return
        if events & selectors.EVENT_WRITE:
            self._write(end)
        if not events & selectors.EVENT_READ or self._ends.get(end.channel) is not end:
            return
        try:
            data = os.read(end.descriptor, _PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._to_meter(end.channel, DATA, data)
        elif end.connection:
            self._hang_up(end)

    def _write(self, end: _End) -> None:
        try:
            while end.waiting:
                del end.waiting[: os.write(end.descriptor, end.waiting)]
        except BlockingIOError:
            pass
        except OSError:
            if end.connection:
                self._hang_up(end)
            return
        if not end.connection and len(end.waiting) > _UNREAD_MAX:
            # Nobody reads the line: as on a wire, it is lost.
            end.waiting.clear()
        if end.closing and not end.waiting:
            self._hang_up(end)
            return
        events = selectors.EVENT_WRITE if end.waiting else 0
        if len(end.waiting) < _UNREAD_MAX and not end.closing:
            events |= selectors.EVENT_READ
        self._selector.modify(end.descriptor, events, end)

    def _drop(self, end: _End) -> None:
        assert end.connection
        self._selector.unregister(end.descriptor)
        end.connection.close()
        del self._ends[end.channel]

    def _hang_up(self, end: _End) -> None:
        self._drop(end)
        self._leaving.add(end.channel)
        self._to_meter(end.channel, CLOSED, b"")


def _listen(host: str, port: str) -> socket.socket:
    number = int(port) if port.isdigit() else -1
    if not 0 <= number <= 65535:
        raise BenchError(f"--modbus tcp:{port}: give a port from 0 to 65535, as in tcp:1502")
    try:
        listener = socket.create_server((host, number))
    except OSError as error:
        raise BenchError(
            f"cannot listen on {host}:{number}: {error.strerror}; name another port with "
            "--modbus tcp:PORT"
        ) from None
    listener.setblocking(False)
    return listener
