"""What outside clients connect to: TCP connections and the service port of a running meter.

Octets go to the meter's channels as they come and back as the meter writes
them; nothing here knows a protocol. Channel 0 is the service port, 1 to 4 are
TCP connections. One thread moves everything, so that a slow client holds
nobody up; a client that sends but does not read is read no further.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from openams.errors import BenchError
from openams.ptylink import PtyLink

SERVICE_CHANNEL = 0
TCP_CHANNELS = 4
# Kinds of the wire's `D` and `d` messages, see docs/architecture.md.
DATA, OPENED, CLOSED, CONNECTED = 0, 1, 2, 3
CLOSE, ACKNOWLEDGED, CONNECT = 1, 2, 3
_RESTARTED = 4  # not of the wire: the meter has lost all its connections
# How long a connection that the meter asks for may take.
_CONNECT_S = 5.0
# What goes to the meter at a time: its buffer.
PIECE = 512
# A client with so much unread is read no further.
_UNREAD_MAX = 16384
# When all channels are taken, those give way that the meter has not let in with keys, and one
# that was silent for so long: neither half-open connections nor talk keeps those with keys out.
_SILENT_S = 10.0
# How an AARE goes on that does: its context is ciphered, its result is accepted.
KEYED = bytes.fromhex("60857405080103 A203020100")


@dataclass
class _Port:
    """One channel: the descriptor at its outer end, and what waits to be written to it."""

    channel: int
    descriptor: int
    connection: socket.socket | None = None
    waiting: deque[bytes] = field(default_factory=deque)
    unread: int = 0
    closing: bool = False  # close as soon as `waiting` is written
    heard: float = 0.0
    answered: bool = False
    keyed: bool = False


class LinkPorts:
    """Opened before the meter runs, so that a port in use is said at once."""

    def __init__(
        self,
        service: PtyLink | None = None,
        dlms_port: int | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.service = service
        self._listener = _listen(host, dlms_port) if dlms_port is not None else None
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._ports: dict[int, _Port] = {}
        self._leaving: set[int] = set()  # closed here, not yet acknowledged by the meter
        self._displacing = False  # one of them makes room for a newcomer
        self._newcomer: socket.socket | None = None
        self._from_meter: deque[tuple[int, int, bytes]] = deque()
        # Channels that the meter asked a connection for, and those that were made.
        self._dialling: set[int] = set()
        self._dialled: deque[tuple[int, socket.socket | None]] = deque()
        self._thread: threading.Thread | None = None
        self._ending = False
        self._to_meter: Callable[[int, int, bytes], None] = lambda *_: None

    @property
    def urls(self) -> list[str]:
        """Where clients find the meter."""
        out = []
        if self._listener:
            host, port = self._listener.getsockname()[:2]
            out.append(f"tcp://{host}:{port}")
        if self.service:
            out.append(f"serial://{self.service.link}")
        return out

    def attach(self, to_meter: Callable[[int, int, bytes], None]) -> None:
        """Starts; `to_meter(channel, kind, data)` may be called from another thread."""
        self._to_meter = to_meter
        self._selector.register(self._woken, selectors.EVENT_READ)
        if self._listener:
            self._selector.register(self._listener, selectors.EVENT_READ)
        if self.service:
            port = _Port(SERVICE_CHANNEL, self.service.master)
            self._open(port)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def from_meter(self, channel: int, kind: int, data: bytes) -> None:
        """What the meter says on a channel; returns at once."""
        self._from_meter.append((channel, kind, data))
        self._rouse()

    def restarted(self) -> None:
        """The meter starts anew: TCP connections end, the cable in the service port stays."""
        self.from_meter(SERVICE_CHANNEL, _RESTARTED, b"")

    def close(self) -> None:
        if self._ending:
            return
        self._ending = True
        self._rouse()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)
        for port in self._ports.values():
            if port.connection:
                port.connection.close()
        self._ports.clear()
        if self._newcomer:
            self._newcomer.close()
        if self._listener:
            self._listener.close()
        if self.service:
            self.service.close()
        self._selector.close()
        self._wake.close()
        self._woken.close()

    # --- the thread --------------------------------------------------------------

    def _rouse(self) -> None:
        with contextlib.suppress(OSError):
            self._wake.send(b"\0")

    def _run(self) -> None:
        while not self._ending:
            try:
                for key, events in self._selector.select():
                    if key.fileobj is self._woken:
                        self._woken.recv(4096)
                    elif key.fileobj is self._listener:
                        self._accept()
                    else:
                        self._serve(key.data, events)
                self._deliver()
            except BenchError:
                # The meter's process is gone: whoever plays it finds out and says why.
                return

    def _deliver(self) -> None:
        while self._dialled:
            self._take_dialled(*self._dialled.popleft())
        while self._from_meter:
            channel, kind, data = self._from_meter.popleft()
            if kind == CONNECT:
                self._dial(channel, data)
                continue
            if kind == _RESTARTED:
                self._drop_all()
                continue
            if kind == ACKNOWLEDGED:
                self._leaving.discard(channel)
                self._displacing = False
                if self._newcomer:
                    newcomer, self._newcomer = self._newcomer, None
                    self._connect(channel, newcomer)
                continue
            port = self._ports.get(channel)
            if port is None:
                continue  # it closed while the meter was answering
            if kind == DATA:
                port.answered = True
                port.keyed = port.keyed or KEYED in data
                port.waiting.append(data)
                port.unread += len(data)
            elif kind == CLOSE and port.connection:
                port.closing = True
            self._write(port)

    def _drop_all(self) -> None:
        for port in list(self._ports.values()):
            if port.connection:
                self._selector.unregister(port.descriptor)
                port.connection.close()
                del self._ports[port.channel]
        self._leaving.clear()
        self._dialling.clear()
        self._displacing = False
        if self._newcomer:
            newcomer, self._newcomer = self._newcomer, None
            self._connect(1, newcomer)

    def _open(self, port: _Port, kind: int = OPENED) -> None:
        port.heard = time.monotonic()
        self._ports[port.channel] = port
        self._selector.register(port.descriptor, selectors.EVENT_READ, port)
        self._to_meter(port.channel, kind, b"")

    # --- connections of the meter's own --------------------------------------------------

    def _dial(self, channel: int, destination: bytes) -> None:
        """In a thread of its own: a destination that does not answer holds nobody up."""
        if channel in self._ports or channel in self._leaving or channel in self._dialling:
            return  # it was taken meanwhile; the meter asks again
        self._dialling.add(channel)
        threading.Thread(target=self._connect_to, args=(channel, destination), daemon=True).start()

    def _connect_to(self, channel: int, destination: bytes) -> None:
        connection = None
        with contextlib.suppress(OSError, ValueError):
            host, _, port = destination.decode("ascii").rpartition(":")
            connection = socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S)
        self._dialled.append((channel, connection))
        self._rouse()

    def _take_dialled(self, channel: int, connection: socket.socket | None) -> None:
        self._dialling.discard(channel)
        if connection is None:
            self._leaving.add(channel)
            self._to_meter(channel, CLOSED, b"")
            return
        self._connect(channel, connection, CONNECTED)

    def _accept(self) -> None:
        assert self._listener
        connection, _ = self._listener.accept()
        channel = self._free_channel()
        if channel is None:
            if self._displacing and self._newcomer is None:
                self._newcomer = connection
            else:
                connection.close()
            return
        self._connect(channel, connection)

    def _connect(self, channel: int, connection: socket.socket, kind: int = OPENED) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open(_Port(channel, connection.fileno(), connection), kind)

    def _free_channel(self) -> int | None:
        for channel in range(1, TCP_CHANNELS + 1):
            if channel not in self._ports and channel not in self._leaving | self._dialling:
                return channel
        if not self._displacing and (port := self._dispensable()):
            self._hang_up(port)
            self._displacing = True
        return None

    def _dispensable(self) -> _Port | None:
        """One that the meter never answered, else one without keys, else one that was silent
        for long: of these the one that was heard the longest ago."""
        taken = [port for port in self._ports.values() if port.connection]
        idle = (
            [port for port in taken if not port.answered]
            or [port for port in taken if not port.keyed]
            or [port for port in taken if time.monotonic() - port.heard > _SILENT_S]
        )
        return min(idle, key=lambda port: port.heard, default=None)

    def _serve(self, port: _Port, events: int) -> None:
        if self._ports.get(port.channel) is not port:
            return
        if events & selectors.EVENT_WRITE:
            self._write(port)
        if events & selectors.EVENT_READ and self._ports.get(port.channel) is port:
            try:
                data = os.read(port.descriptor, PIECE)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if data:
                port.heard = time.monotonic()
                self._to_meter(port.channel, DATA, data)
            elif port.connection:
                self._hang_up(port)

    def _write(self, port: _Port) -> None:
        while port.waiting:
            data = port.waiting[0]
            try:
                done = os.write(port.descriptor, data)
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    break
                if port.connection:
                    self._hang_up(port)
                return
            port.unread -= done
            if done == len(data):
                port.waiting.popleft()
            else:
                port.waiting[0] = data[done:]
        if port.closing and not port.waiting:
            self._hang_up(port)
            return
        if not port.connection and port.unread > _UNREAD_MAX:
            # Nobody reads the service port: as on a wire, it is lost.
            port.waiting.clear()
            port.unread = 0
        events = selectors.EVENT_WRITE if port.waiting else 0
        if port.unread < _UNREAD_MAX and not port.closing:
            events |= selectors.EVENT_READ
        self._selector.modify(port.descriptor, events, port)

    def _hang_up(self, port: _Port) -> None:
        assert port.connection
        self._selector.unregister(port.descriptor)
        port.connection.close()
        del self._ports[port.channel]
        self._leaving.add(port.channel)
        self._to_meter(port.channel, CLOSED, b"")


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=8)
    except (OSError, OverflowError) as error:
        text = getattr(error, "strerror", None) or str(error)
        raise BenchError(
            f"cannot listen on {host}:{port}: {text}; name another port with --dlms-port"
        ) from None
