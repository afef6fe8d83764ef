"""Register (class 3), Extended register (4) and Demand register (5).

Values are whole milli-units: scaler -3 throughout, so that what a client sums
is exact. The percentages are tenths, scaler -1.
"""

from micropython import const

from ams.clock.local import MS_PER_HOUR, STATUS_INVALID
from ams.cosem.axdr import INT16, INT32, UINT16, UINT32, UINT64
from ams.objects.view import (
    UNIT_A,
    UNIT_HZ,
    UNIT_NONE,
    UNIT_PERCENT,
    UNIT_V,
    UNIT_VA,
    UNIT_VAR,
    UNIT_VARH,
    UNIT_W,
    UNIT_WH,
    View,
)
from ams.registers.demand import HOUR, QUARTER

_UNIT_S = const(7)
_NEUTRAL = const(91)  # C of the neutral's current (IEC 62056-6-1: L0)
_U32 = const(0xFFFFFFFF)


def write_unit(out, scaler, unit):
    out.structure(2)
    out.int8(scaler)
    out.enum(unit)


class Register(View):
    class_id = 3
    attributes = 3
    methods = 1

    def read(self, attribute, out):
        tag, value, scaler, unit = self.reading()
        if attribute == 2:
            out.integer(tag, value)
        else:
            write_unit(out, scaler, unit)

    def reading(self):
        """(tag, value, scaler, unit)"""
        raise NotImplementedError


class Energy(Register):
    """1-0:C.8.0, C 1 to 8: the cumulative registers; E 1 to 4: A+ and A- of a rate."""

    def reading(self):
        k = self.ln[2] - 1
        energy = self.meter.energy
        value = energy.rates.of(k, self.ln[4]) if self.ln[4] else energy.mwh[k]
        return UINT64, value, -3 + energy.transformers.exponent, UNIT_WH if k < 2 else UNIT_VARH


class Interval(Register):
    """1-0:C.29.0: energy of the last closed interval of load profile 1."""

    def reading(self):
        k = self.ln[2] - 1
        value = self.model.last_interval()[4 + k]
        return UINT32, value, -3 + self.model.transformers.exponent, UNIT_WH if k < 2 else UNIT_VARH


class Instant(Register):
    """1-0:C.7.0 (and .7.124, distortion): C = 20 x phase + what, phase 0 the whole meter; 91 the
    neutral's current."""

    def reading(self):
        q = self.meter.quantities
        c = self.ln[2]
        what = c % 20
        k = c // 20 - 1
        if self.ln[4] == 124:
            values = q.thd_voltage_permille if what == 12 else q.thd_current_permille
            return UINT16, min(max(values[k], 0), 0xFFFF), -1, UNIT_PERCENT
        t = self.model.transformers
        if what <= 4:
            return self._power(q, what, k)
        if what == 9:
            value = q.total_apparent_power_mva if k < 0 else q.apparent_power_mva[k]
            return UINT32, t.power(value) // t.unit, -3 + t.exponent, UNIT_VA
        if what == 11:
            current_ua = q.neutral_current_ua if c == _NEUTRAL else q.current_ua[k]
            return INT32, (t.current(current_ua) + 500) // 1000, -3, UNIT_A
        if what == 12:
            return UINT32, t.voltage(q.voltage_mv[k]), -3, UNIT_V
        if what == 13:
            return INT16, self._power_factor(q, k), -3, UNIT_NONE
        return UINT32, q.frequency_mhz, -3, UNIT_HZ

    def _power(self, q, what, k):
        if what <= 2:
            value = q.total_active_power_mw if k < 0 else q.active_power_mw[k]
            unit = UNIT_W
        else:
            value = q.total_reactive_power_mvar if k < 0 else q.reactive_power_mvar[k]
            unit = UNIT_VAR
        if what in (2, 4):
            value = -value
        t = self.model.transformers
        value = t.power(max(value, 0)) // t.unit
        return UINT32, min(value, _U32), -3 + t.exponent, unit

    def _power_factor(self, q, k):
        if k >= 0:
            return q.power_factor_permille[k]
        apparent = q.total_apparent_power_mva
        if not apparent:
            return 0
        return max(-1000, min(1000, 1000 * q.total_active_power_mw // apparent))


class VoltageValue(Register):
    """1-0:C.D.0, C = 20 x phase + 11 (I) or 12 (U); D 23 least, 25 mean, 26 most of ten minutes."""

    def reading(self):
        k = self.ln[2] // 20 - 1
        which = (23, 25, 26).index(self.ln[3])
        values = self.model.last_voltage()
        t = self.model.transformers
        if self.ln[2] % 20 == 12:
            value = t.voltage(values[3 + 3 * k + which])
            return UINT32 if t.fitted else UINT16, value, -1, UNIT_V
        return UINT32, t.current(values[12 + 3 * k + which]), -3, UNIT_A


class Averaging(Register):
    """1-0:0.8.E: averaging periods of demands 1 (0) and 2 (1), period of the load profile (4)."""

    def reading(self):
        e = self.ln[4]
        period_s = (3600, 900)[e] if e < 2 else self.model.period_s("load")
        return UINT32, period_s, 0, _UNIT_S


class MaximumDemand(Register):
    """1-0:C.6.E, C.16.E: highest mean power of clock hours (6) and quarters (16) of the billing
    period, and when it ended; C 1 import, 2 export. E 0 the highest, 128 to 130 the highest three
    of different days."""

    class_id = 4
    attributes = 5

    def read(self, attribute, out):
        mw, end_s = self.meter.energy.highest.of(
            (HOUR if self.ln[3] == 6 else QUARTER) + self.ln[2] - 1, self.ln[4] & 3
        )
        if attribute == 2:
            out.uint32(mw)
        elif attribute == 3:
            write_unit(out, -3 + self.model.transformers.exponent, UNIT_W)
        elif attribute == 4:
            out.uint8(0)
        else:
            out.octets(self.model.stamp.of(end_s * 1000) if end_s else b"\xff" * 12)


class Demand(View):
    """1-0:C.4.0, C.14.0: mean power of the running hour (4) and quarter, and of the last whole
    one; C 1 import, 2 export."""

    class_id = 5
    attributes = 9
    methods = 2

    def read(self, attribute, out):
        way = self.ln[2] - 1
        energy = self.meter.energy
        demand = energy.demand if self.ln[3] == 4 else energy.quarter
        now = self.meter.utc_ms
        if attribute == 2:
            passed = max(now - demand.start_ms, 0)
            moved = energy.mwh[way] - demand.start_mwh[way]
            out.uint32(min(moved * MS_PER_HOUR // passed, _U32) if passed else 0)
        elif attribute == 3:
            out.uint32(min(demand.last_mw[way], _U32))
        elif attribute == 4:
            write_unit(out, -3 + energy.transformers.exponent, UNIT_W)
        elif attribute == 5:
            out.uint8(self.meter.clock.status & STATUS_INVALID)
        elif attribute == 6:
            last = demand.last_ms
            out.octets(self.model.stamp.of(last) if last is not None else b"\xff" * 12)
        elif attribute == 7:
            out.octets(self.model.stamp.of(demand.start_ms))
        elif attribute == 8:
            out.uint32(demand.period_ms // 1000)
        else:
            out.uint16(1)
