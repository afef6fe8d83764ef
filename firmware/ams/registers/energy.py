"""Cumulative energy registers: integers from the moment it is energy.

Energy arrives in micro-watt-seconds (uWs, that is mW times ms); registers
count whole milli-watt-hours. What is less than a milli-watt-hour is carried,
so the sum of all intervals equals the difference of the registers, exactly.

Quadrants follow IEC 62053-23 / OBIS 1-0:5..8.8.0: I import and lagging,
II export and lagging, III export and leading, IV import and leading.
"""

from micropython import const

from ams.clock.local import LocalClock
from ams.metrology.transformers import Transformers
from ams.registers.demand import HOUR, MS_PER_QUARTER, QUARTER, Demand, Highest
from ams.registers.rates import Rates

UWS_PER_MWH = const(3600000)

# OBIS C value of each register (1-0:C.8.0.255).
A_PLUS = const(0)
A_MINUS = const(1)
R_PLUS = const(2)
R_MINUS = const(3)
R_Q1 = const(4)
R_Q2 = const(5)
R_Q3 = const(6)
R_Q4 = const(7)
REGISTER_NAMES = (
    "a_plus_mwh",
    "a_minus_mwh",
    "r_plus_mvarh",
    "r_minus_mvarh",
    "r_q1_mvarh",
    "r_q2_mvarh",
    "r_q3_mvarh",
    "r_q4_mvarh",
)
REGISTER_COUNT = const(8)


class EnergyRegisters:
    """The eight registers, the hour's copy of them, demands, and energy by rate."""

    def __init__(self, local_clock=None, transformers=None):
        # See Transformers: a step of the registers is so many parts, of which the secondary
        # side gives so many for a micro-watt-second.
        self.transformers = transformers or Transformers()
        self._times, per = self.transformers.overall
        self.fine = per * self.transformers.unit
        self._step = UWS_PER_MWH * self.fine
        self.mwh = [0] * REGISTER_COUNT
        self.remainder_uws = [0] * REGISTER_COUNT
        self._exporting = False  # the last step
        # Copies of `mwh` as they were at the last full hour, for hourly lists.
        self.hour_mwh = [0] * REGISTER_COUNT
        self.hour_utc_ms = None
        # The running hour (OBIS 1-0:1.4.0) and quarter (1.14.0), and the last whole ones.
        self.demand = Demand(HOUR, 3600000)
        self.quarter = Demand(QUARTER, MS_PER_QUARTER)
        self.highest = Highest(local_clock or LocalClock())
        self.rates = Rates(self.mwh)
        self._keep = None

    def __getattr__(self, name):
        if name in REGISTER_NAMES:
            return self.mwh[REGISTER_NAMES.index(name)]
        raise AttributeError(name)

    def _count(self, register, energy_uws):
        rest = self.remainder_uws[register] + energy_uws * self._times
        if rest >= self._step:
            self.mwh[register] += rest // self._step
            rest %= self._step
        self.remainder_uws[register] = rest

    def add(self, active_uws, reactive_uvars, exporting=None):
        """Counts one step of net energy; signs choose the registers.

        `exporting`: which way active power flows in a step without active energy. A metering
        IC counts in lumps, and at small power most steps have none. Where it is not known,
        such a step is on the side of the last that had some.
        """
        if active_uws > 0:
            self._count(A_PLUS, active_uws)
            self._exporting = False
        elif active_uws < 0:
            self._count(A_MINUS, -active_uws)
            self._exporting = True
        elif exporting is not None:
            self._exporting = exporting
        if reactive_uvars > 0:
            self._count(R_PLUS, reactive_uvars)
            self._count(R_Q2 if self._exporting else R_Q1, reactive_uvars)
        elif reactive_uvars < 0:
            self._count(R_MINUS, -reactive_uvars)
            self._count(R_Q3 if self._exporting else R_Q4, -reactive_uvars)

    @property
    def max_demand_mw(self):
        """Highest hour of the billing period, import and export."""
        return [self.highest.of(HOUR + way, 0)[0] for way in (0, 1)]

    @property
    def max_demand_utc_ms(self):
        ends = [self.highest.of(HOUR + way, 0)[1] for way in (0, 1)]
        return [1000 * end_s if end_s else None for end_s in ends]

    def fine_mwh(self, steps, rest):
        """(mWh, what is less in uWs) of steps of a register and what it carries."""
        more, rest = divmod(rest, self._step // self.transformers.unit)
        return steps * self.transformers.unit + more, rest // self.transformers.overall[1]

    def secondary_mwh(self):
        """What the meter itself has turned, import and export alike: for the test output."""
        total = (self.mwh[A_PLUS] + self.mwh[A_MINUS]) * self.fine
        return total // self._times

    # --- what is kept beside the registers ---------------------------------------------

    def load(self, keep, rates, highest, periods):
        """What the cells hold, None: nothing; `keep(rates, data)` stores. `periods` have ended."""
        self._keep = keep
        self.rates.load(rates)
        self.highest.keep = lambda data: keep(False, data)
        if not self.highest.load(highest) or self.highest.periods > periods:
            self.highest.periods = periods

    def switch(self, rate):
        """Another rate comes into force; the registers are stored."""
        self.rates.switch(rate)
        if self._keep is not None:
            self._keep(True, self.rates.pack())

    # --- time --------------------------------------------------------------------------

    def begin(self, utc_ms, start_ms=None, start_mwh=None):
        """Starts (or restarts) hour and quarter, after power-up or a time shift.

        `start_ms`, `start_mwh`: an interval that goes on; it is the hour's or the quarter's if it
        began with it.
        """
        for demand in (self.demand, self.quarter):
            if start_ms is not None and start_ms == utc_ms - utc_ms % demand.period_ms:
                demand.begin(start_ms, start_mwh)
            else:
                demand.begin(utc_ms, self.mwh)
        hour_ms = utc_ms - utc_ms % self.demand.period_ms
        if hour_ms != self.hour_utc_ms:
            # It began without supply, or was stepped over: there the registers stood as they do.
            self._keep_hour(hour_ms)

    def close_quarter(self, utc_ms):
        """Called at each full quarter of an hour."""
        self.quarter.close(utc_ms, self.mwh, self.highest)

    def close_hour(self, utc_ms):
        """Called at each full hour: keeps the hour's copy and its demand."""
        self.demand.close(utc_ms, self.mwh, self.highest)
        self._keep_hour(utc_ms)

    def _keep_hour(self, utc_ms):
        for register in range(REGISTER_COUNT):
            self.hour_mwh[register] = self.mwh[register]
        self.hour_utc_ms = utc_ms
