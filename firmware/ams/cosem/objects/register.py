"""Register (class 3), Extended register (4) and Demand register (5).

Values are whole milli-units: scaler -3 throughout, so that what a client sums
is exact. The percentages are tenths, scaler -1.
"""

from micropython import const

from ams.cosem.axdr import INT16, INT32, UINT16, UINT32, UINT64
from ams.cosem.objects.view import (
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
from ams.registers.clock import MS_PER_HOUR, STATUS_INVALID

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
    """1-0:C.8.0, C 1 to 8: the cumulative registers."""

    def reading(self):
        k = self.ln[2] - 1
        return UINT64, self.meter.energy.mwh[k], -3, UNIT_WH if k < 2 else UNIT_VARH


class Interval(Register):
    """1-0:C.29.0: energy of the last closed interval of load profile 1."""

    def reading(self):
        k = self.ln[2] - 1
        value = self.model.last_interval()[4 + k]
        return UINT32, value, -3, UNIT_WH if k < 2 else UNIT_VARH


class Instant(Register):
    """1-0:C.7.0 (and .7.124, distortion): C = 20 x phase + what, phase 0 the whole meter."""

    def reading(self):
        q = self.meter.quantities
        c = self.ln[2]
        what = c % 20
        k = c // 20 - 1
        if self.ln[4] == 124:
            values = q.thd_voltage_permille if what == 12 else q.thd_current_permille
            return UINT16, min(max(values[k], 0), 0xFFFF), -1, UNIT_PERCENT
        if what <= 4:
            return self._power(q, what, k)
        if what == 9:
            value = q.total_apparent_power_mva if k < 0 else q.apparent_power_mva[k]
            return UINT32, min(value, _U32), -3, UNIT_VA
        if what == 11:
            return INT32, min((q.current_ua[k] + 500) // 1000, _U32 >> 1), -3, UNIT_A
        if what == 12:
            return UINT32, min(q.voltage_mv[k], _U32), -3, UNIT_V
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
        return UINT32, min(max(value, 0), _U32), -3, unit

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
        if self.ln[2] % 20 == 12:
            return UINT16, values[3 + 3 * k + which], -1, UNIT_V
        return UINT32, values[12 + 3 * k + which], -3, UNIT_A


class MaximumDemand(Register):
    """1-0:1.6.0, 2.6.0: the largest mean power of one clock hour, and when that hour ended."""

    class_id = 4
    attributes = 5

    def read(self, attribute, out):
        energy = self.meter.energy
        way = self.ln[2] - 1
        when = energy.max_demand_utc_ms[way]
        if attribute == 2:
            out.uint32(min(energy.max_demand_mw[way], _U32))
        elif attribute == 3:
            write_unit(out, -3, UNIT_W)
        elif attribute == 4:
            out.uint8(0)
        else:
            out.octets(self.model.stamp.of(when) if when is not None else b"\xff" * 12)


class Demand(View):
    """1-0:1.4.0, 2.4.0: mean power of the running hour, and of the last whole one."""

    class_id = 5
    attributes = 9
    methods = 2

    def read(self, attribute, out):
        way = self.ln[2] - 1
        demand = self.meter.energy.demand
        now = self.meter.utc_ms
        if attribute == 2:
            passed = max(now - demand.start_ms, 0)
            moved = self.meter.energy.mwh[way] - demand.start_mwh[way]
            out.uint32(min(moved * MS_PER_HOUR // passed, _U32) if passed else 0)
        elif attribute == 3:
            out.uint32(min(demand.last_mw[way], _U32))
        elif attribute == 4:
            write_unit(out, -3, UNIT_W)
        elif attribute == 5:
            out.uint8(self.meter.clock.status & STATUS_INVALID)
        elif attribute == 6:
            last = demand.last_ms
            out.octets(self.model.stamp.of(last) if last is not None else b"\xff" * 12)
        elif attribute == 7:
            out.octets(self.model.stamp.of(demand.start_ms))
        elif attribute == 8:
            out.uint32(3600)
        else:
            out.uint16(1)
