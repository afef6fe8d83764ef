"""What the profiles capture: the columns of their rows, and how a row is written.

A column is (class, logical name, attribute, kind, field): `field` is its place
in what the ring's record unpacks to, `kind` how it is written: "T" a time in
s, "M" a time in ms, else a number of COSEM by its struct letter.
"""

import struct

from micropython import const

from ams.clock.local import STATUS_INVALID
from ams.cosem.axdr import INT32, UINT8, UINT16, UINT32, UINT64, Full
from ams.events import events
from ams.registers import billing, profile, voltage
from ams.registers.profile import STATUS_CLOCK_INVALID, STATUS_DATA_NOT_VALID

CLOCK_LN = b"\x00\x00\x01\x00\x00\xff"
_STATUS_1 = b"\x00\x00\x60\x0a\x01\xff"
_STATUS_2 = b"\x00\x00\x60\x0a\x02\xff"
_TAGS = {"B": UINT8, "H": UINT16, "I": UINT32, "Q": UINT64, "i": INT32}
_SIZES = {"B": 2, "H": 3, "I": 5, "Q": 9, "i": 5, "T": 14, "M": 14}
# C, D, E of the demands of a billing period: the first hour is E 0.
_HIGHEST = ((1, 6, 0), (1, 6, 129), (1, 6, 130), (1, 16, 0), (1, 16, 129), (1, 16, 130), (2, 6, 0),
            (2, 16, 0))  # fmt: skip
_OCTETS_12 = const(0x090C)
_NO_TIME = b"\xff" * 9 + b"\x80\x00\xff"


def _energy(d, kind, count, field):
    out = []
    for k in range(count):
        out.append((3, bytes((1, 0, k + 1, d, 0, 255)), 2, kind, field + k))
    return out


def _voltages(of_voltage):
    out = []
    for what, kind, field in ((12, of_voltage, 3), (11, "I", 12)):
        for k in range(3):
            for which, d in enumerate((23, 25, 26)):
                ln = bytes((1, 0, 20 * (k + 1) + what, d, 0, 255))
                out.append((3, ln, 2, kind, field + 3 * k + which))
    return out


def columns_of(name, log, transformers):
    """The columns of the profile `name`; `log` is the number of an event log."""
    fitted = transformers.fitted
    if name == "events":
        return [
            (8, CLOCK_LN, 2, "M", 1),
            (1, bytes((0, 0, 96, 11, log, 255)), 2, "B", 2),
            (1, bytes((0, 0, 96, 15, log, 255)), 2, "I", 0),
            (1, bytes((0, 0, 128, 2, log, 255)), 2, "i", 3),
            (1, bytes((0, 0, 128, 3, log, 255)), 2, "I", 4),
        ]
    if name == "voltage":
        head = [(8, CLOCK_LN, 2, "T", 0), (1, _STATUS_2, 2, "H", 2)]
        return head + _voltages("I" if fitted else "H")
    head = [(8, CLOCK_LN, 2, "T", 1), (1, _STATUS_1, 2, "H", 2)]
    if name == "load":
        return head + _energy(29, "I", 8 if fitted else 4, 4)
    head += _energy(8, "Q", 8, 3)
    if name == "daily":
        return head
    for k in range(8):
        head.append((3, bytes((1, 0, 1 + k // 4, 8, 1 + k % 4, 255)), 2, "Q", 11 + k))
    for k, (c, d, e) in enumerate(_HIGHEST):
        ln = bytes((1, 0, c, d, e, 255))
        head += [(4, ln, 2, "I", 19 + 2 * k), (4, ln, 5, "T", 20 + 2 * k)]
    return head


def unpacker(name, transformers):
    """What makes a tuple of the ring's record."""
    if transformers.fitted and name == "voltage":
        return lambda data: _primary(voltage.unpack(data), transformers)
    if transformers.fitted and name == "load":
        return profile.unpack_quadrants
    if name == "events":
        return events.unpack
    if name == "load":
        return profile.unpack
    if name == "monthly":
        return billing.unpack_month
    return voltage.unpack if name == "voltage" else billing.unpack


def _primary(row, transformers):
    """Voltages and currents of a row as they are on the primary side."""
    row = list(row)
    for k in range(9):
        row[3 + k] = transformers.voltage(row[3 + k])
        row[12 + k] = transformers.current(row[12 + k])
    return row


class RowWriter:
    """Writes rows of the `chosen` columns (indices, in order) of the profile `name`."""

    def __init__(self, name, columns, chosen, stamp):
        fmt = ">BB"
        values = [2, len(chosen)]
        self.size = 2
        self._fields = []  # (place among the values, field) of numbers
        self._times = []  # (place, field, unit in ms)
        for index in chosen:
            kind, field = columns[index][3:]
            self.size += _SIZES[kind]
            if kind in ("T", "M"):
                fmt += "H12s"
                values.append(_OCTETS_12)
                self._times.append((len(values), field, 1000 if kind == "T" else 1))
            else:
                fmt += "B" + kind
                values.append(_TAGS[kind])
                self._fields.append((len(values), field))
            values.append(0)
        self._fmt = fmt
        self._values = values
        self._stamp = stamp
        # Events have no marks.
        self._marks = None if name == "events" else 2

    def write(self, out, row):
        values = self._values
        for place, field in self._fields:
            values[place] = row[field]
        status = 0
        if self._marks is not None and row[self._marks] & STATUS_CLOCK_INVALID:
            status = STATUS_INVALID
        for place, field, unit in self._times:
            when = row[field]
            values[place] = self._stamp.of(when * unit, status) if when else _NO_TIME
        self._put(out)

    def write_gap(self, out):
        """A row that can no longer be read: no time, no values, marked."""
        values = self._values
        for place, field in self._fields:
            values[place] = STATUS_DATA_NOT_VALID if field == self._marks else 0
        for place, _, _ in self._times:
            values[place] = _NO_TIME
        self._put(out)

    def _put(self, out):
        at = out.length
        if at + self.size > out.size:
            raise Full()
        struct.pack_into(self._fmt, out.buffer, at, *self._values)
        out.length = at + self.size
