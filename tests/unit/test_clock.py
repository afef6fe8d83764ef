"""Calendar and Norwegian time against the standard library's."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from ams.clock import local

OSLO = ZoneInfo("Europe/Oslo")
EPOCH = datetime(2000, 1, 1)
TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 30))


def utc_ms(when):
    return (when - EPOCH) // timedelta(milliseconds=1)


@given(TIMES)
def test_civil_and_back(when):
    t_ms = utc_ms(when)
    year, month, day, weekday, hour, minute, second, ms = local.civil(t_ms)
    assert (year, month, day, hour, minute, second) == when.timetuple()[:6]
    assert weekday == when.isoweekday()
    assert ms == when.microsecond // 1000
    assert local.utc_ms_of(year, month, day, hour, minute, second, ms) == t_ms


@given(st.datetimes(datetime(1997, 1, 1), datetime(2037, 12, 30)))
def test_norwegian_offset(when):
    there = when.replace(tzinfo=UTC).astimezone(OSLO)
    minutes = there.utcoffset() // timedelta(minutes=1)
    assert local.norway_offset_min(utc_ms(when)) == minutes
    assert local.LocalClock().offset_min(utc_ms(when)) == minutes
    local_ms = utc_ms(there.replace(tzinfo=None))
    # The first of two equal local times, or the time itself.
    assert local.norway_utc_ms(local_ms) in (utc_ms(when), utc_ms(when) - 3_600_000)


def test_local_clock_follows_the_change_to_the_millisecond():
    kept = local.LocalClock()
    change = local.utc_ms_of(2026, 3, 29, 1)
    assert kept.civil(change - 1)[4:7] == (1, 59, 59)
    assert kept.civil(change)[4:7] == (3, 0, 0)
    change = local.utc_ms_of(2026, 10, 25, 1)
    assert kept.civil(change - 1)[4:7] == (2, 59, 59)
    assert kept.civil(change)[4:7] == (2, 0, 0)
    assert kept.civil(change - 1)[4:7] == (2, 59, 59)


def test_fixed_offset():
    assert local.LocalClock(60).civil(local.utc_ms_of(2026, 7, 1, 12))[4] == 13
