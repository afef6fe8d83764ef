"""The test output: pulses of light, so many per kWh, import and export alike."""

from micropython import const

_ON_MS = const(30)
_OFF_MS = const(10)
_MWH_PER_KWH = const(1000000)
# In which the pulses of a step are counted: thousandths of a pulse, for small integers.
_PART = const(1000)
# The pulses of a step begin so long after it was counted: by as much who counts may be late.
_AHEAD_MS = const(50)
# A step that is longer is none: what came in it is shown within this.
_LONGEST_MS = const(5000)
# Steps that wait to be shown; what is more is shown with the last of them.
_PLANS = const(4)


class PulseOutput:
    """Makes pulses of the registers: what is counted is shown, no more and no less.

    Energy comes in steps. Its pulses are shown while the next step is measured, each when as
    much of its own step had passed: they are as even as the power, and a step late. What does
    not fit (above 90 kW at 1000 pulses) comes later.

    `poll` may come in the middle of `take`, as a timer's call does.
    """

    def __init__(self, led, pulses_per_kwh=1000):
        self._led = led
        self._per_kwh = pulses_per_kwh
        self._mwh = None  # where the registers stood at the last step
        self._rest = 0  # of a pulse, in mWh times pulses per kWh
        self._measured_ms = 0
        self._end_ms = 0  # when the last step will have been shown
        # Of each step: when it begins to be shown and for how long, the parts of a pulse that
        # were there and that it brings, and how many pulses were made before it and with it.
        self._plans = []
        self._made = 0
        self._shown = 0
        self._on_since = None
        self._dark_ms = 0  # when the next may begin
        self._polled_ms = 0
        self.on_due = None  # called when there is something new to show
        led.set(False)

    @property
    def waiting(self):
        """Pulses that are still to be shown."""
        return self._made - self._shown

    def take(self, raw_ms, total_mwh, measured_ms=None):
        """The sum of the energy registers at `raw_ms`; call after every step of energy.

        `measured_ms`: for how long it was measured, where that is known better than by when
        this is called.
        """
        now_ms = raw_ms if measured_ms is None else measured_ms
        if self._mwh is None:
            self._mwh = total_mwh
            self._measured_ms = now_ms
            return
        step = (total_mwh - self._mwh) * self._per_kwh
        length_ms = min(max(now_ms - self._measured_ms, 1), _LONGEST_MS)
        self._mwh = total_mwh
        self._measured_ms = now_ms
        # The steps follow one another, as long as that is anywhere near now.
        begin_ms = self._end_ms
        if not 0 <= begin_ms - raw_ms <= 2 * _AHEAD_MS:
            begin_ms = raw_ms + _AHEAD_MS
        self._end_ms = begin_ms + length_ms
        rest = self._rest
        self._rest = (rest + step) % _MWH_PER_KWH
        pulses = (rest + step) // _MWH_PER_KWH
        if not pulses:
            return
        unit = _MWH_PER_KWH // _PART
        made = self._made + pulses
        if len(self._plans) < _PLANS:
            plan = (begin_ms, length_ms, rest // unit, step // unit, self._made, made)
            self._plans.append(plan)
        self._made = made
        if self.on_due is not None:
            self.on_due()

    def due_ms(self):
        """When `poll` has something to do, None: nothing is waiting."""
        if self._on_since is not None:
            return self._on_since + _ON_MS
        if self._shown >= self._made:
            return None
        if not self._plans:
            return self._dark_ms
        begin_ms, length_ms, rest, step, before, _ = self._plans[0]
        parts = (self._shown - before + 1) * _PART - rest
        return max(begin_ms + max(parts, 0) * length_ms // step, self._dark_ms)

    def poll(self, raw_ms):
        """Switches the light."""
        # The look that is next to the end of the pulse ends it.
        slack_ms = min((raw_ms - self._polled_ms) // 2, _OFF_MS)
        self._polled_ms = raw_ms
        if self._on_since is not None:
            if raw_ms - self._on_since + slack_ms >= _ON_MS:
                self._led.set(False)
                self._dark_ms = raw_ms + _OFF_MS
                self._on_since = None
            return
        due_ms = self.due_ms()
        if due_ms is None or raw_ms < due_ms:
            return
        self._led.set(True)
        self._on_since = raw_ms
        self._shown += 1
        if self._plans and self._shown >= self._plans[0][5]:
            self._plans.pop(0)
