"""What outside clients connect to: TCP connections and the service port of a running meter.

Octets go to the meter's channels as they come and back as the meter writes
them; of the protocol nothing is known here but where a message ends and what
an opening with keys looks like. Channel 0 is the service port, 1 to 4 are
TCP connections. One thread moves everything, so that a slow client holds
nobody up; a client that sends but does not read is read no further.

A connection that has not said its first message whole is a guest: it has no
channel yet, and where there is no place left the oldest guest goes. Who has a
channel and no keys gives it to the next that has said something. See
docs/security.md, "TCP"; the boards do the same (boards/drivers/links.py).
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
from openams.lines.guests import PIECE, Guest, Guests, listen
from openams.lines.ptylink import PtyLink

SERVICE_CHANNEL = 0
TCP_CHANNELS = 4
# Kinds of the wire's `D` and `d` messages, see docs/architecture.md.
DATA, OPENED, CLOSED, CONNECTED = 0, 1, 2, 3
CLOSE, ACKNOWLEDGED, CONNECT = 1, 2, 3
_RESTARTED = 4  # not of the wire: the meter has lost all its connections
# How long a connection that the meter asks for may take.
_CONNECT_S = 5.0
# A client with so much unread is read no further.
_UNREAD_MAX = 16384
# Of connections that one client has opened with keys so many are safe.
_EACH = 2
# The meter answers an opening that claims keys sooner, and any other.
_CLAIM_ANSWER_S = 10.0
_ANSWER_S = 1.0
# How an AARE goes on that opens with keys: its context is ciphered, its result is accepted.
KEYED = bytes.fromhex("60857405080103 A203020100")
_HEAD = 8
_RLRE = 0x63


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
    own: bool = False  # the meter asked for it
    claims: bool = False  # it opens as one does that has keys
    keyed: bool = False  # and was let in
    sap: int | None = None  # of its client


class LinkPorts:
    """Opened before the meter runs, so that a port in use is said at once."""

    def __init__(
        self,
        service: PtyLink | None = None,
        dlms_port: int | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.service = service
        self._listener = listen(host, dlms_port) if dlms_port is not None else None
        self._guests: Guests | None = None
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._ports: dict[int, _Port] = {}
        self._leaving: set[int] = set()  # closed here, not yet acknowledged by the meter
        self._from_meter: deque[tuple[int, int, bytes]] = deque()
        # Channels that the meter asked a connection for, and those that were made.
        self._to_dial: dict[int, bytes] = {}
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
            self._guests = Guests(self._listener, self._selector)
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
        if self._guests:
            self._guests.close()
        elif self._listener:
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
                patience_s = self._guests.patience_s() if self._guests else None
                for key, events in self._selector.select(patience_s):
                    if key.fileobj is self._woken:
                        self._woken.recv(4096)
                    elif isinstance(key.data, Guest):
                        assert self._guests
                        self._guests.hear(key.data)
                    elif isinstance(key.data, _Port):
                        self._serve(key.data, events)
                self._deliver()
                if self._guests:
                    self._guests.accept(self._has_channel)
                    self._admit(self._guests)
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
                if (destination := self._to_dial.pop(channel, None)) is not None:
                    self._dial(channel, destination)
                continue
            port = self._ports.get(channel)
            if port is None:
                continue  # it closed while the meter was answering
            if kind == DATA:
                self._note(port, data)
                port.waiting.append(data)
                port.unread += len(data)
            elif kind == CLOSE and port.connection:
                port.closing = True
            self._write(port)

    def _note(self, port: _Port, answer: bytes) -> None:
        """What an answer says about who gets it."""
        port.answered = True
        if KEYED in answer[: 4 * _HEAD]:
            port.keyed = True
        elif answer[_HEAD : _HEAD + 1] == bytes((_RLRE,)):
            port.keyed = port.claims = False

    def _drop_all(self) -> None:
        for port in list(self._ports.values()):
            if port.connection:
                self._selector.unregister(port.descriptor)
                port.connection.close()
                del self._ports[port.channel]
        self._leaving.clear()
        self._dialling.clear()
        self._to_dial.clear()

    def _open(self, port: _Port, kind: int = OPENED) -> None:
        port.heard = time.monotonic()
        self._ports[port.channel] = port
        self._selector.register(port.descriptor, selectors.EVENT_READ, port)
        self._to_meter(port.channel, kind, b"")

    # --- connections of the meter's own --------------------------------------------------

    def _dial(self, channel: int, destination: bytes) -> None:
        """In a thread of its own: a destination that does not answer holds nobody up."""
        if channel in self._leaving or (channel in self._ports and self._ports[channel].closing):
            self._to_dial[channel] = destination
            return
        if channel in self._ports or channel in self._dialling:
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
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open(_Port(channel, connection.fileno(), connection, own=True), CONNECTED)

    # --- who gets a channel --------------------------------------------------------------

    def _admit(self, guests: Guests) -> None:
        """Gives channels to those who have said something."""
        ready = guests.ready()
        while ready and (channel := self._free_channel()) is not None:
            guest = ready.pop(0)
            guests.leave(guest)
            connection = guest.connection
            port = _Port(channel, connection.fileno(), connection)
            port.claims, port.sap = guest.claims, guest.sap
            self._open(port)
            for at in range(0, len(guest.said), PIECE):
                self._to_meter(channel, DATA, guest.said[at : at + PIECE])
        # Somebody gives way to each of the others, as far as anybody does.
        for guest in ready[len(self._leaving) :]:
            loser = self._dispensable(guest.claims)
            if loser is None:
                break
            self._hang_up(loser)

    def _free_channel(self) -> int | None:
        taken = self._ports.keys() | self._leaving | self._dialling | self._to_dial.keys()
        for channel in range(1, TCP_CHANNELS + 1):
            if channel not in taken:
                return channel
        return None

    def _has_channel(self) -> bool:
        """Whether there could be a channel for somebody new who has keys."""
        tcp = [port for port in self._ports.values() if port.connection]
        safe = [port for port in tcp if port.own or port.keyed]
        return len(safe) < TCP_CHANNELS or self._dispensable(True) is not None

    def _dispensable(self, claims: bool) -> _Port | None:
        """Who gives way to one that claims keys, or to one that does not.

        Who has no keys: of those one that was answered, and heard the longest ago. But none whose
        opening claims keys and is not answered yet; and where the other claims none, nobody that is
        not answered. Then, of the connections with keys of one client, the oldest of more than two.
        """
        now = time.monotonic()
        tcp = [port for port in self._ports.values() if port.connection and not port.own]
        idle = []
        for port in tcp:
            patience_s = _CLAIM_ANSWER_S if port.claims else 0.0 if claims else _ANSWER_S
            if not port.keyed and (port.answered or now - port.heard >= patience_s):
                idle.append(port)
        if idle:
            return min(idle, key=lambda port: (not port.answered, port.heard))
        for port in tcp:  # in the order in which they came
            same = [other for other in tcp if other.sap == port.sap and other.keyed]
            if port.keyed and port.sap is not None and len(same) > _EACH:
                return port
        return None

    # --- channels ------------------------------------------------------------------------

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
