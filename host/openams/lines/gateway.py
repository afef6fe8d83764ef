"""TCP clients at a meter that has a service port and no network.

The wrapper of TCP on one side, HDLC on channel 0 on the other: each client
that speaks gets an HDLC connection of its own, one at a time, as the line has
it. The channels take turns, a message each: whatever one of them sends, another
waits for one turn of it. It sits between `LinkPorts` and the meter and looks like a
meter to the one and like the ports to the other.
"""

from __future__ import annotations

import queue
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from openams.client.errors import LinkError, QuietError
from openams.client.hdlc import HdlcTransport, Line
from openams.errors import BenchError
from openams.lines.channels import ACKNOWLEDGED, CLOSE, CLOSED, DATA, OPENED
from openams.lines.linkports import KEYED, SERVICE_CHANNEL

_WRAPPER = struct.Struct(">HHHH")
_APDU_MAX = 2048
# What a client may have sent that was not served yet.
_WAITING_MAX = 1 << 16
# Pieces that the meter has said and nobody has heard: more than any answer.
_HEARD_MAX = 8192
# The line is somebody else's when he was silent for so long.
_SILENT_S = 10.0
# The logical device of a meter, and the address that no client has.
_DEVICE = 1
_ALL_CLIENTS = 0x7F
# Seconds of the line's own clock: an emulated chip may be many times slower than the wall's.
_TIMEOUT_S = 2.0
_TICK_S = 0.05

_To = Callable[[int, int, bytes], None]


class MeterLine:
    """The service port as a serial line, as far as HdlcTransport uses one."""

    def __init__(self, to_meter: _To, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._to_meter = to_meter
        self._heard: queue.Queue[bytes] = queue.Queue(_HEARD_MAX)
        self._rest = b""

    def take(self, channel: int, kind: int, data: bytes) -> None:
        """What the meter says."""
        if channel == SERVICE_CHANNEL and kind == DATA:
            with suppress(queue.Full):
                self._heard.put_nowait(data)

    @property
    def in_waiting(self) -> int:
        return len(self._rest)

    def read(self, size: int) -> bytes:
        if not self._rest:
            with suppress(queue.Empty):
                self._rest = self._heard.get(timeout=_TICK_S)
        out, self._rest = self._rest[:size], self._rest[size:]
        return out

    def write(self, data: bytes) -> int:
        self._to_meter(SERVICE_CHANNEL, DATA, data)
        return len(data)

    def close(self) -> None:
        """Nothing to close: the line is the meter's."""


@dataclass
class _Caller:
    """A TCP connection: what it has sent, and whether it has ended."""

    received: bytearray = field(default_factory=bytearray)
    closed: bool = False

    def is_due(self) -> bool:
        """Whether there is something to do: an end, a whole message, or what is none."""
        if self.closed or len(self.received) < _WRAPPER.size:
            return self.closed
        version, _, _, size = _WRAPPER.unpack_from(self.received)
        return bool(version != 1 or size > _APDU_MAX or len(self.received) >= _WRAPPER.size + size)


class MetersLine(Line, Protocol):
    """The service port as a line: it is given what the meter says."""

    def take(self, channel: int, kind: int, data: bytes) -> None: ...


class Gateway:
    """`to_meter` is the meter's, `to_client` that of the ports."""

    def __init__(
        self,
        to_meter: _To,
        to_client: _To,
        line: MetersLine | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self._to_meter = to_meter
        self._to_client = to_client
        self._timeout_s = timeout_s
        self._callers: dict[int, _Caller] = {}  # in the order of their turns
        self._due = threading.Condition()
        self._line = line or MeterLine(to_meter)
        self._transport: HdlcTransport | None = None
        self._owner = (0, 0, 0)  # channel, client SAP, server SAP
        self._used = 0.0
        self._keyed = False  # the meter has let him in with keys
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # --- what the ports and the meter call -----------------------------------------------

    def from_client(self, channel: int, kind: int, data: bytes) -> None:
        if channel == SERVICE_CHANNEL:
            if self._transport is None:
                # The service port itself is free while no TCP client has the line.
                self._to_meter(channel, kind, data)
            return
        with self._due:
            caller = self._callers.get(channel)
            if kind == OPENED:
                self._callers[channel] = _Caller()
            elif caller is None and kind == CLOSED:
                # One that was hung up on here.
                self._callers[channel] = _Caller(closed=True)
            elif caller is not None and kind == CLOSED:
                caller.closed = True
            elif caller is not None:
                caller.received += data
            too_much = caller is not None and len(caller.received) > _WAITING_MAX
            if too_much:
                # Nor is anything served that he has sent, or sends until he knows.
                del self._callers[channel]
            self._due.notify()
        if too_much:
            self._to_client(channel, CLOSE, b"")

    def from_meter(self, channel: int, kind: int, data: bytes) -> None:
        if self._transport is None:
            self._to_client(channel, kind, data)
        else:
            self._line.take(channel, kind, data)

    # --- one client after the other ------------------------------------------------------

    def _run(self) -> None:
        while True:
            channel, caller = self._next()
            try:
                if caller.closed:
                    self._closed(channel)
                    self._to_client(channel, ACKNOWLEDGED, b"")
                else:
                    self._serve(channel, caller)
            except LinkError:
                self._hang_up(channel)
            except BenchError:
                return  # the meter is gone

    def _next(self) -> tuple[int, _Caller]:
        """Whose turn it is: he is the last of all for the next."""
        with self._due:
            while True:
                for channel, caller in self._callers.items():
                    if caller.is_due():
                        del self._callers[channel]
                        if not caller.closed:
                            self._callers[channel] = caller
                        return channel, caller
                self._due.wait()

    def _closed(self, channel: int) -> None:
        if self._transport and self._owner[0] == channel:
            self._release()

    def _hang_up(self, channel: int) -> None:
        """Ends a TCP connection; its closing comes back to us from the ports."""
        with self._due:
            caller = self._callers.get(channel)
            if caller is not None and not caller.closed:
                del self._callers[channel]
        self._to_client(channel, CLOSE, b"")

    def _release(self) -> None:
        if self._transport:
            # The answer to the DISC is still the transport's to hear.
            self._transport.disconnect()
            self._transport = None

    def _serve(self, channel: int, caller: _Caller) -> None:
        """One message of a client."""
        with self._due:
            if self._callers.get(channel) is not caller:
                return  # hung up on since it became his turn
            version, client, server, size = _WRAPPER.unpack_from(caller.received)
            good = version == 1 and size <= _APDU_MAX
            apdu = bytes(caller.received[_WRAPPER.size : _WRAPPER.size + size]) if good else b""
            del caller.received[: _WRAPPER.size + size]
        if good and not apdu:
            return  # nothing that would be answered
        if not good or not self._take(channel, client, server):
            self._hang_up(channel)
            return
        assert self._transport
        try:
            answer = self._transport.send_request(apdu)
        except QuietError:
            self._used = time.monotonic()
            return  # it wanted none
        except LinkError:
            self._release()
            raise
        self._used = time.monotonic()
        self._keyed = self._keyed or KEYED in answer
        self._to_client(channel, DATA, _WRAPPER.pack(1, server, client, len(answer)) + answer)

    def _take(self, channel: int, client: int, server: int) -> bool:
        """Whether the line is the client's; a holder that is idle or without keys gives way."""
        if not 0 < client < _ALL_CLIENTS or server != _DEVICE:
            return False  # nobody there would answer, and the others would wait for it
        wanted = (channel, client, server)
        if self._transport and self._owner == wanted:
            return True
        if self._transport:
            other = self._owner[0] != channel
            if other and self._keyed and time.monotonic() - self._used < _SILENT_S:
                return False
            loser = self._owner[0]
            self._release()
            if other:
                self._hang_up(loser)
        transport = HdlcTransport(self._line, client, server, timeout_s=self._timeout_s)
        self._transport = transport
        self._owner = wanted
        self._keyed = False
        try:
            transport.connect()
        except LinkError:
            self._transport = None
            raise
        self._used = time.monotonic()
        return True
