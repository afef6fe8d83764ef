"""URLs of meters, and the links they name.

tcp://host:4059                          wrapper, IEC 62056-47
tcp://host:4059?gateway=7359990100000018 the meter of that number, behind a concentrator
serial:///dev/ttyUSB0?baud=9600          HDLC, IEC 62056-46
"""

from __future__ import annotations

import socket
import struct
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import serial

from openams.client import prefix
from openams.client.errors import LateError, LinkError
from openams.client.hdlc import HdlcTransport, Line
from openams.errors import BenchError
from openams.gs1 import METER_DIGITS
from openams.serialport import open_serial

PORT = 4059
_WRAPPER = struct.Struct(">HHHH")
_APDU_MAX = 65535
# Octets a second of the slowest link: who sends fewer holds up who waits.
_SLOWEST = 100
_HELP = "write it like tcp://127.0.0.1:4059 or serial:///dev/ttyUSB0?baud=9600"


class Transport(Protocol):
    """Moves whole APDUs."""

    def connect(self) -> None: ...
    def send_request(self, apdu: bytes) -> bytes: ...
    def receive(self) -> bytes:
        """One more message after an answer that was none."""

    def disconnect(self) -> None: ...


@dataclass(frozen=True)
class Url:
    text: str
    scheme: str
    host: str = ""
    port: int = PORT
    device: str = ""
    baud: int = 9600
    physical: int | None = None
    server: int = 1
    line: Line | None = None  # of a serial URL: one that is open already
    gateway: str = ""  # the number of the meter behind a concentrator
    # A way that is none of these: opens a link for a client's SAP, with seconds to wait.
    opener: Callable[[int, float], Transport] | None = None


def parse_url(text: str) -> Url:
    try:
        parts = urlsplit(text)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        gateway = query.pop("gateway", "")
        if gateway and not (len(gateway) == METER_DIGITS and gateway.isdigit()):
            raise ValueError
        options = {name: int(value) for name, value in query.items()}
        if not options.keys() <= {"baud", "physical", "server"}:
            raise ValueError
        server = options.get("server", 1)
        if parts.scheme == "tcp" and parts.hostname and not parts.path.strip("/"):
            return Url(
                text, "tcp", parts.hostname, parts.port or PORT, server=server, gateway=gateway
            )
        if gateway:
            raise ValueError
        if parts.scheme == "serial" and not parts.netloc and parts.path not in ("", "/"):
            return Url(
                text,
                "serial",
                device=parts.path,
                baud=options.get("baud", 9600),
                physical=options.get("physical"),
                server=server,
            )
    except ValueError:
        pass
    raise BenchError(f"{text!r} is no URL of a meter: {_HELP}")


def open_link(url: Url, client_sap: int, timeout_s: float) -> Transport:
    """Connected; LinkError when there is nobody."""
    if url.opener:
        return url.opener(client_sap, timeout_s)
    if url.scheme == "tcp":
        return TcpTransport(url, client_sap, timeout_s)
    line = url.line or _open_line(url)
    transport = HdlcTransport(line, client_sap, url.server, url.physical, timeout_s=timeout_s)
    try:
        transport.connect()
    except LinkError:
        line.close()
        raise
    return transport


def _open_line(url: Url) -> serial.Serial:
    try:
        return open_serial(url.device, url.baud, timeout=0.05)
    except (serial.SerialException, OSError, ValueError, termios.error) as error:
        raise LinkError(f"cannot open {url.device}: {error}") from None


class TcpTransport:
    def __init__(self, url: Url, client_sap: int, timeout_s: float) -> None:
        self._url = url
        self._client = client_sap
        self._timeout_s = timeout_s
        try:
            self._socket = socket.create_connection((url.host, url.port), timeout=timeout_s)
        except OSError as error:
            raise LinkError(
                f"no meter at {url.host}:{url.port}: {error.strerror or error}"
            ) from None
        except UnicodeError:
            raise LinkError(f"no meter at {url.host}:{url.port}: that is no name") from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connect(self) -> None:
        """There already."""

    def disconnect(self) -> None:
        self._socket.close()

    def send_request(self, apdu: bytes) -> bytes:
        if self._url.gateway:
            apdu = prefix.to_meter(self._url.gateway, apdu)
        head = _WRAPPER.pack(1, self._client, self._url.server, len(apdu))
        with self._failing():
            self._socket.sendall(head + apdu)
        return self.receive()

    def receive(self) -> bytes:
        with self._failing():
            version, source, to, size = _WRAPPER.unpack(self._receive(_WRAPPER.size))
            if (version, source, to) != (1, self._url.server, self._client):
                raise LinkError(f"{self._url.text} does not speak the wrapper of a meter")
            apdu = self._receive(size)
        if not self._url.gateway:
            return apdu
        try:
            return prefix.from_meter(self._url.gateway, apdu)
        except prefix.PrefixError as error:
            raise LinkError(f"{self._url.text} does not answer as a gateway: {error}") from None

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise LateError(f"no answer from {self._url.text}") from None
        except OSError as error:
            raise LinkError(f"{self._url.text}: {error.strerror or error}") from None

    def _receive(self, count: int) -> bytes:
        """Octets are waited for one by one, and all of them no longer than a slow link takes."""
        out = bytearray()
        end = time.monotonic() + self._timeout_s + count / _SLOWEST
        while len(out) < count:
            if time.monotonic() > end:
                raise TimeoutError
            piece = self._socket.recv(count - len(out))
            if not piece:
                raise LinkError(f"{self._url.text} has closed the connection")
            out += piece
        return bytes(out)
