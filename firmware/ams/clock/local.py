"""Calendar arithmetic and Norwegian local time.

Time inside the meter is one integer: `utc_ms`, milliseconds since
2000-01-01T00:00:00Z, without leap seconds. Local time is made at the edges
only. Weekdays are COSEM's: 1 Monday to 7 Sunday (IEC 62056-6-2, 4.1.6.1).
"""

from micropython import const

MS_PER_DAY = const(86400000)
MS_PER_HOUR = const(3600000)

# Norwegian standard time, UTC+1.
STANDARD_OFFSET_MIN = const(60)

# Clock status bits of the COSEM date-time (IEC 62056-6-2, 4.1.6.1).
STATUS_INVALID = const(0x01)
STATUS_DOUBTFUL = const(0x02)
STATUS_DST = const(0x80)

# Deviation "not specified" in a COSEM date-time.
DEVIATION_UNSPECIFIED = const(-0x8000)


def days_from_civil(year, month, day):
    """Days from 2000-01-01 to a Gregorian date (negative before it)."""
    # March-based year, so that the leap day comes last.
    if month <= 2:
        year -= 1
        month += 12
    era_days = 365 * year + year // 4 - year // 100 + year // 400
    return era_days + (153 * (month - 3) + 2) // 5 + day - 730426


def civil_from_days(days):
    """(year, month, day, weekday) of a day number counted from 2000-01-01."""
    z = days + 730425  # days since 0000-03-01
    era = z // 146097
    doe = z - era * 146097
    yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    day = doy - (153 * mp + 2) // 5 + 1
    month = mp + 3 if mp < 10 else mp - 9
    year = yoe + era * 400 + (1 if month <= 2 else 0)
    return year, month, day, (days + 5) % 7 + 1


def utc_ms_of(year, month, day, hour=0, minute=0, second=0, ms=0):
    """`utc_ms` of a UTC calendar time."""
    days = days_from_civil(year, month, day)
    return days * MS_PER_DAY + ((hour * 60 + minute) * 60 + second) * 1000 + ms


def civil(t_ms):
    """(year, month, day, weekday, hour, minute, second, ms) of a time in ms."""
    days = t_ms // MS_PER_DAY
    rest = int(t_ms - days * MS_PER_DAY)
    year, month, day, weekday = civil_from_days(int(days))
    second = rest // 1000
    return (
        year,
        month,
        day,
        weekday,
        second // 3600,
        second // 60 % 60,
        second % 60,
        rest % 1000,
    )


def _last_sunday(year, month):
    """Day number of the last Sunday of a 31-day month."""
    last = days_from_civil(year, month, 31)
    return last - (last + 6) % 7


def norway_offset_min(utc_ms):
    """Minutes to add to UTC for Norwegian local time (60 or 120).

    Summer time runs from the last Sunday of March to the last Sunday of
    October, both at 01:00 UTC (directive 2000/84/EC).
    """
    return _norway(utc_ms)[0]


def _norway(utc_ms):
    """(minutes to add, from when, to when) around a time; within its year."""
    year = civil_from_days(int(utc_ms // MS_PER_DAY))[0]
    start = _last_sunday(year, 3) * MS_PER_DAY + MS_PER_HOUR
    end = _last_sunday(year, 10) * MS_PER_DAY + MS_PER_HOUR
    if utc_ms < start:
        return 60, days_from_civil(year, 1, 1) * MS_PER_DAY, start
    if utc_ms < end:
        return 120, start, end
    return 60, end, days_from_civil(year + 1, 1, 1) * MS_PER_DAY


def norway_utc_ms(local_ms):
    """`utc_ms` of a Norwegian local time; the first one where it is twofold.

    A local time that the spring change skips is taken as standard time.
    """
    summer = local_ms - 120 * 60000
    if norway_offset_min(summer) == 120:
        return summer
    return local_ms - 60 * 60000


class LocalClock:
    """Local time of the meter, remade only when the offset can have changed.

    `offset_min`: None follows Norway; a number fixes the offset (a meter that
    was set up to stay on standard time or UTC).
    """

    def __init__(self, offset_min=None):
        self.fixed_offset_min = offset_min
        self.status = 0  # STATUS_ bits of the clock itself
        self._offset_min = 60
        self._valid_from = 0
        self._valid_to = -1

    def offset_min(self, utc_ms):
        if self.fixed_offset_min is not None:
            return self.fixed_offset_min
        if not self._valid_from <= utc_ms < self._valid_to:
            self._offset_min, self._valid_from, self._valid_to = _norway(utc_ms)
        return self._offset_min

    def local_ms(self, utc_ms):
        return utc_ms + self.offset_min(utc_ms) * 60000

    def utc_ms(self, local_ms):
        """Of two times the first; see norway_utc_ms."""
        if self.fixed_offset_min is not None:
            return local_ms - self.fixed_offset_min * 60000
        return norway_utc_ms(local_ms)

    def civil(self, utc_ms):
        """`civil` of the local time."""
        return civil(self.local_ms(utc_ms))
