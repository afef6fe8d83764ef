"""Daily and monthly profiles: the registers at local midnight, and at the end of a billing period.

Entry: number u32 | time in s u32 | status u16 | 0 u16 | 8 registers u48
Monthly behind that: A+ of rates 1 to 4, A- u48 | the highest demands, mW u32 and end in s u32:
       three hours of A+, three quarters of A+, an hour and a quarter of A-
"""

import struct

from micropython import const

from ams.clock.local import MS_PER_DAY, civil_from_days, days_from_civil
from ams.registers.demand import HIGHEST, HOUR, QUARTER
from ams.registers.energy import REGISTER_COUNT

_HEAD = "<IIHH"
_HEAD_SIZE = const(12)
ENTRY_SIZE = const(60)
MONTH_SIZE = const(172)
_DEMANDS = const(8)
_DEMANDS_AT = const(108)


def pack(number, utc_ms, status, energy, month=False):
    out = bytearray(MONTH_SIZE if month else ENTRY_SIZE)
    struct.pack_into(_HEAD, out, 0, number, utc_ms // 1000, status, 0)
    values = energy.mwh + energy.rates.all()[:8] if month else energy.mwh
    for k, value in enumerate(values):
        struct.pack_into("<IH", out, _HEAD_SIZE + 6 * k, value & 0xFFFFFFFF, value >> 32 & 0xFFFF)
    if month:
        of = energy.highest.of
        found = [of(place, rank) for place in (HOUR, QUARTER) for rank in range(HIGHEST)]
        found += [of(HOUR + 1, 0), of(QUARTER + 1, 0)]
        for k, one in enumerate(found):
            struct.pack_into("<II", out, _DEMANDS_AT + 8 * k, *one)
    return out


def unpack(data, count=REGISTER_COUNT):
    """(number, utc_s, status, the eight registers)."""
    number, utc_s, status, _ = struct.unpack_from(_HEAD, data)
    out = [number, utc_s, status]
    for k in range(count):
        low, high = struct.unpack_from("<IH", data, _HEAD_SIZE + 6 * k)
        out.append(high << 32 | low)
    return tuple(out)


def unpack_month(data):
    """The same; then eight of the rates, and (mW, end in s) eight times."""
    if len(data) < MONTH_SIZE:
        # Of a former version: all was of rate 1, and demands had no period.
        out = unpack(data)
        return out + (out[3], 0, 0, 0, out[4], 0, 0, 0) + (0,) * (2 * _DEMANDS)
    return unpack(data, 2 * REGISTER_COUNT) + struct.unpack_from("<16I", data, _DEMANDS_AT)


def midnight_before(utc_ms, local_clock):
    """The last local midnight at or before a time, as `utc_ms`."""
    local = local_clock.local_ms(utc_ms)
    return _utc_of(local - local % MS_PER_DAY, local_clock)


def midnight_after(utc_ms, local_clock):
    """The next local midnight: 23, 24 or 25 hours after the one before."""
    local = local_clock.local_ms(utc_ms)
    return _utc_of(local - local % MS_PER_DAY + MS_PER_DAY, local_clock)


def _utc_of(local_midnight_ms, local_clock):
    # Summer time changes at 01:00 UTC, never between local midnight and one hour before.
    return local_midnight_ms - local_clock.offset_min(local_midnight_ms - 3 * 3600000) * 60000


def is_month_start(midnight_ms, local_clock):
    return local_clock.civil(midnight_ms)[2] == 1


def month_start_before(utc_ms, local_clock):
    """The last local midnight that begins a month, at or before a time."""
    local = local_clock.local_ms(utc_ms)
    year, month, _, _ = civil_from_days(int(local // MS_PER_DAY))
    return _utc_of(days_from_civil(year, month, 1) * MS_PER_DAY, local_clock)
