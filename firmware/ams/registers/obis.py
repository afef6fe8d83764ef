"""What an OBIS code of electricity (1-0:C.D.E) names, in the steps that a list shows it in.

Codes by IEC 62056-6-1: C 1 to 4 A+, A-, R+, R-; 5 to 8 the quadrants; 15 and 16 the sum without
and with its sign; 20 x phase + the same for a phase, 91 the current of the neutral; D 7 momentary,
8 a register since the meter was made; E its rate, 0 for all rates. Momentary values are rounded to
the nearest step, registers are cut: a register shows only what has passed whole.
"""

from micropython import const

from ams.registers.energy import UWS_PER_MWH

_DEGREE = const(8)  # units of IEC 62056-6-2, table 3
_W = const(27)
_VAR = const(29)
_WH = const(30)
_VARH = const(32)
_A = const(33)
_V = const(35)
_HZ = const(44)
_NONE = const(255)

_TURN = const(1 << 24)


def unit(c, d):
    """The unit of a code's value."""
    what = c % 20
    if d == 8:
        return _VARH if 3 <= what <= 8 else _WH
    if c == 81:
        return _DEGREE
    if what == 11:
        return _A
    if what == 12:
        return _V
    if what == 13:
        return _NONE
    if what == 14:
        return _HZ
    return _VAR if what in (3, 4) else _W


class Figures:
    """Reads the meter's objects by code.

    `sources` as in han.sources: `of_rate`, `angle` and `voltage_angles`. `idle_factor`: the power
    factor in permille while nothing flows. `by_phase`: what flows in and what flows out is summed
    apart over the phases, not net. `no_angle`: what stands for the angle of a phase without
    current; `signed_angle`: angles go from -180 to 180 degrees, not from 0 to 360. Of the factors
    those other than 1 are in another unit than they say: a quirk.
    """

    def __init__(self, quantities, sources):
        self.quantities = quantities
        self.sources = sources
        self.energy_factor = self.power_factor = self.voltage_factor = 1
        self.idle_factor = 1000
        self.by_phase = False
        self.no_angle = 0
        self.signed_angle = False

    def value(self, c, d, e, scaler):
        """An integer in steps of 10**scaler of the unit. Raises ValueError for an unknown code."""
        if d == 8 and 1 <= c <= 8:
            return self._register(c - 1, e, scaler + 3)
        if d == 7:
            if c == 81:
                return self._degrees(e, scaler)
            # 1.7.1 of Hager's meters has the sign of 16.7.0.
            return self._momentary(16 if (c, e) == (1, 1) else c % 20, c // 20 - 1, scaler)
        raise ValueError("OBIS code %d.%d.%d is not known" % (c, d, e))

    def _register(self, k, rate, scaler):
        mwh, rest = self.sources.of_rate(k, rate)
        mwh *= self.energy_factor
        rest *= self.energy_factor
        if scaler >= 0:
            return mwh // 10**scaler
        return (mwh * UWS_PER_MWH + rest) * 10**-scaler // UWS_PER_MWH

    def _momentary(self, what, place, scaler):
        q = self.quantities
        t = q.transformers
        if what == 11:
            current_ua = q.neutral_current_ua or 0 if place == 3 else q.current_ua[place]
            return _steps(t.current(current_ua), scaler + 6)
        if what == 12:
            return _steps(t.voltage(q.voltage_mv[place]) * self.voltage_factor, scaler + 3)
        if what == 13:
            return _steps(self._factor(place), scaler + 3)
        if what == 14:
            return _steps(q.frequency_mhz, scaler + 3)
        if self.by_phase and place < 0 and what <= 4:
            powers = q.reactive_power_mvar if what > 2 else q.active_power_mw
            power = sum(max(-each if what in (2, 4) else each, 0) for each in powers)
            return _steps(t.power(power) * self.power_factor, scaler + 3)
        if what in (3, 4):
            power = q.total_reactive_power_mvar if place < 0 else q.reactive_power_mvar[place]
        else:
            power = q.total_active_power_mw if place < 0 else q.active_power_mw[place]
        if what == 15:
            power = abs(power)
        elif what != 16:
            power = max(-power if what in (2, 4) else power, 0)
        return _steps(t.power(power) * self.power_factor, scaler + 3)

    def _factor(self, place):
        q = self.quantities
        if place < 0:
            power, apparent = q.total_active_power_mw, q.total_apparent_power_mva
        else:
            power, apparent = q.active_power_mw[place], q.apparent_power_mva[place]
        if not apparent:
            return self.idle_factor
        return min(1000, (abs(power) * 1000 + apparent // 2) // apparent)

    def _degrees(self, e, scaler):
        """81.7.E: 1 and 2 between voltages; 4, 15, 26 (or 40, 51, 62) of the current, lagging."""
        if e in (1, 2):
            return _steps(self.sources.voltage_angles[e - 1], scaler)
        place = e % 36 // 11  # 4, 15, 26 of one maker are 40, 51, 62 of another
        q = self.quantities
        turn = None
        if q.current_ua[place]:
            turn = self.sources.angle(q.active_power_mw[place], q.reactive_power_mvar[place])
        if turn is None:
            return _steps(self.no_angle, scaler)
        turn %= _TURN
        whole = 360 * 10**-scaler
        degrees = (turn * whole + _TURN // 2) // _TURN % whole
        return degrees - whole if self.signed_angle and 2 * degrees > whole else degrees


def _steps(value, exponent):
    """A value in steps of 10**exponent of its own, to the nearest; halves away from zero."""
    if exponent <= 0:
        return value * 10**-exponent
    step = 10**exponent
    if value < 0:
        return -((step // 2 - value) // step)
    return (value + step // 2) // step


def decimal_text(value, whole, decimals):
    """A value of so many decimals with at least `whole` digits before the point."""
    sign = ""
    if value < 0:
        sign, value = "-", -value
    if not decimals:
        return sign + "%0*d" % (whole, value)
    return sign + "%0*d.%0*d" % (whole, value // 10**decimals, decimals, value % 10**decimals)
