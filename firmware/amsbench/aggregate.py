"""Means over many windows: powers by time, voltages and currents as RMS.

For what is reported over longer than a window (IEC 61000-4-30, 4.5: the
aggregated value is the root of the mean of the squares).
"""

from ams.metrology.fixed import div_rounded, sqrt_rounded


class Aggregate:
    def __init__(self):
        self.clear()

    def clear(self):
        self.duration_us = 0
        self._square_u = [0, 0, 0]
        self._square_i = [0, 0, 0]
        self._p = [0, 0, 0]
        self._q = [0, 0, 0]
        self._total_p = 0
        self._total_q = 0
        self._frequency = 0
        self._frequency_us = 0

    def add(self, quantities, duration_us):
        """Takes one window's `Quantities`."""
        self.duration_us += duration_us
        for place in range(3):
            self._square_u[place] += quantities.voltage_mv[place] ** 2 * duration_us
            self._square_i[place] += quantities.current_ua[place] ** 2 * duration_us
            self._p[place] += quantities.active_power_mw[place] * duration_us
            self._q[place] += quantities.reactive_power_mvar[place] * duration_us
        self._total_p += quantities.total_active_power_mw * duration_us
        self._total_q += quantities.total_reactive_power_mvar * duration_us
        if quantities.frequency_mhz:
            self._frequency += quantities.frequency_mhz * duration_us
            self._frequency_us += duration_us

    def result(self):
        """Dict of the means, named as in `Quantities`; {} before any window."""
        span = self.duration_us
        if not span:
            return {}
        return {
            "voltage_mv": [sqrt_rounded(x // span) for x in self._square_u],
            "current_ua": [sqrt_rounded(x // span) for x in self._square_i],
            "active_power_mw": [div_rounded(x, span) for x in self._p],
            "reactive_power_mvar": [div_rounded(x, span) for x in self._q],
            "total_active_power_mw": div_rounded(self._total_p, span),
            "total_reactive_power_mvar": div_rounded(self._total_q, span),
            "frequency_mhz": (
                div_rounded(self._frequency, self._frequency_us) if self._frequency_us else 0
            ),
            "duration_us": span,
        }
