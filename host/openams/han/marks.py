"""How frames begin and end that are no HDLC: SML files, M-Bus long frames, pushes alone."""

from __future__ import annotations

from openams.han.axdr import Reader
from openams.han.errors import CutShortError, HanError

SML_START = b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01"
_ESCAPE = b"\x1b\x1b\x1b\x1b"
# Behind a notification's number: no time, two parts, the first an enumeration (Sagemcom XT211).
_PUSH = b"\x00\x02\x02\x16\x01\x01"


def sml_end(data: bytes | bytearray) -> int | None:
    """Where a file ends that begins with SML_START; None while its end is not there.

    Raises CutShortError when another begins in it.
    """
    at = len(SML_START)
    while True:
        at = data.find(_ESCAPE, at)
        if at < 0 or len(data) < at + 8:
            return None
        if data[at + 4] == 0x1A:
            return at + 8
        if data[at : at + 8] == SML_START:
            raise CutShortError("another SML file begins inside one")
        # An escaped escape is data; a longer run of 1b is looked at from its next octet.
        at += 8 if data[at + 4 : at + 8] == _ESCAPE else 1


def mbus_start(data: bytes | bytearray) -> int:
    """The first octet that begins a push in an M-Bus long frame, as far as can be seen, or -1."""
    at = data.find(b"\x68")
    while at >= 0:
        head = data[at : at + 6]
        size = head[1:2]
        if head[2:4] == (size + b"\x68")[: len(head[2:4])] and b"\x53\xff".startswith(head[4:6]):
            return at
        at = data.find(b"\x68", at + 1)
    return -1


def mbus_length(data: bytes | bytearray) -> int | None:
    """Octets of the M-Bus long frame that `data` begins with; None when it begins none.

    Some of Sagemcom's have 257 where the field holds no more than 255, and say 1.
    """
    if len(data) < 4 or data[0] != 0x68 or data[3] != 0x68 or data[1] != data[2]:
        return None
    length = 257 if data[1] == 1 else data[1]
    return length + 6 if length >= 5 else None


def mbus_is_whole(frame: bytes | bytearray) -> bool:
    """Whether all of a long frame is there, and its sum fits."""
    if mbus_length(frame) != len(frame):
        return False
    return sum(frame[4:-2]) & 0xFF == frame[-2] and frame[-1] == 0x16


def push_start(data: bytes | bytearray) -> int:
    """The first octet of a push that nothing surrounds, as far as can be seen, or -1."""
    at = data.find(b"\x0f")
    while at >= 0:
        if _PUSH.startswith(data[at + 5 : at + 11]):
            return at
        at = data.find(b"\x0f", at + 1)
    return -1


def push_end(data: bytes | bytearray) -> int | None:
    """Where such a push ends that `data` begins with; None while its end is not there.

    It has no length and no check. Raises HanError where it goes on as none does.
    """
    reader = Reader(bytes(data))
    try:
        reader.take(11)
        for _ in range(reader.length()):
            if reader.take(2) != b"\x02\x02":
                raise HanError("the push has an attribute of another form")
            reader.take(9)
            reader.item()
    except CutShortError:
        return None
    return reader.at


def may_begin(data: bytes | bytearray) -> int:
    """How many of the last octets may be the beginning of a frame."""
    for count in range(min(8, len(data)), 0, -1):
        tail = bytes(data[-count:])
        if tail == b"\x7e" or SML_START.startswith(tail):
            return count
    return 0
