"""What carries a notification: HDLC frames and segments, general block transfer, M-Bus.

A link has `begin()` before a notification is written, `whole(at, size)` for what may not be cut
(`size` octets at `at`), and `frames(apdu, plain)`, which gives what goes on the line. Where a
block ends depends on what is in it: a plain notification is cut between its numbers, a sealed
one anywhere.
"""

import binascii
import struct

from ams.crypto.octets import crc16

_FLAG = 0x7E
_LLC = b"\xe6\xe7\x00"
_SEGMENTED = 0x08
_MORE = 0x10  # of a control octet: final


def make_link(text):
    """A link as push.py names it. Raises ValueError for an unknown one."""
    words = text.split()
    if words[0] == "none":
        return Bare()
    if words[0] == "mbus":
        return MBus(int(words[1]))
    if words[0] == "hdlc":
        return Hdlc(binascii.unhexlify(words[1]), int(words[2]))
    if words[0] == "gbt":
        return Blocks(binascii.unhexlify(words[1]), int(words[2]), int(words[3]))
    raise ValueError("link %r is unknown: hdlc, gbt, mbus or none" % text)


class Bare:
    """The notification alone, as on RS-485."""

    def begin(self):
        pass

    def whole(self, at, size):
        pass

    def frames(self, apdu, plain):
        return apdu


class Hdlc(Bare):
    """Frames of type 3, segmented where one does not hold it (IEC 62056-46, 6.4)."""

    def __init__(self, address, information):
        self._address = address
        self._information = information

    def frames(self, apdu, plain):
        data = _LLC + bytes(apdu)
        out = bytearray()
        at = 0
        while True:
            piece = data[at : at + self._information]
            at += len(piece)
            last = at >= len(data)
            control = self._address[-1] if last else self._address[-1] & ~_MORE
            self._frame(out, bytes((control,)), piece, 0xA0 if last else 0xA0 | _SEGMENTED)
            if last:
                return out

    def _frame(self, out, control, piece, kind):
        start = len(out)
        head = self._address[:-1] + control
        length = 2 + len(head) + 2 + len(piece) + 2
        out.append(_FLAG)
        out += bytes((kind | length >> 8, length & 0xFF)) + head
        out += struct.pack("<H", crc16(out, start + 1, len(out))) + piece
        out += struct.pack("<H", crc16(out, start + 1, len(out)))
        out.append(_FLAG)


class Blocks(Hdlc):
    """General block transfer, a block a frame, nothing confirmed (IEC 62056-5-3, 9.4.6.13)."""

    def __init__(self, address, first, following):
        super().__init__(address, 0)
        self._first = first
        self._following = following
        self._cuts = []

    def begin(self):
        self._cuts = []

    def whole(self, at, size):
        """Numbers and descriptors are not cut: the block ends before one that fills it up."""
        start = self._end()
        while at - start > self._room():
            self._cuts.append(start + self._room())
            start = self._end()
        if at - start + size >= self._room():
            self._cuts.append(at)

    def _end(self):
        return self._cuts[-1] if self._cuts else 0

    def _room(self):
        return self._following if self._cuts else self._first

    def frames(self, apdu, plain):
        cuts = self._cuts if plain else []
        self._cuts = cuts
        while len(apdu) - self._end() > self._room():
            cuts.append(self._end() + self._room())
        if not cuts or cuts[-1] < len(apdu):
            cuts.append(len(apdu))
        out = bytearray()
        at = 0
        for k, cut in enumerate(cuts):
            last = k == len(cuts) - 1
            block = b"" if k else _LLC
            block += struct.pack(">BBHHB", 0xE0, 0xC0 if last else 0x40, k + 1, 0, cut - at)
            block += bytes(apdu[at:cut])
            self._frame(out, self._address[-1:], block, 0xA0)
            at = cut
        return out


class MBus(Bare):
    """Long frames to everybody (EN 13757-2, 5.5). CI counts from 00, with 10 in the last."""

    def __init__(self, size):
        self._size = size

    def frames(self, apdu, plain):
        out = bytearray()
        count = (len(apdu) + self._size - 1) // self._size
        for k in range(count):
            piece = bytes(apdu[k * self._size : (k + 1) * self._size])
            ci = k & 15 | (0x10 if k == count - 1 else 0)
            body = b"\x53\xff" + bytes((ci,)) + b"\x01\x67" + piece
            size = len(body) & 0xFF
            out += bytes((0x68, size, size, 0x68)) + body
            out += bytes((sum(body) & 0xFF, 0x16))
        return out
