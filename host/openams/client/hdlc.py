"""The HDLC link of a client, IEC 62056-46: sans-I/O frames, and a link over a serial line.

Written apart from the firmware's, on purpose: they check each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from openams.client.errors import LinkError, QuietError
from openams.han.frames import crc_x25

SNRM, UA, DISC, DM, FRMR = 0x93, 0x73, 0x53, 0x1F, 0x97
_FINAL = 0x10
_UI = 0x03
_LLC_COMMAND = b"\xe6\xe6\x00"
_LLC_RESPONSE = b"\xe6\xe7\x00"
_FLAG = 0x7E
_TRIES = 3
_APDU_MAX = 65535


class Line(Protocol):
    """The part of serial.Serial that is used.

    One of a meter whose time is not that of the wall has `clock`, its seconds: they are what
    time-outs count.
    """

    def read(self, size: int) -> bytes: ...
    def write(self, data: bytes) -> int | None: ...
    def close(self) -> None: ...
    @property
    def in_waiting(self) -> int: ...


@dataclass(frozen=True)
class Frame:
    control: int
    information: bytes = b""
    segmented: bool = False


def encode(to: bytes, source: bytes, frame: Frame) -> bytes:
    """A whole frame with its flags."""
    size = 2 + len(to) + len(source) + 1 + 2
    if frame.information:
        size += len(frame.information) + 2
    head = (0xA000 | frame.segmented << 11 | size).to_bytes(2, "big")
    body = head + to + source + bytes((frame.control,))
    body += crc_x25(body).to_bytes(2, "little")
    if frame.information:
        body += frame.information
        body += crc_x25(body).to_bytes(2, "little")
    return b"\x7e" + body + b"\x7e"


def decode(body: bytes, to: bytes, source: bytes) -> Frame | None:
    """A frame without its flags; None when it is damaged or not from `source` to `to`."""
    start = 2 + len(to) + len(source)
    if len(body) < start + 3 or body[0] >> 4 != 0xA:
        return None
    if crc_x25(body[:-2]) != int.from_bytes(body[-2:], "little"):
        return None
    if body[2:start] != to + source:
        return None
    information = body[start + 3 : -2] if len(body) > start + 3 else b""
    return Frame(body[start], information, bool(body[0] & 8))


class Deframer:
    """Octets in, bodies of frames out: the length field delimits, since nothing is stuffed."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def clear(self) -> None:
        self._buffer.clear()

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        out: list[bytes] = []
        while True:
            start = self._buffer.find(_FLAG)
            if start < 0:
                self._buffer.clear()
                return out
            del self._buffer[:start]
            while len(self._buffer) > 1 and self._buffer[1] == _FLAG:
                del self._buffer[0]
            if len(self._buffer) < 3:
                return out
            size = (self._buffer[1] & 7) << 8 | self._buffer[2]
            if self._buffer[1] >> 4 != 0xA or size < 7:
                del self._buffer[0]
                continue
            if len(self._buffer) < size + 2:
                return out
            body = bytes(self._buffer[1 : size + 1])
            if self._buffer[size + 1] != _FLAG or crc_x25(body[:-2]) != int.from_bytes(
                body[-2:], "little"
            ):
                del self._buffer[0]
                continue
            out.append(body)
            # The closing flag may open the next frame.
            del self._buffer[: size + 1]


class HdlcTransport:
    """One connection over a serial line; requests and answers are whole APDUs."""

    def __init__(
        self,
        line: Line,
        client_sap: int,
        server_sap: int = 1,
        physical: int | None = None,
        information_max: int = 512,
        timeout_s: float = 5.0,
    ) -> None:
        self._line = line
        self._client = bytes((client_sap << 1 | 1,))
        self._server = _server_address(server_sap, physical)
        self._proposed = information_max
        self._information_max = 128
        self._timeout_s = timeout_s
        self._clock: Callable[[], float] = getattr(line, "clock", time.monotonic)
        self._deframer = Deframer()
        self._found: list[bytes] = []
        self._sent = self._received = 0
        self._connected = False

    def connect(self) -> None:
        size = self._proposed.to_bytes(2, "big")
        parameters = b"\x05\x02" + size + b"\x06\x02" + size
        parameters += b"\x07\x04\x00\x00\x00\x01\x08\x04\x00\x00\x00\x01"
        parameters = b"\x81\x80" + bytes((len(parameters),)) + parameters
        answer = self._exchange(Frame(SNRM, parameters))
        if answer.control != UA:
            raise LinkError(f"the meter does not take the connection (0x{answer.control:02x})")
        # What we may send is bound by what the meter receives.
        told = _negotiated(answer.information).get(6, 0)
        self._information_max = min(told, self._proposed) or 128
        self._sent = self._received = 0
        self._connected = True

    def disconnect(self) -> None:
        try:
            if self._connected:
                self._connected = False
                self._exchange(Frame(DISC), tries=1)
        except LinkError:
            pass  # it hears the silence
        finally:
            self._line.close()

    def send_request(self, apdu: bytes) -> bytes:
        rest = _LLC_COMMAND + apdu
        while True:
            piece, rest = rest[: self._information_max], rest[self._information_max :]
            control = self._received << 5 | _FINAL | self._sent << 1
            answer = self._exchange(Frame(control, piece, bool(rest)))
            self._sent = self._sent + 1 & 7
            if not rest:
                break
            if answer.control & 0x0F != 0x01 or answer.control >> 5 != self._sent:
                raise self._broken(answer)
        if answer.control & 0x0F == 0x01 and answer.control >> 5 == self._sent:
            raise QuietError("the meter has no answer to the request")
        return self._answer(answer)

    def receive(self) -> bytes:
        raise LinkError("the meter sent a message of its own in the place of an answer")

    def _answer(self, answer: Frame) -> bytes:
        out = bytearray()
        while True:
            if answer.control & 1 or answer.control >> 1 & 7 != self._received:
                raise self._broken(answer)
            self._received = self._received + 1 & 7
            out += answer.information
            if len(out) > _APDU_MAX:
                raise LinkError("the meter's answer has no end")
            if not answer.segmented:
                break
            answer = self._exchange(Frame(self._received << 5 | _FINAL | 0x01))
        if out[:3] != _LLC_RESPONSE:
            raise LinkError("the meter's answer has no LLC header")
        return bytes(out[3:])

    def _broken(self, answer: Frame) -> LinkError:
        if answer.control in (DM, FRMR):
            return LinkError("the meter has ended the connection")
        return LinkError(f"the meter sent a frame out of order (0x{answer.control:02x})")

    # --- frames ----------------------------------------------------------------------

    def _exchange(self, frame: Frame, tries: int = _TRIES) -> Frame:
        """Sends a frame until it is answered."""
        octets = encode(self._server, self._client, frame)
        for _ in range(tries):
            self._deframer.clear()
            self._found.clear()
            self._write(octets)
            answer = self._receive()
            if answer is not None:
                return answer
        raise LinkError(f"no answer from the meter in {self._timeout_s * tries:g} s")

    def _write(self, octets: bytes) -> None:
        try:
            self._line.write(octets)
        except OSError as error:
            raise LinkError(f"the serial line failed: {error}") from None

    def _receive(self) -> Frame | None:
        end = self._clock() + self._timeout_s
        while True:
            while self._found:
                frame = decode(self._found.pop(0), self._client, self._server)
                # What the meter says unasked (UI) is no answer.
                if frame is not None and frame.control & ~_FINAL != _UI:
                    return frame
            if self._clock() > end:
                return None
            try:
                data = self._line.read(self._line.in_waiting or 1)
            except OSError as error:
                raise LinkError(f"the serial line failed: {error}") from None
            if data:
                end = self._clock() + self._timeout_s
                self._found += self._deframer.feed(data)


def _server_address(upper: int, lower: int | None) -> bytes:
    """One octet, or two with a physical address, or four where they are large."""
    if lower is None and upper < 0x80:
        return bytes((upper << 1 | 1,))
    lower = lower or 0
    if upper < 0x80 and lower < 0x80:
        return bytes((upper << 1, lower << 1 | 1))
    return bytes((upper >> 7 << 1, upper << 1 & 0xFE, lower >> 7 << 1, lower << 1 & 0xFE | 1))


def _negotiated(information: bytes) -> dict[int, int]:
    """The parameters of a UA by their identifier; none when it carries none."""
    out: dict[int, int] = {}
    at = 3
    while information[:2] == b"\x81\x80" and at + 1 < len(information):
        size = information[at + 1]
        out[information[at]] = int.from_bytes(information[at + 2 : at + 2 + size], "big")
        at += 2 + size
    return out
