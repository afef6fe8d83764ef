"""The test output on a pin, and the timer by which it goes on whatever else the core does."""

import time

from ams.hal import PulseLed


class PinLed(PulseLed):
    def __init__(self, pin):
        self._pin = pin
        pin(0)

    def set(self, on):
        self._pin(1 if on else 0)


class PulseTimer:
    """Calls `poll` of a `PulseOutput` when it is due: its edges are closer than the main loop's
    passes. `timer` is a machine.Timer whose calls come between two steps of the code; without
    one (None) it is called with each pass, which is enough for 45 kW.

    The meter's clock is the main loop's alone: `show` says what time it is, ticks go on from there.
    """

    def __init__(self, pulses, timer):
        self._pulses = pulses
        self._timer = timer
        self._due_ms = None  # for when it is set
        # Made once: a method that is looked up anew takes heap.
        self._call = self._edge
        if timer is not None:
            self._now = (0, time.ticks_ms())  # by the meter's clock and by the ticks
            pulses.on_due = self._set

    def show(self, raw_ms):
        """Of each pass: the time. A call that got lost is made up for."""
        if self._timer is None:
            self._pulses.poll(raw_ms)
            return
        self._now = (raw_ms, time.ticks_ms())
        due_ms = self._due_ms
        if due_ms is not None and raw_ms - due_ms > 100:
            self._set()

    def _set(self):
        due_ms = self._pulses.due_ms()
        self._due_ms = due_ms
        if due_ms is not None:
            wait_ms = max(due_ms - self._time_ms(), 1)
            self._timer.init(mode=self._timer.ONE_SHOT, period=wait_ms, callback=self._call)

    def _time_ms(self):
        raw_ms, ticks = self._now
        return raw_ms + time.ticks_diff(time.ticks_ms(), ticks)

    def _edge(self, timer):
        self._pulses.poll(self._time_ms())
        self._set()
