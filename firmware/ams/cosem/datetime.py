"""COSEM date-time (IEC 62056-6-2, 4.1.6.1): twelve octets of local time with its deviation.

    year u16 | month | day | weekday | hour | minute | second | 1/100 s
    | deviation i16: UTC less local time, in minutes | clock status

FF (FFFF, 8000) stands for what is not specified.
"""

import struct

from micropython import const

from ams.clock.local import (
    DEVIATION_UNSPECIFIED,
    MS_PER_DAY,
    STATUS_DST,
    civil_from_days,
    days_from_civil,
    norway_utc_ms,
)
from ams.cosem.axdr import DATE_TIME, OCTET_STRING
from ams.results import OTHER_REASON, TYPE_UNMATCHED, AccessError

SIZE = const(12)
_FORMAT = ">HBBBBBBBhB"
_ANY = const(0xFF)
_ANY_YEAR = const(0xFFFF)
# Days of a month from its end; with a day of the week the last, or last but one, such day.
_LAST_DAY = const(0xFE)
_LAST_BUT_ONE = const(0xFD)
NEVER = b"\xff" * 9 + b"\x80\x00\xff"
_FIRST_YEAR = const(2000)
_LAST_YEAR = const(2136)
_LEAP = const(2000)
_DAYS = b"\x1f\x1c\x1f\x1e\x1f\x1e\x1f\x1f\x1e\x1f\x1e\x1f"


class Stamp:
    """Makes date-times of `local_clock` in one buffer; the date is remade when it changes."""

    def __init__(self, local_clock):
        self._local_clock = local_clock
        self._day = None
        self.octets = bytearray(SIZE)

    def of(self, utc_ms, status=0):
        """The date-time of a moment, good until the next."""
        local_clock = self._local_clock
        offset = local_clock.offset_min(utc_ms)
        local = utc_ms + offset * 60000
        day = local // MS_PER_DAY
        out = self.octets
        if day != self._day:
            self._day = day
            year, month, date, weekday = civil_from_days(int(day))
            struct.pack_into(">HBBB", out, 0, year, month, date, weekday)
        rest = int(local - day * MS_PER_DAY)
        second = rest // 1000
        if local_clock.fixed_offset_min is None and offset == 120:
            status |= STATUS_DST
        out[5] = second // 3600
        out[6] = second // 60 % 60
        out[7] = second % 60
        out[8] = rest % 1000 // 10
        out[9] = -offset >> 8 & 0xFF
        out[10] = -offset & 0xFF
        out[11] = status
        return out


def month_length(year, month):
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return _DAYS[month - 1] + (1 if leap else 0)


def day_of(year, month, day, weekday=_ANY):
    """The day of a month that a date names, FD and FE too."""
    if day not in (_LAST_DAY, _LAST_BUT_ONE):
        return day
    before = _LAST_DAY - day
    length = month_length(year, month)
    if weekday == _ANY:
        return length - before
    last = (days_from_civil(year, month, length) + 5) % 7 + 1
    return length - (last - weekday) % 7 - 7 * before


def _field(value, least, most):
    if value != _ANY and not least <= value <= most:
        raise AccessError(OTHER_REASON)


def check_date(octets, first=_FIRST_YEAR, last=_LAST_YEAR):
    """Raises AccessError unless five octets are a date that there is, or one with wildcards.

    `first` and `last` year: those that the meter can know, where nothing else is given.
    """
    year = octets[0] << 8 | octets[1]
    month, day = octets[2], octets[3]
    if year != _ANY_YEAR and not first <= year <= last:
        raise AccessError(OTHER_REASON)
    _field(month, 1, 12)
    if day not in (_LAST_DAY, _LAST_BUT_ONE):
        # Of a year that is not named: a leap year. Of a month: a long one.
        length = 31 if month == _ANY else month_length(_LEAP if year == _ANY_YEAR else year, month)
        _field(day, 1, length)
    _field(octets[4], 1, 7)


def check_time(octets):
    """The same of the four octets of a time."""
    for value, most in zip(octets, b"\x17\x3b\x3b\x63"):
        _field(value, 0, most)


def check(octets, first=_FIRST_YEAR, last=_LAST_YEAR):
    """The same of a date-time. What passes `parse` takes, and nothing else is stored."""
    if len(octets) != SIZE:
        raise AccessError(OTHER_REASON)
    check_date(octets[:5], first, last)
    check_time(octets[5:9])
    deviation = struct.unpack(">h", octets[9:11])[0]
    if deviation != DEVIATION_UNSPECIFIED and not -720 <= deviation <= 840:
        raise AccessError(OTHER_REASON)


def parse(data, local_clock, end=False):
    """`utc_ms` of a date-time, or None when its year is not specified.

    It may lie before what the meter can know (2000), then it is negative, or behind: who asks
    for a moment looks, of a range it is cut. A time without deviation is local. What else is not
    specified counts as the begin of what is, or with `end` as its end. The clock status tells the
    two hours apart that share their local time in October.
    """
    check(data, 1, _ANY_YEAR)
    year, month, day, weekday, hour, minute, second, hundredth, deviation, status = struct.unpack(
        _FORMAT, data
    )
    if year == _ANY_YEAR:
        return None
    if month == _ANY:
        month = 12 if end else 1
    if day == _ANY:
        day = month_length(year, month) if end else 1
    day = day_of(year, month, day, weekday)
    if hundredth == _ANY:
        hundredth = 99 if end and second == _ANY else 0
    if hour == _ANY:
        hour = 23 if end else 0
    if minute == _ANY:
        minute = 59 if end else 0
    if second == _ANY:
        second = 59 if end else 0
    local = days_from_civil(year, month, day) * MS_PER_DAY
    local += ((hour * 60 + minute) * 60 + second) * 1000 + hundredth * 10
    if deviation != DEVIATION_UNSPECIFIED:
        return local + deviation * 60000
    return of_local(local, local_clock, status)


def of_local(local_ms, local_clock, status=_ANY):
    """`utc_ms` of a local time; of two, the one that the clock status tells, or the first."""
    offset = local_clock.fixed_offset_min
    if offset is not None:
        return local_ms - offset * 60000
    utc_ms = norway_utc_ms(local_ms)
    if status != _ANY and not status & STATUS_DST:
        later = local_ms - 60 * 60000
        if local_clock.offset_min(later) == 60:
            return later
    return utc_ms


def complete(data):
    """Whether a date-time names one moment, to the minute at least."""
    return data[0] != _ANY and _ANY not in bytes(data[2:4]) + bytes(data[5:7])


def read_date_time(data, meter):
    """`utc_ms` of the date-time (of either tag) that comes next; it must name a moment."""
    tag = data.peek()
    if tag == OCTET_STRING:
        octets = data.octets()
    elif tag == DATE_TIME:
        data.octet()
        octets = data.take(SIZE)
    else:
        raise AccessError(TYPE_UNMATCHED)
    if len(octets) != SIZE:
        raise AccessError(TYPE_UNMATCHED)
    if not complete(octets):
        raise AccessError(OTHER_REASON)
    return parse(octets, meter.local_clock)


def write_date_time(out, utc_ms, meter):
    out.octets(Stamp(meter.local_clock).of(utc_ms))
