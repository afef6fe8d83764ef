"""Cumulative energy registers: integers from the moment it is energy.

Energy arrives in micro-watt-seconds (uWs, that is mW times ms); registers
count whole milli-watt-hours. What is less than a milli-watt-hour is carried,
so the sum of all intervals equals the difference of the registers, exactly.

Quadrants follow IEC 62053-23 / OBIS 1-0:5..8.8.0: I import and lagging,
II export and lagging, III export and leading, IV import and leading.
"""

from micropython import const

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


class Demand:
    """Mean power over a clock hour, import and export."""

    def __init__(self):
        self.start_mwh = [0, 0]
        self.start_ms = None
        self.last_mw = [0, 0]
        self.last_ms = None


class EnergyRegisters:
    """The eight registers, the hour's copy of them and the hour's demand."""

    def __init__(self):
        self.mwh = [0] * REGISTER_COUNT
        self.remainder_uws = [0] * REGISTER_COUNT
        self._exporting = False  # the last step
        # Copies of `mwh` as they were at the last full hour, for hourly lists.
        self.hour_mwh = [0] * REGISTER_COUNT
        self.hour_utc_ms = None
        # Maximum demand: the largest mean import and export over one clock
        # hour (OBIS 1-0:1.6.0 and 1-0:2.6.0), and when that hour ended.
        self.max_demand_mw = [0, 0]
        self.max_demand_utc_ms = [None, None]
        # The running hour, and the demand of the last whole one.
        self.demand = Demand()

    def __getattr__(self, name):
        if name in REGISTER_NAMES:
            return self.mwh[REGISTER_NAMES.index(name)]
        raise AttributeError(name)

    def _count(self, register, energy_uws):
        rest = self.remainder_uws[register] + energy_uws
        if rest >= UWS_PER_MWH:
            self.mwh[register] += rest // UWS_PER_MWH
            rest %= UWS_PER_MWH
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

    def begin(self, utc_ms):
        """Starts (or restarts) the running hour, after power-up or a time shift."""
        self.demand.start_mwh[:] = self.mwh[:2]
        self.demand.start_ms = utc_ms

    def close_hour(self, utc_ms):
        """Called at each full hour: keeps the hour's copy and its demand.

        Only whole clock hours count as demand; a part of an hour does not.
        """
        demand = self.demand
        if demand.start_ms is not None and utc_ms - demand.start_ms == 3600000:
            demand.last_ms = utc_ms
            for way in (A_PLUS, A_MINUS):
                demand_mw = demand.last_mw[way] = self.mwh[way] - demand.start_mwh[way]
                if demand_mw > self.max_demand_mw[way]:
                    self.max_demand_mw[way] = demand_mw
                    self.max_demand_utc_ms[way] = utc_ms
        for register in range(REGISTER_COUNT):
            self.hour_mwh[register] = self.mwh[register]
        self.hour_utc_ms = utc_ms
        self.begin(utc_ms)
