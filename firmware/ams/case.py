"""What happens at the case: covers, magnet, button, falling supply, and the breaker's time."""

from micropython import const

from ams.hal import (
    INPUT_BUTTON,
    INPUT_MAGNETIC_FIELD,
    INPUT_METER_COVER,
    INPUT_POWER_FAIL,
    INPUT_TERMINAL_COVER,
)
from ams.registers import events as ev

# A contact that bounces counts when it has stood for so long.
STEADY_MS = const(100)
# Input, event when it comes, event when it goes.
_EVENTS = (
    (INPUT_TERMINAL_COVER, ev.TERMINAL_COVER_REMOVED, ev.TERMINAL_COVER_CLOSED),
    (INPUT_METER_COVER, ev.METER_COVER_REMOVED, ev.METER_COVER_CLOSED),
    (INPUT_MAGNETIC_FIELD, ev.MAGNETIC_FIELD, ev.MAGNETIC_FIELD_GONE),
)


class Case:
    """`inputs`: hal.Inputs, or None for a board without contacts."""

    def __init__(self, inputs, meter):
        self._inputs = inputs
        self._meter = meter
        self._bits = 0  # what counts
        self._seen = 0  # what was read last
        self._since_ms = 0
        self._failed = False

    def poll(self, raw_ms):
        """Call it with every pass of the loop; `raw_ms` is the board's time."""
        bits = self._inputs.read() if self._inputs is not None else 0
        meter = self._meter
        # The supply is not waited for: milliseconds are left.
        falls = bool(bits & INPUT_POWER_FAIL)
        if falls and not self._failed:
            meter.power_fail()
        self._failed = falls
        if bits != self._seen:
            self._seen = bits
            self._since_ms = raw_ms
        elif bits != self._bits and raw_ms - self._since_ms >= STEADY_MS:
            self._changed(bits)
        meter.control.poll(raw_ms, meter.utc_ms, bool(self._bits & INPUT_BUTTON))

    def _changed(self, bits):
        before = self._bits
        self._bits = bits
        for bit, came, went in _EVENTS:
            if (before ^ bits) & bit:
                self._meter.tamper(came if bits & bit else went)
