"""A-XDR writer into a buffer that is there already (IEC 62056-5-3, annex A).

Tags are those of the COSEM Data type (IEC 62056-6-2, table 2). Nothing is
allocated but small integers.
"""

from micropython import const

TAG_NULL = const(0x00)
TAG_ARRAY = const(0x01)
TAG_STRUCTURE = const(0x02)
TAG_UINT32 = const(0x06)
TAG_OCTETS = const(0x09)
TAG_VISIBLE = const(0x0A)
TAG_INT8 = const(0x0F)
TAG_INT16 = const(0x10)
TAG_UINT16 = const(0x12)
TAG_UINT64 = const(0x15)
TAG_ENUM = const(0x16)


class Writer:
    """Appends to `buffer` from `at` on. A full buffer raises IndexError."""

    def __init__(self, buffer):
        self.buffer = buffer
        self.at = 0

    def octet(self, value):
        self.buffer[self.at] = value & 0xFF
        self.at += 1

    def octets(self, data):
        for value in data:
            self.octet(value)

    def number(self, value, size):
        """`size` octets, big-endian; a negative value in two's complement."""
        at = self.at + size
        self.at = at
        for _ in range(size):
            at -= 1
            self.buffer[at] = int(value & 0xFF)
            value >>= 8

    def head(self, tag, count):
        """Tag and number of elements, of an array or structure."""
        self.octet(tag)
        self.octet(count)

    def string(self, tag, data):
        """An octet or visible string of less than 128 octets."""
        self.octet(tag)
        self.octet(len(data))
        self.octets(data)

    def uint64(self, value):
        self.octet(TAG_UINT64)
        self.number(value, 8)

    def register(self, value):
        """A register as double-long-unsigned: it rolls over, as a register does."""
        self.octet(TAG_UINT32)
        self.number(value, 4)

    # What is measured stops at the largest that its field holds: no short circuit looks
    # like no load.

    def uint32(self, value):
        self.octet(TAG_UINT32)
        self.number(min(value, 0xFFFFFFFF), 4)

    def uint16(self, value):
        self.octet(TAG_UINT16)
        self.number(min(value, 0xFFFF), 2)

    def int16(self, value):
        self.octet(TAG_INT16)
        self.number(max(min(value, 0x7FFF), -0x7FFF), 2)

    def scaler_unit(self, scaler, unit):
        """The structure of a scaler (10**scaler) and a unit (IEC 62056-6-2, table 3)."""
        self.head(TAG_STRUCTURE, 2)
        self.octet(TAG_INT8)
        self.octet(scaler)
        self.octet(TAG_ENUM)
        self.octet(unit)

    def date_time(self, when, deviation_min, status, weekday=None):
        """The 12 octets of a COSEM date-time, without tag (IEC 62056-6-2, 4.1.6.1).

        `when` as `clock.civil` gives it; hundredths are not specified. `weekday`
        is for makers whose meters send another one than the standard says.
        """
        self.number(when[0], 2)
        self.octet(when[1])
        self.octet(when[2])
        self.octet(when[3] if weekday is None else weekday)
        self.octet(when[4])
        self.octet(when[5])
        self.octet(when[6])
        self.octet(0xFF)
        self.number(deviation_min, 2)
        self.octet(status)
