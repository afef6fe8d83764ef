"""What the meter can say in a Modbus register: one whole number each, with its decimal places.

Import is positive, as a SunSpec meter and an SDM630 have it: P from the grid, Q of a lagging load
that imports. What this meter does not have (phases of other systems, voltages to a neutral that is
not there) is None.
"""

from micropython import const

from ams.metrology.fixed import TURN_BITS, angle, div_rounded, isqrt
from ams.metrology.quantities import (
    STATUS_NEUTRAL_LOST,
    STATUS_NO_VOLTAGE,
    STATUS_PHASE_LOSS_L1,
    STATUS_REVERSED_L1,
    STATUS_SAMPLES_MISSING,
)
from ams.registers.demand import HOUR

# Points: of a place (L1, L2, L3; the pairs L1-L2, L2-L3, L3-L1), or of all with ALL.
VOLTAGE = const(0)  # line to neutral
PAIR = const(1)  # line to line
CURRENT = const(2)
ACTIVE = const(3)
REACTIVE = const(4)
APPARENT = const(5)
FACTOR = const(6)  # power factor, 1 is 1
FACTOR_PERCENT = const(7)
ANGLE = const(8)  # of the power, degrees
FREQUENCY = const(9)
THD_VOLTAGE = const(10)  # percent
THD_CURRENT = const(11)
ENERGY = const(12)  # Wh or varh; the place is a register of registers.energy
ENERGY_KILO = const(13)  # kWh or kvarh
TURNED_KILO = const(14)  # import and export together: A+ and the next, R+ and the next
ONLY_PHASE = const(15)  # ENERGY_KILO of L1 where there is no other phase
ONLY_TURNED = const(16)
DEMAND = const(17)  # mean power of the last whole hour, import less export
HIGHEST = const(18)  # highest hour of the billing period, import
EVENTS = const(19)
MEAN = const(20)  # CURRENT of all: its mean, not its sum
SCALE = const(21)  # the exponent that the place names
NONE = const(22)
# In the place of a place: the whole meter.
ALL = const(3)

# Decimal places of the number that `Points.of` gives; energies have those of the point too.
PLACES = (
    b"\x03\x03\x06\x03\x03\x03\x03\x01\x03\x03\x01\x01\x03\x06\x06\x06\x06\x03\x03\x00\x06\x00\x00"
)

# Bits of EVENTS, as SunSpec has them.
_POWER_FAILURE = const(0x04)
_UNDER_VOLTAGE = const(0x08)
_OVER_VOLTAGE = const(0x40)
_MISSING_SENSOR = const(0x80)
_NEUTRAL_LOST = const(0x10000)  # OEM01
_REVERSED = const(0x20000)  # OEM02: a phase exports while the sum imports
# Where the pairs stand among the voltages of 3P3W: L1-L2, L1-L3, L2-L3.
_PAIRS = (0, 2, 1)


class Points:
    def __init__(self, meter):
        self._meter = meter
        self._q = meter.quantities
        self._t = meter.energy.transformers
        self.system = self._q.system
        self.exponent = self._t.exponent

    def places(self, what):
        """Decimal places of `of`."""
        return PLACES[what] - (self.exponent if ENERGY <= what <= ONLY_TURNED else 0)

    def of(self, what, k):
        """The number of a point and its place, or None."""
        if what <= MEAN:
            return self._METHODS[what](self, k)
        return None

    # --- voltages and currents ---------------------------------------------------------

    def _voltage(self, k):
        system = self.system
        if system == "3P3W" or (system == "1P2W" and 0 < k < ALL):
            return None
        u = self._q.voltage_mv
        if k == ALL:
            return self._t.voltage(u[0] if system == "1P2W" else sum(u) // 3)
        return self._t.voltage(u[k])

    def _pair(self, k):
        """Of 3P4W as if the angles between the phases were 120 degrees: they are not kept."""
        if self.system == "1P2W":
            return None
        if k == ALL:
            return (self._pair(0) + self._pair(1) + self._pair(2)) // 3
        u = self._q.voltage_mv
        if self.system == "3P3W":
            return self._t.voltage(u[_PAIRS[k]])
        a, b = u[k], u[(k + 1) % 3]
        return self._t.voltage(isqrt(a * a + b * b + a * b))

    def _has(self, k):
        return k == 0 or k == ALL or self.system != "1P2W"

    def _current(self, k):
        if not self._has(k):
            return None
        i = self._q.current_ua
        if k == ALL:
            return self._t.current(sum(i))
        return self._t.current(i[k])

    def _mean(self, k):
        return self._current(ALL) // (1 if self.system == "1P2W" else 3)

    # --- powers ------------------------------------------------------------------------

    def _power(self, values, total, k):
        """Two elements are no phases: of 3P3W there is the sum alone."""
        if k == ALL:
            return self._t.power(total)
        if self.system == "3P3W" or not self._has(k):
            return None
        return self._t.power(values[k])

    def _active(self, k):
        return self._power(self._q.active_power_mw, self._q.total_active_power_mw, k)

    def _reactive(self, k):
        return self._power(self._q.reactive_power_mvar, self._q.total_reactive_power_mvar, k)

    def _apparent(self, k):
        return self._power(self._q.apparent_power_mva, self._q.total_apparent_power_mva, k)

    def _factor(self, k):
        """With the sign of the active power, in thousandths."""
        if k != ALL:
            return None if self._apparent(k) is None else self._q.power_factor_permille[k]
        s = self._q.total_apparent_power_mva
        if not s:
            return 0
        return max(-1000, min(1000, div_rounded(1000 * self._q.total_active_power_mw, s)))

    def _angle(self, k):
        p = self._active(k)
        if p is None:
            return None
        return angle(p, self._reactive(k)) * 360000 >> TURN_BITS

    def _frequency(self, k):
        return self._q.frequency_mhz

    def _distortion(self, values, k):
        if self.system == "1P2W":
            return values[0] if k in (0, ALL) else None
        if k == ALL:
            return sum(values) // 3
        return values[k]

    def _thd_voltage(self, k):
        return self._distortion(self._q.thd_voltage_permille, k)

    def _thd_current(self, k):
        return self._distortion(self._q.thd_current_permille, k)

    # --- energies ----------------------------------------------------------------------

    def _energy(self, k):
        return self._meter.energy.mwh[k]

    def _turned(self, k):
        mwh = self._meter.energy.mwh
        return mwh[k] + mwh[k + 1]

    def _only_phase(self, k):
        return self._energy(k) if self.system == "1P2W" else None

    def _only_turned(self, k):
        return self._turned(k) if self.system == "1P2W" else None

    def _demand(self, k):
        imported, exported = self._meter.energy.demand.last_mw
        return (imported - exported) * self._t.unit

    def _highest(self, k):
        return self._meter.energy.highest.of(HOUR, 0)[0] * self._t.unit

    # --- state -------------------------------------------------------------------------

    def _events(self, k):
        status = self._q.status
        nominal = 9 * self._meter.calibration.nominal_voltage_mv
        bits = 0
        if status & (STATUS_NO_VOLTAGE | 7 * STATUS_PHASE_LOSS_L1):
            bits = _POWER_FAILURE
        for place in self._q.phases():
            u = self._q.voltage_mv[place]
            # By EN 50160, as the log has them: below 90 % and above 110 % of nominal.
            if 10 * u < nominal:
                bits |= _UNDER_VOLTAGE
            elif 90 * u > 11 * nominal:
                bits |= _OVER_VOLTAGE
        if status & STATUS_SAMPLES_MISSING:
            bits |= _MISSING_SENSOR
        if status & STATUS_NEUTRAL_LOST:
            bits |= _NEUTRAL_LOST
        if status & 7 * STATUS_REVERSED_L1:
            bits |= _REVERSED
        return bits

    _METHODS = (
        _voltage, _pair, _current, _active, _reactive, _apparent, _factor, _factor, _angle,
        _frequency, _thd_voltage, _thd_current, _energy, _energy, _turned, _only_phase,
        _only_turned, _demand, _highest, _events, _mean,
    )  # fmt: skip
