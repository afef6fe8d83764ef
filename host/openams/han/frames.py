"""Finds frames in a stream of octets: HDLC between flags, P1 between / and the CRC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from openams.han.errors import ChecksumError, CutShortError, HanError

_FLAG = 0x7E
_LARGEST_TELEGRAM = 4096


def _crc16(data: bytes, crc: int, polynomial: int) -> int:
    """A reflected CRC of 16 bits, bit by bit."""
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = (crc >> 1) ^ polynomial if crc & 1 else crc >> 1
    return crc


def crc_x25(data: bytes) -> int:
    """CRC-16/X.25."""
    return _crc16(data, 0xFFFF, 0x8408) ^ 0xFFFF


def crc_p1(data: bytes) -> int:
    """CRC-16/ARC: DSMR P1 companion standard 5.0.2, 5.2."""
    return _crc16(data, 0, 0xA001)


@dataclass(frozen=True)
class Hdlc:
    """A checked HDLC frame: addresses and control, and its information field."""

    address: bytes
    information: bytes


def parse_hdlc(frame: bytes) -> Hdlc:
    """A frame without its flags. Raises HanError."""
    if len(frame) < 9:
        raise CutShortError(f"frame of {len(frame)} octets is no HDLC frame")
    if frame[0] >> 4 != 0xA:
        raise HanError(f"frame does not begin as HDLC type 3: {frame[:2].hex()}")
    length = (frame[0] & 7) << 8 | frame[1]
    if length != len(frame):
        raise CutShortError(f"frame has {len(frame)} octets where its length says {length}")
    if crc_x25(frame[:-2]) != int.from_bytes(frame[-2:], "little"):
        raise ChecksumError("frame check is wrong")
    at = 2
    for _ in range(2):
        while at < len(frame) and not frame[at] & 1:
            at += 1
        at += 1
    at += 1  # control
    if at + 4 > len(frame):
        raise CutShortError("frame ends inside its addresses")
    if crc_x25(frame[:at]) != int.from_bytes(frame[at : at + 2], "little"):
        raise ChecksumError("header check is wrong")
    return Hdlc(frame[2:at], frame[at + 2 : -2])


def _is_whole(frame: bytes, length: int) -> bool:
    """Whether all of a frame is there and its check fits."""
    if not 9 <= length == len(frame):
        return False
    return crc_x25(frame[:-2]) == int.from_bytes(frame[-2:], "little")


class Deframer:
    """Takes octets as they come; gives whole frames and telegrams.

    An HDLC frame comes without its flags, a telegram from `/` to its CRC. What
    is no frame is passed over; `dropped` counts those octets, `damaged` the
    beginnings among them that were a frame's or a telegram's.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.dropped = 0
        self.damaged = 0

    @property
    def begun(self) -> bool:
        """Whether what is left over begins as a frame or telegram does."""
        return self._begins_well(len(self._buffer))

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._buffer += data
        while True:
            frame = self._next()
            if frame is None:
                return
            if frame:
                yield frame

    def _drop(self, count: int) -> None:
        self.dropped += count
        del self._buffer[:count]

    def _pass_over(self, count: int) -> None:
        """Drops a beginning that came to no good end."""
        self.damaged += self._begins_well(count)
        self._drop(count)

    def _begins_well(self, count: int) -> bool:
        """A frame's header that checks, or a telegram's lines, in the first octets."""
        start = bytes(self._buffer[: max(count, 16)])
        if start[:1] == b"/":
            return b"\r\n" in start and start.isascii()
        if start[:1] != b"\x7e":
            return False
        at = 3
        for _ in range(2):
            while at < len(start) and not start[at] & 1:
                at += 1
            at += 1
        at += 1  # control
        check = int.from_bytes(start[at : at + 2], "little")
        return at + 2 <= len(start) and crc_x25(start[1:at]) == check

    def _next(self) -> bytes | None:
        """A frame, b"" when something was passed over, None when more is needed."""
        buffer = self._buffer
        starts = [at for at in (self._hdlc(), buffer.find(b"/")) if at >= 0]
        if not starts:
            # Keep a flag that may begin a frame.
            self._drop(len(buffer) - (1 if buffer[-1:] == b"\x7e" else 0))
            return None
        start = min(starts)
        if start:
            self._drop(start)
            return b""
        return self._take_hdlc() if buffer[0] == _FLAG else self._take_telegram()

    def _hdlc(self) -> int:
        """The first flag that a frame of type 3 follows."""
        buffer = self._buffer
        at = buffer.find(b"\x7e")
        while 0 <= at < len(buffer) - 1:
            if buffer[at + 1] >> 4 == 0xA:
                return at
            at = buffer.find(b"\x7e", at + 1)
        return -1

    def _take_hdlc(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 3:
            return None
        length = (buffer[1] & 7) << 8 | buffer[2]
        if len(buffer) < length + 2:
            return self._stalled(length)
        frame = bytes(buffer[1 : length + 1])
        if buffer[length + 1] == _FLAG and _is_whole(frame, length):
            # The closing flag may open the next frame.
            del buffer[: length + 1]
            if buffer[:1] == b"\x7e" and (len(buffer) < 2 or buffer[1] >> 4 != 0xA):
                del buffer[:1]
            return frame
        self._pass_over(1)
        return b""

    def _stalled(self, length: int) -> bytes | None:
        """Not all there yet, unless a better frame begins inside what is there."""
        buffer = self._buffer
        at = buffer.find(b"\x7e", 1)
        while 0 < at < len(buffer) - 2:
            if buffer[at + 1] >> 4 == 0xA:
                inner = (buffer[at + 1] & 7) << 8 | buffer[at + 2]
                frame = bytes(buffer[at + 1 : at + 1 + inner])
                if _is_whole(frame, inner):
                    self._pass_over(at)
                    return b""
            at = buffer.find(b"\x7e", at + 1)
        return None

    def _take_telegram(self) -> bytes | None:
        buffer = self._buffer
        end = buffer.find(b"!")
        again = buffer.find(b"/", 1, end if end >= 0 else len(buffer))
        hdlc = self._hdlc()
        if again > 0 or (hdlc > 0 and (end < 0 or hdlc < end)):
            self._pass_over(min(at for at in (again, hdlc) if at > 0))
            return b""
        if end < 0 or len(buffer) < end + 5:
            if len(buffer) > _LARGEST_TELEGRAM:
                self._drop(1)
                return b""
            return None
        telegram = bytes(buffer[: end + 5])
        try:
            check = int(telegram[-4:], 16)
        except ValueError:
            check = -1
        if check != crc_p1(telegram[:-4]):
            self.damaged += b"\r\n" in telegram and telegram.isascii()
            self._drop(1)
            return b""
        del buffer[: end + 5]
        return telegram
