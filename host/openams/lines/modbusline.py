"""The Modbus of a running meter: TCP connections and an RS-485 line on a pseudo-terminal.

Only octets pass here: frames, units and who is answered are the firmware's. One thread moves
everything; who sends but does not read is read no further.
"""

from __future__ import annotations

import selectors
import socket
from pathlib import Path
from typing import Any

from openams.errors import BenchError
from openams.lines.channels import OPENED, Channels, End
from openams.lines.ptylink import PtyLink, default_link, urls

# In the place of a channel of the two-way link, see docs/architecture.md.
MODBUS_LINE = 254
MODBUS_CHANNELS = range(16, 32)
_PIECE = 256
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


def is_modbus(channel: int) -> bool:
    return channel == MODBUS_LINE or channel in MODBUS_CHANNELS


class ModbusLine(Channels[End]):
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
            self._release()
            raise
        super().__init__(_PIECE)

    @property
    def tcp(self) -> bool:
        return self._listener is not None

    @property
    def rtu(self) -> bool:
        return self._line is not None

    @property
    def urls(self) -> list[str]:
        """Where masters find the meter."""
        return urls(self._listener, self._line)

    def _begin(self) -> None:
        if self._listener:
            self._selector.register(self._listener, selectors.EVENT_READ)
        if self._line:
            self._add(End(MODBUS_LINE, self._line.master))

    def _release(self) -> None:
        if self._listener:
            self._listener.close()
        if self._line:
            self._line.close()

    def _hear(self, what: Any) -> None:
        self._accept()

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
        self._add(End(channel, connection.fileno(), connection))
        self._to_meter(channel, OPENED, b"")


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
