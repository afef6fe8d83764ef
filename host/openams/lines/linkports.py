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
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from openams.lines.channels import (
    ACKNOWLEDGED,
    CLOSED,
    CONNECT,
    CONNECTED,
    DATA,
    OPENED,
    RESTARTED,
    Channels,
    End,
)
from openams.lines.guests import PIECE, Guest, Guests, listen
from openams.lines.ptylink import PtyLink, urls

SERVICE_CHANNEL = 0
TCP_CHANNELS = 4
# How long a connection that the meter asks for may take.
_CONNECT_S = 5.0
# Of connections that one client has opened with keys so many are safe.
_EACH = 2
# The meter answers an opening that claims keys sooner, and any other.
_CLAIM_ANSWER_S = 10.0
_ANSWER_S = 1.0
# How an AARE goes on that opens with keys: its context is ciphered, its result is accepted.
KEYED = bytes.fromhex("60857405080103 A203020100")
_HEAD = 8
_RLRE = 0x63


@dataclass(eq=False)
class _Port(End):
    """One channel: what is known of who is at its outer end."""

    heard: float = 0.0
    answered: bool = False
    own: bool = False  # the meter asked for it
    claims: bool = False  # it opens as one does that has keys
    keyed: bool = False  # and was let in
    sap: int | None = None  # of its client


class LinkPorts(Channels[_Port]):
    """Opened before the meter runs, so that a port in use is said at once."""

    def __init__(
        self,
        service: PtyLink | None = None,
        dlms_port: int | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.service = service
        self._listener = listen(host, dlms_port) if dlms_port is not None else None
        super().__init__(PIECE)
        self._guests: Guests | None = None
        # Channels that the meter asked a connection for, and those that were made.
        self._to_dial: dict[int, bytes] = {}
        self._dialling: set[int] = set()
        self._dialled: deque[tuple[int, socket.socket | None]] = deque()

    @property
    def urls(self) -> list[str]:
        """Where clients find the meter."""
        return urls(self._listener, self.service)

    def _begin(self) -> None:
        if self._listener:
            self._guests = Guests(self._listener, self._selector)
        if self.service:
            self._open(_Port(SERVICE_CHANNEL, self.service.master))

    def _release(self) -> None:
        if self._guests:
            self._guests.close()
        elif self._listener:
            self._listener.close()
        if self.service:
            self.service.close()

    # --- the thread --------------------------------------------------------------

    def _patience_s(self) -> float | None:
        return self._guests.patience_s() if self._guests else None

    def _hear(self, what: Any) -> None:
        if isinstance(what, Guest):
            assert self._guests
            self._guests.hear(what)

    def _before(self) -> None:
        while self._dialled:
            self._take_dialled(*self._dialled.popleft())

    def _after(self) -> None:
        if self._guests:
            self._guests.accept(self._has_channel)
            self._admit(self._guests)

    def _also(self, channel: int, kind: int, data: bytes) -> bool:
        if kind == CONNECT:
            self._dial(channel, data)
        elif kind == RESTARTED:
            self._dialling.clear()
            self._to_dial.clear()
        elif kind == ACKNOWLEDGED and (destination := self._to_dial.pop(channel, None)) is not None:
            self._dial(channel, destination)
        return kind == CONNECT

    def _heard(self, end: _Port) -> None:
        end.heard = time.monotonic()

    def _note(self, end: _Port, answer: bytes) -> None:
        """What an answer says about who gets it."""
        end.answered = True
        if KEYED in answer[: 4 * _HEAD]:
            end.keyed = True
        elif answer[_HEAD : _HEAD + 1] == bytes((_RLRE,)):
            end.keyed = end.claims = False

    def _open(self, port: _Port, kind: int = OPENED) -> None:
        port.heard = time.monotonic()
        self._add(port)
        self._to_meter(port.channel, kind, b"")

    # --- connections of the meter's own --------------------------------------------------

    def _dial(self, channel: int, destination: bytes) -> None:
        """In a thread of its own: a destination that does not answer holds nobody up."""
        if channel in self._leaving or (channel in self._ends and self._ends[channel].closing):
            self._to_dial[channel] = destination
            return
        if channel in self._ends or channel in self._dialling:
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
        taken = self._ends.keys() | self._leaving | self._dialling | self._to_dial.keys()
        for channel in range(1, TCP_CHANNELS + 1):
            if channel not in taken:
                return channel
        return None

    def _has_channel(self) -> bool:
        """Whether there could be a channel for somebody new who has keys."""
        tcp = [port for port in self._ends.values() if port.connection]
        safe = [port for port in tcp if port.own or port.keyed]
        return len(safe) < TCP_CHANNELS or self._dispensable(True) is not None

    def _dispensable(self, claims: bool) -> _Port | None:
        """Who gives way to one that claims keys, or to one that does not.

        Who has no keys: of those one that was answered, and heard the longest ago. But none whose
        opening claims keys and is not answered yet; and where the other claims none, nobody that is
        not answered. Then, of the connections with keys of one client, the oldest of more than two.
        """
        now = time.monotonic()
        tcp = [port for port in self._ends.values() if port.connection and not port.own]
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
