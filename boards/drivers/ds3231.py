"""DS3231: a clock with its own crystal and battery, over I2C; kept in UTC.

It counts whole seconds. `CountedClock` makes the meter's milliseconds of it and
of the chip's counter.
"""

from micropython import const

from ams.clock.meter_clock import MeterClock
from ams.hal import CHIP_JUMPED, CHIP_NO_TIME, CHIP_SILENT, CHIP_STANDS

ADDRESS = const(0x68)
_SECONDS = const(0x00)
_CONTROL = const(0x0E)
_STATUS = const(0x0F)
_OSCILLATOR_STOPPED = const(0x80)
_CONTROL_RUN = const(0x04)  # oscillator on with battery, no square wave, alarms off
_MS_PER_DAY = const(86400000)
# The RTC counts from the moment it is set: it is set so soon after a second begins.
_EDGE_MS = const(50)
_HALF_MS = const(500)
_EVERY_MS = const(3600000)
_AGAIN_MS = const(10000)
_WAIT_MOST_MS = const(60000)
_AHEAD_MS = const(100)
_TRIES = const(3)
# Bad readings in a row: one may be a disturbance of the bus. So many good ones, and it is well.
_BAD = const(3)
_GOOD = const(24)
# Two readings that are no further apart see where the second changes.
_NEAR_MS = const(250)
# A second that lasts so long is none; a look that lasts so long has passes that see no change.
_STANDS_MS = const(2500)
_LOOK_MS = const(10000)
# RTC and counter go apart by no more than this: a second, and 200 ppm of what passed.
_APART_MS = const(1000)
_APART_PER = const(5000)
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
            hours = _bcd(hour & 0x1F)
            if not 1 <= hours <= 12:
                return None
            hours = hours % 12 + (12 if hour & 0x20 else 0)
        else:
            hours = _bcd(hour & 0x3F)
        seconds, minutes = _bcd(b[0] & 0x7F), _bcd(b[1] & 0x7F)
        day, month, year = _bcd(b[4] & 0x3F), _bcd(b[5] & 0x1F), _bcd(b[6])
        if not (year <= 99 and 1 <= month <= 12 and 1 <= day <= _days(year, month)):
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


def _ask(rtc):
    """What the chip shows and 0, or None and what is wrong with it."""
    try:
        found = rtc.read()
    except OSError:
        return None, CHIP_SILENT
    return (None, CHIP_NO_TIME) if found is None else (found, 0)


class CountedClock:
    """hal's clock: the RTC's time at power-up, from there on a counter that is held against it.

    Once an hour the RTC is read until its second changes. The counter is slewed to that and its
    drift learned: its crystal may be 30 ppm wrong (78 s a month), a DS3231 3.5 at the most (0.3 s
    a day). An RTC that answers nonsense, or stands, or jumps, is told once and set anew; the
    counter goes on alone.

    `ticks_ms` and `ticks_diff` are those of `time`. `utc_ms` must be called at
    least once in the six days in which the counter turns over.
    """

    def __init__(self, rtc, ticks_ms, ticks_diff, backup_s):
        self._rtc = rtc
        self._ticks_ms = ticks_ms
        self._ticks_diff = ticks_diff
        found = None
        for _ in range(_TRIES):
            if found is None:
                found = _ask(rtc)[0]
        # How long it may have been without supply; 0: it lost the time.
        self.backup_s = backup_s if found is not None else 0
        self.fault = 0  # one of hal's CHIP_, until it was well for a day
        self.recovered_ms = None  # what the true time is, less `utc_ms`: it answered late
        self.count_ms = found or 0  # by the counter alone
        self._ticks = ticks_ms()
        self._clock = MeterClock()
        self._clock.begin(self.count_ms, self.count_ms)
        # What the RTC is to show, and what it shows, less `utc_ms`; None: it shows no time.
        self._kept_ms = self._rtc_off = None if found is None else 0
        self._write_at = None  # when it is to be set
        self._wait_ms = 0  # before that is tried again
        self._look_at = self._good_at = self.count_ms
        self._seen = None  # what it showed a moment ago, while it is looked at
        self._seen_at = self._begun_at = 0
        self._bad = self._good = 0  # readings in a row
        self._is_new = True  # nothing was compared since power-up

    def utc_ms(self):
        now = self._ticks_ms()
        self.count_ms += self._ticks_diff(now, self._ticks)
        self._ticks = now
        count = self.count_ms
        utc = self._clock.utc_ms(count)
        if self._write_at is not None:
            if count >= self._write_at and (utc + self._kept_ms) % 1000 < _EDGE_MS:
                self._write(count, utc)
        elif count >= self._look_at:
            self._look(count, utc)
            # Not what it may be a moment later: it is slewed from here on.
        return utc

    @property
    def is_looking(self):
        """Whether passes should come soon: until the RTC's second changes, or is to begin."""
        if self._write_at is not None:
            return self.count_ms >= self._write_at
        return self._seen is not None

    def at(self, count_ms):
        """`utc_ms` when the counter showed `count_ms`."""
        return self._clock.utc_ms(count_ms)

    def keep(self, offset_ms):
        """The true time is `utc_ms()` plus `offset_ms`: the RTC is set at the next second,
        what the counter shows goes on as it was."""
        self._kept_ms = offset_ms
        self._write_at = self.count_ms

    def _write(self, count, utc):
        shown = utc + self._kept_ms
        try:
            self._rtc.set(shown)
        except OSError:
            # A bus that is stuck takes its time: ever more seldom.
            self._write_at = count + self._wait_ms
            self._wait_ms = min(2 * self._wait_ms + 1000, _WAIT_MOST_MS)
            self._is_bad(CHIP_SILENT, count)
            return
        self._wait_ms = 0
        self._rtc_off = shown - shown % 1000 - utc
        self._write_at = None
        self._seen = None
        self._good_at = count
        if self._bad == _BAD:
            # Whether that was any good; if not, it is set once an hour.
            self._look_at = count + _AGAIN_MS

    def _look(self, count, utc):
        found, wrong = _ask(self._rtc)
        if self._rtc_off is None and wrong != CHIP_SILENT:
            # It has no time until it is set; or it has, and did not say so at power-up.
            self._look_at = count + _EVERY_MS
            if not wrong:
                self._kept_ms = self._rtc_off = self.recovered_ms = found + _HALF_MS - utc
                self._good_at = count
            return
        if not wrong:
            wrong = self._compare(found, count)
        if wrong:
            self._is_bad(wrong, count)

    def _compare(self, found, count):
        """Takes a reading. Gives 0, or what is wrong with it."""
        before = self._seen
        if found == before:
            self._seen_at = count
            return CHIP_STANDS if count - self._begun_at > _STANDS_MS else 0
        most = _APART_MS + (count - self._good_at) // _APART_PER
        if self._clock.error_ms(count, found + _HALF_MS - self._rtc_off, _HALF_MS + most):
            return CHIP_JUMPED
        near_ms = count - self._seen_at
        self._seen = found
        self._seen_at = count
        if before is None:
            # At first it is known to a second; from here on each pass looks when that changes.
            self._begun_at = count
            self._take(found + _HALF_MS, _HALF_MS, count)
        elif found == before + 1000 and near_ms <= _NEAR_MS:
            half = near_ms + 1 >> 1
            self._take(found + half, half, count)
            self._is_good(count)
        elif count - self._begun_at > _LOOK_MS:
            # The passes are too slow for more.
            self._take(found + _HALF_MS, _HALF_MS, count)
            self._is_good(count)
        return 0

    def _take(self, found, unsure_ms, count):
        error = self._clock.error_ms(count, found - self._rtc_off, unsure_ms)
        if self._is_new and unsure_ms < _HALF_MS:
            # What of a second was gone at power-up: in its first seconds it jumps ahead by what
            # no sample misses.
            self._is_new = False
            ahead = min(max(error, 0), _AHEAD_MS)
            self._clock.begin(count, self._clock.utc_ms(count) + ahead)
            error -= ahead
        if error:
            self._clock.slew(count, error)

    def _is_good(self, count):
        self._seen = None
        self._good_at = count
        self._look_at = count + _EVERY_MS
        self._bad = 0
        self._good += 1
        if self._good >= _GOOD:
            self.fault = 0

    def _is_bad(self, wrong, count):
        self._seen = None
        self._good = 0
        self._bad += 1
        self._look_at = count + _AGAIN_MS
        if self._bad >= _BAD:
            self._look_at = count + _EVERY_MS
            self.fault = self.fault or wrong
            if wrong != CHIP_SILENT:
                self.keep(self._kept_ms)


def _bcd(value):
    """The number, or more than any can be for octets that are none."""
    if value & 0x0F > 9 or value > 0x99:
        return 255
    return (value >> 4) * 10 + (value & 0x0F)


def _to_bcd(value):
    return value // 10 << 4 | value % 10


def _days(year, month):
    if month == 2:
        return 29 if year % 4 == 0 else 28
    return 30 if month in (4, 6, 9, 11) else 31
