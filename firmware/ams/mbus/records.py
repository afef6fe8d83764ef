"""Variable data structure of M-Bus answers (EN 13757-3, clause 6): header and records.

    header (CI 72)  id BCD4 | manufacturer u16 | version | medium | access | status | config u16
    short  (CI 7A)  access | status | config u16
    none   (CI 78)
    record          DIF DIFE* | VIF VIFE* | data

Little-endian; with CI 76 (mode 2) what has several octets comes the highest first. Numbers stay
integers with a power of ten, a float of the meter's too.
"""

import struct

from micropython import const

from ams.mbus import vif

LONG_HEADER = const(0x72)
SHORT_HEADER = const(0x7A)
NO_HEADER = const(0x78)
LONG_HEADER_MSB = const(0x76)
ERROR = const(0x70)
FIXED, FIXED_MSB = const(0x73), const(0x77)
_HEADER_SIZE = const(12)
_SHORT_SIZE = const(4)
# Modes of the configuration field by which the records are encrypted. Older meters have a
# signature in its place, which means none of this.
_ENCRYPTED = b"\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0d"
_EXTENSIONS_MAX = const(10)

# Device types (medium) that this meter has names for.
MEDIA = {
    0x02: "electricity", 0x03: "gas", 0x04: "heat", 0x06: "warm water", 0x07: "water",
    0x0A: "cooling", 0x0B: "cooling", 0x0C: "heat", 0x0D: "heat and cooling",
    0x15: "hot water", 0x16: "cold water",
}  # fmt: skip

# Status octet.
STATUS_POWER_LOW = const(0x04)
STATUS_PERMANENT_ERROR = const(0x08)
STATUS_TEMPORARY_ERROR = const(0x10)

INSTANTANEOUS, MAXIMUM, MINIMUM, IN_ERROR = const(0), const(1), const(2), const(3)

# What a slave says instead of an answer (EN 13757-3, application errors).
_APPLICATION_ERRORS = {
    0: "not specified", 1: "CI not known", 2: "too long", 3: "too many records",
    4: "premature end", 5: "too many DIFE", 6: "too many VIFE", 8: "busy",
}  # fmt: skip

_INTEGER_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 6: 6, 7: 8}
_BCD_SIZES = {9: 1, 10: 2, 11: 3, 12: 4, 14: 6}
_REAL = const(5)
_VARIABLE = const(13)


class Malformed(Exception):
    """The answer is whole, but no variable data structure."""


class Header:
    """Who answered. `identification` as it is sent: eight BCD digits in a u32."""

    def __init__(self, data, msb=False):
        if len(data) < _HEADER_SIZE:
            raise Malformed("header of %d octets" % len(data))
        fields = struct.unpack(">IHBBBBH" if msb else "<IHBBBBH", data[:_HEADER_SIZE])
        self.identification, self.manufacturer_id, self.version, self.medium = fields[:4]
        self.access_number, self.status, self.signature = fields[4:]


def opened(ci, data):
    """(Header or None, (access number, status) or None, Records) of what follows a CI.

    Raises Malformed for all that has no records which can be read.
    """
    if ci == LONG_HEADER or ci == LONG_HEADER_MSB:
        header = Header(data, ci == LONG_HEADER_MSB)
        _in_clear(header.signature, data[_HEADER_SIZE:])
        state = header.access_number, header.status
        return header, state, Records(data, _HEADER_SIZE, ci == LONG_HEADER_MSB)
    if ci == SHORT_HEADER:
        if len(data) < _SHORT_SIZE:
            raise Malformed("header of %d octets" % len(data))
        _in_clear(data[2] | data[3] << 8, data[_SHORT_SIZE:])
        return None, (data[0], data[1]), Records(data, _SHORT_SIZE)
    if ci == NO_HEADER:
        return None, None, Records(data)
    if ci == ERROR:
        code = data[0] if data else 0
        raise Malformed("application error %d, %s" % (code, _APPLICATION_ERRORS.get(code, "?")))
    if ci == FIXED or ci == FIXED_MSB:
        raise Malformed("CI %02X, the fixed data structure" % ci)
    raise Malformed("CI %02X" % ci)


def _in_clear(config, records):
    mode = config >> 8 & 31
    # Two fillers begin what is encrypted, so that who opens it sees that it is open.
    if mode in _ENCRYPTED and bytes(records[:2]) != b"\x2f\x2f":
        raise Malformed("encrypted, mode %d" % mode)


def manufacturer_name(number):
    """Three letters of a manufacturer id (FLAG)."""
    return "".join(chr(64 + (number >> shift & 31)) for shift in (10, 5, 0))


def manufacturer_id(name):
    a, b, c = name.upper().encode()
    return (a - 64) << 10 | (b - 64) << 5 | (c - 64)


class Record:
    """One value. `value` is an int, bytes (text, raw), a tuple (date) or None (not readable).

    A number is value times ten to the `power`, in the COSEM `unit`. `changed`: a VIFE says
    that it is not plainly this quantity (per hour, only when the flow is reversed, ...).
    `error`: why the meter has no such value (see vif.error), 0: it has.
    """

    def __init__(self, dib, vib):
        self.dib = dib
        self.vib = vib
        self.function = dib[0] >> 4 & 3
        self.storage = dib[0] >> 6 & 1
        self.tariff = self.subunit = 0
        for k in range(1, len(dib)):
            self.storage |= (dib[k] & 15) << 4 * k - 3
            self.tariff |= (dib[k] >> 4 & 3) << 2 * (k - 1)
            self.subunit |= (dib[k] >> 6 & 1) << k - 1
        self.quantity, self.unit, self.power, self.changed = vif.meaning(vib)
        self.error = vif.error(vib)
        self.value = None

    @property
    def is_plain(self):
        """Whether it is what the meter shows of its quantity now."""
        return (
            self.function == INSTANTANEOUS
            and not (self.storage or self.changed or self.error)
            and self.value is not None
        )


class Records:
    """Iterates over the records of data[at:]. Raises Malformed where they break off.

    After the last, `more` says that the meter has further ones for the next request, `own`
    holds the manufacturer's own octets.
    """

    def __init__(self, data, at=0, msb=False):
        self._data = data
        self._at = at
        self._msb = msb
        self.more = False
        self.own = b""

    def __iter__(self):
        return self

    def __next__(self):
        data = self._data
        while self._at < len(data) and data[self._at] == 0x2F:
            self._at += 1  # filler
        if self._at >= len(data):
            raise StopIteration
        dif = data[self._at]
        if dif & 0x0F == 0x0F:
            self.more = dif == 0x1F
            self.own = bytes(data[self._at + 1 :])
            self._at = len(data)
            raise StopIteration
        dib = self._block()
        vib = self._vib()
        record = Record(dib, vib)
        self._value(record, dif & 15)
        return record

    next = __next__

    def _take(self, count):
        at = self._at
        if at + count > len(self._data):
            raise Malformed("breaks off at octet %d" % len(self._data))
        self._at = at + count
        return self._data[at : at + count]

    def _taken(self, count):
        """What has several octets, the lowest first."""
        raw = self._take(count)
        return bytes(reversed(raw)) if self._msb else raw

    def _block(self):
        """DIF or VIF with its extensions."""
        start = self._at
        while self._take(1)[0] & 0x80:
            if self._at - start > _EXTENSIONS_MAX:
                raise Malformed("more than %d extensions" % _EXTENSIONS_MAX)
        return bytes(self._data[start : self._at])

    def _vib(self):
        """VIF and VIFEs, without the text that stands between them when the unit is a text."""
        start = self._at
        if self._take(1)[0] & 0x7F != 0x7C:
            self._at = start
            return self._block()
        first = bytes(self._data[start : start + 1])
        self._take(self._take(1)[0])
        return first + self._block() if first[0] & 0x80 else first

    def _value(self, record, field):
        if field in _INTEGER_SIZES:
            raw = self._taken(_INTEGER_SIZES[field])
            if record.quantity in ("date", "date-time"):
                record.value = _time(raw)
            else:
                record.value = _signed(raw)
        elif field in _BCD_SIZES:
            record.value = _bcd(self._taken(_BCD_SIZES[field]))
        elif field == _REAL:
            record.value, power = _real(struct.unpack("<I", self._taken(4))[0])
            record.power += power
        elif field == _VARIABLE:
            self._variable(record)
        if record.error:
            # What stands in its place is no value.
            record.value = None

    def _variable(self, record):
        size = self._take(1)[0]
        if size < 0xC0:
            # Text is sent backwards.
            text = self._take(size)
            record.value = bytes(text) if self._msb else bytes(reversed(text))
        elif size < 0xD0:
            record.value = _bcd(self._taken(size - 0xC0))
        elif size < 0xE0:
            value = _bcd(self._taken(size - 0xD0))
            record.value = None if value is None else -value
        elif size < 0xF0:
            record.value = _signed(self._taken(size - 0xE0))
        elif size < 0xF5:
            record.value = bytes(self._take(4 * (size - 0xEC)))
        elif size < 0xF7:
            record.value = bytes(self._take(48 if size == 0xF5 else 64))
        else:
            raise Malformed("length %02X" % size)


def _signed(raw):
    value = int.from_bytes(raw, "little")
    if raw and raw[-1] & 0x80:
        value -= 1 << 8 * len(raw)
    return value


def _bcd(raw):
    """Little-endian BCD; F as the highest digit is a minus. None where a digit is none."""
    value = 0
    negative = bool(raw) and raw[-1] >> 4 == 15
    for k in range(len(raw) - 1, -1, -1):
        high, low = raw[k] >> 4, raw[k] & 15
        if negative and k == len(raw) - 1:
            high = 0
        if high > 9 or low > 9:
            return None
        value = value * 100 + high * 10 + low
    return -value if negative else value


def _real(bits):
    """(value, power) of an IEEE 754 single, to eight digits. (None, 0) if it is no number."""
    exponent = bits >> 23 & 0xFF
    mantissa = bits & 0x7FFFFF
    if exponent == 0xFF:
        return None, 0
    if exponent:
        mantissa |= 0x800000
    else:
        exponent = 1
    if not mantissa:
        return 0, 0
    # mantissa * 2 ** shift, brought to a whole number of eight digits.
    shift = exponent - 150
    power = 0
    above, below = (mantissa << shift, 1) if shift >= 0 else (mantissa, 1 << -shift)
    while above < 10000000 * below:
        above *= 10
        power -= 1
    while above >= 100000000 * below:
        below *= 10
        power += 1
    value = (2 * above + below) // (2 * below)
    while value % 10 == 0:
        value //= 10
        power += 1
    return (-value if bits >> 31 else value), power


def _time(raw):
    """(year, month, day) of type G, with hour and minute of type F, and second of type I.

    None if it is not set.
    """
    if len(raw) == 2:
        clock = ()
        low, high = raw[0], raw[1]
    elif len(raw) == 4:
        if raw[0] & 0x80:
            return None  # the meter itself calls it invalid
        clock = raw[1] & 0x1F, raw[0] & 0x3F
        low, high = raw[2], raw[3]
    elif len(raw) == 6:
        if raw[1] & 0x80:
            return None
        clock = raw[2] & 0x1F, raw[1] & 0x3F, raw[0] & 0x3F
        low, high = raw[3], raw[4]
    else:
        return None
    day, month = low & 0x1F, high & 0x0F
    year = low >> 5 | (high & 0xF0) >> 1
    if not 1 <= day or not 1 <= month <= 12 or year > 99:
        return None
    # Two digits: the years from 81 on are of the last century (EN 13757-3, annex A).
    return (1900 + year if year > 80 else 2000 + year, month, day) + clock
