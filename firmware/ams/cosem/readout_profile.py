"""Load profile and log as lines of text, in the manner of the German meters (VDEW, IEC 62056-21).

    P.01(ZSTs13)(status)(minutes)(4)(1.29.0)(kWh)...     before the first row and after each break
    (value)(value)(value)(value)                         a row, each one period later
    P.98(ZSTs13)(status)()(1)(96.11.0)()(code)           an event: code as of 0-0:96.11.0
    P.01(ERROR)                                          there are none

ZSTs13 is the season, 0 or 1, and YYMMDDhhmmss of local time: of a row its end. Values are kWh and
kvarh of the period. A range is (from;to), each of them as `moment` reads it, or nothing.
"""

from micropython import const

from ams.cosem.readout_lists import moment, season, stamp
from ams.events import events as ev
from ams.registers import profile

_FOREVER_S = const(0xFFFFFFFF)
_HEAD = "P.01(%s)(%08X)(%02d)(4)(1.29.0)(kWh)(2.29.0)(kWh)(3.29.0)(kvarh)(4.29.0)(kvarh)"
_ROW = "(%d.%06d)(%d.%06d)(%d.%06d)(%d.%06d)"
_KWH = const(1000000)
# Marks that both profiles have, by the same bits: power down, clock set, invalid values, clock
# invalid, error. In this one bit 3 says that the season changes.
_MARKS = const(0xA7)
_SEASON = const(0x08)
# Of events; 0: only its code says what it is.
_EVENT_MARKS = {
    ev.POWER_DOWN: 0x80,
    ev.POWER_UP: 0x40,
    ev.CLOCK_ADJUSTED_OLD: 0x20,
    ev.CLOCK_ADJUSTED_NEW: 0x20,
    ev.DST_CHANGED: _SEASON,
    ev.CLOCK_INVALID: 0x02,
    ev.NV_MEMORY_ERROR: 0x01,
    ev.WATCHDOG_ERROR: 0x01,
    ev.MEASUREMENT_ERROR: 0x01,
    ev.EVENT_LOG_CLEARED: 0x2000,
}


def time_range(text, clock):
    """(from, to) in s of "from;to" or nothing. Raises ValueError."""
    first, separator, last = text.partition(";")
    from_s = moment(first, clock) // 1000 if first else 0
    to_s = moment(last, clock) // 1000 if last else _FOREVER_S
    if text and not separator:
        raise ValueError(text)
    return max(from_s, 0), max(to_s, 0)


def load_lines(ring, between, clock):
    """Yields the lines of the load profile. `ring`: the model's of that name."""
    _, runs = ring.between(between[0], between[1])
    due = None
    last_season = None
    for first, last in runs:
        for data in ring.entries(first, last):
            entry = profile.unpack(data)
            end_s, status, length_s = entry[1:4]
            now = season(clock, 1000 * end_s)
            marks = status & _MARKS
            if last_season is not None and now != last_season:
                marks |= _SEASON
            if due != (end_s, length_s, marks):
                yield _HEAD % (stamp(clock, 1000 * end_s), marks, (length_s + 59) // 60)
            yield _ROW % _halves(entry[4:])
            due = (end_s + length_s, length_s, marks)
            last_season = now
    if due is None:
        yield "P.01(ERROR)"


def _halves(values):
    out = []
    for value in values:
        out += (value // _KWH, value % _KWH)
    return tuple(out)


def log_lines(ring, between, clock):
    """Yields the lines of the standard log."""
    _, runs = ring.between(between[0], between[1])
    found = False
    for first, last in runs:
        for data in ring.entries(first, last):
            _, utc_ms, code, _, _ = ev.unpack(data)
            found = True
            marks = _EVENT_MARKS.get(code, 0)
            yield "P.98(%s)(%08X)()(1)(96.11.0)()(%d)" % (stamp(clock, utc_ms), marks, code)
    if not found:
        yield "P.98(ERROR)"
