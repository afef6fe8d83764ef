"""Dips, swells and interruptions per phase, by the thresholds of EN 50160.

A dip is below 90 % of the nominal voltage, a swell above 110 %, an
interruption below 5 %; each ends 2 % inside its threshold (IEC 61000-4-30,
5.4 to 5.5). Voltages are those of a window of ten cycles: what is shorter is
seen by what it takes from its window's RMS value.
"""

from micropython import const

from ams.events import events as ev

_NORMAL = const(0)
_KINDS = (0, ev.UNDERVOLTAGE, ev.OVERVOLTAGE, ev.MISSING_VOLTAGE)
_DIP = const(1)
_SWELL = const(2)
_INTERRUPTION = const(3)


class QualityWatch:
    """Logs the begin of each disturbance, and its end with extreme and duration."""

    def __init__(self, quantities, nominal_mv, events):
        self._quantities = quantities
        self._events = events
        self._places = quantities.phases()
        self._low = nominal_mv * 90 // 100
        self._low_end = nominal_mv * 92 // 100
        self._high = nominal_mv * 110 // 100
        self._high_end = nominal_mv * 108 // 100
        self._gone = nominal_mv * 5 // 100
        self._gone_end = nominal_mv * 7 // 100
        self._state = [_NORMAL] * 3
        self._since = [0] * 3
        self._extreme = [0] * 3

    def clock_set(self, step_ms):
        """What goes on lasts as long as it did before."""
        for k in self._places:
            self._since[k] += step_ms

    def look(self, from_ms):
        """Call with the quantities of a window that began at `from_ms`."""
        for k in self._places:
            u = self._quantities.voltage_mv[k]
            state = self._state[k]
            if state or not self._low <= u <= self._high:
                self._step(k, u, state, from_ms)

    def _step(self, k, u, state, from_ms):
        now = self._next(state, u)
        if state == _SWELL:
            self._extreme[k] = max(self._extreme[k], u)
        elif state:
            self._extreme[k] = min(self._extreme[k], u)
        if now == state:
            return
        if now == _NORMAL:
            duration_ms = from_ms - self._since[k]
            self._events.log(from_ms, ev.NORMAL_VOLTAGE + k, self._extreme[k], duration_ms)
        else:
            # A dip that deepens to an interruption is one disturbance.
            if not (state == _DIP and now == _INTERRUPTION):
                self._since[k] = from_ms
                self._extreme[k] = u
            self._events.log(from_ms, _KINDS[now] + k, u)
        self._state[k] = now

    def _next(self, state, u):
        if u < self._gone or (state == _INTERRUPTION and u < self._gone_end):
            return _INTERRUPTION
        if state == _INTERRUPTION and u < self._low_end:
            return _INTERRUPTION  # until the voltage is back, not only above 5 %
        if u < self._low or (state == _DIP and u < self._low_end):
            return _DIP
        if u > self._high or (state == _SWELL and u > self._high_end):
            return _SWELL
        return _NORMAL
