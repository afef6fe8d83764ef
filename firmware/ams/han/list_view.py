"""What the lists show of the meter: values in the units of the HAN formats.

Powers, voltages and currents are rounded to the nearest step; energy
registers are cut, since a register shows only what has passed whole.
"""

from ams.clock.local import STANDARD_OFFSET_MIN, LocalClock
from ams.han.sources import Sources
from ams.registers.energy import A_MINUS, A_PLUS, R_MINUS, R_PLUS

ENERGIES = (A_PLUS, A_MINUS, R_PLUS, R_MINUS)
_HOUR_MS = 3600000


def nearest(value, step):
    """A value that is not negative, in whole steps."""
    return int((value + step // 2) // step)


class View:
    """Reads the meter's objects for one list at a time."""

    def __init__(self, quantities, registers, identity, local_clock, summer_time=True):
        self.quantities = quantities
        self.registers = registers
        self.identity = identity
        self._meter_clock = local_clock
        self.follow(summer_time)
        self.by_phase = False  # see Kamstrup's option `summation`
        # Other than 1 by a quirk: the unit is another than it was.
        self.energy_factor = self.power_factor = self.voltage_factor = 1
        self.sources = Sources(self)  # what some lists show beside
        self._figures = None
        # One hour late, once: see quirks.
        self.stale = False

    def follow(self, summer_time):
        """Whether the lists' time has summer time, or is standard time all the year."""
        clock = self._meter_clock
        if not summer_time and clock.fixed_offset_min is None:
            clock = LocalClock(STANDARD_OFFSET_MIN)
        self.local_clock = clock

    @property
    def transformers(self):
        return self.quantities.transformers

    @property
    def energy_step(self):
        """mWh of one of a register's."""
        return self.energy_factor * self.transformers.unit

    @property
    def system(self):
        return self.quantities.system

    def figures(self):
        """Of codes, in the units of now: see obis."""
        figures = self._figures
        if figures is None:
            from ams.registers.obis import Figures

            figures = self._figures = Figures(self.quantities, self.sources)
        figures.energy_factor = self.energy_factor
        figures.power_factor = self.power_factor
        figures.voltage_factor = self.voltage_factor
        return figures

    @property
    def clock_status(self):
        return self._meter_clock.status

    def power(self, direction):
        """W or var: 0 active import, 1 active export, 2 and 3 reactive.

        With `by_phase` the sum of the phases that flow that way, else the
        part of the net sum.
        """
        if self.by_phase:
            total = 0
            for place in range(3):
                total += self.phase_power(place, direction)
            return total
        q = self.quantities
        value = q.total_active_power_mw if direction < 2 else q.total_reactive_power_mvar
        return self._one_way(value, direction)

    def phase_power(self, place, direction):
        """The same of one phase."""
        q = self.quantities
        values = q.active_power_mw if direction < 2 else q.reactive_power_mvar
        return self._one_way(values[place], direction)

    def _one_way(self, value, direction):
        """The import (even direction) or export (odd) part of a signed milli-value."""
        if direction & 1:
            value = -value
        if value <= 0:
            return 0
        return nearest(self.quantities.transformers.power(value) * self.power_factor, 1000)

    def current(self, place, step_ua):
        q = self.quantities
        return nearest(q.transformers.current(q.current_ua[place]), step_ua)

    def signed_current(self, place, step_ua):
        """Below 0 where the phase, or on three wires the element, gives active power."""
        value = self.current(place, step_ua)
        return -value if self.quantities.active_power_mw[place] < 0 else value

    def voltage(self, place, step_mv):
        q = self.quantities
        value = q.transformers.voltage(q.voltage_mv[place])
        return nearest(value * self.voltage_factor, step_mv)

    def energy(self, which, step_mwh):
        """An energy as of the last full hour, where one has passed."""
        registers = self.registers
        values = registers.mwh if registers.hour_utc_ms is None else registers.hour_mwh
        if self.stale:
            values = self._stale_mwh
        return values[ENERGIES[which]] * self.energy_step // step_mwh

    def energy_now(self, which, step_mwh):
        """An energy at this moment, for lists that are not hourly."""
        return self.register(which) // step_mwh

    def register(self, which):
        """Any register at this moment, in mWh."""
        return self.registers.mwh[which] * self.energy_step

    def local(self, utc_ms):
        """Civil local time; see clock.civil."""
        return self.local_clock.civil(utc_ms)

    def hour(self, utc_ms):
        """Civil local time of the hour that `energy` belongs to."""
        at = self.registers.hour_utc_ms
        if at is None:
            at = utc_ms - utc_ms % _HOUR_MS
        if self.stale:
            at = self._stale_utc_ms
        return self.local_clock.civil(at)

    # What the quirk `stale-hour` repeats.
    _stale_mwh = None
    _stale_utc_ms = None

    def keep_hour(self):
        """Remembers the hour's figures, to repeat them."""
        if self.registers.hour_utc_ms is not None:
            self._stale_mwh = list(self.registers.hour_mwh)
            self._stale_utc_ms = self.registers.hour_utc_ms
