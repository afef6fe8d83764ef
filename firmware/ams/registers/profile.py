"""Load profile 1: energy of each interval, with what marks it.

An interval is closed at its boundary (whole multiples of the capture period
in UTC, which are those of Norwegian local time too), or earlier when the
period or the clock is changed. Its values are differences of the cumulative
registers, so their sum is the difference of the registers, exactly.

Entry: number u32 | end in s u32 | status u16 | length in s u16
       | A+ A- R+ R- u32 (mWh, mvarh), with four quadrants also QI to QIV
"""

import struct

from micropython import const

# Low octet: the AMR profile status of IDIS and DLMS companion profiles.
STATUS_CRITICAL_ERROR = const(0x01)
STATUS_CLOCK_INVALID = const(0x02)
STATUS_DATA_NOT_VALID = const(0x04)
STATUS_DST = const(0x08)
STATUS_CLOCK_ADJUSTED = const(0x20)
STATUS_POWER_DOWN = const(0x80)
# High octet: why the data are not valid.
STATUS_WRONG_LENGTH = const(0x0100)
STATUS_ENERGY_MISSING = const(0x0200)
STATUS_PERIOD_CHANGED = const(0x0400)
STATUS_NAMES = (
    (STATUS_CRITICAL_ERROR, "critical-error"),
    (STATUS_CLOCK_INVALID, "clock-invalid"),
    (STATUS_DATA_NOT_VALID, "data-not-valid"),
    (STATUS_DST, "dst"),
    (STATUS_CLOCK_ADJUSTED, "clock-adjusted"),
    (STATUS_POWER_DOWN, "power-down"),
    (STATUS_WRONG_LENGTH, "wrong-length"),
    (STATUS_ENERGY_MISSING, "energy-missing"),
    (STATUS_PERIOD_CHANGED, "period-changed"),
)
PERIODS_S = (3600, 900)

_ENTRY = "<IIHHIIII"
ENTRY_SIZE = const(28)
LARGE_SIZE = const(44)
# How many of the registers an interval counts by: as they stand in `mwh`.
VALUES = const(4)
QUADRANTS = const(8)
_U32 = const(0xFFFFFFFF)


def unpack(data):
    """(number, end_s, status, length_s, a_plus, a_minus, r_plus, r_minus)."""
    return struct.unpack_from(_ENTRY, data)


def unpack_quadrants(data):
    """The same, and r_q1, r_q2, r_q3, r_q4; of an entry without them 0."""
    out = struct.unpack_from(_ENTRY, data)
    return out + (
        struct.unpack_from("<4I", data, ENTRY_SIZE) if len(data) > ENTRY_SIZE else (0,) * 4
    )


def status_names(status):
    return [name for bit, name in STATUS_NAMES if status & bit]


class LoadProfile:
    """The open interval. `energy` holds the registers it counts by: the first `count`."""

    def __init__(self, energy, period_s=3600, count=VALUES):
        self._energy = energy
        self.count = count
        self.period_s = period_s
        self.number = 0  # of the last closed entry
        self.start_ms = 0
        self.start_mwh = [0] * count
        self.status = 0  # marks of the open interval
        self._goes_on_ms = 0  # it was not ended before this
        self.last_entry = bytes(ENTRY_SIZE if count == VALUES else LARGE_SIZE)

    def _values(self):
        return self._energy.mwh[: self.count]

    def boundary_after(self, utc_ms):
        period_ms = self.period_s * 1000
        return utc_ms - utc_ms % period_ms + period_ms

    def boundary_before(self, utc_ms):
        return utc_ms - utc_ms % (self.period_s * 1000)

    def due_ms(self):
        """When the open interval ends."""
        return self.boundary_after(max(self.start_ms, self._goes_on_ms))

    @property
    def goes_on(self):
        """Whether the open interval was not ended where it should have been."""
        return self._goes_on_ms != 0

    def go_on(self, utc_ms):
        """It is not ended at `utc_ms` but at the boundary after that: entries would come faster
        than time passes."""
        self._goes_on_ms = utc_ms

    def shift(self, step_ms, utc_ms):
        """The clock was set by `step_ms` and shows `utc_ms`: the open interval goes on, as long
        as it was."""
        self.start_ms += step_ms
        self.go_on(utc_ms)

    def is_empty(self, utc_ms):
        """Whether neither time nor energy passed since it began."""
        return utc_ms <= self.start_ms and self._values() == self.start_mwh

    def open(self, utc_ms, status=0):
        """A new interval from `utc_ms` on; what was counted before belongs to none."""
        self._goes_on_ms = 0
        self.start_ms = utc_ms
        self.start_mwh[:] = self._values()
        self.status = status

    def close(self, utc_ms, dst, status=0):
        """Ends the interval at `utc_ms` and opens the next there, marked `status`.

        Gives the entry (in `last_entry` too), or None for an interval in which
        neither time nor energy passed. `dst`: it began in summer time.
        """
        passed_ms = utc_ms - self.start_ms
        moved = [min(now - was, _U32) for now, was in zip(self._values(), self.start_mwh)]
        entry = None
        if passed_ms > 0 or any(moved):
            marks = self.status | (STATUS_DST if dst else 0)
            if passed_ms != self.period_s * 1000 or utc_ms % (self.period_s * 1000):
                marks |= STATUS_WRONG_LENGTH
            if marks & (STATUS_WRONG_LENGTH | STATUS_ENERGY_MISSING):
                marks |= STATUS_DATA_NOT_VALID
            self.number += 1
            length_s = min(max(passed_ms + 500, 0) // 1000, 0xFFFF)
            entry = struct.pack(_ENTRY, self.number, utc_ms // 1000, marks, length_s, *moved[:4])
            if self.count > VALUES:
                entry += struct.pack("<4I", *moved[4:])
            self.last_entry = entry
            for k in range(self.count):
                # What does not fit an entry stays for the next.
                self.start_mwh[k] += moved[k]
        self._goes_on_ms = 0
        self.start_ms = utc_ms
        self.status = status
        return entry


def make(energy):
    """Of a meter: what is no low-voltage end user is settled by the quarter, in four quadrants."""
    if energy.transformers.fitted:
        return LoadProfile(energy, 900, QUADRANTS)
    return LoadProfile(energy)
