"""The test output: pulses of light, so many per kWh, import and export alike."""

from micropython import const

_ON_MS = const(30)
_OFF_MS = const(10)
_MWH_PER_KWH = const(1000000)


class PulseOutput:
    """Makes pulses of the registers: what is counted is shown, no more and no less.

    Energy comes in steps; the pulses of a step are spread over the time of the
    next one. What does not fit in it (above 90 kW at 1000 pulses) comes later.
    """

    def __init__(self, led, pulses_per_kwh=1000):
        self._led = led
        self._per_kwh = pulses_per_kwh
        self._mwh = None  # where the registers stood at the last step
        self._rest = 0  # of a pulse, in mWh times pulses per kWh
        self._taken_ms = 0
        self._next_ms = 0
        self._gap_ms = _ON_MS + _OFF_MS
        self._on_since = None
        self.waiting = 0  # pulses that are still to be shown
        led.set(False)

    def take(self, raw_ms, total_mwh):
        """The sum of the energy registers at `raw_ms`; call after every step of energy."""
        if self._mwh is None:
            self._mwh = total_mwh
            self._taken_ms = raw_ms
            return
        step = self._rest + (total_mwh - self._mwh) * self._per_kwh
        self._mwh = total_mwh
        self._rest = step % _MWH_PER_KWH
        passed_ms = raw_ms - self._taken_ms
        self._taken_ms = raw_ms
        pulses = step // _MWH_PER_KWH
        if pulses > 0:
            self.waiting += pulses
            self._gap_ms = max(_ON_MS + _OFF_MS, passed_ms // self.waiting)
            if self._next_ms < raw_ms:
                self._next_ms = raw_ms

    def poll(self, raw_ms):
        """Switches the light; some times in `_ON_MS`."""
        if self._on_since is not None:
            if raw_ms - self._on_since >= _ON_MS:
                self._led.set(False)
                self._on_since = None
                self._next_ms = max(self._next_ms, raw_ms + _OFF_MS)
        elif self.waiting and raw_ms >= self._next_ms:
            self._led.set(True)
            self._on_since = raw_ms
            self.waiting -= 1
            self._next_ms = max(self._next_ms, raw_ms - self._gap_ms) + self._gap_ms
