"""What a display shows: lists of OBIS codes, and the value of each as text.

Registers have the legal form: six digits of kWh and two decimals, which roll over (above 2 MVA
MWh). What this meter does not have is left out.
"""

from micropython import const

from ams.registers.demand import HOUR, QUARTER
from ams.registers.obis import Figures, decimal_text, unit

REGISTERS = const(0)  # scrolled by itself
NOW = const(1)
PEAKS = const(2)
METER = const(3)

LISTS = (
    "1.8.0 1.8.1 1.8.2 1.8.3 1.8.4 2.8.0 2.8.1 2.8.2 2.8.3 2.8.4 3.8.0 4.8.0 0.9.1 0.9.2 97.97.0",
    "1.7.0 2.7.0 3.7.0 4.7.0 32.7.0 52.7.0 72.7.0 31.7.0 51.7.0 71.7.0 13.7.0 14.7.0",
    "1.6.0 1.6.129 1.6.130 1.16.0 1.16.129 1.16.130 2.6.0 2.16.0",
    "96.1.0 0.2.0 96.14.0 96.3.10 97.97.0 97.98.0 128.1.0 40.0.0 128.8.0",
)
TITLES = ("REGISTERS", "NOW", "PEAKS", "METER")
# Decimals of a momentary value by its unit: W, var, A, V, Hz, none.
_FORMS = {
    27: ("kW", 3, 3),
    29: ("kvar", 3, 3),
    33: ("A", 0, 2),
    35: ("V", 0, 1),
    44: ("Hz", 0, 2),
    255: ("", 0, 3),
}
_BREAKER = ("OFF", "ON", "READY")


class Items:
    """Reads the meter. An item is (code, value, unit, note), all text."""

    def __init__(self, meter):
        self._meter = meter
        self._figures = Figures(meter.quantities, self)
        self._large = meter.energy.transformers.exponent > 0

    def codes(self, which):
        """The codes of a list that there is something to show of."""
        return [code for code in LISTS[which].split() if self._has(which, code)]

    def _has(self, which, code):
        c, d, e = [int(part) for part in code.split(".")]
        if code == "128.8.0":
            return self._meter.modbus is not None
        if code == "40.0.0":
            return self._meter.link is not None
        if c == 97 and which == REGISTERS:
            return self._errors() != 0
        if d == 8 and e:
            return self._rated(c - 1)
        if d in (6, 16) and e:
            return self._peak(c, d, e)[0] > 0
        return not (d == 7 and c > 40 and self._meter.quantities.system == "1P2W")

    def _rated(self, k):
        """Whether energy was counted in other rates than the first."""
        rates = self._meter.energy.rates
        return rates.active != 1 or rates.of(k, 1) != self._meter.energy.mwh[k]

    def item(self, code):
        c, d, e = [int(part) for part in code.split(".")]
        if d == 8 and c <= 8:
            return self._register(code, c, e)
        if d == 7:
            return self._momentary(code, c)
        if d in (6, 16):
            return self._demand(code, c, d, e)
        return self._state(code)

    def legal(self):
        """The register that counts: value and unit."""
        return self._register("1.8.0", 1, 0)[1:3]

    def _register(self, code, c, e):
        kind = "varh" if c > 2 else "Wh"
        scaler = 4 if self._large else 1
        value = self._figures.value(c, 8, e, scaler) % 100000000
        note = ("IMPORT", "EXPORT", "REACTIVE +", "REACTIVE -")[c - 1]
        if e:
            note = "T%d %s" % (e, note)
        return code, decimal_text(value, 6, 2), ("M" if self._large else "k") + kind, note

    def of_rate(self, k, rate):
        """(mWh, rest) as Figures asks its sources."""
        energy = self._meter.energy
        steps = energy.rates.of(k, rate) if rate else energy.mwh[k]
        return steps * energy.transformers.unit, 0

    def _momentary(self, code, c):
        name, kilo, decimals = _FORMS[unit(c, 7)]
        value = self._figures.value(c, 7, 0, kilo - decimals)
        note = "L%d" % (c // 20) if c > 20 else ("IMPORT", "EXPORT")[c & 1 == 0] if c < 5 else ""
        return code, decimal_text(value, 1, decimals), name, note

    def _peak(self, c, d, e):
        place = (HOUR if d == 6 else QUARTER) + c - 1
        return self._meter.energy.highest.of(place, e & 3)

    def _demand(self, code, c, d, e):
        """The highest hours and quarters of the billing period, with their end."""
        power, end_s = self._peak(c, d, e)
        note = ""
        if end_s:
            when = self._meter.local_clock.civil(end_s * 1000)
            note = "%02d-%02d %02d:%02d" % (when[1], when[2], when[4], when[5])
        value = power * self._meter.energy.transformers.unit // 1000
        return code, decimal_text(value, 1, 3), "kW", note

    def _errors(self):
        alarms = self._alarms()
        return 0 if alarms is None else alarms.errors()

    def _alarms(self):
        """Of a meter with a link: without one nobody has loaded what keeps them."""
        return None if self._meter.link is None else self._meter.model.alarms

    def clock(self):
        """(date, time) as text, local."""
        when = self._meter.local_clock.civil(self._meter.utc_ms)
        return "%02d-%02d-%02d" % (when[0] % 100, when[1], when[2]), "%02d:%02d:%02d" % when[4:7]

    def _state(self, code):
        meter = self._meter
        if code in ("0.9.1", "0.9.2"):
            date, time = self.clock()
            return (code, time, "", "TIME") if code == "0.9.1" else (code, date, "", "DATE")
        if code == "96.1.0":
            return code, meter.identity.meter_id[-8:], "", meter.identity.meter_id
        if code == "0.2.0":
            import ams

            return code, ams.__version__, "", "FIRMWARE"
        if code == "96.14.0":
            return code, "T%d" % meter.energy.rates.active, "", "RATE"
        if code == "96.3.10":
            return code, _BREAKER[meter.control.breaker.state], "", "BREAKER"
        if code == "97.97.0":
            return code, "%08X" % self._errors(), "", "ERRORS"
        if code == "97.98.0":
            alarms = self._alarms()
            return code, "%08X" % (0 if alarms is None else alarms.register), "", "ALARMS"
        if code == "128.1.0":
            lists = sum(meter.han.sent)
            return code, "OPEN" if meter.han.is_open else "CLOSED", "", "HAN %d" % lists
        if code == "40.0.0":
            served = [one for one in meter.link.server.associations if one.state]
            return code, "%d" % len(served), "", "CLIENTS"
        return code, "OPEN" if meter.modbus.is_open else "CLOSED", "", "MODBUS"

    def flags(self):
        """One line of 21 characters: phases, rate, breaker, HAN."""
        q = self._meter.quantities
        lost = q.status >> 8 & 7
        phases = ""
        for place in q.phases():
            phases += "  " if lost >> place & 1 or q.status & 2 else "L%d" % (place + 1)
        power = q.total_active_power_mw
        arrow = "+P" if power > 0 else "-P" if power < 0 else "  "
        state = _BREAKER[self._meter.control.breaker.state]
        han = "HAN" if self._meter.han.is_open else "   "
        return "%-6s %s %s T%d %s" % (phases, arrow, han, self._meter.energy.rates.active, state)
