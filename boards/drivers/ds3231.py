"""DS3231: a clock with its own crystal and battery, over I2C; kept in UTC.

It counts whole seconds. `CountedClock` makes the meter's milliseconds of it and
of the chip's counter.
"""

from micropython import const

ADDRESS = const(0x68)
_SECONDS = const(0x00)
_CONTROL = const(0x0E)
_STATUS = const(0x0F)
_OSCILLATOR_STOPPED = const(0x80)
_CONTROL_RUN = const(0x04)  # oscillator on with battery, no square wave, alarms off
_MS_PER_DAY = const(86400000)
# The RTC counts from the moment it is set: it is set so soon after a second begins.
_EDGE_MS = const(50)
# Days before each month of a year that is no leap year.
_BEFORE = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


class Ds3231:
    """Times are ms since 2000-01-01T00:00:00Z; the chip's years are 2000 to 2099."""

    def __init__(self, i2c):
        self._i2c = i2c
        self._buffer = bytearray(7)
        self._one = bytearray(1)

    def read(self):
        """The time, or None when the clock has stood still or shows no time.

        Raises OSError when it does not answer.
        """
        self._i2c.readfrom_mem_into(ADDRESS, _STATUS, self._one)
        if self._one[0] & _OSCILLATOR_STOPPED:
            return None
        self._i2c.readfrom_mem_into(ADDRESS, _SECONDS, self._buffer)
        b = self._buffer
        hour = b[2]
        if hour & 0x40:
            # Twelve hours: 12 is the first of them, bit 5 the afternoon.
            hours = _bcd(hour & 0x1F) % 12 + (12 if hour & 0x20 else 0)
        else:
            hours = _bcd(hour & 0x3F)
        seconds, minutes = _bcd(b[0] & 0x7F), _bcd(b[1] & 0x7F)
        day, month, year = _bcd(b[4] & 0x3F), _bcd(b[5] & 0x1F), _bcd(b[6])
        if not (1 <= month <= 12 and 1 <= day <= _days(year, month)):
            return None
        if hours > 23 or minutes > 59 or seconds > 59:
            return None
        days = year * 365 + (year + 3) // 4 + _BEFORE[month - 1] + day - 1
        if month > 2 and year % 4 == 0:
            days += 1
        return ((days * 24 + hours) * 60 + minutes) * 60000 + seconds * 1000

    def set(self, utc_ms):
        """Sets it to the whole second; its second begins with this call."""
        days, rest = utc_ms // _MS_PER_DAY, utc_ms % _MS_PER_DAY // 1000
        # 2000-01-01 was a Saturday: 6 where 0 is Sunday; the chip counts from 1.
        weekday = (days + 6) % 7 + 1
        # The first of four years is the leap year.
        year = 4 * days // 1461
        day = days - (year * 365 + (year + 3) // 4)
        month = 1
        while day >= _days(year, month):
            day -= _days(year, month)
            month += 1
        b = self._buffer
        b[0], b[1], b[2] = _to_bcd(rest % 60), _to_bcd(rest // 60 % 60), _to_bcd(rest // 3600)
        b[3], b[4], b[5], b[6] = weekday, _to_bcd(day + 1), _to_bcd(month), _to_bcd(year)
        self._i2c.writeto_mem(ADDRESS, _SECONDS, b)
        self._write(_CONTROL, _CONTROL_RUN)
        # Only now it shows a time that can be trusted.
        self._write(_STATUS, 0)

    def _write(self, register, value):
        self._one[0] = value
        self._i2c.writeto_mem(ADDRESS, register, self._one)


class CountedClock:
    """hal's clock: the RTC's time at power-up, from there on the chip's counter.

    `ticks_ms` and `ticks_diff` are those of `time`. `utc_ms` must be called at
    least once in the six days in which the counter turns over.
    """

    def __init__(self, rtc, ticks_ms, ticks_diff, backup_s):
        self._rtc = rtc
        self._ticks_ms = ticks_ms
        self._ticks_diff = ticks_diff
        try:
            found = rtc.read()
        except OSError:
            found = None
        # How long it may have been without supply; 0: it lost the time.
        self.backup_s = backup_s if found is not None else 0
        self._utc_ms = found or 0
        self._ticks = ticks_ms()
        self._offset_ms = None  # to be written to the RTC

    def utc_ms(self):
        now = self._ticks_ms()
        self._utc_ms += self._ticks_diff(now, self._ticks)
        self._ticks = now
        if self._offset_ms is not None and (self._utc_ms + self._offset_ms) % 1000 < _EDGE_MS:
            self._write()
        return self._utc_ms

    def keep(self, offset_ms):
        """The true time is `utc_ms()` plus `offset_ms`: the RTC is set at the next second,
        what the counter shows goes on as it was."""
        self._offset_ms = offset_ms

    def _write(self):
        try:
            self._rtc.set(self._utc_ms + self._offset_ms)
        except OSError:
            return
        self._offset_ms = None


def _bcd(value):
    return (value >> 4) * 10 + (value & 0x0F)


def _to_bcd(value):
    return value // 10 << 4 | value % 10


def _days(year, month):
    if month == 2:
        return 29 if year % 4 == 0 else 28
    return 30 if month in (4, 6, 9, 11) else 31
