"""COSEM data in A-XDR (IEC 61334-6; tags of IEC 62056-5-3): written and read in place.

A `Writer` appends to a buffer made once. A `Reader` takes what is expected,
type by type, and raises AccessError(TYPE_UNMATCHED) for anything else: no tree
of values is ever built from what came over the line, so nothing that a client
sends costs memory.
"""

import struct

from micropython import const

from ams.results import OTHER_REASON, TYPE_UNMATCHED, AccessError

NULL = const(0)
ARRAY = const(1)
STRUCTURE = const(2)
BOOLEAN = const(3)
BIT_STRING = const(4)
INT32 = const(5)
UINT32 = const(6)
OCTET_STRING = const(9)
VISIBLE_STRING = const(10)
UTF8_STRING = const(12)
BCD = const(13)
INT8 = const(15)
INT16 = const(16)
UINT8 = const(17)
UINT16 = const(18)
COMPACT_ARRAY = const(19)
INT64 = const(20)
UINT64 = const(21)
ENUM = const(22)
FLOAT32 = const(23)
FLOAT64 = const(24)
DATE_TIME = const(25)
DATE = const(26)
TIME = const(27)

# How deep data may nest, and how many octets a number of each tag has.
DEPTH_MAX = const(8)
_SIZES = {
    NULL: 0, BOOLEAN: 1, INT32: 4, UINT32: 4, BCD: 1, INT8: 1, INT16: 2, UINT8: 1, UINT16: 2,
    INT64: 8, UINT64: 8, ENUM: 1, FLOAT32: 4, FLOAT64: 8, DATE_TIME: 12, DATE: 5, TIME: 4,
}  # fmt: skip
_FORMATS = {
    INT8: ">b", INT16: ">h", INT32: ">i", INT64: ">q",
    UINT8: ">B", UINT16: ">H", UINT32: ">I", UINT64: ">Q", ENUM: ">B", BOOLEAN: ">B", BCD: ">b",
}  # fmt: skip


class Full(Exception):
    """What was to be written does not fit the buffer."""


class Writer:
    """Appends to `size` octets, those of `buffer` where one is given.

    `length` counts them; `view()` shows them until the next write.
    """

    def __init__(self, size, buffer=None):
        self.buffer = memoryview(bytearray(size)) if buffer is None else buffer
        self.size = size
        self.length = 0

    def clear(self):
        self.length = 0

    def view(self):
        return self.buffer[: self.length]

    def drop(self, count):
        """Forgets the first `count` octets; the rest moves to the front."""
        left = self.length - count
        if left > 0:
            # Pieces that do not overlap: what memoryviews do with overlaps differs by VM.
            at = 0
            while at < left:
                piece = min(count, left - at)
                self.buffer[at : at + piece] = self.buffer[at + count : at + count + piece]
                at += piece
        self.length = max(left, 0)

    def _reach(self, count):
        at = self.length
        if at + count > self.size:
            raise Full()
        self.length = at + count
        return at

    def octet(self, value):
        self.buffer[self._reach(1)] = value

    def raw(self, data):
        count = len(data)
        at = self._reach(count)
        self.buffer[at : at + count] = data

    def number(self, fmt, value, size):
        struct.pack_into(fmt, self.buffer, self._reach(size), value)

    def count(self, value):
        """A length or number of elements: one octet below 128."""
        if value < 0x80:
            self.octet(value)
        elif value < 0x100:
            self.octet(0x81)
            self.octet(value)
        elif value < 0x10000:
            self.octet(0x82)
            self.number(">H", value, 2)
        else:
            self.octet(0x84)
            self.number(">I", value, 4)

    def integer(self, tag, value):
        """A number of any fixed size: INT8 to UINT64, ENUM, BOOLEAN."""
        at = self._reach(1 + _SIZES[tag])
        self.buffer[at] = tag
        struct.pack_into(_FORMATS[tag], self.buffer, at + 1, value)

    def null(self):
        self.octet(NULL)

    def boolean(self, value):
        self.integer(BOOLEAN, 1 if value else 0)

    def enum(self, value):
        self.integer(ENUM, value)

    def int8(self, value):
        self.integer(INT8, value)

    def int16(self, value):
        self.integer(INT16, value)

    def int32(self, value):
        self.integer(INT32, value)

    def uint8(self, value):
        self.integer(UINT8, value)

    def uint16(self, value):
        self.integer(UINT16, value)

    def uint32(self, value):
        self.integer(UINT32, value)

    def uint64(self, value):
        self.integer(UINT64, value)

    def octets(self, data):
        """An octet-string."""
        self.octet(OCTET_STRING)
        self.count(len(data))
        self.raw(data)

    def visible(self, text):
        """A visible-string from bytes of ASCII."""
        self.octet(VISIBLE_STRING)
        self.count(len(text))
        self.raw(text)

    def bits(self, data, count):
        """A bit-string of `count` bits, the first in the highest bit of `data`."""
        self.octet(BIT_STRING)
        self.count(count)
        self.raw(data)

    def array(self, count):
        self.octet(ARRAY)
        self.count(count)

    def structure(self, count):
        self.octet(STRUCTURE)
        self.count(count)


class Reader:
    """Takes COSEM data from `data` (bytes-like), from `at` on."""

    def __init__(self, data, at=0):
        self.data = memoryview(data)
        self.at = at

    def left(self):
        return len(self.data) - self.at

    def octet(self):
        if self.at >= len(self.data):
            raise AccessError(OTHER_REASON)
        self.at += 1
        return self.data[self.at - 1]

    def take(self, count):
        """The next `count` octets, in place."""
        at = self.at
        if count > len(self.data) - at:
            raise AccessError(OTHER_REASON)
        self.at = at + count
        return self.data[at : at + count]

    def count(self):
        """A length; one that says more than there are octets left is a lie."""
        value = self.octet()
        if value >= 0x80:
            size = value & 0x7F
            if not 1 <= size <= 4:
                raise AccessError(OTHER_REASON)
            value = 0
            for octet in self.take(size):
                value = value << 8 | octet
        if value > 8 * self.left():
            raise AccessError(OTHER_REASON)
        return value

    def peek(self):
        """The tag that comes next, -1 at the end."""
        return self.data[self.at] if self.at < len(self.data) else -1

    def expect(self, tag):
        if self.octet() != tag:
            raise AccessError(TYPE_UNMATCHED)

    def integer(self, tag):
        """A number of exactly this tag."""
        self.expect(tag)
        return struct.unpack(_FORMATS[tag], self.take(_SIZES[tag]))[0]

    def any_integer(self):
        """(tag, value) of a number of any tag."""
        tag = self.peek()
        if tag not in _FORMATS:
            raise AccessError(TYPE_UNMATCHED)
        return tag, self.integer(tag)

    def boolean(self):
        return self.integer(BOOLEAN) != 0

    def octets(self, length=None):
        """An octet-string, of exactly `length` octets when that is given."""
        self.expect(OCTET_STRING)
        count = self.count()
        if length is not None and count != length:
            raise AccessError(TYPE_UNMATCHED)
        return self.take(count)

    def array(self, at_most):
        """The number of elements of an array."""
        self.expect(ARRAY)
        count = self.count()
        if count > at_most:
            raise AccessError(OTHER_REASON)
        return count

    def structure(self, count):
        self.expect(STRUCTURE)
        if self.count() != count:
            raise AccessError(TYPE_UNMATCHED)

    def end(self):
        """Nothing may follow."""
        if self.at != len(self.data):
            raise AccessError(OTHER_REASON)

    def skip(self, depth=0):
        """Passes over one value of any type; gives its octets with the tag, in place."""
        start = self.at
        tag = self.octet()
        if tag in _SIZES:
            self.take(_SIZES[tag])
        elif tag in (OCTET_STRING, VISIBLE_STRING, UTF8_STRING):
            self.take(self.count())
        elif tag == BIT_STRING:
            self.take((self.count() + 7) // 8)
        elif tag in (ARRAY, STRUCTURE) and depth < DEPTH_MAX:
            for _ in range(self.count()):
                self.skip(depth + 1)
        else:
            raise AccessError(TYPE_UNMATCHED)
        return self.data[start : self.at]
