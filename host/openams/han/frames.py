"""Finds frames in a stream of octets: HDLC between flags, P1 between / and the CRC, SML files
between their escapes, M-Bus long frames by their length, pushes alone by what is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from openams.han.errors import ChecksumError, CutShortError, HanError
from openams.han.marks import (
    SML_START,
    may_begin,
    mbus_is_whole,
    mbus_length,
    mbus_start,
    push_end,
    push_start,
    sml_end,
)

_FLAG = 0x7E
# Of what has no length of its own: telegrams and SML files.
_LARGEST = 4096
_PIECE = 1024


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


def crc_kermit(data: bytes) -> int:
    """CRC-16/Kermit: the polynomial of X.25, from zero."""
    return _crc16(data, 0, 0x8408)


@dataclass(frozen=True)
class Hdlc:
    """A checked HDLC frame: addresses and control, and its information field.

    `segmented`: the next frame goes on with what this one began.
    """

    address: bytes
    information: bytes
    segmented: bool = False


def _header_end(data: bytes, at: int) -> int:
    """Behind the two addresses that begin at `at`, and the control octet: where its check is."""
    for _ in range(2):
        while at < len(data) and not data[at] & 1:
            at += 1
        at += 1
    return at + 1


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
    at = _header_end(frame, 2)
    if at + 4 > len(frame):
        raise CutShortError("frame ends inside its addresses")
    if crc_x25(frame[:at]) != int.from_bytes(frame[at : at + 2], "little"):
        raise ChecksumError("header check is wrong")
    return Hdlc(frame[2:at], frame[at + 2 : -2], bool(frame[0] & 8))


def _is_whole(frame: bytes, length: int) -> bool:
    """Whether all of a frame is there and its check fits."""
    if not 9 <= length == len(frame):
        return False
    return crc_x25(frame[:-2]) == int.from_bytes(frame[-2:], "little")


def sml_is_whole(data: bytes) -> bool:
    """Whether the check of an SML file fits: X.25, or Kermit as some of Holley's have it."""
    return data[-2:] in (
        crc_x25(data[:-2]).to_bytes(2, "little"),
        crc_kermit(data[:-2]).to_bytes(2, "big"),
    )


class Deframer:
    """Takes octets as they come; gives whole frames, telegrams and SML files.

    An HDLC frame comes without its flags, a telegram from `/` to its CRC, an
    SML file from its first escape on, an M-Bus frame from 68 to 16, a push
    alone from 0F on. What is no frame is passed over; `dropped` counts those octets, `damaged` the
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
        # Each step looks through all that is there: a large file comes in pieces.
        for at in range(0, len(data), _PIECE):
            self._buffer += data[at : at + _PIECE]
            while True:
                frame = self._next()
                if frame is None:
                    break
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
        if start[:1] == b"\x68":
            return mbus_start(start) == 0 and len(start) >= 6
        if start[:1] == b"\x0f":
            return push_start(start) == 0 and len(start) >= 11
        if start[:1] == b"\x1b":
            return start.startswith(SML_START)
        if start[:1] != b"\x7e":
            return False
        at = _header_end(start, 3)
        check = int.from_bytes(start[at : at + 2], "little")
        return at + 2 <= len(start) and crc_x25(start[1:at]) == check

    def _next(self) -> bytes | None:
        """A frame, b"" when something was passed over, None when more is needed."""
        buffer = self._buffer
        finds = (self._hdlc(), buffer.find(b"/"), buffer.find(SML_START), mbus_start(buffer),
                 push_start(buffer))  # fmt: skip
        starts = [at for at in finds if at >= 0]
        if not starts:
            self._drop(len(buffer) - may_begin(buffer))
            return None
        start = min(starts)
        if start:
            self._drop(start)
            return b""
        if buffer[0] == _FLAG:
            return self._take_hdlc()
        if buffer[0] == 0x1B:
            return self._take_sml()
        if buffer[0] == 0x0F:
            return self._take_push()
        return self._take_mbus() if buffer[0] == 0x68 else self._take_telegram()

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
        inside = [at for at in (self._whole_hdlc(), self._whole_sml()) if at > 0]
        if not inside:
            return None
        self._pass_over(min(inside))
        return b""

    def _whole_hdlc(self) -> int:
        """Where a whole HDLC frame begins behind the first octet, or 0."""
        buffer = self._buffer
        at = buffer.find(b"\x7e", 1)
        while 0 < at < len(buffer) - 2:
            if buffer[at + 1] >> 4 == 0xA:
                inner = (buffer[at + 1] & 7) << 8 | buffer[at + 2]
                if _is_whole(bytes(buffer[at + 1 : at + 1 + inner]), inner):
                    return at
            at = buffer.find(b"\x7e", at + 1)
        return 0

    def _whole_sml(self) -> int:
        at = self._buffer.find(SML_START, 1)
        while at > 0:
            rest = self._buffer[at:]
            try:
                end = sml_end(rest)
            except CutShortError:
                end = None
            if end is not None and sml_is_whole(bytes(rest[:end])):
                return at
            at = self._buffer.find(SML_START, at + 1)
        return 0

    def _take_sml(self) -> bytes | None:
        buffer = self._buffer
        try:
            end = sml_end(buffer)
        except CutShortError:
            self._pass_over(buffer.find(SML_START, 1))
            return b""
        if end is None:
            if len(buffer) <= _LARGEST:
                return self._stalled(0)
            self._pass_over(1)
            return b""
        return self._if_whole(end, sml_is_whole)

    def _take_mbus(self) -> bytes | None:
        buffer = self._buffer
        length = mbus_length(buffer)
        if length is None:
            if len(buffer) < 4:
                return None
            self._drop(1)
            return b""
        if len(buffer) < length:
            return self._stalled(length)
        return self._if_whole(length, mbus_is_whole)

    def _if_whole(self, length: int, is_whole: Callable[[bytes], bool]) -> bytes:
        """The first `length` octets, taken, or nothing where their check fails."""
        frame = bytes(self._buffer[:length])
        if not is_whole(frame):
            self._pass_over(1)
            return b""
        del self._buffer[:length]
        return frame

    def _take_push(self) -> bytes | None:
        buffer = self._buffer
        try:
            end = push_end(buffer)
        except HanError:
            self._pass_over(1)
            return b""
        if end is None:
            if len(buffer) <= _LARGEST:
                return self._stalled(0)
            self._pass_over(1)
            return b""
        push = bytes(buffer[:end])
        del buffer[:end]
        return push

    def _take_telegram(self) -> bytes | None:
        buffer = self._buffer
        end = buffer.find(b"!")
        again = buffer.find(b"/", 1, end if end >= 0 else len(buffer))
        others = [at for at in (self._hdlc(), buffer.find(SML_START)) if at > 0]
        other = min(others, default=-1)
        if again > 0 or (other > 0 and (end < 0 or other < end)):
            self._pass_over(min(at for at in (again, other) if at > 0))
            return b""
        if end < 0 or len(buffer) < end + 5:
            if len(buffer) > _LARGEST:
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
