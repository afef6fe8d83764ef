"""Puts together what came in pieces: HDLC segments, blocks of a general block transfer, M-Bus.

Sources: IEC 62056-46, 6.4; IEC 62056-5-3, 9.4.6.13; EN 13757-2 and -3, with the operators' use of
the CI octet: low four bits the number of the piece, bit 4 in the last.
"""

from __future__ import annotations

from dataclasses import dataclass

from openams.han.errors import ChecksumError, CutShortError, HanError, UnknownListError
from openams.han.frames import Hdlc, parse_hdlc
from openams.han.marks import mbus_is_whole, mbus_length

_LLC = b"\xe6\xe7\x00"
_BLOCK = 0xE0


@dataclass(frozen=True)
class Apdu:
    """An APDU with what carried it.

    `link` names it as a meter's setting does (see the firmware's push.py); `raw` is all that
    came, flags included where there was more than one frame.
    """

    octets: bytes
    link: str
    hdlc: Hdlc
    raw: bytes


def parse_mbus(frame: bytes) -> tuple[int, bytes]:
    """(CI, what it carries). Raises HanError."""
    length = mbus_length(frame)
    if length is None:
        raise HanError("this is no M-Bus long frame")
    if len(frame) != length:
        raise CutShortError(f"frame has {len(frame)} octets where its length says {length}")
    if not mbus_is_whole(frame):
        raise ChecksumError("the sum of the M-Bus frame is wrong")
    body = frame[4:-2]
    if body[:2] != b"\x53\xff" or body[3:5] != b"\x01\x67":
        raise UnknownListError("the M-Bus frame is no push to everybody")
    return body[2], body[5:]


class Assembler:
    """Takes frames as the Deframer gives them; gives an APDU when one is whole."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._data = b""
        self._frames: list[bytes] = []
        self._sizes: list[int] = []
        self._next = 0

    @property
    def begun(self) -> bool:
        """Whether pieces wait for more."""
        return bool(self._frames)

    @property
    def count(self) -> int:
        return len(self._frames)

    def add(self, frame: bytes) -> Apdu | None:
        """Raises HanError for a frame that is wrong; what went before it is given up."""
        try:
            if frame[:1] == b"\x68":
                return self._mbus(frame)
            return self._hdlc(frame)
        except HanError:
            self._clear()
            raise

    def _mbus(self, frame: bytes) -> Apdu | None:
        ci, data = parse_mbus(frame)
        number = ci & 0x0F
        if number == 0:
            self._clear()
        elif number != self._next or not self._frames:
            raise HanError(f"piece {number} of the M-Bus telegram does not follow another")
        self._take(frame, data)
        if not ci & 0x10:
            return None
        return self._whole(Hdlc(b"", self._data), f"mbus {self._sizes[0]}")

    def _hdlc(self, frame: bytes) -> Apdu | None:
        hdlc = parse_hdlc(frame)
        data = hdlc.information
        # A block of one list, or a segment, may begin with anything: only the first has an LLC.
        starts = data[:3] == _LLC
        payload = data[3:] if starts else data
        if payload[:1] == bytes((_BLOCK,)) and (starts or self._frames):
            return self._block(frame, hdlc, payload)
        if starts:
            self._clear()
        elif not self._frames:
            raise UnknownListError("the frame has no LLC header of a meter")
        self._take(frame, payload)
        self._sizes[-1] = len(data)
        if hdlc.segmented:
            return None
        size = self._sizes[0] if len(self._sizes) > 1 else 512
        return self._whole(hdlc, f"hdlc {hdlc.address.hex()} {size}")

    def _block(self, frame: bytes, hdlc: Hdlc, payload: bytes) -> Apdu | None:
        if len(payload) < 7:
            raise CutShortError("the frame ends inside the head of a block")
        last, number, length = payload[1] & 0x80, int.from_bytes(payload[2:4], "big"), payload[6]
        if number == 1:
            self._clear()
        elif number != self._next + 1:
            raise HanError(f"block {number} of the list does not follow another")
        data = payload[7:]
        if len(data) != length:
            raise CutShortError(f"the block has {len(data)} octets where its length says {length}")
        self._take(frame, data)
        if not last:
            return None
        return self._whole(hdlc, f"gbt {hdlc.address.hex()} {_rooms(self._sizes)}")

    def _take(self, frame: bytes, data: bytes) -> None:
        self._frames.append(frame)
        self._sizes.append(len(data))
        self._data += data
        self._next += 1

    def _whole(self, hdlc: Hdlc, link: str) -> Apdu:
        raw = self._frames[0]
        if raw[:1] == b"\x68":
            raw = b"".join(self._frames)
        elif len(self._frames) > 1:
            raw = b"".join(b"\x7e" + frame + b"\x7e" for frame in self._frames)
        apdu = Apdu(self._data, link, hdlc, raw)
        self._clear()
        return apdu


def _rooms(sizes: list[int]) -> str:
    """What a block may hold: a meter fills up all but the last, or ends before a number.

    Landis+Gyr's E450 has 119 octets in the first and 122 in the others, its E570 116.
    """
    longest = max(sizes)
    return "116 116" if longest <= 116 and sizes[0] != 119 else "119 122"
