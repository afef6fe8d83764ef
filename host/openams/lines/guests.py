"""TCP connections that have no channel of the meter's yet, since they have not said anything whole.

They cost nobody anything. Where there is no room for one more the oldest goes, and they are
taken at a measured pace: so a guest has at least (GUESTS_MAX - ACCEPT_MAX) * ACCEPT_S seconds
to say his first message, whoever else comes. See docs/security.md.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from openams.errors import BenchError

PIECE = 512
GUESTS_MAX = 256
# One more every so many seconds, and so many at once after a pause.
ACCEPT_S = 0.005
ACCEPT_MAX = 16
# How long a guest may be silent, and how long his first message may take.
_SILENT_S = 120.0
_MESSAGE_S = 10.0
# How an AARQ begins that claims keys: its context is ciphered.
_CLAIM = bytes.fromhex("A109060760857405080103")
_HEAD = 8
_OPENING_MAX = 512
# No APDU to a meter is longer.
_APDU_MAX = 2048


@dataclass
class Guest:
    connection: socket.socket
    since: float
    said: bytes = b""
    whole: bool = False

    @property
    def claims(self) -> bool:
        """Whether he opens as one does that has keys."""
        return _CLAIM in self.said

    @property
    def sap(self) -> int | None:
        """Of his client, if he speaks the wrapper at all."""
        return int.from_bytes(self.said[2:4], "big") if self.said[:2] == b"\0\1" else None


class Guests:
    def __init__(self, listener: socket.socket, selector: selectors.BaseSelector) -> None:
        self._listener = listener
        self._selector = selector
        self._guests: list[Guest] = []  # the oldest first
        self._may_accept = float(ACCEPT_MAX)
        self._accepted = time.monotonic()
        self._listening = False
        self._listen(True)

    def close(self) -> None:
        for guest in self._guests:
            guest.connection.close()
        self._guests.clear()
        self._listener.close()

    def patience_s(self) -> float | None:
        """Until something is due that no descriptor tells of."""
        if not self._listening:
            return ACCEPT_S
        return 1.0 if self._guests else None

    def _listen(self, wanted: bool) -> None:
        if wanted != self._listening:
            self._listening = wanted
            if wanted:
                self._selector.register(self._listener, selectors.EVENT_READ, self._listener)
            else:
                self._selector.unregister(self._listener)

    def accept(self, welcome: Callable[[], bool]) -> None:
        """Takes those who wait. `welcome()`: whether there could ever be a channel for one."""
        now = time.monotonic()
        self._regain((now - self._accepted) / ACCEPT_S)
        self._accepted = now
        for guest in list(self._guests):
            most_s = _MESSAGE_S if guest.said else _SILENT_S
            if not guest.whole and now - guest.since > most_s:
                self._send_away(guest)
        while self._may_accept >= 1:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                break
            self._may_accept -= 1
            if not welcome():
                connection.close()
                continue
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            guest = Guest(connection, now)
            self._guests.append(guest)
            self._selector.register(connection, selectors.EVENT_READ, guest)
            if len(self._guests) > GUESTS_MAX:
                self._send_away(self._guests[0])
                self._regain(-1)  # what he gave back is taken
        self._listen(self._may_accept >= 1)

    def _regain(self, count: float) -> None:
        self._may_accept = min(self._may_accept + count, ACCEPT_MAX)

    def leave(self, guest: Guest) -> None:
        """He is a guest no more, and displaces none."""
        self._guests.remove(guest)
        if not guest.whole:
            self._selector.unregister(guest.connection)
        self._regain(1)

    def _send_away(self, guest: Guest) -> None:
        self.leave(guest)
        guest.connection.close()

    def hear(self, guest: Guest) -> None:
        try:
            data = guest.connection.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._send_away(guest)
            return
        if not guest.said:
            guest.since = time.monotonic()
        guest.said += data
        if _is_whole(guest.said):
            guest.whole = True
            # More of him is read when he has a channel.
            self._selector.unregister(guest.connection)

    def ready(self) -> list[Guest]:
        """Those who have said a message: first who claims keys, and of each kind the oldest."""
        return sorted((guest for guest in self._guests if guest.whole), key=lambda g: not g.claims)


def _is_whole(said: bytes) -> bool:
    """Whether it is a message of the wrapper with its APDU; or is none, and never will be."""
    at = 0
    while True:
        if not said[at:].startswith(b"\0\1"[: len(said) - at]) or len(said) >= _OPENING_MAX:
            return True
        if len(said) < at + _HEAD:
            return False
        size = int.from_bytes(said[at + 6 : at + 8], "big")
        at += _HEAD + size
        if size:
            return size > _APDU_MAX or len(said) >= at


def listen(host: str, port: int) -> socket.socket:
    try:
        listener = socket.create_server((host, port), backlog=128)
    except (OSError, OverflowError) as error:
        text = getattr(error, "strerror", None) or str(error)
        raise BenchError(
            f"cannot listen on {host}:{port}: {text}; name another port with --dlms-port"
        ) from None
    listener.setblocking(False)
    return listener
